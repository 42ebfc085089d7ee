# SPDX-License-Identifier: GPL-2.0
"""One boot of the guest with the plugin: runs a plan, returns the cost of each sample."""

import lzma
import os
import re
import shutil
import subprocess
import tempfile
import threading
from types import SimpleNamespace

from scripts.lib.guest import initramfs, suite
from scripts.lib.guest.machine import Definition, Guest, GuestDied

from .cost import cost
from .counts import Counts
from .symbols import Symbols
from .output import BenchError, Told

CACHE = "/cache/guest"
# The controllers of bench/machine: without and with shadow doorbells.
PLAIN, SHADOW = "0000:00:04.0", "0000:00:05.0"


# The kernel's nvme driver asks for features that QEMU lacks.
ALLOWED = SimpleNamespace(allow_log=[], allow_hostile=[],
                          allow_trace=["pci_nvme_err_req_status"])


def compiled(name, source, *options):
    """The path of a program built from bench/, cached until its source changes."""
    path = f"{CACHE}/bench-{name}-{initramfs.digest(initramfs.read(source), *options)}"
    if not os.path.exists(path):
        os.makedirs(CACHE, exist_ok=True)
        own = f"{path}.{os.getpid()}.{threading.get_ident()}"
        result = subprocess.run(["gcc", "-o", own, source, *options],
                                capture_output=True, text=True, check=False)
        if result.returncode:
            raise BenchError(f"{source} does not compile:\n{result.stderr}")
        os.rename(own, path)
    return path


def module_file(kernel, name, folder):
    """The path of an unpacked module of the kernel."""
    for where, _, files in os.walk(kernel.modules):
        for file in files:
            # The whole name: a built kernel tree has object files as well.
            if re.fullmatch(rf"{name}\.ko(\.xz)?", file.replace("-", "_")):
                path = f"{folder}/{name}.ko"
                opener = lzma.open if file.endswith(".xz") else open
                with opener(f"{where}/{file}", "rb") as packed, open(path, "wb") as out:
                    shutil.copyfileobj(packed, out)
                return path
    raise BenchError(f"the kernel has no module {name}")


class Session:
    """A guest that measures."""

    def __init__(self, kernel, module, top, counting=True, cpus=1, machine="machine", smp=None):
        """`counting`: count instructions instead of measuring time; `cpus`: how many of the
        guest's CPUs count; `machine`: a file of bench/; `smp`: the number of CPUs, if it is not
        that of the file."""
        self.kernel, self.module, self.top = kernel, module, top
        self.counting, self.cpus = counting, cpus
        self.machine, self.smp = machine, smp
        self.folder = tempfile.mkdtemp(prefix="rnvme-bench.")

    def run(self, plan, limit, tell=None):
        """Run the lines of a plan in one boot; `tell` is called with each line that the guest
        prints."""
        symbols_file = f"{CACHE}/symbols.{self.kernel.kind}-{self.kernel.key}"
        if self.counting and not os.path.exists(symbols_file):
            plan = ["kernel_symbols", *plan]
        guest = self._guest(plan)
        try:
            told = self._told(symbols_file)
            self._boot(guest)
            if not self.counting:
                guest.pin_jobs()
            result = suite.run_file(guest, "/jobs/bench", limit,
                                    show=lambda line, flush: tell(line) if tell else None,
                                    test=ALLOWED)
            guest.quit()
            if result.reason:
                where = guest.keep_logs("bench", {"output": "\n".join(result.output) + "\n",
                                                  "plan": "\n".join(plan) + "\n"})
                raise BenchError(f"{result.reason} (logs: {where})")
            told.read(f"{self.folder}/data")
            if self.counting:
                self._attribute(told, symbols_file)
            return told.outcome
        finally:
            guest.clean()

    @staticmethod
    def _boot(guest):
        # A long limit: counting costs time, and the host may have other work.
        try:
            guest.boot(300 * guest.kernel.slower)
        except GuestDied as reason:
            raise BenchError(f"boot: {reason} (logs: {guest.keep_logs('bench-boot', {})})") from reason

    def _guest(self, plan):
        definition = Definition(f"{self.top}/bench/{self.machine}")
        definition.cpus = str(self.smp or definition.cpus)
        folder = self.folder
        with open(f"{folder}/plan", "w", encoding="utf-8") as out:
            out.write("".join(line + "\n" for line in plan))
        mark = compiled("mark", f"{self.top}/bench/mark.S", "-nostdlib", "-static")
        files = {"usr/bin/mark": mark, "jobs/plan": f"{folder}/plan",
                 "jobs/bench": f"{self.top}/bench/guest.sh"}
        arguments = ["-chardev", f"file,id=data,path={folder}/data",
                     "-device", "virtio-serial-pci,addr=1d.0,id=ports",
                     "-device", "virtserialport,bus=ports.0,chardev=data"]
        if self.counting:
            plugin = compiled("count.so", f"{self.top}/bench/count.c", "-shared", "-fPIC", "-O2")
            arguments += ["-plugin", f"{plugin},out={folder}/counts,cpus={self.cpus},"
                                     f"modules={self.kernel.modules_at:#x}"]
        return Guest(self.kernel, definition, self.module, self.top, append="kunit.enable=0",
                     arguments=arguments, files=files, emulate=self.counting)

    def _told(self, path):
        """The parser of the guest's output, with the kernel's symbols if they are known."""
        symbols = []
        if os.path.exists(path):
            with open(path, encoding="utf-8") as source:
                for line in source:
                    address, name = line.split()
                    symbols.append((int(address, 16), name))
        return Told(symbols)

    # -- afterwards ---------------------------------------------------------------

    def _attribute(self, told, symbols_file):
        if not os.path.exists(symbols_file):
            # Several sessions may run at a time: each writes a file of its own and renames it.
            with open(f"{self.folder}/symbols", "w", encoding="utf-8") as out:
                out.writelines(f"{address:x} {name}\n" for address, name in told.kernel_symbols)
            shutil.copy(f"{self.folder}/symbols", f"{symbols_file}.{os.path.basename(self.folder)}")
            os.rename(f"{symbols_file}.{os.path.basename(self.folder)}", symbols_file)
        epochs = self._symbols(told)
        counts, waiting = Counts(f"{self.folder}/counts"), {}
        costs = told.outcome.costs
        for region, sample, epoch in zip(counts.regions(), told.outcome.samples, told.epoch_of):
            key = (sample.name, sample.driver)
            if key not in waiting:
                waiting[key] = (sample.ios, region)
                continue
            pair = sorted([waiting.pop(key), (sample.ios, region)], key=lambda one: one[0])
            if pair[0][0] == pair[1][0]:
                raise BenchError(f"{sample.name}: fio did {sample.ios} I/Os each time")
            costs.setdefault(key, []).append(cost(counts.blocks, epochs[epoch], *pair))
        if waiting or not costs:
            raise BenchError("expected a region of the plugin for each run of fio")

    def _symbols(self, told):
        """The symbols of each load of the drivers."""
        files, epochs = {"rnvme": self.module}, []
        for sections in told.epochs:
            symbols = Symbols(told.kernel_symbols)
            for module, places in sections.items():
                if module not in files:
                    files[module] = module_file(self.kernel, module, self.folder)
                symbols.load(module, files[module], places)
            epochs.append(symbols)
        return epochs

    def clean(self):
        """Remove the session's folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def quoted(name):
    """A name as one word of a plan."""
    return re.sub(r"[^\w.+-]", "_", name)

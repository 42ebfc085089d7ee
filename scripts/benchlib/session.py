# SPDX-License-Identifier: GPL-2.0
"""One boot of the guest with the plugin: runs a plan, returns what each sample cost."""

import json
import lzma
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from types import SimpleNamespace

from guestlib import initramfs, suite
from guestlib.machine import Definition, Guest, GuestDied

from .cost import cost
from .counts import Counts
from .symbols import Symbols

CACHE = "/cache/guest"
# The controllers of bench/machine: without and with shadow doorbells.
PLAIN, SHADOW = "0000:00:04.0", "0000:00:05.0"


# The kernel's nvme driver asks for what QEMU does not have.
ALLOWED = SimpleNamespace(allow_log=[], allow_hostile=[],
                          allow_trace=["pci_nvme_err_req_status"])


class BenchError(Exception):
    """A measurement that did not work; the text says why."""


@dataclass
class Sample:
    """One run of fio."""

    name: str
    driver: str
    ios: int
    fio: dict


@dataclass
class Outcome:
    """All that a plan gave."""

    samples: list = field(default_factory=list)
    # (cell, driver) -> [Cost of a pair of samples]
    costs: dict = field(default_factory=dict)
    probes: dict = field(default_factory=dict)
    bound: dict = field(default_factory=dict)
    values: list = field(default_factory=list)


def compiled(name, source, *options):
    """A small program built from bench/, kept as long as its source does not change."""
    path = f"{CACHE}/bench-{name}-{initramfs.digest(initramfs.read(source), *options)}"
    if not os.path.exists(path):
        os.makedirs(CACHE, exist_ok=True)
        result = subprocess.run(["gcc", "-o", f"{path}.{os.getpid()}", source, *options],
                                capture_output=True, text=True, check=False)
        if result.returncode:
            raise BenchError(f"{source} does not compile:\n{result.stderr}")
        os.rename(f"{path}.{os.getpid()}", path)
    return path


def module_file(kernel, name, folder):
    """A module of the kernel, unpacked."""
    for where, _, files in os.walk(kernel.modules):
        for file in files:
            if file.split(".")[0].replace("-", "_") == name:
                path = f"{folder}/{name}.ko"
                opener = lzma.open if file.endswith(".xz") else open
                with opener(f"{where}/{file}", "rb") as packed, open(path, "wb") as out:
                    shutil.copyfileobj(packed, out)
                return path
    raise BenchError(f"the kernel has no module {name}")


class Session:
    """A guest that measures."""

    def __init__(self, kernel, module, top, counting=True, cpus=1):
        """`cpus`: how many of the guest's CPUs are looked at."""
        self.kernel, self.module, self.top = kernel, module, top
        self.counting, self.cpus = counting, cpus
        self.outcome = Outcome()
        self.symbols = None
        self.epoch_of = []
        self.folder = tempfile.mkdtemp(prefix="rnvme-bench.")

    def run(self, plan, limit, tell=None):
        """Run the lines of a plan in one boot; `tell` is called with what the guest prints."""
        symbols_file = f"{CACHE}/symbols.{self.kernel.kind}-{self.kernel.key}"
        if self.counting and not os.path.exists(symbols_file):
            plan = ["kernel_symbols", *plan]
        guest = self._guest(plan)
        try:
            self._read_symbols(symbols_file)
            self._boot(guest)
            result = suite.run_file(guest, "/jobs/bench", limit,
                                    show=lambda line, flush: tell(line) if tell else None,
                                    test=ALLOWED)
            guest.quit()
            if result.reason:
                where = guest.keep_logs("bench", {"output": "\n".join(result.output) + "\n",
                                                  "plan": "\n".join(plan) + "\n"})
                raise BenchError(f"{result.reason} (logs: {where})")
            with open(f"{self.folder}/data", encoding="utf-8") as told:
                for line in told:
                    self._line(line.rstrip("\n"))
            if self.counting:
                self._attribute(symbols_file)
            return self.outcome
        finally:
            guest.clean()

    @staticmethod
    def _boot(guest):
        # Counting costs time, too: twice what a test has.
        try:
            guest.boot(120 * guest.kernel.slower)
        except GuestDied as reason:
            raise BenchError(f"boot: {reason} (logs: {guest.keep_logs('bench-boot', {})})") from reason

    def _guest(self, plan):
        definition = Definition(f"{self.top}/bench/machine")
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
            arguments += ["-plugin", f"{plugin},out={folder}/counts,cpus={self.cpus}"]
        return Guest(self.kernel, definition, self.module, self.top, append="kunit.enable=0",
                     arguments=arguments, files=files, emulate=self.counting)

    # -- what the guest says ----------------------------------------------------

    def _read_symbols(self, path):
        self.kernel_symbols = []
        if os.path.exists(path):
            with open(path, encoding="utf-8") as source:
                for line in source:
                    address, name = line.split()
                    self.kernel_symbols.append((int(address, 16), name))
        self.epochs = []
        self.json = None
        self.driver = ""

    def _line(self, line):
        if self.json is not None:
            if line == "end":
                self._sample()
            else:
                self.json.append(line)
            return
        verb, *words = line.split()
        if verb == "symbol":
            self.kernel_symbols.append((int(words[0], 16), words[1]))
        elif verb == "drivers":
            self.epochs.append({})
        elif verb == "section":
            self.epochs[-1].setdefault(words[0], {})[words[1]] = int(words[2], 16)
        elif verb == "probe":
            self.outcome.probes.setdefault(words[0], []).append(int(words[1]))
        elif verb == "bound":
            self.driver = words[0]
            self.outcome.bound[words[0]] = [int(word) for word in words[1:]]
        elif verb == "value":
            self.outcome.values.append((words[0], self.driver, words[1:]))
        elif verb == "sample":
            self.current, self.json = words[0], []
        else:
            raise BenchError(f"the guest said: {line}")

    def _sample(self):
        try:
            job = json.loads("\n".join(self.json))["jobs"][0]
        except (ValueError, KeyError, IndexError) as reason:
            raise BenchError(f"fio's answer makes no sense: {reason}") from reason
        self.json = None
        ios = sum(job[kind]["total_ios"] for kind in ("read", "write", "trim"))
        sample = Sample(self.current, self.driver, ios, job)
        self.outcome.samples.append(sample)
        self.epoch_of.append(len(self.epochs) - 1)

    # -- afterwards ---------------------------------------------------------------

    def _attribute(self, symbols_file):
        if not os.path.exists(symbols_file):
            with open(f"{symbols_file}.{os.getpid()}", "w", encoding="utf-8") as out:
                out.writelines(f"{address:x} {name}\n" for address, name in self.kernel_symbols)
            os.rename(f"{symbols_file}.{os.getpid()}", symbols_file)
        files = {"rnvme": self.module}
        epochs = []
        for sections in self.epochs:
            symbols = Symbols(self.kernel_symbols)
            for module, places in sections.items():
                if module not in files:
                    files[module] = module_file(self.kernel, module, self.folder)
                symbols.load(module, files[module], places)
            epochs.append(symbols)
        counts, waiting = Counts(f"{self.folder}/counts"), {}
        for region, sample, epoch in zip(counts.regions(), self.outcome.samples, self.epoch_of):
            key = (sample.name, sample.driver)
            if key not in waiting:
                waiting[key] = (sample.ios, region)
                continue
            pair = sorted([waiting.pop(key), (sample.ios, region)], key=lambda one: one[0])
            if pair[0][0] == pair[1][0]:
                raise BenchError(f"{sample.name}: fio did {sample.ios} I/Os each time")
            self.outcome.costs.setdefault(key, []).append(
                cost(counts.blocks, epochs[epoch], *pair))
        if waiting or not self.outcome.costs:
            raise BenchError("the plugin saw other regions than fio had runs")

    def clean(self):
        """Remove what the session left on the host."""
        shutil.rmtree(self.folder, ignore_errors=True)


def quoted(name):
    """A name that is one word of the plan."""
    return re.sub(r"[^\w.+-]", "_", name)

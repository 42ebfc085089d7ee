# SPDX-License-Identifier: GPL-2.0
"""The guest tests: which there are, running them, judging them, telling."""

import contextlib
import fnmatch
import glob
import os
import re
import subprocess
import sys
import threading
import time

from . import pool, times
from .machine import Definition, Guest, GuestDied, headers

# Lines of the kernel log that no test may cause unless it says so.
BAD_LOG = re.compile(
    r"BUG:|WARNING:|Oops|KASAN|UBSAN|possible circular|possible recursive|inconsistent lock|"
    r"suspicious RCU|INFO: task .* blocked|INFO: rcu|"
    r"DMA-API: (?!preallocated|debugging enabled|debugging disabled on)|"
    r"kmemleak: (\d+ new|.*disabled|Cannot (insert|allocate a kmemleak_object))|"
    r"general protection|Call Trace|Kernel panic|ODEBUG|rust_kernel: panicked")
SKIP = 4
# The machine in whose boot KUnit runs: one with few tests, none of which boots anew.
KUNIT_MACHINE = "cmb"
# When the measurement begins: before what takes less than it.
BENCH_WEIGHT = 600


class Result:
    """What a file did in the guest."""

    def __init__(self):
        self.status = None
        self.reason = ""
        self.output = []
        self.seconds = 0.0


class Test:
    """A file of tests/guest and what its header says."""

    def __init__(self, path):
        self.file = path[path.index("/tests/guest/"):]
        self.name = self.file.removeprefix("/tests/guest/").removesuffix(".sh")
        head = headers(path)
        self.timeout = int(head.get("timeout", ["60"])[0])
        self.machine = head.get("machine", ["basic"])[0]
        self.kernels = head.get("kernels", ["stock debug"])[0].split()
        self.waits = head.get("waits", [""])[0].split()
        self.allow_log = [re.compile(text) for text in head.get("allow-log", [])]
        self.allow_trace = " ".join(head.get("allow-trace", [])).split()
        self.allow_hostile = [re.compile(text) for text in head.get("allow-hostile", [])]


def escape(text):
    """A text as one line that the shell's printf %b turns back."""
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")


def run_file(guest, file, timeout, show=None, test=None):
    """Run a file in the guest (booting it first if need be) and judge it."""
    result = Result()
    if guest.port is None:
        guest.boot(60 * guest.kernel.slower)
    begin = time.monotonic()
    try:
        guest.calm()
    except GuestDied as reason:
        result.status, result.reason = -1, str(reason)
        return result
    log_start, trace_start = guest.log_size(guest.console), guest.log_size(guest.trace)
    hostile_starts = [(one, guest.log_size(one.log)) for one in guest.hostile]
    # The guest ends a test by itself at the limit; this is for a guest that hangs.
    deadline = begin + timeout + 20
    guest.send(f"run {timeout} {file}")
    try:
        while result.status is None:
            line = guest.read_line(deadline)
            if line == "@host again":
                # QEMU's logs begin anew, too.
                guest.restart(60 * guest.kernel.slower)
                log_start = trace_start = 0
                deadline = time.monotonic() + timeout + 20
                guest.send(f"run {timeout} {file}")
            elif line == "@host off":
                await_off(guest, limit := 60 * guest.kernel.slower)
                judge_logs(guest, result, log_start, trace_start, test)
                guest.restart(limit)
                log_start = trace_start = 0
                guest.send(f"run {timeout} {file}")
            elif line == "@host hibernate":
                resume_from_disk(guest, deadline)
                log_start = trace_start = 0
            elif line.startswith("@host "):
                good, text = guest.answer(line[6:], trace_start)
                guest.send(("0 " if good else "1 ") + escape(text))
            elif line.startswith("@end "):
                result.status = int(line[5:])
            else:
                result.output.append(line)
                if show:
                    show(line, flush=True)
    except GuestDied as reason:
        result.status, result.reason = -1, str(reason)
    result.seconds = time.monotonic() - begin
    if result.status == 143:
        result.reason = f"not done after {timeout} s"
    elif result.status not in (0, SKIP) and not result.reason:
        last = [line for line in result.output if line.strip()][-1:] or [""]
        result.reason = f"status {result.status}: {last[0]}"
    if not guest.foreign:
        judge_logs(guest, result, log_start, trace_start, test)
        judge_hostile(guest, result, hostile_starts, test)
    return result


def await_off(guest, limit):
    """Wait until the guest has powered itself off. What that took, and the last lines of the kernel
    log, are kept for its test."""
    begin = time.monotonic()
    if not guest.await_off(limit):
        raise GuestDied("the guest did not power itself off")
    guest.kept["off"] = f"{time.monotonic() - begin:.2f}"
    guest.kept["log"] = guest.log_since(guest.console, 0)[-8000:]


def resume_from_disk(guest, deadline):
    """Wait until the guest has powered itself off after writing its image, and boot it again:
    the test goes on in the image."""
    limit = 60 * guest.kernel.slower
    await_off(guest, limit)
    guest.restart(limit)
    guest.send(f"run {max(1, int(deadline - time.monotonic()))} /jobs/resume")


def judge_logs(guest, result, log_start, trace_start, test):
    """Look for what must not be in the kernel's and QEMU's logs."""
    allowed_log = test.allow_log if test else []
    for line in guest.log_since(guest.console, log_start).splitlines():
        if BAD_LOG.search(line) and not any(ok.search(line) for ok in allowed_log):
            # What the kernel says is worth more than what the test thinks.
            result.reason = f"kernel log: {line.strip()}"
            break
    allowed = test.allow_trace if test else []
    for line in guest.log_since(guest.trace, trace_start).splitlines():
        event = line.split(" ")[0]
        if re.match(r"pci_nvme_(err|ub)_", event) and not any(
                fnmatch.fnmatch(event, pattern) for pattern in allowed):
            result.reason = result.reason or f"QEMU saw: {line.strip()}"
            break


def judge_hostile(guest, result, starts, test):
    """The hostile controllers must be alive, and complain of nothing that is not announced."""
    allowed = test.allow_hostile if test else []
    for one, start in starts:
        result.reason = one.died() or result.reason
        for line in guest.log_since(one.log, start).splitlines():
            if " driver: " in line and not any(ok.search(line) for ok in allowed):
                result.reason = result.reason or f"the hostile controller saw: {line.strip()}"
                break


class Suite:
    """All tests on one kernel."""

    def __init__(self, kernel, options, top, recorder, gate):
        self.kernel = kernel
        self.options = options
        self.recorder, self.gate = recorder, gate
        self.module = f"{options.build}/{kernel.kind}/rnvme.ko"
        self.top = top
        self.lock = threading.Lock()
        self.counts = {"ok": 0, "FAIL": 0, "skip": 0}

    def report(self, verdict, name, seconds=None, detail=""):
        """Print one result line and count it."""
        took = f"  ({seconds:.1f} s)" if seconds is not None else ""
        with self.lock:
            self.counts[verdict] += 1
            print(f"{verdict:<4}  {self.kernel.kind}/{name}{took}"
                  + (f"  {detail}" if detail else ""), flush=True)

    def wanted(self, name):
        """Whether -k asks for this name."""
        plain = f"{self.kernel.kind}/{name}".replace("/", "-")
        return any(one in plain for one in self.options.pattern.replace("/", "-").split("|"))

    def tests(self):
        """The tests to run, in groups that share a machine."""
        groups = {}
        for path in sorted(glob.glob(f"{self.top}/tests/guest/*/*.sh")):
            one = Test(path)
            if "/lib/" not in path and self.kernel.kind in one.kernels and self.wanted(one.name):
                groups.setdefault(one.machine, []).extend([one] * self.options.repeat)
        return groups

    def guest(self, machine, append=""):
        """A guest that boots."""
        definition = Definition(f"{self.top}/tests/machines/{machine}")
        return Guest(self.kernel, definition, self.module, self.top, append=append, light=True)

    def run_group(self, group):
        """Run tests in one boot, and in a fresh one after each failure."""
        while guest := self.boot_group(group):
            try:
                self.run_boot(guest, group)
            finally:
                guest.clean()

    def boot_group(self, group):
        """A booted guest for tests of the group; None when none is left."""
        with self.gate.work(booted=False, load=pool.load_of(self.kernel.kind)):
            if group.empty():
                return None
            guest = self.guest(group.machine, "" if group.kunit else "kunit.enable=0")
            try:
                with self.timed(guest, "boot", group.machine, whole=True):
                    guest.boot(60 * self.kernel.slower)
                return guest
            except GuestDied as reason:
                where = guest.keep_logs(f"{self.kernel.kind}-{group.machine}-boot", {})
                while test := group.take():
                    self.report("FAIL", test.name, None, f"boot: {reason} (logs: {where})")
                if group.take_kunit():
                    self.report("FAIL", "kunit", None, f"boot: {reason} (logs: {where})")
            guest.clean()
            return None

    def run_boot(self, guest, group):
        """Run KUnit, if the group has it, and tests from the group until one fails or none is
        left."""
        load = pool.load_of(self.kernel.kind)
        if group.take_kunit():
            with self.gate.work(booted=True, load=load):
                if not self.run_kunit(guest):
                    return
        while test := group.take():
            with self.gate.work(booted=True, load=pool.load_of(self.kernel.kind, test.waits)):
                if not self.run_test(guest, test):
                    return
        with self.gate.work(booted=True, load=load):
            self.end_boot(guest)

    def end_boot(self, guest):
        """Look for leaks, on the debug kernel, and power the guest off."""
        name = guest.definition.name
        if self.kernel.kind == "debug":
            with self.timed(guest, "leaks", name):
                result = run_file(guest, "/jobs/leaks", 300)
            self.tell(guest, f"{name}: no leaks", result)
        with self.timed(guest, "power off", name):
            gone = guest.quit()
        if not gone:
            self.report("FAIL", f"{name}: power off", None, "the guest did not go")

    @contextlib.contextmanager
    def timed(self, guest, part, name, whole=False):
        """Record what the block takes."""
        span = times.Span(guest, whole)
        try:
            yield
        finally:
            self.recorder.add(self.kernel.kind, guest.definition.name, part, name, span.end())

    def run_test(self, guest, test):
        """Run one test; whether the guest may be used for another."""
        with self.timed(guest, "test", test.name):
            result = self.judge_test(guest, test)
        return self.tell(guest, test.name, result)

    def judge_test(self, guest, test):
        """Run one test and what follows each test."""
        limit = test.timeout * self.kernel.slower
        result = run_file(guest, test.file, limit, test=test)
        if result.status in (0, SKIP) and not result.reason:
            left = run_file(guest, "/jobs/after", 60 * self.kernel.slower, test=test)
            result.reason = left.reason and f"afterwards: {left.reason}"
            result.output += left.output
        return result

    def tell(self, guest, name, result):
        """Report a result, keeping the logs of a failure; whether it was good."""
        if result.reason:
            where = guest.keep_logs(f"{self.kernel.kind}-{name}",
                                    {"output": "\n".join(result.output) + "\n"})
            self.report("FAIL", name, result.seconds, f"{result.reason} (logs: {where})")
            return False
        if result.status == SKIP:
            why = [line for line in result.output if line.strip()][-1:] or ["no reason given"]
            self.report("skip", name, result.seconds, why[0])
        else:
            self.report("ok", name, result.seconds)
        return True

    def run_kunit(self, guest):
        """Load the module where KUnit is, one result for each case; whether it was good."""
        with self.timed(guest, "kunit", "kunit"):
            result = run_file(guest, "/jobs/kunit", 300)
        suite, cases, told = "", 0, 0
        for line in result.output:
            match = re.match(r"\s*# Subtest: (\S+)", line)
            if match:
                suite = match[1]
            match = re.match(r"\s{4,}(ok|not ok) \d+ (\S+)(.*)", line)
            if match:
                cases += 1
                verdict = "skip" if "# SKIP" in match[3] else \
                    "ok" if match[1] == "ok" else "FAIL"
                if self.wanted(f"kunit/{suite}.{match[2]}"):
                    told += 1
                    self.report(verdict, f"kunit/{suite}.{match[2]}")
        if not cases and not result.reason:
            result.reason = "the module ran no KUnit case"
        if not told and not result.reason and not self.wanted("kunit"):
            # No case has the pattern in its name: that the others passed is no result.
            return True
        return self.tell(guest, "kunit: the module loads, runs its cases and unloads", result)

    def pieces(self):
        """The work there is, for the pool."""
        groups = self.tests()
        if self.kernel.kind == "debug" and (
                not self.options.pattern or "kunit" in self.options.pattern or not groups):
            groups.setdefault(KUNIT_MACHINE, [])
            return [pool.Group(self, *group, kunit=group[0] == KUNIT_MACHINE)
                    for group in groups.items()]
        return [pool.Group(self, *group) for group in groups.items()]


def run(kernels, options, top):
    """Run all tests on these kernels; the exit status."""
    recorder = times.Recorder(options.times, float(os.environ.get("RNVME_T0", time.time())))
    gate = pool.Gate(options.jobs)
    suites = [Suite(kernel, options, top, recorder, gate) for kernel in kernels]
    pieces = [piece for suite in suites for piece in suite.pieces()]
    status = []
    if options.bench:
        pieces.append(pool.Piece(BENCH_WEIGHT,
                                 lambda: status.append(bench(options, top, recorder, gate))))
    pool.run(pieces, options.jobs + pool.MORE_GUESTS)
    counts = [sum(suite.counts[verdict] for suite in suites) for verdict in ("ok", "FAIL", "skip")]
    if options.counts:
        with open(options.counts, "a", encoding="utf-8") as out:
            out.write("{} {} {}\n".format(*counts))
    return 1 if counts[1] or any(status) else 0


def bench(options, top, recorder, gate):
    """The instructions of an I/O: a program of its own, which reports and counts as we do."""
    counts = ["--counts", options.counts] if options.counts else []
    with gate.work(booted=False, load=pool.load_of("stock")):
        begin = time.monotonic()
        process = subprocess.Popen([sys.executable, f"{top}/bench/measure", "gate", "--module",
                                    f"{options.build}/stock/rnvme.ko", *counts])
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    recorder.add("stock", "bench", "bench", "bench",
                 (begin, time.monotonic() - begin, usage.ru_utime + usage.ru_stime))
    return process.returncode

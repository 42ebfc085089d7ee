# SPDX-License-Identifier: GPL-2.0
"""What runs at the same time: pieces of work, and workers that share them."""

import contextlib
import itertools
import math
import os
import threading
import time
from collections import deque

# Another guest for a group is worth its boot when the limits of the tests that are left come to
# so many seconds (tests take a tenth of their limits).
WORTH_A_BOOT = 180
# Guests beyond those that always work, and what there must be for one: so much memory in KiB, and
# loads that come to no more than ROOM beyond the guests that always work, or so many cores idle on
# the average of so many seconds. A guest whose CPUs wait for a core spins for its other CPU: with
# each guest that the cores have no room for all take longer.
MORE_GUESTS = 1
ROOM = 0.3
IDLE_CORES = 0.9
WINDOW = 6
FREE_MEMORY = 2 << 20
# The cores that a guest keeps busy, on each kernel, and the part of it in a test that waits.
LOADS = {"stock": 0.6, "debug": 1.0}
WAITING = 0.5


def load_of(kernel, waits=()):
    """The cores that a guest of this kernel keeps busy, in a test that waits on these kernels."""
    return LOADS[kernel] * (WAITING if kernel in waits else 1)


class Piece:
    """Work for one worker: a function; `weight` says what is to begin first."""

    def __init__(self, weight, run):
        self.weight, self.run = weight, run
        self.started = False

    def shared(self):
        """How much of it another worker could take over."""
        return 0


class Group(Piece):
    """Tests that share a machine: a worker boots it and takes one test after the other.

    Where there is much left another worker boots one more and takes from the same tests.
    `kunit`: the first boot has KUnit, which runs before the tests."""

    def __init__(self, suite, machine, tests, kunit=False):
        super().__init__(0, lambda: suite.run_group(self))
        self.machine, self.slower, self.kunit = machine, suite.kernel.slower, kunit
        self.lock = threading.Lock()
        # Those that may take longest first: no guest is left alone with one in the end. What is
        # repeated comes again when each test had its turn.
        turn = {}
        for test in tests:
            turn.setdefault(test.name, []).append(test)
        rounds = itertools.zip_longest(*(
            turn[name] for name in sorted(turn, key=lambda name: (-turn[name][0].timeout, name))))
        self.tests = [test for tests in rounds for test in tests if test]
        # KUnit first: it is quick, and what fails there fails elsewhere.
        self.weight = math.inf if kunit else self._left() * self.slower

    def _left(self):
        """The limits of the tests that no worker has taken yet."""
        with self.lock:
            return sum(test.timeout for test in self.tests)

    def shared(self):
        left = self._left()
        return left * self.slower if left >= WORTH_A_BOOT else 0

    def take(self):
        """The next test, or None."""
        with self.lock:
            return self.tests.pop(0) if self.tests else None

    def take_kunit(self):
        """Whether KUnit is to run now."""
        with self.lock:
            kunit, self.kunit = self.kunit, False
            return kunit

    def empty(self):
        """Whether all tests have been taken, and KUnit has run."""
        return not self.tests and not self.kunit


def idle_seconds():
    """The idle seconds of all cores since the host was started."""
    with open("/proc/stat", encoding="utf-8") as stat:
        fields = stat.readline().split()
    return (int(fields[4]) + int(fields[5])) / os.sysconf("SC_CLK_TCK")


def free_memory():
    """The KiB of memory that new processes may use."""
    with open("/proc/meminfo", encoding="utf-8") as info:
        return next(int(line.split()[1]) for line in info if line.startswith("MemAvailable:"))


class Gate:
    """How many guests work at the same time.

    `jobs` guests always may.  On the stock kernel, and in tests that wait for timeouts, they leave
    cores idle: then up to MORE_GUESTS others may, too.  Each guest asks before its boot and before
    each test, so the number falls again when tests need the cores.  A guest that is between two
    tests goes before one that is not booted yet; among equals the first that asked."""

    def __init__(self, jobs, idle=idle_seconds, memory=free_memory, clock=time.monotonic):
        self.jobs, self.idle, self.memory, self.clock = jobs, idle, memory, clock
        self.turn = threading.Condition()
        self.loads = []
        self.queue = []
        self.tickets = itertools.count()
        self.samples = deque()

    @contextlib.contextmanager
    def work(self, booted, load=1.0):
        """Wait for permission; the block is the work, which keeps so many cores busy."""
        with self.turn:
            ticket = (not booted, next(self.tickets))
            self.queue.append(ticket)
            while min(self.queue) != ticket or not self.may_work(load):
                self.turn.wait(1)
            self.queue.remove(ticket)
            self.loads.append(load)
            self.turn.notify_all()
        try:
            yield
        finally:
            with self.turn:
                self.loads.remove(load)
                self.turn.notify_all()

    def may_work(self, load=1.0):
        """Whether another guest may work now, with this load."""
        if len(self.loads) < self.jobs:
            return True
        if len(self.loads) >= self.jobs + MORE_GUESTS or self.memory() <= FREE_MEMORY:
            return False
        # A thousandth is for the sums of decimal fractions.
        if sum(self.loads) + load <= self.jobs + ROOM + 0.001:
            return True
        if not self._cores_idle():
            return False
        # The load of the guest that enters now must be seen before another enters.
        self.samples.clear()
        return True

    def _cores_idle(self):
        """Whether the cores were idle enough during the last WINDOW seconds."""
        now = (self.clock(), self.idle())
        if self.samples and now[0] - self.samples[-1][0] > WINDOW:
            self.samples.clear()
        self.samples.append(now)
        while len(self.samples) > 1 and now[0] - self.samples[1][0] >= WINDOW:
            self.samples.popleft()
        elapsed = now[0] - self.samples[0][0]
        return elapsed >= WINDOW and now[1] - self.samples[0][1] >= IDLE_CORES * elapsed


def run(pieces, workers):
    """Run all pieces, the weightiest first; an exception of one is raised when all have ended."""
    waiting = sorted(pieces, key=lambda piece: -piece.weight)
    lock, errors = threading.Lock(), []

    def next_piece():
        with lock:
            for piece in waiting:
                if not piece.started:
                    piece.started = True
                    return piece
            most = max(waiting, key=lambda piece: piece.shared(), default=None)
            return most if most and most.shared() else None

    def work():
        while piece := next_piece():
            try:
                piece.run()
            except BaseException as error:
                errors.append(error)
                return

    threads = [threading.Thread(target=work, daemon=True) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]

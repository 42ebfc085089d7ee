# SPDX-License-Identifier: GPL-2.0
"""How many guests work at a time, and the rows of what they took."""

import os
import tempfile
import threading
import time
import unittest

from scripts.lib.guest import pool, times

CORES = 2


class Host:
    """A host whose clock and load the test sets."""

    def __init__(self, memory=8 << 20):
        self.now = self.spent = 0.0
        self.kib = memory
        self.gate = pool.Gate(2, idle=lambda: self.spent, memory=lambda: self.kib,
                              clock=lambda: self.now)

    def passes(self, seconds, idle_cores):
        """Time passes; whether another guest of the debug kernel may work at its end."""
        answer = False
        for _ in range(seconds):
            self.now += 1
            self.spent += idle_cores
            answer = self.gate.may_work()
            if answer:
                self.gate.loads.append(1.0)
                break
        return answer


class Gate(unittest.TestCase):
    """When another guest may work."""

    def full(self, loads=(1.0, 1.0), **options):
        """A host with as many guests as always may work."""
        host = Host(**options)
        for load in loads:
            self.assertTrue(host.gate.may_work(load))
            host.gate.loads.append(load)
        return host

    def test_busy_cores_get_no_more_guests(self):
        self.assertFalse(self.full().passes(60, 0.5))

    def test_idle_cores_get_more_guests_one_at_a_time(self):
        host = self.full()
        for _ in range(pool.MORE_GUESTS):
            self.assertFalse(host.passes(pool.WINDOW, 1.5))
            self.assertTrue(host.passes(1, 1.5))
        self.assertFalse(host.passes(60, CORES))

    def test_idle_time_of_long_ago_does_not_count(self):
        host = self.full()
        host.passes(2, CORES)
        host.now += 60
        host.spent += 60 * CORES
        self.assertFalse(host.passes(60, 0.1))

    def test_guests_need_memory(self):
        self.assertFalse(self.full(memory=pool.FREE_MEMORY).passes(60, CORES))

    def test_small_loads_get_more_guests(self):
        stock, waiting = pool.load_of("stock"), pool.load_of("stock", ["stock"])
        debug = pool.load_of("debug", ["stock"])
        self.assertFalse(self.full().gate.may_work(stock))
        self.assertTrue(self.full().gate.may_work(waiting))
        self.assertTrue(self.full((debug, stock)).gate.may_work(stock))
        self.assertTrue(self.full((stock, stock)).gate.may_work(debug))
        self.assertFalse(self.full((debug, stock)).gate.may_work(debug))
        self.assertFalse(self.full((stock, stock), memory=pool.FREE_MEMORY).gate.may_work(stock))
        host = self.full((waiting, waiting))
        host.gate.loads += [waiting] * pool.MORE_GUESTS
        self.assertFalse(host.gate.may_work(waiting))

    def test_a_booted_guest_goes_first(self):
        gate, order, threads = pool.Gate(1, idle=lambda: 0), [], []

        def guest(name, booted):
            with gate.work(booted):
                order.append(name)

        with gate.work(False):
            for number, (name, booted) in enumerate((("new", False), ("booted", True)), 1):
                threads.append(threading.Thread(target=guest, args=(name, booted)))
                threads[-1].start()
                while len(gate.queue) < number:
                    time.sleep(0.01)
        for thread in threads:
            thread.join()
        self.assertEqual(order, ["booted", "new"])


class Times(unittest.TestCase):
    """Rows and their sums."""

    def test_rows_are_read_as_they_were_written(self):
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/times.tsv"
            recorder = times.Recorder(path)
            recorder.add("stock", "basic", "test", "fio/deep", (0.0, 10.0, 4.0))
            recorder.add("debug", "basic", "test", "fio/deep", (0.0, 30.0, 20.0))
            recorder.add("debug", "basic", "boot", "basic", (0.0, 9.0, 8.0))
            rows = times.read(path)
        self.assertEqual([row["cpu"] for row in rows], [4.0, 20.0, 8.0])
        lines = times.table(rows)
        self.assertIn("| fio | 1 | 10 | 4 | 1 | 30 | 20 |", lines)
        self.assertIn("| all | 1 | 10 | 4 | 2 | 39 | 28 |", lines)

    def test_cpu_seconds_of_a_process(self):
        self.assertGreater(times.cpu_of(os.getpid()), 0)
        self.assertEqual(times.cpu_of(2 ** 31 - 1), 0)

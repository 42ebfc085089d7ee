# SPDX-License-Identifier: GPL-2.0
"""Cells, plans, the parser of the output, and the verdicts of the report."""

import json
import os
import tempfile
import unittest

from bench.lib import bars, cells
from bench.lib.cells import Cell
from bench.lib.parts import instructions, memory, timing
from bench.lib.output import BenchError, Told


class Cells(unittest.TestCase):
    """The matrix."""

    def test_names_are_words_and_no_two_cells_share_one(self):
        names = [cell.name for cell in cells.FULL]
        self.assertEqual(len(names), len(set(names)))
        for name in names:
            self.assertRegex(name, r"^[\w.+-]+$")

    def test_the_matrix_is_complete(self):
        have = {(cell.op, cell.size, cell.offset, cell.depth, cell.poll, cell.shadow)
                for cell in cells.FULL if cell.batch == 1 and cell.jobs == 1 and not cell.fixed}
        for op in ("read", "write"):
            for size, offset in ((512, 0), (4096, 0), (4096, 512), (16384, 0), (131072, 0),
                                 (1 << 20, 0)):
                for depth in (1, 8, 32, 128):
                    for flags in range(4):
                        self.assertIn((op, size, offset, depth, bool(flags & 1), bool(flags & 2)),
                                      have)
        self.assertTrue({"flush", "discard"} <= {cell.op for cell in cells.FULL})
        self.assertEqual({cell.jobs for cell in cells.FULL}, {1, 2, 3, 4})
        self.assertTrue(any(cell.fixed for cell in cells.FULL))

    def test_both_runs_of_a_pair_are_whole_batches(self):
        for cell in cells.FULL + cells.STANDARD:
            few, many = cell.numbers()
            self.assertLess(few, many)
            self.assertEqual((few % cell.batch, many % cell.batch), (0, 0), cell.name)
            self.assertGreaterEqual(few, cell.depth, cell.name)

    def test_sizes(self):
        for text, size in (("512", 512), ("4k", 4096), ("1m", 1 << 20), ("128KiB", 131072)):
            self.assertEqual(cells.size_of(text), size)
        for text in ("", "0", "k", "4x"):
            self.assertRaises(ValueError, cells.size_of, text)

    def test_every_cell_is_in_one_boot(self):
        wanted = instructions.chosen("full")
        for jobs in (1, 2):
            found = [cell for _, some in instructions.groups(wanted, jobs) for cell in some]
            self.assertCountEqual(found, wanted)
        self.assertRaises(BenchError, instructions.chosen, "nonsense")


class Timing(unittest.TestCase):
    """Pairs of timed samples."""

    def test_order_is_a_b_b_a_in_each_cell(self):
        some = [Cell(depth=depth) for depth in (1, 32)]
        lines = timing.plan(some, 4, "BDF", lambda cell: "sample " + cell.name)
        driver, order = "", {cell.name: "" for cell in some}
        for line in lines:
            verb, *words = line.split()
            if verb == "use":
                self.assertNotEqual(driver, words[1], "bound to the same driver again")
                driver = words[1]
            else:
                order[words[0]] += {"rnvme": "A", "nvme": "B"}[driver]
        self.assertEqual(set(order.values()), {"ABBAABBA"})

    def test_cells_are_chosen(self):
        for text, quick, number in (("full", False, 24), ("standard", False, 24), ("standard", True, 2),
                                    ("^write-128k-qd1-poll$", False, 1), ("qd32", False, 12),
                                    ("flush", False, 0)):
            self.assertEqual(len(timing.chosen(text, quick)), number, text)

    def test_noise_is_of_one_driver(self):
        entry = {"pairs": [{"rnvme": {"iops": 1}, "nvme": {"iops": 10}},
                           {"rnvme": {"iops": 2}, "nvme": {"iops": 30}},
                           {"rnvme": {"iops": 8}, "nvme": {"iops": 30}}]}
        # A B, B A, A B: nvme's second sample over its first, rnvme's third over its second.
        self.assertEqual(bars.noise(entry, "iops"), [3, 4])


class Memory(unittest.TestCase):
    """Bytes a tag, a queue and a controller."""

    def test_three_measurements_tell_three_sizes(self):
        def bytes_of(tags, queues):
            return tags, queues, 1000000 + queues * (20000 + tags * 320)
        self.assertEqual(memory.solve(bytes_of(64, 2), bytes_of(2048, 2), bytes_of(64, 10)),
                         (320, 20000, 1000000))

    def test_measurements_that_do_not_compare_are_refused(self):
        for shallow, deep, more in (((64, 2, 9), (64, 2, 9), (64, 10, 20)),
                                    ((64, 2, 9), (2048, 2, 90), (64, 2, 9)),
                                    ((64, 2, 9), (2048, 1, 90), (64, 10, 20))):
            self.assertRaises(BenchError, memory.solve, shallow, deep, more)


class Telling(unittest.TestCase):
    """The parser of the guest's output."""

    def told(self, *lines):
        """Parse lines from a file."""
        handle, path = tempfile.mkstemp(text=True)
        self.addCleanup(os.unlink, path)
        with os.fdopen(handle, "w") as out:
            out.write("".join(line + "\n" for line in lines))
        told = Told()
        told.read(path)
        return told

    def test_samples_have_their_driver_and_epoch(self):
        job = json.dumps({"jobs": [{"read": {"total_ios": 7}, "write": {"total_ios": 0},
                                    "trim": {"total_ios": 1}}]}, indent=1).splitlines()
        told = self.told("drivers", "section rnvme .text 0xffffffffc0000000", "probe rnvme 1500",
                         "sample a", *job, "end", "drivers", "probe nvme 2000",
                         "value memory 64 2 100", "sample a", *job, "end")
        self.assertEqual([(one.name, one.driver, one.ios) for one in told.outcome.samples],
                         [("a", "rnvme", 8), ("a", "nvme", 8)])
        self.assertEqual(told.epoch_of, [0, 1])
        self.assertEqual(told.epochs[0], {"rnvme": {".text": 0xffffffffc0000000}})
        self.assertEqual(told.outcome.probes, {"rnvme": [1500], "nvme": [2000]})
        self.assertEqual(told.outcome.values, [("memory", "nvme", ["64", "2", "100"])])

    def test_nonsense_is_refused(self):
        for lines in (["hello"], ["sample a", "{}", "end"], ["sample a", "not json", "end"],
                      ["sample a", "{"]):
            self.assertRaises(BenchError, self.told, *lines)


def entry(who, instructions_, **more):
    """A cell's entry in the results."""
    pair = {"dma": 100, "block": 2000, "request": 900, "memory": 50, "locks": 60,
            "register_writes": 2, "interrupts": 1, "driver": instructions_,
            "kernel": instructions_ + 4000}
    cell = {"cell": "read-4k-qd1", "op": "read", "size": 4096, "depth": 1, "batch": 1,
            "poll": False, "jobs": 1, "driver_name": who, "instructions": instructions_}
    cell.update({name: value for name, value in more.items() if name in cell})
    pair.update({name: value for name, value in more.items() if name in pair})
    return {**cell, "pairs": [pair]}


def verdicts(**results):
    """{title: bar} of otherwise empty results."""
    empty = {"cost": [], "time": [], "memory": {}, "lists": {}, "probe_us": {}, "quick": False, "seconds": {}}
    return {bar.title: bar for bar in bars.bars({**empty, **results})}


class Bars(unittest.TestCase):
    """Each bar is met and missed as it should be."""

    def one(self, word, **results):
        """The verdict of the only bar whose title contains a word."""
        found = [bar for title, bar in verdicts(**results).items() if word in title]
        self.assertEqual(len(found), 1, word)
        return found[0].met

    def test_nothing_measured_is_no_verdict(self):
        self.assertEqual({bar.met for bar in verdicts().values()}, {None})

    def test_instructions(self):
        word = "4 KiB read, queue depth 1"
        self.assertTrue(self.one(word, cost=[entry("rnvme", 295), entry("nvme", 590)]))
        self.assertFalse(self.one(word, cost=[entry("rnvme", 296), entry("nvme", 590)]))
        shadow = [entry(driver, value, cell="read-4k-qd1-shadow")
                  for driver, value in (("rnvme", 400), ("nvme", 616))]
        self.assertFalse(self.one(word, cost=[entry("rnvme", 295), entry("nvme", 590), *shadow]))

    def test_nothing_is_moved_into_the_rest_of_the_kernel(self):
        theirs = entry("nvme", 500, depth=32, batch=32)
        for dma, met in ((90, True), (100, True), (110, False)):
            ours = entry("rnvme", 200, depth=32, batch=32, dma=dma)
            self.assertIs(self.one("where it is exact", cost=[ours, theirs]), met)

    def test_the_rest_of_the_kernel_is_compared_on_the_average(self):
        for shift, met in ((0.9, True), (1.0, True), (1.2, False)):
            found = []
            for at in range(12):
                found += [entry(driver, 200, cell=f"c{at}", depth=32, driver=200,
                                kernel=5000 * factor + 90 * (at * 7 % 5))
                          for driver, factor in (("rnvme", shift), ("nvme", 1))]
                # Noise of one driver only.
                found[-2]["pairs"][0]["kernel"] += 60 * (at % 3 - 1)
            self.assertIs(self.one("all of it", cost=found), met, shift)

    def test_events_are_compared_exactly_where_they_are_exact(self):
        for value, met in ((1.9, True), (2.0, True), (2.1, False)):
            found = [entry("rnvme", 1, register_writes=value), entry("nvme", 1)]
            self.assertIs(self.one("register writes", cost=found), met)
            self.assertTrue(self.one("interrupts", cost=found))

    def test_what_is_exact(self):
        for more, exact in (({}, True), ({"depth": 32, "batch": 32}, True), ({"depth": 32}, False),
                            ({"poll": True}, False), ({"jobs": 2}, False),
                            ({"depth": 128, "batch": 128}, False), ({"size": 1 << 20}, False)):
            self.assertIs(bars.varies(entry("nvme", 1, **more)), not exact, more)

    def test_events_that_timing_decides_are_compared_on_the_average(self):
        for shift, met in ((1.0, True), (1.5, False)):
            found = [entry(driver, 1) for driver in ("rnvme", "nvme")]
            for at in range(20):
                for driver, value in (("rnvme", 0.3 * shift + 0.01 * (at % 5)), ("nvme", 0.32)):
                    found.append(entry(driver, 1, cell=f"c{at}", depth=32, interrupts=value))
            self.assertIs(self.one("interrupts", cost=found), met)

    def test_time(self):
        def entries(ratio, other=1.0):
            source = [0.97, 1.01, 1.0, 1.03, 0.99, 1.02, 0.98, 1.0, 1.01, 0.99]
            return [{"cell": name, "pairs": [
                {"rnvme": {"iops": 1000 * value * one, "p99_us": 100 / (value * one)},
                 "nvme": {"iops": 1000, "p99_us": 100}} for one in source]}
                    for name, value in (("a", ratio), ("b", ratio), ("c", other))]
        for ratio, other, met in ((1.0, 1.0, True), (1.1, 1.0, True), (0.9, 1.0, False),
                                  (1.2, 0.9, False)):
            for word in ("IOPS", "p99"):
                self.assertIs(self.one(word, time=entries(ratio, other)), met, (word, ratio, other))

    def test_memory_and_probe(self):
        for tag, met in ((320, True), (321, False)):
            self.assertIs(self.one("memory a tag: ", memory={
                "rnvme": {"request": tag, "tag": 0}, "nvme": {"request": 512, "tag": 0}}), met)
        for tag, met in ((600, True), (601, False)):
            self.assertIs(self.one("memory a tag in all", memory={
                "rnvme": {"request": 0, "tag": tag}, "nvme": {"request": 0, "tag": 600}}), met)
        for took, met in ((4000, True), (6000, False)):
            self.assertIs(self.one("probe", probe_us={"rnvme": [took] * 3, "nvme": [5000] * 3}),
                          met)

    def test_lists_of_large_requests(self):
        def figures(load=80, requeues=0, longest=8):
            return {"rnvme": {"idle": 70, "load": load, "later": 70, "requeues": [0, requeues, 0],
                              "mean_us": [900, 5000, 1000], "max_us": [longest] * 3},
                    "nvme": {"idle": 100, "load": 100, "later": 100, "requeues": [0, 0, 0],
                             "mean_us": [1000, 1000, 1000], "max_us": [8] * 3}}
        for word, found, met in (
                ("memory of a controller", figures(), True),
                ("memory of a controller", figures(load=83), False),
                ("queued again", figures(), True), ("queued again", figures(requeues=1), False),
                ("completion latency", figures(), True),
                ("completion latency", figures(longest=9), False)):
            self.assertIs(self.one(word, lists=found), met, (word, found))

    def test_how_long_it_took(self):
        for minutes, quick, met in ((44, False, True), (46, False, False), (4, True, True),
                                    (6, True, False)):
            seconds = {"cost": minutes * 60, "scaling": 0, "time": 0, "memory": 0}
            self.assertIs(self.one("make bench", quick=quick, seconds=seconds), met)
        self.assertIsNone(self.one("make bench", seconds={"cost": 5}))

# SPDX-License-Identifier: GPL-2.0
"""From the plugin's file to the cost of an I/O."""

import os
import struct
import tempfile
import unittest

from bench.lib import cost, symbols
from bench.lib.counts import ATOMIC, Counts

MODULE, SECTION = 0xffffffffc0001000, ".text"
BLOCK, HELPER, LOCK = 0xffffffff81001000, 0xffffffff81002000, 0xffffffff81003000


def record(kind, layout, *values):
    """A record of the file."""
    return kind + struct.pack("=" + layout, *values)


def blocks(*described):
    """Blocks: (number, address, sizes of the instructions)."""
    return b"".join(record(b"B", "IQH", number, address, len(sizes)) + bytes(sizes)
                    for number, address, sizes in described)


def region(number, counts, programs=0, interrupts=0, writes=0):
    """The records of a region between two marks."""
    data = record(b"U", "Q", programs) + record(b"C", "I", len(counts))
    data += b"".join(struct.pack("=IQ", *pair) for pair in counts.items())
    if interrupts:
        data += record(b"D", "QQ", LOCK, interrupts)
    if writes:
        data += record(b"W", "QQ", 0xfe001000, writes)
    return data + record(b"M", "I", number)


class Plugin(unittest.TestCase):
    """Files as the plugin writes them."""

    def setUp(self):
        handle, self.path = tempfile.mkstemp()
        os.close(handle)
        self.addCleanup(os.unlink, self.path)
        self.symbols = symbols.Symbols([(BLOCK, "blk_mq_submit_bio"), (HELPER, "rust_helper_x"),
                                        (LOCK, "_raw_spin_lock")])
        self.symbols.modules = [(MODULE, "queue_rq", "rnvme"), (MODULE + 16, "irq", "rnvme")]
        self.symbols.places = [(MODULE, "rnvme", SECTION)]
        self.symbols._index()

    def counts(self, data):
        """The counts of a file with this data."""
        with open(self.path, "wb") as out:
            out.write(data)
        return Counts(self.path)

    def cost(self, *regions):
        """The cost of an I/O from two regions of (I/Os, counts, more)."""
        described = blocks((1, MODULE, [4]), (2, MODULE + 4, [3 | ATOMIC]), (3, MODULE + 16, [5]),
                           (4, BLOCK, [4, 4, 4]), (5, HELPER, [1, 1]), (6, LOCK, [2, 2 | ATOMIC]))
        counts = self.counts(described + b"".join(
            region(at, one[1], **one[2]) for at, one in enumerate(regions)))
        found = list(counts.regions())
        return cost.cost(counts.blocks, self.symbols,
                         *[(one[0], seen) for one, seen in zip(regions, found)])

    def test_what_happens_once_cancels_out(self):
        found = self.cost((100, {1: 100, 4: 1100}, {"programs": 7000}),
                          (300, {1: 300, 4: 1300}, {"programs": 9000}))
        self.assertEqual(found.driver, 1)
        self.assertEqual(found.parts["block"], 3)
        self.assertEqual(found.kernel, 4)
        self.assertEqual(found.programs, 10)

    def test_helpers_belong_to_the_driver_and_locks_do_not(self):
        found = self.cost((1, {}, {}), (11, {1: 10, 2: 10, 3: 5, 5: 20, 6: 20}, {}))
        self.assertEqual(found.driver, 1 + 1 + 0.5 + 4)
        self.assertEqual(found.parts["locks"], 4)
        self.assertEqual(found.called(cost.LOCKS), 2)
        self.assertEqual(found.functions["irq", "rnvme"], 0.5)
        self.assertEqual(found.addresses["rnvme", SECTION, 16], 0.5)

    def test_atomic_instructions_and_register_writes(self):
        found = self.cost((0, {2: 10, 6: 10}, {"writes": 3}), (10, {2: 20, 6: 30}, {"writes": 23}))
        self.assertEqual(found.atomics["driver"], 1)
        self.assertEqual(found.atomics["locks"], 2)
        self.assertEqual(found.register_writes, 2)

    def test_slim_keeps_every_figure(self):
        found = self.cost((1, {}, {}), (11, {1: 10, 4: 10, 5: 20, 6: 20}, {"writes": 5}))
        before = found.summary()
        found.slim()
        self.assertEqual(found.summary(), before)
        self.assertNotIn(("blk_mq_submit_bio", ""), found.functions)

    def test_a_file_that_is_cut_off_or_says_that_blocks_were_lost_is_refused(self):
        whole = blocks((1, MODULE, [4])) + region(0, {1: 5})
        with self.assertRaises(ValueError):
            list(self.counts(whole[:-2]).regions())
        with self.assertRaises(ValueError):
            list(self.counts(b"E" + whole).regions())
        with self.assertRaises(ValueError):
            list(self.counts(b"?" + whole).regions())


class Parts(unittest.TestCase):
    """Names of functions."""

    def test_parts_of_the_kernel(self):
        for name, module, part in (
                ("nvme_queue_rq", "nvme", "driver"), ("nvme_setup_cmd", "nvme_core", "driver"),
                ("rust_helper_readl", "", "driver"), ("_RNvMs_NtCs1_6kernel3foo", "", "driver"),
                ("dma_map_phys", "", "dma"), ("blk_rq_dma_map_iter_start", "", "dma"),
                ("blk_mq_start_request", "", "block"), ("bio_endio", "", "block"),
                ("__sbitmap_queue_get", "", "block"), ("io_submit_sqes", "", "request"),
                ("kmem_cache_alloc_noprof", "", "memory"), ("_raw_spin_lock", "", "locks"),
                ("asm_common_interrupt", "", "interrupt"), ("__schedule", "", "scheduling"),
                ("ext4_readpage", "ext4", "rest"), ("blk_mq_end_request.cold", "", "block"),
                ("something_else", "", "rest")):
            self.assertEqual(symbols.part_of(name, module), part, name)


class Steady(unittest.TestCase):
    """The share of QEMU's timing is taken out."""

    def found(self, *points, poll=False):
        """Costs with events and instructions of the driver."""
        result = []
        for events, value in points:
            one = cost.Cost()
            one.parts["driver"] = value
            if poll:
                one.calls["nvme_poll"] = events
            else:
                one.interrupts["asm_common_interrupt"] = events
            result.append(one)
        return result

    def test_one_slope_for_all_cells_of_a_kind(self):
        from bench.lib.cells import Cell
        deep, wide = Cell(depth=32), Cell(size=16384, depth=8)
        costs = {(deep.name, "nvme"): self.found((0.3, 500 + 30), (0.4, 500 + 40)),
                 (wide.name, "nvme"): self.found((0.6, 800 + 60))}
        each = cost.slopes(costs, [deep, wide])
        self.assertAlmostEqual(each["nvme", False, False], 100)
        value, spread = cost.steady(costs[wide.name, "nvme"], wide, "nvme", each)
        self.assertAlmostEqual(value, 800 + 50)
        value, spread = cost.steady(costs[deep.name, "nvme"], deep, "nvme", each)
        self.assertAlmostEqual(value, 530)
        self.assertAlmostEqual(spread, 0)

    def test_empty_polls_are_a_whole_number(self):
        from bench.lib.cells import Cell
        cell = Cell(depth=32, poll=True)
        costs = {(cell.name, "nvme"): self.found((10, 1210.3), (60, 2460), poll=True)}
        each = cost.slopes(costs, [cell])
        self.assertEqual(each["nvme", True, False], 25)

    def test_batches_are_left_alone(self):
        from bench.lib.cells import Cell
        cell = Cell(depth=32, batch=32)
        self.assertEqual(cost.steady(self.found((0.03, 500), (0.04, 501)), cell, "nvme",
                                     {("nvme", False, False): 100}), (500.5, 1))

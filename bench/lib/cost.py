# SPDX-License-Identifier: GPL-2.0
"""The cost of one I/O: the difference of two samples, divided by the difference of their I/Os.

One-time costs of a run of fio (starting it, opening the disk) cancel out.
"""

import re
from collections import Counter
from dataclasses import dataclass, field

from .counts import ATOMIC
from .stats import slope
from .symbols import DRIVERS, PARTS, part_of

# Functions whose calls are counted.
LOCKS = ("_raw_spin_lock", "_raw_spin_lock_irq", "_raw_spin_lock_irqsave", "_raw_spin_lock_bh",
         "_raw_spin_trylock", "_raw_read_lock", "_raw_write_lock", "mutex_lock", "mutex_trylock")
ALLOCATIONS = ("kmem_cache_alloc_noprof", "kmem_cache_alloc_node_noprof", "__kmalloc_noprof",
               "__kmalloc_cache_noprof", "__kmalloc_node_noprof", "dma_pool_alloc",
               "mempool_alloc_noprof", "__alloc_frozen_pages_noprof")
# The poll functions of the drivers, which blk-mq calls.
POLL = re.compile(r"nvme_poll|_R.*9Callbacks.*4poll.*")
# Interrupts per I/O at which costs are compared, by queue depth: about what QEMU does.
USUAL_INTERRUPTS = {8: 0.5, 32: 0.3, 128: 0.2}
# The functions whose calls the figures of a cost need.
COUNTED_CALLS = {*LOCKS, *ALLOCATIONS, "dma_map_phys"}


@dataclass
class Cost:
    """The cost of one I/O; numbers are executed instructions unless stated otherwise."""

    # (function, module) -> instructions
    functions: Counter = field(default_factory=Counter)
    # function (its mangled name) -> calls
    calls: Counter = field(default_factory=Counter)
    # (module, section, offset) -> executions, of the drivers' code
    addresses: Counter = field(default_factory=Counter)
    parts: Counter = field(default_factory=Counter)
    atomics: Counter = field(default_factory=Counter)
    interrupts: Counter = field(default_factory=Counter)
    register_writes: float = 0.0
    programs: float = 0.0

    @property
    def driver(self):
        """Instructions of the module and of the kernel's Rust code."""
        return self.parts["driver"]

    @property
    def kernel(self):
        """Instructions of the whole kernel."""
        return sum(self.parts.values())

    @property
    def device_interrupts(self):
        """Interrupts of devices, without those of timers and other CPUs."""
        return sum(count for name, count in self.interrupts.items()
                   if name in ("irq_entries_start", "asm_common_interrupt"))

    @property
    def polls(self):
        """Calls of the driver's poll function."""
        return sum(count for name, count in self.calls.items() if POLL.fullmatch(name))

    @property
    def segments(self):
        """Pieces of memory that were mapped."""
        return self.calls["dma_map_phys"]

    def called(self, names):
        """Calls of functions."""
        return sum(self.calls[name] for name in names)

    def slim(self):
        """Drop the data that no figure needs: there may be a thousand costs."""
        self.addresses.clear()
        self.calls = Counter({name: count for name, count in self.calls.items()
                              if name in COUNTED_CALLS or POLL.fullmatch(name)})
        self.functions = Counter({key: count for key, count in self.functions.items()
                                  if part_of(*key) == "driver"})

    def summary(self):
        """The figures for results.json."""
        figures = {part: self.parts[part] for part in PARTS}
        figures.update({
            "kernel": self.kernel, "programs": self.programs,
            "register_writes": self.register_writes, "interrupts": self.device_interrupts,
            "locks_taken": self.called(LOCKS), "allocations": self.called(ALLOCATIONS),
            "polls": self.polls, "atomics_driver": self.atomics["driver"],
            "atomics": sum(self.atomics.values())})
        return {name: round(value, 3) for name, value in figures.items()}


def parts_of(blocks, counts, symbols):
    """(instructions by function, calls by function, atomics by part, executions by address)."""
    functions, starts, atomics = Counter(), Counter(), Counter()
    addresses = Counter()
    for block, count in counts.items():
        address, insns = blocks[block]
        start, name, module = symbols.find(address)
        functions[name, module] += count * len(insns)
        if address == start:
            starts[name] += count
        locked = sum(1 for insn in insns if insn & ATOMIC)
        if locked:
            atomics[part_of(name, module)] += locked * count
        if module in DRIVERS:
            at = address
            for insn in insns:
                addresses[symbols.place(at)] += count
                at += insn & ~ATOMIC
    return functions, starts, atomics, addresses


def difference(more, less, factor):
    """(more - less) * factor of counters, without entries near 0."""
    result = Counter()
    for key in more.keys() | less.keys():
        value = (more.get(key, 0) - less.get(key, 0)) * factor
        if abs(value) > 1e-9:
            result[key] = value
    return result


def cost(blocks, symbols, few, many):
    """The cost of one I/O from two samples (I/Os, region), the one with fewer I/Os first."""
    factor = 1 / (many[0] - few[0])
    few, many = few[1], many[1]
    result = Cost()
    counts = difference(many.blocks, few.blocks, factor)
    functions, result.calls, result.atomics, result.addresses = parts_of(blocks, counts, symbols)
    result.functions = functions
    for (name, module), count in functions.items():
        result.parts[part_of(name, module)] += count
    for address, count in difference(many.interrupts, few.interrupts, factor).items():
        result.interrupts[symbols.find(address)[1]] += count
    result.register_writes = sum(difference(many.writes, few.writes, factor).values())
    result.programs = (many.programs - few.programs) * factor
    return result


def events_of(one, cell):
    """The number of events whose number depends on QEMU's timing: polls, or interrupts."""
    return one.polls if cell.poll else one.device_interrupts


def slope_key(cell, driver):
    """The key of the cells with a common slope. One more interrupt, or one more empty poll,
    executes the same instructions of the driver for any kind of I/O. An empty poll rings no
    doorbell, so shadow doorbells do not matter to it."""
    return driver, cell.poll, cell.shadow and not cell.poll


def slopes(costs, cells):
    """{slope_key: instructions of one more event}; `costs` are those of an outcome."""
    groups = {}
    for cell in cells:
        for driver in sorted(set(DRIVERS.values())):
            found = costs.get((cell.name, driver), ())
            if cell.varies and len(found) > 1:
                groups.setdefault(slope_key(cell, driver), []).append(
                    [(events_of(one, cell), one.driver) for one in found])
    result = {}
    for key, points in groups.items():
        value = slope(points)
        if value is not None:
            # An empty poll is a whole number of instructions.
            result[key] = round(value) if key[1] else value
    return result


def steady(found, cell, driver, slopes_of):
    """(instructions of the driver, spread) of a cell's pairs, without the share of QEMU's timing:
    how many completions an interrupt finds, how often a poll finds none. Both are counted and
    cost the same each time, so that lines through the pairs give that cost."""
    values = [one.driver for one in found]
    if cell.varies:
        usual = 1 / cell.depth if cell.poll else USUAL_INTERRUPTS[cell.depth]
        each = slopes_of.get(slope_key(cell, driver), 0.0)
        values = [value - each * (events_of(one, cell) - usual)
                  for value, one in zip(values, found)]
    return sum(values) / len(values), max(values) - min(values)

# SPDX-License-Identifier: GPL-2.0
"""What one I/O costs: the difference of two samples, divided by the difference of their I/Os.

What happens once in a run of fio (starting it, opening the disk) cancels out.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from .counts import ATOMIC
from .symbols import DRIVERS, PARTS, part_of

# Functions whose calls are counted.
LOCKS = ("_raw_spin_lock", "_raw_spin_lock_irq", "_raw_spin_lock_irqsave", "_raw_spin_lock_bh",
         "_raw_spin_trylock", "_raw_read_lock", "_raw_write_lock", "mutex_lock", "mutex_trylock")
ALLOCATIONS = ("kmem_cache_alloc_noprof", "kmem_cache_alloc_node_noprof", "__kmalloc_noprof",
               "__kmalloc_cache_noprof", "__kmalloc_node_noprof", "dma_pool_alloc",
               "mempool_alloc_noprof", "__alloc_frozen_pages_noprof")


@dataclass
class Cost:
    """Of one I/O; numbers are executed instructions if not said otherwise."""

    # (function, module) -> instructions
    functions: Counter = field(default_factory=Counter)
    # function of the kernel -> calls
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
        """The module's instructions and those of Rust code in the kernel."""
        return self.parts["driver"]

    @property
    def kernel(self):
        """All of the kernel's."""
        return sum(self.parts.values())

    @property
    def device_interrupts(self):
        """Interrupts of devices, not of timers and other CPUs."""
        return sum(count for name, count in self.interrupts.items()
                   if name in ("irq_entries_start", "asm_common_interrupt"))

    def called(self, names):
        """Calls of functions."""
        return sum(self.calls[name] for name in names)

    def summary(self):
        """The figures for results.json."""
        figures = {part: self.parts[part] for part in PARTS}
        figures.update({
            "kernel": self.kernel, "programs": self.programs,
            "register_writes": self.register_writes, "interrupts": self.device_interrupts,
            "locks": self.called(LOCKS), "allocations": self.called(ALLOCATIONS),
            "atomics_driver": self.atomics["driver"],
            "atomics": sum(self.atomics.values())})
        # Both a part and a figure have this name: the part is the instructions.
        figures["instructions_locks"] = self.parts["locks"]
        figures["instructions_interrupt"] = self.parts["interrupt"]
        return {name: round(value, 3) for name, value in figures.items()}


def parts_of(blocks, counts, symbols):
    """Sort the counts of blocks by function."""
    functions, starts, atomics = Counter(), Counter(), Counter()
    addresses = Counter()
    for block, count in counts.items():
        address, insns = blocks[block]
        start, name, module = symbols.find(address)
        functions[name, module] += count * len(insns)
        if address == start and not module:
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
    """(more - less) * factor of counters, without what is about nothing."""
    result = Counter()
    for key in more.keys() | less.keys():
        value = (more[key] - less[key]) * factor
        if abs(value) > 1e-9:
            result[key] = value
    return result


def cost(blocks, few, many):
    """The cost of one I/O from a sample with few and one with many."""
    factor = 1 / (many.ios - few.ios)
    symbols = many.symbols
    result = Cost()
    counts = difference(many.region.blocks, few.region.blocks, factor)
    functions, starts, atomics, addresses = parts_of(blocks, counts, symbols)
    result.functions, result.calls, result.atomics = functions, starts, atomics
    result.addresses = addresses
    for (name, module), count in functions.items():
        result.parts[part_of(name, module)] += count
    for address, count in difference(many.region.interrupts, few.region.interrupts,
                                     factor).items():
        result.interrupts[symbols.find(address)[1]] += count
    result.register_writes = sum(difference(many.region.writes, few.region.writes,
                                            factor).values())
    result.programs = (many.region.programs - few.region.programs) * factor
    return result


def costs(outcome):
    """{(cell, driver): [cost of each pair of samples]} of a plan's outcome."""
    grouped = defaultdict(list)
    for sample in outcome.samples:
        grouped[sample.name, sample.driver].append(sample)
    result = {}
    for key, samples in grouped.items():
        result[key] = [cost(outcome.blocks, *sorted(pair, key=lambda one: one.ios))
                       for pair in zip(samples[::2], samples[1::2])]
    return result

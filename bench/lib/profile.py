# SPDX-License-Identifier: GPL-2.0
"""`make profile`: the cost of one kind of I/O, function by function."""

import sys
from collections import Counter

from . import cells, source
from .cost import ALLOCATIONS, LOCKS
from .session import Session, module_file
from .symbols import DRIVERS, PART_TITLES, PARTS, part_of, readable
from .output import BenchError

# The least instructions per I/O for a line of its own.
LEAST = 0.5
WIDTH = 74


def row(title, values):
    """Print a line with a number for each driver, and their ratio."""
    text = f"{title[:WIDTH]:<{WIDTH}}" + "".join(
        f"{value:>11.1f}" if value is not None else f"{'':>11}" for value in values)
    if len(values) == 2 and values[0] and values[1] and values[1] > LEAST:
        text += f"{values[0] / values[1]:>9.2f}"
    print(text.rstrip())


def heading(title, drivers):
    """Print the head of a table."""
    print(f"\n{title:<{WIDTH}}" + "".join(f"{driver:>11}" for driver in drivers)
          + ("    ratio" if len(drivers) == 2 else ""))


def functions_of(cost, part):
    """{(function, module): instructions} of a part."""
    return {key: count for key, count in cost.functions.items() if part_of(*key) == part}


def print_parts(found, drivers, parts):
    """Print the functions of parts of the kernel, the costliest first."""
    names = readable({name for cost in found for name, _ in cost.functions})
    for part in parts:
        heading(PART_TITLES[part], drivers)
        tables = [functions_of(cost, part) for cost in found]
        keys = sorted(set().union(*tables), key=lambda key: -max(t.get(key, 0) for t in tables))
        small = [0.0] * len(tables)
        for key in keys:
            values = [table.get(key) for table in tables]
            if max(abs(value or 0) for value in values) >= LEAST:
                where = key[1] or ("kernel" if part == "driver" else "")
                row(f"  {names[key[0]]}" + (f"  [{where}]" if where else ""), values)
            else:
                small = [old + (value or 0) for old, value in zip(small, values)]
        if any(abs(value) >= LEAST for value in small):
            row("  (less than half an instruction each)", small)
        row("  together", [cost.parts[part] for cost in found])


def print_summary(found, drivers):
    """Print the parts, and the events besides instructions."""
    heading("instructions per I/O", drivers)
    for part in PARTS:
        row(f"  {PART_TITLES[part]}", [cost.parts[part] for cost in found])
    row("  all of the kernel", [cost.kernel for cost in found])
    heading("events per I/O", drivers)
    for title, value in (
            ("register writes", lambda cost: cost.register_writes),
            ("interrupts of devices", lambda cost: cost.device_interrupts),
            ("segments mapped", lambda cost: cost.segments),
            ("locks taken", lambda cost: cost.called(LOCKS)),
            ("allocations", lambda cost: cost.called(ALLOCATIONS)),
            ("atomic instructions of the driver", lambda cost: cost.atomics["driver"])):
        print(f"  {title:<{WIDTH - 2}}" + "".join(f"{value(cost):>11.2f}" for cost in found))


def print_source(cost, path):
    """Print rnvme's functions, with the code that is inlined into them, and its lines."""
    functions, lines = source.by_source(path, cost, "rnvme")
    if functions:
        heading("rnvme by source: its functions, with the code that they inline", ["rnvme"])
        for (function, file), count in functions.most_common():
            if count >= LEAST:
                row(f"  {file + ':':<22} {function}", [count])
        heading("rnvme by line, the costliest", ["rnvme"])
        for place, count in lines.most_common(15):
            row("  " + place, [count])


def print_calls(found, drivers, files):
    """Print the drivers' calls into the kernel."""
    heading("calls out of the driver per I/O", drivers)
    tables = []
    for cost, driver in zip(found, drivers):
        table = Counter()
        for module in files:
            if DRIVERS[module] == driver:
                table += source.calls_out(files[module], cost, module)
        tables.append(table)
    for name in sorted(set().union(*tables), key=lambda name: -max(t[name] for t in tables)):
        values = [table[name] for table in tables]
        if max(values) >= 0.05:
            print(f"  {name[:WIDTH - 2]:<{WIDTH - 2}}" + "".join(f"{v:>11.2f}" for v in values))


def print_assembly(cost, path, module):
    """Print the instructions that an I/O executes, with how often it executes each."""
    counts = {(section, offset): count for (owner, section, offset), count
              in cost.addresses.items() if owner == module}
    function = place = None
    skipped, shown = 0, False
    print(f"\n{module}, instruction by instruction (times per I/O, offset, instruction)")
    for section, offset, text, name, line in source.disassembly(path):
        if offset is None:
            if shown:
                print(f"{'':>24}-> {text}")
            continue
        count = counts.get((section, offset), 0)
        shown = count >= 0.005
        if not shown:
            skipped += name == function
            continue
        if name != function:
            print(f"\n{name}:")
            function, place, skipped = name, None, 0
        if skipped:
            print(f"{'':>10}... {skipped} not executed")
            skipped = 0
        if line != place:
            place = line
            print(f"    {place}")
        print(f"{count:>9.2f} {offset:>8x}  {text}")


def cell_of(options):
    """The cell that the command line asks for."""
    return cells.Cell(op=options.op, size=cells.size_of(options.bs), depth=options.qd,
                      poll=options.poll, shadow=options.dbbuf, offset=options.offset,
                      fixed=options.fixed, jobs=options.jobs, batch=options.batch)


def profile(kernel, options, top):
    """Measure and print."""
    cell = cell_of(options)
    drivers = ["rnvme", "nvme"] if options.driver == "both" else [options.driver]
    session = Session(kernel, options.module, top, cpus=cell.cpus)
    outcome = session.run(cells.plan([cell], drivers), 300)
    found = [outcome.costs[cell.name, driver][0] for driver in drivers]
    print(f"{cell.name}: {options.op} of {cells.size_name(cell.size)}, queue depth {cell.depth}, "
          f"{'polled' if cell.poll else 'interrupts'}, shadow doorbells "
          f"{'on' if cell.shadow else 'off'}; Linux {kernel.release}")
    print_summary(found, drivers)
    print_parts(found, drivers, PARTS if options.all else ("driver", "dma"))
    files = {"rnvme": options.module}
    if "nvme" in drivers:
        for module in ("nvme", "nvme_core"):
            files[module] = module_file(kernel, module, session.folder)
    print_calls(found, drivers, files)
    if "rnvme" in drivers:
        print_source(found[drivers.index("rnvme")], options.module)
    if options.asm:
        for cost, driver in zip(found, drivers):
            for module in files:
                if DRIVERS[module] == driver:
                    print_assembly(cost, files[module], module)
    session.clean()
    return 0


def main(kernel, options, top):
    """`measure profile`; errors are printed in one line."""
    try:
        return profile(kernel, options, top)
    except (BenchError, ValueError) as reason:
        print(f"profile: {reason}", file=sys.stderr)
        return 1

# SPDX-License-Identifier: GPL-2.0
"""The cost of an I/O in instructions and events, of both drivers, in all cells of the matrix."""

import functools
import re
from concurrent.futures import ThreadPoolExecutor

from .. import cells
from ..cost import slopes, steady
from ..symbols import part_of, readable
from ..output import BenchError

DRIVERS = ("rnvme", "nvme")
# The most cells of a boot: a failure costs the whole boot.
BOOT = 24


def chosen(text):
    """The cells that the command line selects."""
    standard = cells.STANDARD + cells.SINGLE
    everything = {cell.name: cell for cell in standard + cells.FULL}
    if text == "standard":
        return standard
    found = [cell for name, cell in everything.items() if text == "full" or re.search(text, name)]
    if not found:
        raise BenchError(f"no cell is called {text}: full, standard, or a regular expression; "
                         f"there are {', '.join(sorted(everything)[:6])} ...")
    return found


def times(cell, full, quick):
    """Pairs of samples of a cell: several if they give a slope, or if the whole kernel is compared.
    A cell of the `full` matrix has one, and uses the slope of the others."""
    if full and cell not in cells.STANDARD + cells.SINGLE:
        return 1
    if cell.depth == 32:
        return 4 if cell.varies and not quick else 3
    return 1 if not cell.varies else 2 if quick else 4


def groups(wanted, jobs):
    """(CPUs that count, cells) of each boot; at least one boot for each guest at a time."""
    found, boot = [], min(BOOT, -(-len(wanted) // jobs))
    for cpus in (1, 2):
        some = [cell for cell in wanted if cell.cpus == cpus]
        some.sort(key=lambda cell: (cell.poll, cell.shadow))
        found += [(cpus, some[at:at + boot]) for at in range(0, len(some), boot)]
    return found


def entry(cell, driver, found, each):
    """A cell's entry in the results."""
    value, spread = steady(found, cell, driver, each)
    names = readable({name for name, _ in found[0].functions})
    functions = {}
    for (name, module), count in found[0].functions.items():
        if part_of(name, module) == "driver" and count >= 0.5:
            functions[names[name]] = round(functions.get(names[name], 0) + count, 1)
    return {"cell": cell.name, **cell.__dict__, "driver_name": driver,
            "instructions": round(value, 2), "spread": round(spread, 2),
            "pairs": [one.summary() for one in found], "segments": round(found[0].segments, 2),
            "functions": functions}


def measure(bench):
    """Measure, with several guests at a time: counts do not depend on the load."""
    wanted, costs = chosen(bench.options.cells), {}
    pairs = functools.partial(times, full=bench.options.cells == "full", quick=bench.options.quick)

    def boot(group):
        cpus, some = group
        bench.say(f"instructions: {len(some)} cells ({some[0].name} ...)")
        outcome = bench.session(cells.plan(some, DRIVERS, pairs), 600 + 60 * len(some), tries=2,
                                cpus=cpus)
        for found in outcome.costs.values():
            for one in found:
                one.slim()
        return outcome.costs

    with ThreadPoolExecutor(bench.options.jobs) as pool:
        for found in pool.map(boot, groups(wanted, bench.options.jobs)):
            costs.update(found)
    each = slopes(costs, wanted)
    bench.results["slopes"] = [[*key, round(value, 1)] for key, value in sorted(each.items())]
    bench.results["cost"] = [entry(cell, driver, costs[cell.name, driver], each)
                             for cell in wanted for driver in DRIVERS]

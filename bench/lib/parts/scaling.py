# SPDX-License-Identifier: GPL-2.0
"""The cost of an I/O with more CPUs, namespaces and depth, and interrupts under load."""

from concurrent.futures import ThreadPoolExecutor

from .. import cells
from ..cells import Cell

DRIVERS = ("rnvme", "nvme")
CPUS, QUICK_CPUS = (8, 4, 2, 1), (4, 1)
# Number of namespaces -> controller of bench/machine.namespaces
NAMESPACES = {1: "0000:00:04.0", 8: "0000:00:05.0", 64: "0000:00:06.0"}
QUICK_NAMESPACES = {number: NAMESPACES[number] for number in (1, 8)}
DEPTHS = [Cell(depth=depth, batch=depth) for depth in (1, 2, 4, 8, 16, 32, 64, 128)]
LOADS = [Cell(depth=depth) for depth in (1, 2, 4, 8, 16, 32, 64, 128)]
QUICK_DEPTHS = (1, 8, 32)


def rows(kind, number, outcome, cell, at=0):
    """The results of a cell's pair of samples, one for each driver."""
    found = []
    for driver in DRIVERS:
        one = outcome.costs[cell.name, driver][at].summary()
        samples = [sample for sample in outcome.samples
                   if (sample.name, sample.driver) == (cell.name, driver)]
        # The second sample of the pair, which has more I/Os.
        last = samples[2 * at + 1].fio[cell.op]["clat_ns"]["percentile"]
        found.append({"kind": kind, "number": number, "driver_name": driver, "cell": cell.name,
                      "p99_us": last["99.000000"] / 1000,
                      **{name: one[name] for name in ("driver", "register_writes", "interrupts")}})
    return found


def with_cpus(bench, number):
    """A guest with so many CPUs and a queue on each: one job, and one job a CPU."""
    some = [Cell(), Cell(jobs=number, across=number)] if number > 1 else [Cell()]
    outcome = bench.session(cells.plan(some, DRIVERS), 900, tries=2, cpus=number, smp=number)
    return rows("queues", number, outcome, some[0]) + rows("jobs", number, outcome, some[-1])


def with_namespaces(bench):
    """Each I/O goes to a random namespace of the controller."""
    plan, cell, found = ['drivers "" ""'], Cell(), []
    controllers = QUICK_NAMESPACES if bench.options.quick else NAMESPACES
    for controller in controllers.values():
        for driver in DRIVERS:
            plan += [f"use {controller} {driver}", f"all_disks {controller} {driver}",
                     *[line + " --file_service_type=random" for line in cell.plan()]]
    outcome = bench.session(plan, 900, tries=2, machine="machine.namespaces")
    for at, number in enumerate(controllers):
        found += rows("namespaces", number, outcome, cell, at)
    return found


def with_depths(bench):
    """Deeper queues in batches; and one by one, where QEMU's timing decides the interrupts."""
    depths, loads = [[cell for cell in some if not bench.options.quick or cell.depth in QUICK_DEPTHS]
                     for some in (DEPTHS, LOADS)]
    outcome = bench.session(cells.plan(depths + loads[1:], DRIVERS), 1200, tries=2)
    found = []
    for kind, some in (("depth", depths), ("load", loads)):
        for cell in some:
            found += rows(kind, cell.depth, outcome, cell)
    return found


def measure(bench):
    """Measure, with several guests at a time, the largest first."""
    bench.say("scaling: CPUs, namespaces, depth")
    with ThreadPoolExecutor(bench.options.jobs) as pool:
        waiting = [pool.submit(with_cpus, bench, number)
                   for number in (QUICK_CPUS if bench.options.quick else CPUS)]
        waiting += [pool.submit(with_namespaces, bench), pool.submit(with_depths, bench)]
        bench.results["scaling"] = [row for one in waiting for row in one.result()]

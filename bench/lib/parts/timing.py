# SPDX-License-Identifier: GPL-2.0
"""IOPS, latency and CPU time, in pairs of samples: A B B A."""

import itertools
import re

from .. import cells
from ..cells import Cell
from ..session import PLAIN
from ..output import BenchError

DRIVERS = ("rnvme", "nvme")
CELLS = [Cell(op, size, depth, poll=poll) for size, op, depth, poll in
         itertools.product((512, 4096, 131072), ("read", "write"), (1, 32), (False, True))]
QUICK = [Cell("read", 4096, depth) for depth in (1, 32)]
# The cells that are sampled in one bind; each pair has a bind of its own.
TOGETHER = 4
# I/Os of a sample, by queue depth; a quarter of that if they are large.
NUMBERS = {1: 3000, 32: 6000}
# Seconds of a sample on a real drive.
SECONDS = 1


def chosen(text, quick):
    """The timed cells that the command line selects; may be none."""
    if text in ("full", "standard"):
        return QUICK if quick else CELLS
    return [cell for cell in CELLS if re.search(text, cell.name)]


def plan(wanted, pairs, controller, sample):
    """The lines of a plan; `sample(cell)` returns the line that takes one sample."""
    lines = []
    for at in range(0, len(wanted), TOGETHER):
        for pair in range(pairs):
            order = DRIVERS if pair % 2 == 0 else DRIVERS[::-1]
            for turn, driver in enumerate(order):
                # The second driver of a pair is the first of the next, so it is bound already.
                if turn or not pair:
                    lines.append(f"use {controller} {driver}")
                lines += [sample(cell) for cell in wanted[at:at + TOGETHER]]
    return lines


def guest_sample(cell):
    """The line of a sample in the guest, with scattered memory."""
    number = NUMBERS[cell.depth] // (4 if cell.size > 16384 else 1)
    return cell.plan(numbers=[number])[0]


def drive_sample(cell):
    """The line of a sample on a real drive, of fixed duration."""
    return f"timed {cell.name} {cell.fio()} --time_based --runtime={SECONDS}"


def timing(sample, cell):
    """The figures of fio's output: IOPS, microseconds of latency and of CPU time."""
    job = sample.fio["write" if cell.op == "write" else "read"]
    points = job["clat_ns"]["percentile"]
    busy = (sample.fio["usr_cpu"] + sample.fio["sys_cpu"]) / 100 * job["runtime"] * 1000
    return {"iops": round(job["iops"], 1), "cpu_us": round(busy / sample.ios, 2),
            **{name: points[key] / 1000 for name, key in
               (("p50_us", "50.000000"), ("p99_us", "99.000000"), ("p999_us", "99.900000"))}}


def collect(outcome, wanted):
    """The results: each cell with its pairs."""
    results = []
    for cell in wanted:
        samples = [one for one in outcome.samples if one.name == cell.name]
        pairs = [{one.driver: timing(one, cell) for one in pair}
                 for pair in zip(samples[::2], samples[1::2])]
        if not pairs or any(len(pair) != len(DRIVERS) for pair in pairs):
            raise BenchError(f"{cell.name}: the samples are no pairs")
        results.append({"cell": cell.name, "pairs": pairs})
    return results


def measure(bench):
    """Measure, in one boot for interrupts and one for polling, without the plugin."""
    pairs, results = bench.options.pairs, []
    asked = chosen(bench.options.cells, bench.options.quick)
    if not asked:
        bench.say(f"time: no cell is called {bench.options.cells}, nothing measured; "
                  f"there are {', '.join(cell.name for cell in CELLS[:6])} ...")
        return
    for poll in (False, True):
        wanted = [cell for cell in asked if cell.poll == poll]
        if not wanted:
            continue
        bench.say(f"time: {len(wanted)} cells of {pairs} pairs")
        options = cells.POLL_OPTIONS if poll else ""
        lines = [f'drivers "{options}" "{options}"', *plan(wanted, pairs, PLAIN, guest_sample)]
        outcome = bench.session(lines, 600 + 30 * pairs * len(wanted), counting=False)
        results += collect(outcome, wanted)
    bench.results["time"] = results

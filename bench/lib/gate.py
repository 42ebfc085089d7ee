# SPDX-License-Identifier: GPL-2.0
"""The gate: rnvme's instructions for the standard cells against the committed baseline."""

import json
import sys
import time

from . import cells
from .cost import slopes, steady
from .session import Session
from .output import BenchError

BASELINE = "bench/baseline.json"
# The gate fails above the baseline by more than this share.
TOLERANCE = 0.01


def times(cell):
    """Pairs of samples: several for a cell that needs a slope."""
    return 4 if cell.varies else 1


def measure(kernel, options, top):
    """{cell: instructions of the driver}."""
    session = Session(kernel, options.module, top)
    try:
        outcome = session.run(cells.plan(cells.STANDARD, ["rnvme"], times), options.limit)
    finally:
        session.clean()
    for cell in cells.STANDARD:
        segments = outcome.costs[cell.name, "rnvme"][0].segments
        if abs(segments - cell.segments) > 0.01:
            raise BenchError(f"{cell.name}: expected {cell.segments} segments, saw {segments:.2f}: "
                             "the program's memory is not scattered as it should be")
    each = slopes(outcome.costs, cells.STANDARD)
    return {cell.name: steady(outcome.costs[cell.name, "rnvme"], cell, "rnvme", each)
            for cell in cells.STANDARD}


def write_baseline(found, kernel, path):
    """Write the result as the baseline."""
    with open(path, "w", encoding="utf-8") as out:
        json.dump({"kernel": kernel.release,
                   "instructions": {name: round(value, 1) for name, (value, _) in found.items()}},
                  out, indent=2)
        out.write("\n")


def judge(found, baseline, report):
    """Report a line with a verdict for each cell."""
    for name in sorted(set(found) | set(baseline)):
        if name not in found or name not in baseline:
            report("FAIL", name, "only in the baseline" if name in baseline
                   else "not in the baseline: make bench-baseline")
            continue
        (value, spread), limit = found[name], baseline[name] * (1 + TOLERANCE)
        text = f"{value:.1f} instructions an I/O, baseline {baseline[name]:.1f}"
        if spread > 0.05:
            text += f", spread {spread:.1f}"
        if value < baseline[name] * (1 - TOLERANCE):
            text += " (less: make bench-baseline keeps it)"
        report("FAIL" if value > limit else "ok", name, text)


def main(kernel, options, top):
    """Measure, then compare with the baseline, or write it."""
    counts, begin = {"ok": 0, "FAIL": 0}, time.monotonic()

    def report(verdict, name, detail):
        counts[verdict] += 1
        print(f"{verdict:<4}  bench/{name}  {detail}", flush=True)

    try:
        found = measure(kernel, options, top)
        path = f"{top}/{BASELINE}"
        if options.write:
            write_baseline(found, kernel, path)
        with open(path, encoding="utf-8") as source:
            judge(found, json.load(source)["instructions"], report)
    except (BenchError, OSError, ValueError) as reason:
        report("FAIL", "run", str(reason))
    print(f"      bench: {time.monotonic() - begin:.0f} s", file=sys.stderr)
    if options.counts:
        with open(options.counts, "a", encoding="utf-8") as out:
            out.write(f"{counts['ok']} {counts['FAIL']} 0\n")
    return 1 if counts["FAIL"] else 0

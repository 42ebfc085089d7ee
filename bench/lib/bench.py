# SPDX-License-Identifier: GPL-2.0
"""`make bench`: cost and duration of an I/O, of both drivers on the same controller."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import time

from . import report
from .parts import instructions, lists, memory, scaling, timing
from .session import Session
from .output import BenchError

PARTS = {"cost": instructions.measure, "scaling": scaling.measure, "time": timing.measure,
         "memory": memory.measure, "lists": lists.measure}


def new_results(kernel, where):
    """Empty results."""
    return {"kernel": kernel, "module": "", "where": where, "quick": False, "pairs": 0, "slopes": [], "cost": [],
            "scaling": [], "time": [], "memory": {}, "lists": {}, "probe_us": {}, "text_bytes": {},
            "seconds": {}}


class Bench:
    """One run of the benchmark."""

    def __init__(self, kernel, options, top):
        self.kernel, self.options, self.top = kernel, options, top
        self.begin = time.monotonic()
        self.results = new_results(kernel.release, "")
        with open(options.module, "rb") as module:
            self.results["module"] = hashlib.sha256(module.read()).hexdigest()

    def say(self, text):
        """Report progress."""
        print(f"[{time.monotonic() - self.begin:5.0f}s] {text}", file=sys.stderr, flush=True)

    def session(self, plan, limit, tries=1, **options):
        """Run a plan in a boot of its own, again if that fails, `tries` times in all; returns its
        outcome."""
        while True:
            session = Session(self.kernel, self.options.module, self.top, **options)
            try:
                return session.run(plan, limit)
            except BenchError as reason:
                tries -= 1
                if not tries:
                    raise
                self.say(f"once more: {reason}")
            finally:
                session.clean()

    @contextlib.contextmanager
    def folder(self):
        """A temporary folder."""
        path = tempfile.mkdtemp(prefix="rnvme-bench.")
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def keep_others(self):
        """Start from the last results, if kernel and module are the same: other parts stay."""
        try:
            with open(f"{self.top}/bench/results.json", encoding="utf-8") as source:
                last = json.load(source)
        except (OSError, ValueError):
            return
        if all(last.get(name) == self.results[name] for name in ("kernel", "module")):
            self.results.update(last)

    def run(self):
        """Measure all parts and write the report."""
        self.keep_others()
        self.results.update(where=report.where(self.kernel), quick=self.options.quick,
                            pairs=self.options.pairs)
        for name in self.options.parts.split(","):
            if name not in PARTS:
                raise BenchError(f"no part is called {name}: {', '.join(PARTS)}")
            begin = time.monotonic()
            PARTS[name](self)
            self.results["seconds"][name] = round(time.monotonic() - begin)
            # Keep what is measured, even if the next part fails.
            save(self.results, self.top)
        keep(self.results, self.top)
        self.say("done: bench/report.html, bench/results.json")


def save(results, top):
    """Write the results."""
    with open(f"{top}/bench/results.json", "w", encoding="utf-8") as out:
        out.write(lines(results))


def keep(results, top):
    """Write the results and the report, and print a summary."""
    save(results, top)
    report.write(results, f"{top}/bench/report.html")
    report.print_summary(results)


def lines(results):
    """Results as JSON with a line for each cell and driver."""
    parts = []
    for name, value in results.items():
        if isinstance(value, list):
            value = "[\n" + ",\n".join("  " + json.dumps(one) for one in value) + "\n ]"
        else:
            value = json.dumps(value)
        parts.append(f' "{name}": {value}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main(kernel, options, top):
    """`measure bench`; errors are printed in one line."""
    if options.quick:
        options.pairs = min(options.pairs, 5)
        options.cells = "standard" if options.cells == "full" else options.cells
    options.jobs = options.jobs or min(2, os.cpu_count() or 1)
    try:
        if options.again:
            with open(f"{top}/bench/results.json", encoding="utf-8") as source:
                results = json.load(source)
            report.write(results, f"{top}/bench/report.html")
            report.print_summary(results)
            return 0
        Bench(kernel, options, top).run()
        return 0
    except (BenchError, OSError, ValueError, re.error) as reason:
        print(f"bench: {reason}", file=sys.stderr)
        return 1

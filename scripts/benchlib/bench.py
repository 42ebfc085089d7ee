# SPDX-License-Identifier: GPL-2.0
"""`make bench`: both drivers on the same controller, what an I/O costs and how long it takes."""

import itertools
import json
import re
import statistics
import sys
import time

from . import cells, report
from .cells import Cell
from .cost import steady
from .session import PLAIN, BenchError, Session, module_file
from .symbols import part_of, readable, run

DRIVERS = ("rnvme", "nvme")
# Pairs of samples for a cell where QEMU's timing has a part.
TIMES = 4
TIMED = [Cell(op, size, depth, poll=poll) for size, op, depth, poll in
         itertools.product((512, 4096, 131072), ("read", "write"), (1, 32), (False, True))]
TIMED_QUICK = [Cell("read", 4096, depth) for depth in (1, 32)]
# Cells of a boot.
BOOT = 40
# Depths of queues whose memory is compared.
DEPTHS = (64, 2048)


def chosen(text):
    """The cells that the command line asks for."""
    standard = cells.STANDARD + cells.SINGLE
    everything = {cell.name: cell for cell in standard + cells.FULL + cells.JOBS}
    if text == "standard":
        return standard
    found = [cell for name, cell in everything.items() if text == "full" or re.search(text, name)]
    if not found:
        raise BenchError(f"no cell is called {text}: full, standard, or a regular expression; "
                         f"there are {', '.join(sorted(everything)[:6])} ...")
    return found


class Bench:
    """One run of everything."""

    def __init__(self, kernel, options, top):
        self.kernel, self.options, self.top = kernel, options, top
        self.begin = time.monotonic()
        self.results = {"kernel": kernel.release, "cost": [], "time": [], "memory": {},
                        "probe_us": {}, "text_bytes": {}, "seconds": {}}

    def say(self, text):
        """How far it is."""
        print(f"[{time.monotonic() - self.begin:5.0f}s] {text}", file=sys.stderr, flush=True)

    def session(self, plan, limit, **options):
        """Run a plan; its outcome."""
        session = Session(self.kernel, self.options.module, self.top, **options)
        try:
            outcome = session.run(plan, limit)
        finally:
            session.clean()
        for driver, times in outcome.probes.items():
            self.results["probe_us"].setdefault(driver, []).extend(times)
        return outcome

    # -- instructions -------------------------------------------------------------

    def cost(self):
        """Instructions and events, a boot for some cells at a time: a long one could fail late."""
        wanted = chosen(self.options.cells)
        groups = []
        for cpus in (1, 2):
            some = [cell for cell in wanted if cell.cpus == cpus]
            some.sort(key=lambda cell: (cell.poll, cell.shadow))
            groups += [(cpus, some[at:at + BOOT]) for at in range(0, len(some), BOOT)]
        for cpus, group in groups:
            self.say(f"instructions: {len(group)} cells ({group[0].name} ...)")
            plan = cells.plan(group, DRIVERS, TIMES if self.options.cells == "standard" else 1)
            outcome = self.session(plan, 60 + 60 * len(group), cpus=cpus)
            for cell in group:
                for driver in DRIVERS:
                    self.keep(cell, driver, outcome.costs[cell.name, driver])

    def keep(self, cell, driver, found):
        """A cell's result, for the report."""
        value, spread = steady(found, cell)
        names = readable({name for name, _ in found[0].functions})
        functions = {}
        for (name, module), count in found[0].functions.items():
            if part_of(name, module) == "driver" and count >= 0.5:
                functions[names[name]] = round(functions.get(names[name], 0) + count, 1)
        self.results["cost"].append({
            "cell": cell.name, **cell.__dict__, "driver_name": driver,
            "instructions": round(value, 2), "spread": round(spread, 2),
            "pairs": [one.summary() for one in found], "segments": round(found[0].segments, 2),
            "functions": functions})

    # -- time ---------------------------------------------------------------------

    def time(self):
        """IOPS, latency and CPU time: pairs of samples, A B B A, without the plugin."""
        for poll in (False, True):
            group = [cell for cell in (TIMED_QUICK if self.options.quick else TIMED)
                     if cell.poll == poll]
            if not group:
                continue
            self.say(f"time: {len(group)} cells of {self.options.pairs} pairs")
            options = cells.POLL_OPTIONS if poll else ""
            plan = [f'drivers "{options}" "{options}"']
            for cell in group:
                number = {1: 2000, 32: 4000}[cell.depth] // (4 if cell.size > 16384 else 1)
                for pair in range(self.options.pairs):
                    order = DRIVERS if pair % 2 == 0 else DRIVERS[::-1]
                    for at, driver in enumerate(order):
                        if at or not pair:
                            plan.append(f"use {PLAIN} {driver}")
                        plan += cell.plan(numbers=[number])
            outcome = self.session(plan, 60 + 10 * self.options.pairs * len(group),
                                   counting=False)
            for cell in group:
                samples = [one for one in outcome.samples if one.name == cell.name]
                pairs = [{one.driver: timing(one, cell) for one in pair}
                         for pair in zip(samples[::2], samples[1::2])]
                self.results["time"].append({"cell": cell.name, "pairs": pairs})

    # -- memory -------------------------------------------------------------------

    def memory(self):
        """Bytes a tag and a controller, from queues of two depths; sizes of the modules."""
        self.say("memory")
        plan = [f"memory {PLAIN} {driver} {depth}" for _ in range(5) for driver in DRIVERS
                for depth in DEPTHS]
        outcome = self.session(plan, 300, counting=False)
        for driver in DRIVERS:
            found = {}
            for kind, who, (tags, queues, kib) in outcome.values:
                if (kind, who) == ("memory", driver):
                    found.setdefault(int(tags) * int(queues), []).append(int(kib) * 1024)
            (few, small), (many, large) = sorted(
                (tags, statistics.median(values)) for tags, values in found.items())
            self.results["memory"][driver] = {
                "tag": round((large - small) / (many - few)),
                "controller": round(small - (large - small) / (many - few) * few),
                "samples": {str(tags): values for tags, values in found.items()}}
        session = Session(self.kernel, self.options.module, self.top)
        files = {"rnvme": [self.options.module],
                 "nvme": [module_file(self.kernel, name, session.folder)
                          for name in ("nvme", "nvme_core")]}
        for driver, paths in files.items():
            self.results["text_bytes"][driver] = sum(map(text_size, paths))
        session.clean()

    def run(self):
        """Everything, and the report."""
        for part in (self.cost, self.time, self.memory):
            begin = time.monotonic()
            if part.__name__ in self.options.parts.split(","):
                part()
            self.results["seconds"][part.__name__] = round(time.monotonic() - begin)
        folder = f"{self.top}/bench"
        with open(f"{folder}/results.json", "w", encoding="utf-8") as out:
            out.write(lines(self.results))
        report.write(self.results, f"{folder}/report.html")
        self.say("done: bench/report.html, bench/results.json")
        report.print_summary(self.results)


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


def timing(sample, cell):
    """What matters of fio's answer: a second's I/Os, microseconds of latency and of CPU."""
    job = sample.fio["write" if cell.op == "write" else "read"]
    points = job["clat_ns"]["percentile"]
    busy = (sample.fio["usr_cpu"] + sample.fio["sys_cpu"]) / 100 * job["runtime"] * 1000
    return {"iops": round(job["iops"], 1), "cpu_us": round(busy / sample.ios, 2),
            **{name: points[key] / 1000 for name, key in
               (("p50_us", "50.000000"), ("p99_us", "99.000000"), ("p999_us", "99.900000"))}}


def text_size(path):
    """Bytes of a module's code."""
    sections = re.findall(r"\]\s+(\.\S*text\S*)\s+PROGBITS\s+\S+\s+\S+\s+(\S+)",
                          run("readelf", "-SW", path))
    return sum(int(size, 16) for name, size in sections)


def main(kernel, options, top):
    """`bench`, with errors in a line."""
    if options.quick:
        options.pairs = min(options.pairs, 5)
        options.cells = "standard" if options.cells == "full" else options.cells
    try:
        if options.again:
            with open(f"{top}/bench/results.json", encoding="utf-8") as source:
                report.write(json.load(source), f"{top}/bench/report.html")
            return 0
        Bench(kernel, options, top).run()
        return 0
    except (BenchError, OSError, ValueError) as reason:
        print(f"bench: {reason}", file=sys.stderr)
        return 1

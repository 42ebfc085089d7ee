# SPDX-License-Identifier: GPL-2.0
"""The report is one self-contained file, for any set of measured parts."""

import os
import re
import tempfile
import unittest
from html.parser import HTMLParser

from bench.lib import cost, report
from bench.lib.bench import new_results
from bench.lib.cells import Cell
from bench.lib.parts import instructions

VOID = {"meta", "br", "use", "path", "line", "input"}


class Balance(HTMLParser):
    """Checks that elements are balanced and that no resource is external."""

    def __init__(self):
        super().__init__()
        self.open, self.faults = [], []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href") and not (value or "").startswith("#"):
                self.faults.append(f"{tag} {name}={value}")

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}>")


def costs():
    """Two cells of both drivers."""
    found = []
    for cell in (Cell(), Cell(depth=32, batch=32)):
        for driver, value in (("rnvme", 290), ("nvme", 590)):
            one = cost.Cost()
            one.parts.update({"driver": value, "block": 2000, "dma": 200})
            one.functions[f"{driver}_<queue>", driver] = value
            one.register_writes = 2
            found.append(instructions.entry(cell, driver, [one], {}))
    return found


def everything():
    """Results with entries in each part."""
    results = new_results("7.3", "a machine & more")
    pairs = [{driver: {"iops": value + at, "p50_us": 9, "p99_us": 20 + at, "p999_us": 30,
                       "cpu_us": 5} for driver, value in (("rnvme", 1010), ("nvme", 1000))}
             for at in range(4)]
    results.update(
        slopes=[[driver, poll, shadow, 70.4] for driver in ("rnvme", "nvme")
                for poll, shadow in ((False, False), (True, False))],
        cost=costs(), time=[{"cell": "read-4k-qd1", "pairs": pairs}],
        scaling=[{"kind": kind, "number": number, "driver_name": driver, "cell": "c",
                  "driver": 300, "register_writes": 2, "interrupts": 1, "p99_us": 50}
                 for kind in ("queues", "jobs", "namespaces", "depth", "load")
                 for number in (1, 8) for driver in ("rnvme", "nvme")],
        memory={driver: {"request": 320, "tag": 420, "queue": 9000, "controller": 90000}
                for driver in ("rnvme", "nvme")},
        lists={driver: {"idle": 5, "load": 6, "later": 5, "requeues": [0], "mean_us": [1000],
                        "max_us": [2000]} for driver in ("rnvme", "nvme")},
        probe_us={"rnvme": [5000], "nvme": [6000]}, text_bytes={"rnvme": 90, "nvme": 100},
        seconds={"cost": 10, "scaling": 10, "time": 10, "memory": 10})
    return results


class Report(unittest.TestCase):
    """The report is written and parsed."""

    def written(self, results):
        """The text of the report."""
        handle, path = tempfile.mkstemp()
        os.close(handle)
        self.addCleanup(os.unlink, path)
        report.write(results, path)
        with open(path, encoding="utf-8") as source:
            return source.read()

    def test_each_part_alone_and_all_together(self):
        full = everything()
        for names in [[name] for name in ("cost", "time", "scaling", "memory", "lists")] + [list(full)]:
            results = new_results("7.3", "a machine & more")
            results.update({name: full[name] for name in names})
            text = self.written(results)
            balance = Balance()
            balance.feed(text)
            self.assertEqual((balance.faults, balance.open), ([], []), names)
            self.assertNotIn("<script", text)
            self.assertIn("a machine &amp; more", text)

    def test_verdicts_and_plots_are_there(self):
        text = self.written(everything())
        self.assertGreaterEqual(len(re.findall(r"<svg", text)), 4)
        self.assertIn("rnvme_&lt;queue&gt;", text)
        self.assertIn('<td class="met good">met</td>', text)
        self.assertIn("bytes a tag", text)
        self.assertIn("<td>a poll that finds nothing</td><td>70</td><td>70</td>", text)
        self.assertNotIn("an interrupt, with shadow doorbells", text)

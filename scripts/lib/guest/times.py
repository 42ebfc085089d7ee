# SPDX-License-Identifier: GPL-2.0
"""What the time of `scripts/check` is spent on: a row for each test, boot, scan and power-off.

A row has tab-separated fields (FIELDS).  `begin` counts from the start of the run, `wall` is
elapsed seconds, `cpu` is user and system seconds of QEMU and the hostile controllers' servers."""

import os
import threading
import time

FIELDS = ("kernel", "machine", "part", "name", "begin", "wall", "cpu")
TICK = os.sysconf("SC_CLK_TCK")


def cpu_of(pid):
    """The user and system seconds of a process, also of one that has ended and was not waited
    for; 0 of a process that is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            fields = stat.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICK


class Span:
    """The time from now on, by the clock and by the CPU seconds of a guest.

    A new guest has used CPU time before its first Span: `whole` counts that, too."""

    def __init__(self, guest, whole=False):
        self.guest = guest
        self.begin = guest.began if whole else time.monotonic()
        self.cpu = 0.0 if whole else guest.cpu_seconds()

    def end(self):
        """(begin, wall seconds, CPU seconds)."""
        return self.begin, time.monotonic() - self.begin, self.guest.cpu_seconds() - self.cpu


class Recorder:
    """Appends rows to a file; without a path it drops them."""

    def __init__(self, path, start=None):
        self.path = path
        self.start = time.time() if start is None else start
        # Rows count from the wall clock of the run's first script.
        self.offset = time.time() - time.monotonic() - self.start
        self.lock = threading.Lock()

    def add(self, kernel, machine, part, name, spent):
        """Write one row; `spent` is what Span.end() says."""
        if not self.path:
            return
        begin, wall, cpu = spent
        row = (kernel, machine, part, name, f"{begin + self.offset:.1f}", f"{wall:.1f}", f"{cpu:.1f}")
        with self.lock, open(self.path, "a", encoding="utf-8") as out:
            out.write("\t".join(row) + "\n")


def read(path):
    """The rows of a file, as dictionaries; numbers are numbers."""
    rows = []
    with open(path, encoding="utf-8") as source:
        for line in source:
            row = dict(zip(FIELDS, line.rstrip("\n").split("\t"), strict=True))
            row.update({name: float(row[name]) for name in ("begin", "wall", "cpu")})
            rows.append(row)
    return rows


def group_of(row):
    """The line of the table that a row belongs to: a test's folder, or the part of the run."""
    return row["name"].split("/")[0] if row["part"] == "test" else row["part"]


def table(rows):
    """The lines of a Markdown table: wall and CPU seconds by group and kernel."""
    sums = {}
    for row in rows:
        for group in (group_of(row), "all"):
            entry = sums.setdefault(group, {}).setdefault(row["kernel"], [0, 0.0, 0.0])
            entry[0] += 1
            entry[1] += row["wall"]
            entry[2] += row["cpu"]
    kernels = sorted({row["kernel"] for row in rows}, key=("stock", "debug", "-").index)
    lines = ["| group |" + "".join(f" {kernel}: number | wall s | CPU s |" for kernel in kernels),
             "|---|" + "--:|--:|--:|" * len(kernels)]
    for group in sorted(sums, key=lambda one: -sum(entry[2] for entry in sums[one].values())):
        cells = [sums[group].get(kernel) for kernel in kernels]
        lines.append(f"| {group} |" + "".join(
            f" {cell[0]} | {cell[1]:.0f} | {cell[2]:.0f} |" if cell else " | | |" for cell in cells))
    return lines


def longest(rows, number):
    """The lines of a Markdown table: the tests with the most CPU seconds."""
    lines = ["| test | kernel | wall s | CPU s |", "|---|---|--:|--:|"]
    for row in sorted(rows, key=lambda row: -row["cpu"])[:number]:
        lines.append(f"| {row['name']} | {row['kernel']} | {row['wall']:.0f} | {row['cpu']:.0f} |")
    return lines

# SPDX-License-Identifier: GPL-2.0
"""The cells of the matrix: the kinds of I/O that are measured."""

import itertools
import re
from dataclasses import dataclass

from .session import PLAIN, SHADOW, quoted

# The option of both drivers that makes poll queues.
POLL_OPTIONS = "poll_queues=1"


@dataclass(frozen=True)
class Cell:
    """One kind of I/O, done by fio."""

    op: str = "read"
    size: int = 4096
    depth: int = 1
    poll: bool = False
    shadow: bool = False
    # Offset of the program's memory from a page boundary, in bytes.
    offset: int = 0
    fixed: bool = False
    jobs: int = 1
    # The number of I/Os that fio submits and reaps together.
    batch: int = 1
    # The number of CPUs that several jobs share, from the first.
    across: int = 2

    @property
    def name(self):
        """The cell's name in plans, results and the report."""
        words = [self.op, size_name(self.size), f"qd{self.depth}"]
        words += [word for word, there in (
            ("poll", self.poll), (f"off{self.offset}", self.offset), ("fixed", self.fixed),
            (f"jobs{self.jobs}", self.jobs > 1), (f"cpus{self.across}", self.across != 2),
            (f"batch{self.batch}", self.batch > 1), ("shadow", self.shadow)) if there]
        return quoted("-".join(words))

    @property
    def controller(self):
        """The controller of bench/machine that it runs on."""
        return SHADOW if self.shadow else PLAIN

    @property
    def segments(self):
        """Segments of an I/O if each page is one; None for other I/Os."""
        if self.op not in ("read", "write") or self.offset or self.jobs > 1 or self.fixed:
            return None
        return -(-self.size // 4096)

    @property
    def varies(self):
        """Whether the counts depend on QEMU's timing (see `cost.steady`)."""
        return self.poll or (self.depth > 1 and self.batch == 1)

    @property
    def cpus(self):
        """The number of the guest's CPUs that it runs on, from the first."""
        return min(self.jobs, self.across)

    def fio(self):
        """fio's options."""
        kinds = {"read": "--rw=randread", "write": "--rw=randwrite",
                 "discard": "--rw=randtrim", "flush": "--rw=randwrite --fsync=1"}
        return " ".join(filter(None, [
            kinds[self.op], f"--bs={self.size}", f"--iodepth={self.depth}",
            f"--iomem_align={self.offset or 4096}", "--hipri" if self.poll else "",
            "--fixedbufs" if self.fixed else "",
            f"--iodepth_batch={self.batch} --iodepth_batch_complete_min={self.batch}"
            if self.batch > 1 else "",
            f"--numjobs={self.jobs} --cpus_allowed=0-{self.cpus - 1} --cpus_allowed_policy=split"
            if self.jobs > 1 else "--cpus_allowed=0"]))

    def memory(self):
        """Bytes of the program's memory: fio takes a page more for its alignment."""
        pages = -(-self.size // 4096) * self.depth + 3
        return (pages + pages % 2) * 4096

    def numbers(self):
        """I/Os of the two runs. Large I/Os take longer, so there are fewer."""
        many = 3000 if self.size <= 16384 else 1200 if self.size <= 131072 else 400
        few = max(many // 4, 2 * self.depth)
        # Whole batches, so that neither run ends with a partial one.
        return [-(-number // self.batch) * self.batch for number in (few, many + few)]

    def plan(self, times=1, numbers=()):
        """The lines of the guest's plan that sample this cell."""
        numbers = " ".join(str(number) for number in numbers or self.numbers() * times)
        pieces = (self.segments or 0) * self.depth
        return [f'sample {self.name} "{numbers}" {self.memory()} {self.depth} {pieces} {self.fio()}']


def size_name(size):
    """A size as text: 4k for 4096."""
    for factor, letter in ((1 << 20, "m"), (1 << 10, "k")):
        if size % factor == 0:
            return f"{size // factor}{letter}"
    return str(size)


def size_of(text):
    """The bytes of a size like 4k; raises ValueError for other texts."""
    match = re.fullmatch(r"(\d+)([kKmM]?)(?:i?[bB])?", text)
    if not match or int(match[1]) == 0:
        raise ValueError(f"not a size: {text}")
    return int(match[1]) << {"": 0, "k": 10, "m": 20}[match[2].lower()]


def with_shadow(cells):
    """Each cell on both controllers."""
    return [Cell(**{**cell.__dict__, "shadow": shadow}) for cell in cells
            for shadow in (False, True)]


# The cells of the baseline. In batches, so that QEMU's timing does not decide how many I/Os are
# submitted and completed together.
STANDARD = with_shadow([
    Cell("read"), Cell("write"), Cell("read", depth=32, batch=32),
    Cell("read", size=16384, depth=8, batch=8), Cell("read", size=131072, depth=8, batch=8),
    Cell("read", depth=32, poll=True)])
# The same one by one, as most programs do it.
SINGLE = with_shadow([Cell("read", depth=32), Cell("read", size=16384, depth=8),
                      Cell("read", size=131072, depth=8)])

DEPTHS = (1, 8, 32, 128)
# (bytes, offset from a page boundary).
SIZES = ((512, 0), (4096, 0), (4096, 512), (16384, 0), (131072, 0), (1 << 20, 0))
FULL = with_shadow(
    [Cell(op, size, depth, poll=poll, offset=offset) for op, (size, offset), depth, poll in
     itertools.product(("read", "write"), SIZES, DEPTHS, (False, True))]
    # The same in batches, where counts are exact and do not depend on QEMU's timing.
    + [Cell(op, size, depth, offset=offset, batch=depth) for op, (size, offset), depth in
       itertools.product(("read", "write"), SIZES, DEPTHS[1:])]
    + [Cell("flush"), Cell("discard", 65536), Cell("discard", 65536, 8, batch=8),
       Cell("read", fixed=True), Cell("read", depth=32, batch=32, fixed=True),
       Cell("read", depth=32, poll=True, fixed=True)]
    + [Cell("read", depth=8, batch=8, jobs=jobs) for jobs in (2, 3, 4)])


def once(_cell):
    """One pair of samples."""
    return 1


def plan(cells, drivers, times=once):
    """The lines of a plan that measures cells with drivers, all cells of one bind together;
    `times` returns the number of pairs of samples of a cell."""
    lines = []
    for poll in (False, True):
        wanted = [cell for cell in cells if cell.poll == poll]
        if not wanted:
            continue
        options = POLL_OPTIONS if poll else ""
        lines.append(f'drivers "{options}" "{options}"')
        for controller in (PLAIN, SHADOW):
            here = [cell for cell in wanted if cell.controller == controller]
            for driver in drivers if here else ():
                lines.append(f"use {controller} {driver}")
                for cell in here:
                    lines += cell.plan(times(cell))
    return lines

# SPDX-License-Identifier: GPL-2.0
"""Reads the file of the plugin (bench/count.c)."""

import struct
from collections import Counter
from dataclasses import dataclass, field

ATOMIC = 0x80


@dataclass
class Region:
    """The counts between two marks."""

    blocks: dict = field(default_factory=dict)
    programs: int = 0
    interrupts: Counter = field(default_factory=Counter)
    writes: Counter = field(default_factory=Counter)


class Counts:
    """The regions of a run, and the blocks that they count."""

    def __init__(self, path):
        self.path = path
        # block -> (address, sizes of its instructions; the top bit marks an atomic instruction)
        self.blocks = {}

    def regions(self):
        """Yields the regions in order, one at a time: there may be hundreds."""
        region = Region()
        with open(self.path, "rb") as source:
            while kind := source.read(1):
                if kind == b"C":
                    data = source.read(12 * read(source, "=I")[0])
                    region.blocks = dict(struct.iter_unpack("=IQ", data))
                elif kind == b"B":
                    block, address, length = read(source, "=IQH")
                    self.blocks[block] = (address, source.read(length))
                elif kind == b"U":
                    region.programs, = read(source, "=Q")
                elif kind in (b"D", b"W"):
                    address, count = read(source, "=QQ")
                    (region.interrupts if kind == b"D" else region.writes)[address] = count
                elif kind == b"M":
                    read(source, "=I")
                    yield region
                    region = Region()
                else:
                    raise ValueError("the plugin could not hold all blocks" if kind == b"E"
                                     else f"unknown kind of record: {kind}")


def read(source, layout):
    """The fields of a record; raises ValueError if the file ends before."""
    data = source.read(struct.calcsize(layout))
    if len(data) != struct.calcsize(layout):
        raise ValueError("the plugin's file ends in the middle of a record")
    return struct.unpack(layout, data)

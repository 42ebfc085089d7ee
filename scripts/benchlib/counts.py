# SPDX-License-Identifier: GPL-2.0
"""Reads what the plugin (bench/count.c) wrote."""

import struct
from collections import Counter
from dataclasses import dataclass, field

ATOMIC = 0x80


@dataclass
class Region:
    """What was executed between a mark and the one before it."""

    blocks: Counter = field(default_factory=Counter)
    programs: int = 0
    interrupts: Counter = field(default_factory=Counter)
    writes: Counter = field(default_factory=Counter)


class Counts:
    """All regions of a run, and the blocks that they are made of."""

    def __init__(self, path):
        # block -> (address, sizes of its instructions; the top bit says that one is atomic)
        self.blocks = {}
        self.regions = []
        with open(path, "rb") as source:
            self._read(source.read())

    def _read(self, data):
        at, region = 0, Region()
        pair, block_count = struct.Struct("=QQ"), struct.Struct("=IQ")
        while at < len(data):
            kind, at = data[at], at + 1
            if kind == ord("C"):
                block, count = block_count.unpack_from(data, at)
                region.blocks[block] = count
                at += 12
            elif kind == ord("B"):
                block, address, length = struct.unpack_from("=IQH", data, at)
                at += 14
                self.blocks[block] = (address, data[at:at + length])
                at += length
            elif kind == ord("U"):
                region.programs = struct.unpack_from("=Q", data, at)[0]
                at += 8
            elif kind in (ord("D"), ord("W")):
                address, count = pair.unpack_from(data, at)
                (region.interrupts if kind == ord("D") else region.writes)[address] = count
                at += 16
            elif kind == ord("M"):
                self.regions.append(region)
                region = Region()
                at += 4
            else:
                raise ValueError("the plugin could not hold all blocks" if kind == ord("E")
                                 else f"a record that does not exist: {kind}")

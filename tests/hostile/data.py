# SPDX-License-Identifier: GPL-2.0
"""Namespaces in memory, and the PRPs and SGLs of a command.

NVMe Base 2.0, 4.1.1 (PRPs) and 4.1.2 (SGLs).
"""

import mmap
import struct

PAGE, SECTOR = 4096, 512
SGL_BLOCK, SGL_SEGMENT, SGL_LAST = 0, 2, 3


class BadCommand(Exception):
    """A command fails with this status."""

    def __init__(self, status):
        super().__init__(f"status {status:#x}")
        self.status = status


class Namespace:
    """A namespace whose blocks are in memory, as long as the server runs."""

    def __init__(self, nsid, size, shift):
        self.nsid, self.shift = nsid, shift
        self.size = self.room = size
        self.data = memoryview(mmap.mmap(-1, size))
        self.attached = True
        # Part of its unique ids: another text makes it another namespace.
        self.identity = ""
        # {offset: the medium's data} of sectors whose new data is only in the volatile cache.
        self.medium = {}

    @property
    def blocks(self):
        """The number of blocks."""
        return self.size >> self.shift

    def zero(self, lba, count):
        """Write zeroes, or deallocate: deallocated blocks read as zeroes."""
        start, length = lba << self.shift, count << self.shift
        self.data[start:start + length] = bytes(length)

    def resize(self, blocks):
        """Change the number of blocks; raises ValueError if there is no room."""
        if not 0 < blocks << self.shift <= self.room:
            raise ValueError(f"there is no room for {blocks} blocks")
        self.size = blocks << self.shift

    def format(self, shift, keep=False):
        """Set the block size and zero all blocks, or keep their bytes."""
        if not keep:
            self.data[:] = bytes(self.room)
        self.medium.clear()
        self.shift = shift

    # -- the volatile write cache -----------------------------------------------------

    def before_write(self, at, length):
        """Keep the medium's data of a range before a write to the cache."""
        for start in range(at, at + length, SECTOR):
            if start not in self.medium:
                self.medium[start] = bytes(self.data[start:start + SECTOR])

    def is_stable(self, at, length):
        """A range was written to the medium, past the cache."""
        for start in range(at, at + length, SECTOR):
            self.medium.pop(start, None)

    def flush(self):
        """Write the cache to the medium."""
        self.medium.clear()

    def lose_cache(self):
        """Lose the cache with the power; returns the number of sectors lost."""
        for start, old in self.medium.items():
            self.data[start:start + SECTOR] = old
        lost = len(self.medium)
        self.medium.clear()
        return lost


def prps(memory, prp1, prp2, length, complain, alignment=8):
    """Yields (address, bytes) for each PRP entry of a command."""
    if prp1 & 3:
        complain(f"PRP1 {prp1:#x} is not aligned")
    piece = min(length, PAGE - prp1 % PAGE)
    yield prp1, piece
    left = length - piece
    if not left:
        return
    if left <= PAGE:
        if prp2 % PAGE:
            complain(f"PRP2 {prp2:#x} is not aligned to a page")
        yield prp2, left
        return
    while left:
        if prp2 % alignment:
            complain(f"the PRP list at {prp2:#x} is not aligned")
        room = (PAGE - prp2 % PAGE) // 8
        needed = -(-left // PAGE)
        count = min(room, needed)
        entries = struct.unpack(f"<{count}Q", memory.read(prp2, count * 8))
        if needed > room:
            prp2, entries = entries[-1], entries[:-1]
        for entry in entries:
            if entry % PAGE:
                complain(f"PRP list entry {entry:#x} is not aligned to a page")
            piece = min(left, PAGE)
            yield entry, piece
            left -= piece


def sgls(memory, low, high, length):
    """Yields (address, bytes) for each data block descriptor of a command's SGL."""
    left, todo = length, [struct.pack("<QQ", low, high)]
    while left and todo:
        address, size, last = struct.unpack("<QI3xB", todo.pop(0))
        kind = last >> 4
        if kind in (SGL_SEGMENT, SGL_LAST):
            raw = memory.read(address, size)
            todo = [raw[at:at + 16] for at in range(0, size, 16)]
        elif kind == SGL_BLOCK:
            piece = min(left, size)
            yield address, piece
            left -= piece
        else:
            raise BadCommand(0x11)
    if left:
        # Data SGL Length Invalid.
        raise BadCommand(0x0f)


def pieces(memory, command, length, options, complain):
    """(address, bytes) of the data of a command, in order."""
    if not length:
        return []
    if command.flags >> 6:
        if not options["sgls"]:
            complain("an SGL, which the controller does not take")
            raise BadCommand(2)
        return sgls(memory, command.prp1, command.prp2, length)
    alignment = 512 if options["misread"] else options["listalign"]
    return prps(memory, command.prp1, command.prp2, length, complain, alignment)

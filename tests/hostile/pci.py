# SPDX-License-Identifier: GPL-2.0
"""The PCI side of the controller: its configuration space and BARs.

A PCI Express 2 endpoint with function level reset, MSI-X with its table in BAR 4 (or MSI
and the pin), and power management.  QEMU itself keeps the BARs' addresses and the MSI-X table.
"""

import struct

BAR0_SIZE, BAR4_SIZE = 1 << 20, 8192
# One of the two capabilities of messages is at MESSAGES.
EXPRESS, MESSAGES, POWER = 0x40, 0x80, 0x90
DEVCTL = EXPRESS + 8
FLR = 1 << 15
MEMORY, BUS_MASTER = 2, 4
PMCSR = POWER + 4


class Config:
    """The configuration space, 4096 bytes."""

    def __init__(self, vectors, ids, has_msi):
        self.vectors = vectors
        self.has_msi = has_msi
        # Vendor, device, class.
        self.ids = ids
        self.data = bytearray(4096)
        # The writable bits.
        self.mask = bytearray(4096)
        self.reset()

    def _put(self, offset, form, value, mask=0):
        struct.pack_into(form, self.data, offset, value)
        struct.pack_into(form, self.mask, offset, mask)

    def reset(self):
        """Set the configuration space as after power on."""
        put = self._put
        self.identify(*self.ids)
        put(0x04, "<H", 0, 0x0546)
        put(0x06, "<H", 0x0010)
        put(0x0c, "<I", 0, 0xff)
        put(0x10, "<Q", 4, -BAR0_SIZE & 0xffff_ffff_ffff_ffff)
        put(0x20, "<I", 0, -BAR4_SIZE & 0xffff_ffff)
        put(0x34, "<B", EXPRESS)
        put(0x3c, "<B", 0, 0xff)
        # PCI Express: version 2, an endpoint; role-based errors, function level reset.
        put(EXPRESS, "<H", MESSAGES << 8 | 0x10)
        put(EXPRESS + 2, "<H", 2)
        put(EXPRESS + 4, "<I", 1 << 28 | 1 << 15)
        put(DEVCTL, "<H", 0x2810, 0xffff)
        put(EXPRESS + 12, "<I", 0x11)
        put(EXPRESS + 16, "<H", 0, 0xffff)
        put(EXPRESS + 18, "<H", 0x11)
        put(EXPRESS + 0x28, "<H", 0, 0xffff)
        put(EXPRESS + 0x30, "<H", 1, 0xffff)
        if self.has_msi:
            # One message, addresses of 64 bits.
            put(MESSAGES, "<H", POWER << 8 | 0x05)
            put(MESSAGES + 2, "<H", 0x80, 0x71)
            put(MESSAGES + 4, "<Q", 0, 0xffff_ffff_ffff_fffc)
            put(MESSAGES + 12, "<H", 0, 0xffff)
            put(0x3d, "<B", 1)
        else:
            put(MESSAGES, "<H", POWER << 8 | 0x11)
            put(MESSAGES + 2, "<H", self.vectors - 1, 0xc000)
            put(MESSAGES + 4, "<I", 4)
            put(MESSAGES + 8, "<I", 4096 | 4)
        # Power management: version 3, no soft reset.
        put(POWER, "<H", 0x01)
        put(POWER + 2, "<H", 3)
        put(PMCSR, "<H", 8, 3)

    def identify(self, vendor, device, kind):
        """Bear these ids: the guest reads them when it looks for devices."""
        self.ids = vendor, device, kind
        self._put(0x00, "<I", device << 16 | vendor)
        self._put(0x08, "<I", kind << 8 | 1)
        self._put(0x2c, "<I", device << 16 | vendor)

    def read(self, offset, count):
        """A load."""
        return bytes(self.data[offset:offset + count]).ljust(count, b"\0")

    def write(self, offset, data):
        """A store; returns whether it asks for a function level reset."""
        for at, byte in enumerate(data, offset):
            mask = self.mask[at]
            self.data[at] = self.data[at] & ~mask | byte & mask
        control, = struct.unpack_from("<H", self.data, DEVCTL)
        struct.pack_into("<H", self.data, DEVCTL, control & ~FLR)
        return bool(control & FLR)

    def is_asleep(self):
        """Whether the device is in another power state than D0: its registers do not answer."""
        return bool(self.data[PMCSR] & 3)

    def is_decoding(self):
        """Whether the device answers at its BARs."""
        return bool(self.data[4] & MEMORY)

    def is_master(self):
        """Whether the device may access memory."""
        return bool(self.data[4] & BUS_MASTER)

    def is_asleep(self):
        """Whether the device is in D3."""
        return self.data[POWER + 4] & 3 == 3


def bar_size(index):
    """Bytes of a BAR; 0 where there is none."""
    return {0: BAR0_SIZE, 4: BAR4_SIZE}.get(index, 0)

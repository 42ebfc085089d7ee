# SPDX-License-Identifier: GPL-2.0
"""The server's side of the vfio-user protocol, as far as QEMU's `vfio-user-pci` uses it.

A message is a header of 16 bytes and a payload; file descriptors (guest memory,
interrupts) come with it.  The device's memory accesses go straight to the
guest's memory, which QEMU shares: `-object memory-backend-memfd,share=on`.
"""

import array
import contextlib
import json
import mmap
import os
import socket
import struct

HEADER = struct.Struct("<HHIII")
REPLY, NO_REPLY, ERROR = 1, 0x10, 0x20
MAX_FDS = 8
EINVAL = 22

# Commands.
(VERSION, DMA_MAP, DMA_UNMAP, GET_INFO, GET_REGION_INFO, GET_REGION_IO_FDS, GET_IRQ_INFO,
 SET_IRQS, REGION_READ, REGION_WRITE, DMA_READ, DMA_WRITE, DEVICE_RESET) = range(1, 14)

# Regions: six BARs, the ROM, the configuration space, VGA.
REGIONS, CONFIG_REGION = 9, 7
# Interrupts: INTx, MSI, MSI-X, errors, requests.
IRQS, PIN, MSI, MSIX = 5, 0, 1, 2
# What SET_IRQS is about.
EVENTFD, UNMASK, TRIGGER = 4, 0x10, 0x20
READABLE, WRITABLE = 1, 2


class DmaError(Exception):
    """The address is not in memory, or bus mastering is disabled."""


class Region:
    """A piece of the guest's memory."""

    def __init__(self, iova, size, offset, fd, writable):
        self.start, self.end = iova, iova + size
        access = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        self.map = mmap.mmap(fd, size, mmap.MAP_SHARED, access, offset=offset)
        self.bytes = memoryview(self.map)
        # A store to this view is one instruction, so the guest never sees half of it.
        self.words = self.bytes.cast("Q")

    def close(self):
        """Unmap the region."""
        self.words.release()
        self.bytes.release()
        with contextlib.suppress(BufferError):
            self.map.close()


class Memory:
    """The guest's memory, as the device sees it."""

    def __init__(self):
        self.regions = []
        self.enabled = False

    def map(self, iova, size, offset, fd, writable):
        """QEMU shares a region."""
        self.regions.append(Region(iova, size, offset, fd, writable))
        # The large regions first: most accesses are there.
        self.regions.sort(key=lambda region: region.start - region.end)

    def unmap(self, iova, size):
        """QEMU takes the regions in a range back."""
        gone = [r for r in self.regions if iova <= r.start and r.end <= iova + size]
        self.regions = [r for r in self.regions if r not in gone]
        for region in gone:
            region.close()

    def clear(self):
        """Unmap all regions: QEMU has gone."""
        for region in self.regions:
            region.close()
        self.regions = []

    def find(self, address, length):
        """The region that contains a range; raises DmaError if there is none."""
        if not self.enabled:
            raise DmaError("bus mastering is off")
        for region in self.regions:
            if region.start <= address and address + length <= region.end:
                return region
        raise DmaError(f"no memory at {address:#x}")

    def read(self, address, length):
        """A copy of so many bytes."""
        region = self.find(address, length)
        at = address - region.start
        return region.map[at:at + length]

    def write(self, address, data):
        """Store bytes."""
        region = self.find(address, len(data))
        at = address - region.start
        region.bytes[at:at + len(data)] = data

    def store64(self, address, value):
        """Store eight aligned bytes in one access."""
        region = self.find(address, 8)
        region.words[address - region.start >> 3] = value

    def load32(self, address):
        """Load four bytes."""
        return int.from_bytes(self.read(address, 4), "little")

    def store32(self, address, value):
        """Store four bytes."""
        self.write(address, value.to_bytes(4, "little"))


class Connection:
    """The connection of one QEMU to one device.

    The device needs `config_read/config_write(offset, ...)`, `bar_read/bar_write(bar,
    offset, ...)`, `reset()`, `bar_size(bar)`, `vectors` (a list for event
    descriptors, None for an unused vector), `pin` (the same), `pin_unmasked()`, `memory`,
    `config.has_msi`.
    """

    def __init__(self, link, device):
        self.link = link
        self.device = device
        self.fds = []
        self.served = {
            VERSION: self.version, DMA_MAP: self.dma_map, DMA_UNMAP: self.dma_unmap,
            GET_INFO: self.info, GET_REGION_INFO: self.region_info, GET_IRQ_INFO: self.irq_info,
            SET_IRQS: self.set_irqs, REGION_READ: self.region_read,
            REGION_WRITE: self.region_write, DEVICE_RESET: self.device_reset,
        }

    def close(self):
        """QEMU has gone: release the memory and descriptors that it shared."""
        self.link.close()
        self.device.memory.clear()
        for index, fd in enumerate(self.device.vectors):
            if fd is not None:
                os.close(fd)
                self.device.vectors[index] = None
        self.set_pin(None)

    def serve(self):
        """Serve one message; returns False at the end of the connection."""
        room = socket.CMSG_SPACE(MAX_FDS * 4)
        try:
            data, extra, _, _ = self.link.recvmsg(HEADER.size, room, socket.MSG_WAITALL)
        except ConnectionResetError:
            return False
        if len(data) < HEADER.size:
            return False
        self.fds = []
        for level, kind, body in extra:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                self.fds += array.array("i", body[:len(body) - len(body) % 4])
        ident, command, size, flags, _ = HEADER.unpack(data)
        length = size - HEADER.size
        payload = self.link.recv(length, socket.MSG_WAITALL) if length else b""
        after = None
        try:
            function = self.served.get(command)
            answer = function(payload) if function else None
            if isinstance(answer, tuple):
                answer, after = answer
        finally:
            for fd in self.fds:
                os.close(fd)
        if not flags & NO_REPLY:
            self.reply(ident, command, answer)
        if after:
            # Slow work comes after the answer, because a virtual CPU waits for the answer.
            after()
        return True

    def reply(self, ident, command, answer):
        """Answer a message; None is an error."""
        bad = answer is None
        body = answer or b""
        head = HEADER.pack(ident, command, HEADER.size + len(body),
                           REPLY | (ERROR if bad else 0), EINVAL if bad else 0)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.link.sendall(head + body)

    # -- the commands -------------------------------------------------------------

    @staticmethod
    def version(_payload):
        """Version 0.0, the only one that QEMU accepts."""
        said = {"capabilities": {"max_msg_fds": MAX_FDS, "max_data_xfer_size": 1 << 20,
                                 "pgsizes": 4096}}
        return struct.pack("<HH", 0, 0) + json.dumps(said).encode() + b"\0"

    def dma_map(self, payload):
        """Map guest memory; memory without a descriptor cannot be mapped."""
        _, flags, offset, iova, size = struct.unpack_from("<IIQQQ", payload)
        if self.fds:
            self.device.memory.map(iova, size, offset, self.fds[0], flags & WRITABLE)
        return b""

    def dma_unmap(self, payload):
        """Unmap guest memory."""
        _, _, iova, size = struct.unpack_from("<IIQQ", payload)
        self.device.memory.unmap(iova, size)
        return payload[:24]

    @staticmethod
    def info(_payload):
        """The device is a PCI device that can be reset."""
        return struct.pack("<IIII", 16, 1 | 2, REGIONS, IRQS)

    def region_info(self, payload):
        """No region can be mapped: each access is a message."""
        index, = struct.unpack_from("<I", payload, 8)
        size = 4096 if index == CONFIG_REGION else self.device.bar_size(index)
        flags = READABLE | WRITABLE if size else 0
        return struct.pack("<IIIIQQ", 32, flags, index, 0, size, 0)

    def irq_info(self, payload):
        """MSI-X has interrupts, or MSI and the pin."""
        index, = struct.unpack_from("<I", payload, 8)
        if self.device.config.has_msi:
            count = int(index in (PIN, MSI))
        else:
            count = len(self.device.vectors) if index == MSIX else 0
        # The pin is masked by QEMU when it has come.
        flags = 1 | 2 | 4 if index == PIN else 1 | 8
        return struct.pack("<IIII", 16, flags, index, count)

    def set_pin(self, fd):
        """Signal the pin by this event descriptor from now on."""
        if self.device.pin is not None:
            os.close(self.device.pin)
        self.device.pin = fd

    def set_irqs(self, payload):
        """Set the event descriptors of vectors; a vector without one is disabled."""
        _, flags, index, start, count = struct.unpack_from("<IIIII", payload)
        vectors = self.device.vectors
        if index == PIN and flags & TRIGGER:
            self.set_pin(self.fds.pop(0) if self.fds else None)
        elif index == PIN and flags & UNMASK:
            self.device.pin_unmasked()
        if index != MSIX:
            # A message of MSI never comes.
            return b""
        if start + count > len(vectors):
            return None
        # A count of 0 means all vectors.
        which = range(start, start + count) if count else range(len(vectors))
        new = list(self.fds) if flags & EVENTFD else []
        for vector in which:
            if vectors[vector] is not None:
                os.close(vectors[vector])
            vectors[vector] = new.pop(0) if new else None
        self.fds = new
        return b""

    def region_read(self, payload):
        """A load by the guest or by QEMU."""
        offset, region, count = struct.unpack_from("<QII", payload)
        if region == CONFIG_REGION:
            data = self.device.config_read(offset, count)
        else:
            data = self.device.bar_read(region, offset, count)
        return payload[:16] + data

    def region_write(self, payload):
        """A store by the guest or by QEMU."""
        offset, region, _ = struct.unpack_from("<QII", payload)
        data = payload[16:]
        if region == CONFIG_REGION:
            after = self.device.config_write(offset, data)
        else:
            after = self.device.bar_write(region, offset, data)
        return payload[:16], after

    def device_reset(self, _payload):
        """QEMU resets the machine, or the guest the bus."""
        self.device.reset()
        return b""

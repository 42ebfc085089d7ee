# SPDX-License-Identifier: GPL-2.0
"""I/O commands of the NVM command set.  NVM Command Set 1.0, 3.2."""

import struct

from data import BadCommand, pieces

FLUSH, WRITE, READ, WRITE_ZEROES, DSM = 0, 1, 2, 8, 9
DEALLOCATE, FUA = 4, 1 << 30
INVALID_OPCODE, INVALID_FIELD, INVALID_NAMESPACE, LBA_RANGE = 1, 2, 0x0b, 0x80


class Nvm:
    """Executes I/O commands: each returns dword 0."""

    def __init__(self, controller):
        self.controller = controller

    def execute(self, command):
        """Execute one command; returns dword 0."""
        controller = self.controller
        if command.nsid not in controller.active():
            if command.opcode == FLUSH and command.nsid == 0xffff_ffff:
                for one in controller.namespaces.values():
                    one.flush()
                return 0
            controller.complain(f"I/O for namespace {command.nsid:#x}")
            raise BadCommand(INVALID_NAMESPACE)
        namespace = controller.namespaces[command.nsid]
        if command.opcode in (READ, WRITE):
            self.transfer(namespace, command)
        elif command.opcode == FLUSH:
            namespace.flush()
        elif command.opcode == WRITE_ZEROES:
            self.zero(namespace, *self.blocks(namespace, command))
        elif command.opcode == DSM:
            self.manage(namespace, command)
        else:
            raise BadCommand(INVALID_OPCODE)
        return 0

    def zero(self, namespace, lba, count):
        """Write zeroes, through the volatile cache if there is one."""
        if self.controller.options["volatile"]:
            namespace.before_write(lba << namespace.shift, count << namespace.shift)
        namespace.zero(lba, count)

    def blocks(self, namespace, command):
        """(first block, number of blocks), which must exist."""
        lba = command.dword(10) | command.dword(11) << 32
        count = (command.dword(12) & 0xffff) + 1
        if lba + count > namespace.blocks:
            self.controller.complain(
                f"blocks {lba} to {lba + count} of {namespace.blocks} of namespace {namespace.nsid}")
            raise BadCommand(LBA_RANGE)
        return lba, count

    def transfer(self, namespace, command):
        """Read and Write."""
        controller = self.controller
        lba, count = self.blocks(namespace, command)
        length, at = count << namespace.shift, lba << namespace.shift
        mdts = controller.options["mdts"]
        if mdts and length > 4096 << mdts:
            controller.complain(f"a transfer of {length} bytes, more than MDTS")
            raise BadCommand(INVALID_FIELD)
        memory, data = controller.memory, namespace.data
        where = pieces(memory, command, length, controller.options, controller.complain)
        if command.opcode == READ:
            for address, size in where:
                memory.write(address, data[at:at + size])
                at += size
        else:
            if controller.options["volatile"]:
                cached = command.dword(12) & FUA == 0
                (namespace.before_write if cached else namespace.is_stable)(at, length)
            for address, size in where:
                data[at:at + size] = memory.read(address, size)
                at += size

    def manage(self, namespace, command):
        """Dataset Management; deallocated blocks read as zeroes."""
        controller = self.controller
        count = (command.dword(10) & 0xff) + 1
        if controller.options["misread"]:
            if command.prp1 & 0xfff:
                controller.complain(f"ranges at {command.prp1:#x}, not at the beginning of a page")
            # Whatever their number is.
            controller.memory.read(command.prp1, 4096)
        where = pieces(controller.memory, command, count * 16, controller.options,
                       controller.complain)
        raw = b"".join(controller.memory.read(address, size) for address, size in where)
        for _, blocks, lba in struct.iter_unpack("<IIQ", raw):
            if lba + blocks > namespace.blocks:
                controller.complain(f"deallocates blocks {lba} to {lba + blocks}")
                raise BadCommand(LBA_RANGE)
            if command.dword(11) & DEALLOCATE:
                self.zero(namespace, lba, blocks)

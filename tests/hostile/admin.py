# SPDX-License-Identifier: GPL-2.0
"""Admin commands.  NVMe Base 2.0, 5."""

import struct

import identify
from data import BadCommand, pieces
from queues import CompletionQueue, SubmissionQueue
from shadow import Shadow

INVALID_OPCODE, INVALID_FIELD, INVALID_NAMESPACE = 1, 2, 0x0b
# Command specific statuses: type 1.
CQ_INVALID, QID_INVALID, QUEUE_SIZE, ABORT_LIMIT, AER_LIMIT = 0x100, 0x101, 0x102, 0x103, 0x105
VECTOR_INVALID, LOG_INVALID, QUEUE_IN_USE = 0x108, 0x109, 0x10c
ABORTED = 7
DO_NOT_RETRY = 0x4000
# Get Log Page, Retain Asynchronous Event: the event stays masked.
RETAIN = 1 << 15
NUMBER_OF_QUEUES, ASYNC_CONFIG, TIMESTAMP, HOST_BEHAVIOUR = 7, 0x0b, 0x0e, 0x16
POWER_TRANSITIONS = 0x0c


class Admin:
    """Executes admin commands: each returns dword 0, or None if it is completed later."""

    def __init__(self, controller):
        self.controller = controller
        self.reset()
        self.served = {
            0x00: self.delete_sq, 0x01: self.create_sq, 0x02: self.get_log, 0x04: self.delete_cq,
            0x05: self.create_cq, 0x06: self.identify, 0x08: self.abort, 0x09: self.set_features,
            0x0a: self.get_features, 0x0c: self.event_request, 0x18: self.keep_alive,
            0x7c: self.doorbell_buffers,
        }

    def reset(self):
        """Forget requests, events and features."""
        self.requests = []
        self.events = []
        self.changed = []
        # Volatile write cache enabled.
        self.features = {6: 1}
        self.transitions = None

    def execute(self, command):
        """Execute one command; returns dword 0 or None."""
        function = self.served.get(command.opcode)
        if function is None:
            raise BadCommand(INVALID_OPCODE)
        return function(command)

    def transfer(self, command, length):
        """(address, bytes) of a command's data in guest memory."""
        controller = self.controller
        if command.prp1 % controller.options["adminalign"]:
            controller.complain(f"data of opcode {command.opcode:#x} is not aligned")
        return pieces(controller.memory, command, length, controller.options,
                      controller.complain)

    def give(self, command, data):
        """Transfer data to the host."""
        at = 0
        for address, length in self.transfer(command, len(data)):
            self.controller.memory.write(address, data[at:at + length])
            at += length

    def get(self, command, length):
        """Transfer data from the host."""
        return b"".join(self.controller.memory.read(address, piece)
                        for address, piece in self.transfer(command, length))

    # -- queues ---------------------------------------------------------------------

    def checked(self, command, there):
        """(id, size) of a queue to be created, checked."""
        ident, size = command.dword(10) & 0xffff, (command.dword(10) >> 16) + 1
        options = self.controller.options
        if not 0 < ident <= options["queues"] or ident in there:
            raise BadCommand(QID_INVALID)
        # Samsung's PM1725 states one entry, and has more.
        most = options["mqes"] + 1 if options["mqes"] else 64 * (options["vendor"] == 0x144d)
        if size < 2 or size > most:
            raise BadCommand(QUEUE_SIZE)
        if not command.dword(11) & 1 or command.prp1 & 0xfff:
            self.controller.complain(f"queue {ident} is not contiguous, or not aligned")
            raise BadCommand(INVALID_FIELD)
        return ident, size

    def create_cq(self, command):
        """Create I/O Completion Queue."""
        controller = self.controller
        ident, size = self.checked(command, controller.cqs)
        vector = command.dword(11) >> 16 if command.dword(11) & 2 else None
        if vector is not None and vector >= len(controller.vectors):
            raise BadCommand(VECTOR_INVALID)
        controller.cqs[ident] = CompletionQueue(ident, command.prp1, size, vector)
        return 0

    def create_sq(self, command):
        """Create I/O Submission Queue."""
        controller = self.controller
        ident, size = self.checked(command, controller.sqs)
        cq = controller.cqs.get(command.dword(11) >> 16)
        if cq is None or cq.id == 0:
            raise BadCommand(CQ_INVALID)
        cq.users += 1
        controller.rules.created(ident)
        controller.sqs[ident] = SubmissionQueue(ident, command.prp1, size, cq)
        controller.sqs[ident].priority = command.dword(11) >> 1 & 3
        return 0

    def delete_sq(self, command):
        """Delete I/O Submission Queue."""
        sq = self.controller.sqs.get(command.dword(10) & 0xffff)
        if sq is None or sq.id == 0:
            raise BadCommand(QID_INVALID)
        sq.busy.clear()
        sq.cq.users -= 1
        del self.controller.sqs[sq.id]
        return 0

    def delete_cq(self, command):
        """Delete I/O Completion Queue."""
        cq = self.controller.cqs.get(command.dword(10) & 0xffff)
        if cq is None or cq.id == 0:
            raise BadCommand(QID_INVALID)
        if cq.users:
            raise BadCommand(QUEUE_IN_USE)
        del self.controller.cqs[cq.id]
        return 0

    def doorbell_buffers(self, command):
        """Doorbell Buffer Config."""
        controller = self.controller
        if not controller.options["dbbuf"]:
            raise BadCommand(INVALID_OPCODE)
        controller.shadow = Shadow(controller, command.prp1, command.prp2)
        return 0

    # -- Identify and log pages -----------------------------------------------------------

    def identify(self, command):
        """Identify."""
        controller = self.controller
        cns = command.dword(10) & 0xff
        fault = controller.faults.armed and controller.faults.take(
            "identify", cns=cns, nsid=command.nsid)
        how = fault.args.get("list") if fault else None
        page = self.page(cns, command, how)
        if fault:
            identify.mutate(page, fault)
        self.give(command, bytes(page))
        return 0

    def page(self, cns, command, how):
        """The Identify data structure of a CNS."""
        controller = self.controller
        name, options = controller.name, controller.options
        if cns == 1:
            return identify.controller(name, options)
        if cns in (2, 7) and options["vs"] >= 0x10100:
            return identify.active(controller.active(), command.nsid, how)
        if cns in (6, 0x1c):
            return identify.command_set()
        if cns not in (0, 3, 5, 8):
            raise BadCommand(INVALID_FIELD)
        # An inactive NSID below FFFFFFFEh has a page of zeroes for CNS 00h.
        nsid = command.nsid if command.nsid in controller.active() else None
        if nsid is None and cns == 0 and 0 < command.nsid < 0xffff_fffe:
            return bytearray(4096)
        if nsid is None:
            raise BadCommand(INVALID_NAMESPACE)
        one = controller.namespaces[nsid]
        if cns == 3:
            return identify.descriptors(name + one.identity, nsid)
        if cns == 8:
            return identify.independent(one)
        return identify.namespace(name, one) if cns == 0 else identify.command_set()

    def get_log(self, command):
        """Get Log Page."""
        length = ((command.dword(10) >> 16 | (command.dword(11) & 0xffff) << 16) + 1) * 4
        if length > 1 << 20:
            raise BadCommand(INVALID_FIELD)
        controller, which = self.controller, command.dword(10) & 0xff
        page = identify.log_page(which, length, self.changed, controller.health)
        if page is None:
            raise BadCommand(LOG_INVALID)
        fault = controller.faults.armed and controller.faults.take("log", lid=which)
        if fault:
            identify.mutate(page, fault)
        self.give(command, bytes(page[:length]))
        if not command.dword(10) & RETAIN:
            if which == 4:
                self.changed.clear()
            controller.events.was_read(which)
        return 0

    # -- features ---------------------------------------------------------------------------

    def count_of_queues(self):
        """Dword 0 of Number of Queues: submission and completion queues, zero-based."""
        granted = self.controller.options["queues"] - 1
        return granted << 16 | granted

    def set_features(self, command):
        """Set Features."""
        feature = command.dword(10) & 0xff
        if feature == NUMBER_OF_QUEUES:
            asked = command.dword(11)
            if asked & 0xffff == 0xffff or asked >> 16 == 0xffff:
                raise BadCommand(INVALID_FIELD)
            return self.count_of_queues()
        if feature == HOST_BEHAVIOUR:
            self.get(command, 512)
        elif feature == TIMESTAMP:
            self.get(command, 8)
        elif feature == POWER_TRANSITIONS and self.controller.options["apst"]:
            # Whether they are on; by state, where each leads to.
            self.transitions = (command.dword(11) & 1,
                                [entry >> 3 & 31 for entry in
                                 struct.unpack("<32Q", self.get(command, 256))])
        elif feature not in (1, 2, 4, 5, 6, 8, 9, 0x0a, ASYNC_CONFIG):
            raise BadCommand(INVALID_FIELD)
        elif feature == ASYNC_CONFIG and not self.controller.options["aec"]:
            raise BadCommand(DO_NOT_RETRY | INVALID_FIELD)
        self.features[feature] = command.dword(11)
        if feature == ASYNC_CONFIG:
            self.controller.events.ever |= command.dword(11)
        return 0

    def get_features(self, command):
        """Get Features."""
        feature = command.dword(10) & 0xff
        if feature == NUMBER_OF_QUEUES:
            return self.count_of_queues()
        if feature == TIMESTAMP:
            self.give(command, bytes(8))
        elif feature not in (1, 2, 4, 5, 6, 8, 9, 0x0a, ASYNC_CONFIG):
            raise BadCommand(INVALID_FIELD)
        return self.features.get(feature, 0)

    # -- events and aborts ----------------------------------------------------------------------

    def event_request(self, command):
        """Asynchronous Event Request."""
        if len(self.requests) > self.controller.options["aerl"]:
            raise BadCommand(AER_LIMIT)
        if self.events:
            return self.events.pop(0)
        self.requests.append(command)
        return None

    def event(self, result):
        """Complete an event request with this dword 0, or queue the event."""
        if not self.requests:
            self.events.append(result)
            return
        self.controller.poster.complete(self.requests.pop(0), 0, result)
        self.controller.signal_all()

    @staticmethod
    def keep_alive(_command):
        """Keep Alive."""
        return 0

    def abort(self, command):
        """Abort: end the command if it still waits."""
        controller = self.controller
        controller.counts["aborts"] += 1
        sq = controller.sqs.get(command.dword(10) & 0xffff)
        victim = sq and sq.busy.get(command.dword(10) >> 16)
        if controller.faults.armed and controller.faults.take("noabort"):
            return 1
        if not victim or victim is command:
            return 1
        if victim in self.requests:
            self.requests.remove(victim)
        controller.poster.finish(victim, ABORTED, 0)
        return 0

# SPDX-License-Identifier: GPL-2.0
"""Submission and completion queues; posting completions, rightly and wrongly.

NVMe Base 2.0, 3.3 (queueing), 4.1 and 4.2 (entries).
"""

import os
import struct
from collections import deque

SQE = struct.Struct("<BBHIQQQQIIIIII")
SUCCESS = 0


class Command:
    """A command that was fetched."""

    __slots__ = ("sq", "opcode", "flags", "cid", "nsid", "prp1", "prp2", "dwords")

    def __init__(self, sq, raw):
        self.sq = sq
        (self.opcode, self.flags, self.cid, self.nsid, _, _,
         self.prp1, self.prp2, *self.dwords) = SQE.unpack(raw)

    def dword(self, number):
        """Command dword 10 to 15."""
        return self.dwords[number - 10]

    def place(self):
        """Where a fault of the command may be: queue and opcode; of Identify the data structure, of
        Get Log Page the page, of Set Features the feature."""
        place = {"queue": self.sq.kind, "op": self.opcode}
        if self.sq.id == 0 and self.opcode == 6:
            place["cns"] = self.dword(10) & 0xff
        if self.sq.id == 0 and self.opcode == 2:
            place["lid"] = self.dword(10) & 0xff
        if self.sq.id == 0 and self.opcode == 9:
            place["fid"] = self.dword(10) & 0xff
        return place


class CompletionQueue:
    """The controller's side of a completion queue."""

    def __init__(self, ident, base, size, vector):
        self.id, self.base, self.size, self.vector = ident, base, size, vector
        self.head = self.tail = 0
        self.phase = 1
        # Entries that do not fit yet.
        self.waiting = deque()
        self.users = 0
        self.interrupt = False
        # A fault overran the queue: its head is no longer checked.
        self.broken = False

    def is_full(self):
        """Whether the queue is full: one entry stays free."""
        return (self.tail + 1) % self.size == self.head

    def used(self):
        """Entries that the host has not consumed."""
        return (self.tail - self.head) % self.size


class SubmissionQueue:
    """The controller's side of a submission queue."""

    def __init__(self, ident, base, size, cq):
        self.id, self.base, self.size, self.cq = ident, base, size, cq
        self.head = self.tail = 0
        # QPRIO: 0 is urgent, 2 medium.
        self.priority = 0
        # Commands that were fetched and not completed, by command id.
        self.busy = {}
        self.kind = "io" if ident else "admin"


class Poster:
    """Posts completions."""

    def __init__(self, controller):
        self.controller = controller
        self.faults = controller.faults
        self.held = []
        # The seconds that each I/O command takes.
        self.slow = 0.0

    def reset(self):
        """Forget held completions."""
        self.held = []

    def complete(self, command, status=SUCCESS, result=0):
        """Complete a command, unless a fault loses, delays or holds the completion."""
        if self.faults.armed:
            take, where = self.faults.take, command.place()
            if take("never", **where):
                return
            fault = take("late", **where)
            if fault:
                self.controller.later(fault.number("ms", 1000) / 1000,
                                      lambda: self.finish(command, status, result))
                return
            fault = take("hold", **where)
            if fault:
                self.hold(fault, (command, status, result))
                return
        if self.slow and command.sq.id:
            self.controller.later(self.slow, lambda: self.finish(command, status, result))
        else:
            self.finish(command, status, result)

    def stray(self, command):
        """A fault may post a completion of no command before this command is executed."""
        sq = command.sq
        fault = self.faults.take("stray", queue=sq.kind, op=command.opcode)
        if not fault:
            return
        # An earlier command id of the same tag: a driver that accepts it has no data yet.
        cid = fault.number("cid", (command.cid - 0x1000) & 0xffff)
        self.post(sq.cq, [0, sq.head | sq.id << 16, cid, SUCCESS])
        self.signal(sq.cq)
        self.controller.sleep(fault.number("ms") / 1000)

    def hold(self, fault, what):
        """Hold a completion, to post several in another order."""
        self.held.append(what)
        if len(self.held) == 1:
            # Fewer commands may come than the fault asks for.
            self.controller.later(0.05, lambda: self.release("reverse"))
        if len(self.held) >= fault.number("count", 8):
            self.release(fault.args.get("order", "reverse"))

    def release(self, order):
        """Post the held completions."""
        held, self.held = self.held, []
        if order == "reverse":
            held.reverse()
        for what in held:
            self.finish(*what)

    def finish(self, command, status, result):
        """Post the completion of a command, unless an abort or a reset ended it."""
        sq = command.sq
        # A later command may have its command id by now.
        if sq.busy.get(command.cid) is not command:
            return
        del sq.busy[command.cid]
        words = [result & 0xffff_ffff | 0, sq.head | sq.id << 16, command.cid, status]
        if self.faults.armed:
            self.finish_badly(command, words)
        else:
            self.post(sq.cq, words)

    def finish_badly(self, command, words):
        """Post a completion as armed faults say."""
        sq, cq = command.sq, command.sq.cq
        where = {"queue": sq.kind, "op": command.opcode}

        def take(name):
            return self.faults.take(name, **where)
        fault = take("result")
        if fault:
            words[0] = fault.number("value")
        fault = take("sqid")
        if fault:
            words[1] = words[1] & 0xffff | fault.number("value", 0xffff) << 16
        fault = take("sqhd")
        if fault:
            words[1] = words[1] & ~0xffff | fault.number("value", 0xffff)
        if take("elsewhere"):
            cq = self.other(cq)
        quiet = take("nointr")
        fault = take("oldphase") or take("torn")
        if fault:
            self.tear(cq, words, fault)
        else:
            self.post(cq, words)
            if take("twice"):
                self.post(cq, words)
        fault = take("overrun")
        if fault:
            self.overrun(cq, words, fault.number("count", cq.size))
        if quiet:
            cq.interrupt = False
        fault = take("storm")
        if fault:
            for _ in range(fault.number("count", 100)):
                self.controller.interrupt(cq.vector)

    def other(self, cq):
        """A completion queue that is not this one, if there is one."""
        others = [one for one in self.controller.cqs.values() if one.id and one is not cq]
        return others[0] if others else cq

    def overrun(self, cq, words, count):
        """Write so many entries with earlier command ids, whether they fit or not."""
        cq.broken = True
        for _ in range(count):
            self.write(cq, [words[0], words[1], (words[2] - 0x1000) & 0xffff, words[3]])
        cq.interrupt = True

    def tear(self, cq, words, fault):
        """Write an entry in two steps, if no other entry can come between them."""
        address = cq.base + cq.tail * 16
        good = words[2] | (words[3] << 1 | cq.phase) << 16
        if "ms" in fault.args and cq.used() == 0 and not cq.waiting:
            memory = self.controller.memory
            first = words[1] | good << 32
            # The old phase tag; or the new one with a command id that is not in flight.
            first ^= 1 << 48 if fault.args.get("kind") != "cid" else 0xfff << 32
            memory.store64(address, words[0])
            memory.store64(address + 8, first)
            self.controller.interrupt(cq.vector)
            self.controller.sleep(fault.number("ms") / 1000)
        self.post(cq, words)

    def post(self, cq, words):
        """Write a completion now, or when there is room."""
        if cq.waiting or cq.is_full() and not cq.broken:
            cq.waiting.append(words)
            return
        self.write(cq, words)

    def write(self, cq, words):
        """Write an entry; the half with the phase tag comes last."""
        memory = self.controller.memory
        address = cq.base + cq.tail * 16
        memory.store64(address, words[0])
        memory.store64(address + 8,
                       words[1] | words[2] << 32 | (words[3] << 1 | cq.phase) << 48)
        cq.tail += 1
        if cq.tail == cq.size:
            cq.tail = 0
            cq.phase ^= 1
        cq.interrupt = True

    def head_moved(self, cq):
        """The host made room: write entries that wait."""
        while cq.waiting and not cq.is_full():
            self.write(cq, cq.waiting.popleft())

    def signal(self, cq):
        """Raise the queue's interrupt if entries were posted."""
        if cq.interrupt:
            cq.interrupt = False
            if cq.vector is not None:
                self.controller.interrupt(cq.vector)


def fire(fd):
    """Signal an event descriptor."""
    os.eventfd_write(fd, 1)

# SPDX-License-Identifier: GPL-2.0
"""The controller: registers, doorbells, reset, fetching and executing commands.

NVMe Base 2.0, 3.1.3 (properties), 3.5 (initialization); NVMe over PCIe 1.0, 3.1.2.
"""

import collections
import heapq
import itertools
import time

import pci
import queues
from admin import Admin
from data import BadCommand, Namespace
from events import Events
from faults import Faults
from io_commands import Nvm
from options import DEFAULTS, VECTORS, cap, ids
from presence import Presence
from queues import Command, CompletionQueue, Poster, SubmissionQueue
from rules import Rules
from vfio_user import DmaError, Memory

DOORBELLS = 0x1000
REGISTERS = {0x00: ("cap", 8), 0x08: ("vs", 4), 0x0c: ("intms", 4), 0x10: ("intmc", 4),
             0x14: ("cc", 4), 0x1c: ("csts", 4), 0x20: ("nssr", 4), 0x24: ("aqa", 4),
             0x28: ("asq", 8), 0x30: ("acq", 8)}
RDY, CFS = 1, 2
IDENTIFY = 6


class Controller(Presence):
    """One controller, complete as long as no fault is armed."""

    def __init__(self, name, log, options=None):
        super().__init__()
        self.name, self.log = name, log
        self.initial = {**DEFAULTS, **(options or {})}
        self.memory = Memory()
        self.vectors = [None] * VECTORS
        # The pin's event descriptor.
        self.pin = None
        self.config = pci.Config(VECTORS, ids(self.initial), self.initial["msi"])
        # When CC.EN became 0.
        self.disabled = 0.0
        self.timers = []
        self.order = itertools.count()
        self.namespaces = {}
        self.faults = Faults(log)
        # I/O commands wait for a firmware activation.
        self.paused = False
        self.health = {"warning": 0}
        self.poster, self.rules = Poster(self), Rules(self)
        self.admin, self.nvm, self.events = Admin(self), Nvm(self), Events(self)
        self.counts, self.options = {}, {}
        # By queue and opcode, and Identify by CNS.
        self.executed = collections.Counter()
        # Options were changed and are not in force yet.
        self.is_changed = False
        # Bytes from one doorbell to the next, since the controller was enabled.
        self.stride = 4
        self.power_on()
        self.renew()
        self.reset()

    # -- from test to test ----------------------------------------------------------

    def renew(self):
        """Forget a test's faults, options and counts; data stays."""
        self.faults.disarm()
        self.faults.taken.clear()
        self.faults.first.clear()
        self.health["warning"] = 0
        self.counts = dict.fromkeys(
            ("commands", "admin", "io", "interrupts", "doorbells", "enables", "resets",
             "shutdowns", "undone", "orphans", "aborts", "complaints"), 0)
        self.executed.clear()
        self.set_options(self.initial)
        self.come_back()

    def set_options(self, changes):
        """Change options; they come into force when the controller is enabled."""
        unknown = set(changes) - set(DEFAULTS)
        if unknown:
            raise ValueError(f"no such option: {' '.join(unknown)}")
        self.options = {**self.options, **changes}
        self.config.identify(*ids(self.options))
        self.is_changed = True
        if not self.regs["cc"] & 1:
            self.use_options()

    def use_options(self):
        """Make the namespaces what the options say, if these were changed."""
        if not self.is_changed:
            return
        self.is_changed = False
        for nsid in range(1, self.options["ns"] + 1):
            one = self.attach(nsid)
            one.size, one.shift, one.identity = one.room, self.options["shift"], ""
        for nsid in range(self.options["ns"] + 1, len(self.namespaces) + 1):
            self.namespaces[nsid].attached = False

    def attach(self, nsid):
        """Attach a namespace, with its former data if it had the same size."""
        one = self.namespaces.get(nsid)
        if one is None or one.room != self.options["size"]:
            one = Namespace(nsid, self.options["size"], self.options["shift"])
            self.namespaces[nsid] = one
        one.attached = True
        return one

    def active(self):
        """The NSIDs of the attached namespaces."""
        return sorted(nsid for nsid, one in self.namespaces.items() if one.attached)

    def complain(self, what):
        """Log a violation by the driver: it fails the test."""
        self.counts["complaints"] += 1
        self.log(f"driver: {what}")

    # -- time -------------------------------------------------------------------------

    def later(self, seconds, function):
        """Call a function later, unless the controller is reset before."""
        heapq.heappush(self.timers, (time.monotonic() + seconds, next(self.order), function))

    def run_timers(self):
        """Call the functions that are due; returns the seconds until the next, or None."""
        while self.timers:
            left = self.timers[0][0] - time.monotonic()
            if left > 0:
                return left
            try:
                heapq.heappop(self.timers)[2]()
            except DmaError as error:
                # The host disabled bus mastering before it disabled the controller.
                self.fatal(error)
            self.signal_all()
        return None

    def fatal(self, error):
        """A queue cannot be read or written: set CSTS.CFS."""
        self.log(f"fatal: {error}")
        self.regs["csts"] |= CFS

    @staticmethod
    def sleep(seconds):
        """Let the driver run while the controller does nothing, for at most 2 s."""
        time.sleep(min(seconds, 2))

    # -- PCI --------------------------------------------------------------------------

    bar_size = staticmethod(pci.bar_size)

    def config_read(self, offset, count):
        """A load from the configuration space."""
        if self.gone and not (self.shows_ids and offset < 4):
            return b"\xff" * count
        self.lose()
        return self.config.read(offset, count)

    def config_write(self, offset, data):
        """A store to the configuration space; one of them is a function level reset."""
        if self.gone:
            return None
        before, was_asleep = self.config.is_master(), self.config.is_asleep()
        if self.config.write(offset, data):
            self.function_reset()
        self.memory.enabled = self.config.is_master()
        self.rules.master(before, self.memory.enabled)
        if self.config.is_asleep() and not was_asleep:
            self.rules.sleeps()
        return None

    def interrupt(self, vector):
        """Raise an interrupt on a vector."""
        if vector is not None and vector < VECTORS and not self.gone:
            self.counts["interrupts"] += 1
            fd = self.pin if self.vectors[vector] is None else self.vectors[vector]
            if fd is not None:
                queues.fire(fd)

    def pin_unmasked(self):
        """QEMU has taken the pin back: raise it again while there are completions."""
        if self.pin is not None and any(
                cq.used() and cq.vector is not None for cq in self.cqs.values()):
            queues.fire(self.pin)

    # -- registers ----------------------------------------------------------------------

    def reset(self):
        """A conventional or function level reset: everything is as after power on."""
        self.counts["resets"] += 1
        self.config.reset()
        self.memory.enabled = False
        self.power_on()

    def power_on(self):
        """Set the registers as after power on."""
        self.regs = {name: 0 for name, _ in REGISTERS.values()}
        self.rules.powered_on()
        self.is_cc_unheard = False
        self.clear()

    def clear(self):
        """A controller reset: no queues, no commands in flight, not ready."""
        self.cqs, self.sqs = {}, {}
        self.timers = []
        self.regs["csts"] = 0
        self.paused = False
        self.events.reset()
        self.shadow = None
        self.rules.reset()
        self.poster.reset()
        self.admin.reset()

    def value(self, name):
        """The value that a register reads as."""
        if name == "csts" and self.options["rdydelay"]:
            passed = (time.monotonic() - self.disabled) * 1000
            if passed < self.options["rdydelay"]:
                self.complain(f"CSTS is read {passed:.0f} ms after CC.EN = 0")
        if name == "cap":
            value = cap(self.options)
        else:
            value = self.options["vs"] if name == "vs" else self.regs[name]
        if self.faults.armed:
            fault = self.faults.take("read", reg=name)
            if fault and "or" in fault.args:
                value |= fault.number("or")
            elif fault:
                value = fault.number("value", -1)
        return value

    def bar_read(self, bar, offset, count):
        """A load from a BAR; 64-bit registers may be read by halves."""
        self.accessed()
        if self.gone or self.config.is_asleep() or not self.config.is_decoding():
            return b"\xff" * count
        if bar != 0 or offset >= DOORBELLS:
            return bytes(count)
        name, size = REGISTERS.get(offset & ~7, ("", 0))
        start = offset & ~7
        if size != 8:
            start = offset & ~3
            name, size = REGISTERS.get(start, ("", 4))
        if not name:
            return bytes(count)
        value = self.value(name) & (1 << size * 8) - 1
        self.rules.was_read(name, value)
        data = value.to_bytes(size, "little")[offset - start:offset - start + count]
        return data.ljust(count, b"\0")

    def bar_write(self, bar, offset, data):
        """A store to a BAR; returns a function to call after the answer, or None."""
        self.accessed()
        if self.gone or self.config.is_asleep() or bar != 0 or not self.config.is_decoding():
            return None
        if offset >= DOORBELLS:
            return self.doorbell(offset - DOORBELLS, data)
        value = int.from_bytes(data, "little")
        if offset in (0x28, 0x2c, 0x30, 0x34):
            name, shift = ("asq", "acq")[offset >= 0x30], offset % 8 * 8
            keep = ~((1 << len(data) * 8) - 1 << shift)
            self.regs[name] = self.regs[name] & keep | value << shift
        elif offset == 0x24:
            self.regs["aqa"] = value
        elif offset == 0x14:
            return self.configure(value)
        if offset in (0x24, 0x28, 0x2c, 0x30, 0x34) and self.regs["cc"] & 1:
            self.complain(f"register {offset:#x} is written while the controller is enabled")
        return None

    def step(self, name, **more):
        """A step of the controller's life, at which a fault may make it vanish, fail or stop."""
        if not self.faults.armed:
            return False
        if self.faults.take("gone", step=name, **more):
            self.vanish()
            return True
        fault = self.faults.take("hide", step=name, **more)
        if fault:
            self.hide(fault.number("ms") / 1000)
            return True
        if fault := self.faults.take("fatal", step=name, **more):
            return self.fail(fault.number("ms") / 1000)
        fault = self.faults.take("stop", step=name, **more)
        if fault:
            self.stop(fault.args.get("until", "ever"))
        return fault

    def fail(self, seconds):
        """Set CSTS.CFS, for so many seconds or for good; returns whether for good."""
        self.regs["csts"] |= CFS
        if seconds:
            self.later(seconds, lambda: self.regs.update(csts=self.regs["csts"] & ~CFS))
        return not seconds

    def configure(self, value):
        """CC was written: enable, disable, shutdown."""
        old, self.regs["cc"] = self.regs["cc"], value
        if old & 1 and not value & 1:
            self.disabled = time.monotonic()
        self.rules.configure(old, value)
        if self.stopped == "reset" and old & 1 and not value & 1:
            self.stopped, self.is_cc_unheard = "", False
        if self.stopped:
            self.is_cc_unheard = True
            return
        if value & 1 and not old & 1:
            self.counts["enables"] += 1
            if self.stops_at("enable"):
                return
            self.become(1)
        elif old & 1 and not value & 1:
            if self.stops_at("disable"):
                return
            keep = self.regs["csts"] & (CFS | RDY)
            self.part()
            self.disable()
            # The reset clears CFS at once; RDY follows in `become`.
            self.regs["csts"] = keep & RDY
            self.become(0)
        shn = value >> 14 & 3
        if shn and not old >> 14 & 3:
            self.counts["shutdowns"] += 1
            self.counts["orphans"] += sum(cq.id > 0 for cq in self.cqs.values())
            if self.stops_at("shutdown"):
                return
            self.shut_down()
        elif not shn:
            self.regs["csts"] &= ~0xc

    def shut_down(self):
        """CSTS.SHST says that a shutdown is in progress, and complete, unless a fault delays that."""
        self.regs["csts"] = self.regs["csts"] & ~0xc | 1 << 2
        if self.faults.take("never", queue="shutdown"):
            return
        fault = self.faults.take("late", queue="shutdown")
        if fault:
            self.later(fault.number("ms") / 1000, self.end_shutdown)
        else:
            self.end_shutdown()

    def end_shutdown(self):
        """A shutdown is complete."""
        self.regs["csts"] = self.regs["csts"] & ~0xc | 2 << 2

    def part(self):
        """A fault may post a last entry to each I/O completion queue at CC.EN = 0."""
        if not self.faults.take("parting"):
            return
        for cq in self.cqs.values():
            if cq.id:
                self.poster.post(cq, (0, 0, 0xffff, 0))
        self.signal_all()

    def stops_at(self, name):
        """A step that a store to CC begins: returns whether a fault stops the controller first."""
        self.is_cc_unheard = bool(self.step(name) and self.stopped)
        return self.is_cc_unheard

    def become(self, ready):
        """CSTS.RDY follows CC.EN, unless a fault delays or prevents it."""
        fault = self.faults.take("ready", to=ready)
        if fault and "ms" not in fault.args:
            return
        if fault:
            self.later(fault.number("ms") / 1000, lambda: self.set_ready(ready))
        else:
            self.set_ready(ready)

    def set_ready(self, ready):
        """Set or clear CSTS.RDY; setting it creates the admin queues."""
        if not ready:
            self.regs["csts"] &= ~RDY
            return
        self.stride = 4 << self.options["dstrd"]
        self.use_options()
        sizes = self.regs["aqa"]
        cq = CompletionQueue(0, self.regs["acq"], (sizes >> 16 & 0xfff) + 1, 0)
        self.cqs[0] = cq
        self.sqs[0] = SubmissionQueue(0, self.regs["asq"], (sizes & 0xfff) + 1, cq)
        if (self.regs["asq"] | self.regs["acq"]) & 0xfff:
            self.complain("the admin queues are not aligned to pages")
        if self.regs["cc"] >> 7 & 15 < self.options["mpsmin"]:
            self.complain("CC.MPS is less than CAP.MPSMIN")
        self.regs["csts"] |= RDY
        self.step("ready")

    # -- doorbells ------------------------------------------------------------------------

    def doorbell(self, offset, data):
        """A doorbell was rung."""
        self.counts["doorbells"] += 1
        value = int.from_bytes(data, "little")
        number, rest = divmod(offset, self.stride)
        queue = (self.cqs if number & 1 else self.sqs).get(number >> 1)
        if rest or len(data) != 4:
            self.complain(f"a store of {len(data)} bytes to {offset:#x} behind the doorbells")
            return None
        if not self.regs["csts"] & RDY or self.regs["csts"] & CFS or self.stopped:
            return None
        if queue is None:
            self.complain(f"the doorbell of a queue that there is not: {number >> 1}")
            return None
        if value >= queue.size:
            self.complain(f"doorbell of queue {queue.id}: {value} of {queue.size}")
            return None
        if self.shadow and queue.id:
            value = self.shadow.newest(queue, number & 1, value)
        return self.head(queue, value) if number & 1 else lambda: self.tail(queue, value)

    def head(self, cq, value):
        """The host has consumed completions: a new head."""
        if (value - cq.head) % cq.size > cq.used() and not cq.broken:
            self.complain(f"completion queue {cq.id}: head {value} is beyond tail {cq.tail}")
        cq.head = value
        try:
            self.poster.head_moved(cq)
        except DmaError as error:
            self.fatal(error)
        self.signal_all()

    def tail(self, sq, value):
        """There are new commands: a new tail."""
        if self.sqs.get(sq.id) is not sq:
            return
        sq.tail = value
        try:
            self.fetch(sq)
        except DmaError as error:
            self.fatal(error)
        self.signal_all()

    def fetch(self, sq):
        """Fetch and execute the commands of a submission queue."""
        while sq.head != sq.tail and not self.regs["csts"] & CFS and not self.stopped:
            if self.paused and sq.id:
                return
            raw = self.memory.read(sq.base + sq.head * 64, 64)
            sq.head = (sq.head + 1) % sq.size
            command = Command(sq, raw)
            self.counts["commands"] += 1
            self.counts[sq.kind] += 1
            self.rules.fetched(sq)
            self.executed[sq.kind, command.opcode] += 1
            if not sq.id and command.opcode == IDENTIFY:
                self.executed["identify", command.dword(10) & 0xff] += 1
            if command.cid in sq.busy:
                self.complain(f"queue {sq.id}: command id {command.cid:#x} is used twice")
            sq.busy[command.cid] = command
            if self.step(sq.kind, op=command.opcode) and (
                    self.gone or self.stopped or self.regs["csts"] & CFS):
                return
            self.execute(command)
            if self.shadow:
                self.shadow.tell(sq)

    def execute(self, command):
        """Execute one command, and complete it unless its completion comes later."""
        sq = command.sq
        status, result = 0, 0
        if self.faults.armed:
            self.poster.stray(command)
        fault = self.faults.armed and self.faults.take("status", **command.place())
        if fault:
            status = self.next_status(fault)
        else:
            try:
                result = (self.nvm if sq.id else self.admin).execute(command)
            except BadCommand as error:
                status, result = error.status, 0
            except DmaError as error:
                self.complain(f"queue {sq.id}, opcode {command.opcode:#x}: {error}")
                status, result = 4, 0
        if result is not None and not self.gone:
            self.poster.complete(command, status, result)

    def next_status(self, fault):
        """The status that a fault asks for: a fixed one, or each in turn."""
        if fault.args.get("value") != "each":
            return fault.number("value", 6)
        status = fault.number("next", 1)
        fault.args["next"] = str((status + fault.number("step", 1) - 1) % 0x7ff + 1)
        return status

    def signal_all(self):
        """Raise the interrupts of queues with new completions."""
        for cq in list(self.cqs.values()):
            self.poster.signal(cq)

    def pack_state(self):
        """The state as a line for debugging."""
        busy = {sq.id: len(sq.busy) for sq in self.sqs.values()}
        regs = " ".join(f"{name}={value:#x}" for name, value in self.regs.items())
        priorities = {sq.id: sq.priority for sq in self.sqs.values() if sq.id}
        return (f"{regs} gone={self.gone} busy={busy} timers={len(self.timers)} "
                f"priorities={priorities}")

# SPDX-License-Identifier: GPL-2.0
"""The rules of stopping and starting a controller and its queues: a breach is a complaint.

The host knows what it has read since the controller last changed by itself: a host that
never read CC.EN = 0 and CSTS.RDY = 0 does not know that old queues are dead.  NVMe Base
2.0, 3.1.3.5 (CC), 3.1.3.6 (CSTS), 3.5 (initialization), 3.6 (shutdown).

A shutdown (CC.SHN) is not undone by a host that sleeps: CC.EN stays 1.  A host that
unbinds or restarts the controller clears CC.EN after the shutdown is complete or its time
is over, with bus mastering taken.
"""

import time

RDY, CFS, SHST = 1, 2, 0xc
IN_PROGRESS = 4
# The least that a shutdown is granted (RTD3E is not stated); the two clocks may differ a little.
SHUTDOWN = 5 * 0.9
ONES = 0xffff_ffff
# Bits 1 to 3 and 25 to 31 of CC are reserved.
RESERVED = 0xfe00_000e


class Rules:
    """What the host has read, and when it enabled the controller."""

    def __init__(self, controller):
        self.controller = controller
        self.known = {}
        self.enabled = 0.0
        # I/O submission queues that had a command since the controller was reset.
        self.worked = set()
        # The controller was not enabled since it was powered on, or reset as a function.
        self.is_fresh = True
        # When the host announced a shutdown, until it enables the controller again; whether it
        # has cleared CC.EN since.
        self.told = None
        self.is_undone = False

    def forget(self):
        """The controller changed without the host: what was read is worth nothing."""
        self.known = {}

    def was_read(self, name, value):
        """The host read a register; all ones tell it nothing."""
        if value == ONES:
            self.known.pop(name, None)
        else:
            self.known[name] = value

    def powered_on(self):
        """The controller is as after power on."""
        self.forget()
        self.is_fresh = True
        self.told, self.is_undone = None, False

    def sleeps(self):
        """The host put the device into D3."""
        if self.told is None:
            return
        if self.is_undone:
            self.controller.complain("the device goes to sleep after its shutdown was undone: "
                                     "CC.EN became 0")
        if self.controller.config.is_master():
            self.controller.complain("the device goes to sleep with bus mastering")

    def loses_power(self):
        """The machine is off."""
        if self.told is not None and self.controller.config.is_master():
            self.controller.complain("the device loses its power with bus mastering")

    def master(self, before, after):
        """The host wrote bus mastering."""
        # Firmware sets it before it looks, and harms nothing.
        if before or not after or self.is_fresh:
            return
        known = self.known
        if known.get("cc", 1) & 1 or known.get("csts", RDY) & RDY:
            regs = self.controller.regs
            self.controller.complain(
                "bus mastering is set before CC.EN = 0 and CSTS.RDY = 0 were read: "
                f"CC {regs['cc']:#x}, CSTS {regs['csts']:#x}")

    def has_sets(self, selected):
        """Whether CAP.CSS has what CC.CSS selects; no command set at all means the NVM one."""
        css = self.controller.options["css"] or 1
        return bool(css & {0: 1, 6: 1 << 6, 7: 1 << 7}.get(selected, 0))

    def configure(self, old, new):
        """The host wrote CC."""
        complain = self.controller.complain
        # A fault may have lied to the host about CSTS.
        csts = self.known.get("csts", self.controller.regs["csts"])
        if new & RESERVED:
            complain(f"CC is written with reserved bits: {new:#x}")
        elif new & 1 and new >> 16 & 0xff != 0x46:
            complain(f"CC is written with other sizes of entries: {new:#x}")
        if new & 1 and not self.has_sets(new >> 4 & 7):
            complain(f"CC.CSS selects command sets that CAP.CSS has not: {new:#x}")
        if new & 1 and not old & 1:
            if csts & RDY:
                complain("CC.EN becomes 1 while CSTS.RDY is 1")
            self.enabled = time.monotonic()
            self.is_fresh = False
            self.told, self.is_undone = None, False
        if new >> 14 & 3 and self.told is None:
            self.told = time.monotonic()
        if old & 1 and not new & 1:
            self.disable(csts)
            # The two clocks may differ a little.
            granted = self.controller.options["to"] * 0.5 * 0.9
            if not csts & (RDY | CFS | SHST) and time.monotonic() < self.enabled + granted:
                complain("CC.EN becomes 0 before CSTS.RDY is 1, CSTS.CFS, or CAP.TO is over")
        self.forget()

    def reset(self):
        """A controller reset has emptied all queues."""
        self.worked = set()

    def fetched(self, sq):
        """The controller has fetched a command."""
        if sq.id:
            self.worked.add(sq.id)

    def created(self, ident):
        """The host created an I/O submission queue: the controller begins at entry 0.  A host that
        has submitted to a queue of this number goes on behind its old tail."""
        if ident in self.worked:
            self.controller.complain(
                f"queue {ident} is created again after it had commands, without a reset")

    def disable(self, csts):
        """The host clears CC.EN, after a shutdown perhaps."""
        if self.told is None:
            return
        self.is_undone = True
        self.controller.counts["undone"] += 1
        early = time.monotonic() < self.told + SHUTDOWN
        if csts & SHST == IN_PROGRESS and not csts & CFS and early:
            self.controller.complain("CC.EN becomes 0 while a shutdown is in progress")
        elif self.controller.config.is_master():
            self.controller.complain("CC.EN becomes 0 after a shutdown, with bus mastering")

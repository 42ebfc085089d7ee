# SPDX-License-Identifier: GPL-2.0
"""The rules of stopping and starting a controller and its queues: a breach is a complaint.

The host knows what it has read since the controller last changed by itself: a host that
never read CC.EN = 0 and CSTS.RDY = 0 does not know that old queues are dead.  NVMe Base
2.0, 3.1.3.5 (CC), 3.1.3.6 (CSTS), 3.5 (initialization).
"""

import time

RDY, CFS, SHST = 1, 2, 0xc
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

    def forget(self):
        """The controller changed without the host: what was read is worth nothing."""
        self.known = {}

    def was_read(self, name, value):
        """The host read a register; all ones tell it nothing."""
        if value == ONES:
            self.known.pop(name, None)
        else:
            self.known[name] = value

    def master(self, before, after):
        """The host wrote bus mastering."""
        if before or not after:
            return
        known = self.known
        if known.get("cc", 1) & 1 or known.get("csts", RDY) & RDY:
            regs = self.controller.regs
            self.controller.complain(
                "bus mastering is set before CC.EN = 0 and CSTS.RDY = 0 were read: "
                f"CC {regs['cc']:#x}, CSTS {regs['csts']:#x}")

    def configure(self, old, new):
        """The host wrote CC."""
        complain = self.controller.complain
        # A fault may have lied to the host about CSTS.
        csts = self.known.get("csts", self.controller.regs["csts"])
        if new & RESERVED:
            complain(f"CC is written with reserved bits: {new:#x}")
        elif new & 1 and new >> 16 & 0xff != 0x46:
            complain(f"CC is written with other sizes of entries: {new:#x}")
        if new & 1 and not old & 1:
            if csts & RDY:
                complain("CC.EN becomes 1 while CSTS.RDY is 1")
            self.enabled = time.monotonic()
        if old & 1 and not new & 1:
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

# SPDX-License-Identifier: GPL-2.0
"""Shadow doorbells.  NVMe Base 2.0, 5.8 and annex B.5."""

from vfio_user import DmaError


class Shadow:
    """Shadow doorbells: the host writes most new values to memory only.

    This controller sets each event index to the last value that it saw, so the host
    also writes each doorbell register. It reads the shadow doorbells every 0.2 s, so
    a lying event index costs time, but loses no command. A doorbell register may be
    written with an older value than the shadow doorbell has been read with, since stores
    to registers are posted: the shadow doorbell counts.
    """

    def __init__(self, controller, doorbells, events):
        self.controller, self.doorbells, self.events = controller, doorbells, events
        self.look()

    def place(self, base, queue, is_cq):
        """The address of a queue's entry."""
        return base + (2 * queue.id + is_cq) * self.controller.stride

    def newest(self, queue, is_cq, written):
        """The shadow doorbell of a queue whose register was written; `written` if there is none."""
        try:
            value = self.controller.memory.load32(self.place(self.doorbells, queue, is_cq))
        except DmaError:
            return written
        return value if value < queue.size else written

    def tell(self, sq):
        """Set the event index of a submission queue."""
        memory, faults = self.controller.memory, self.controller.faults
        fault = faults.armed and faults.take("lie", queue=sq.kind)
        value = fault.number("value") & 0xffff_ffff if fault else sq.tail
        if sq.id:
            memory.store32(self.place(self.events, sq, 0), value)

    def look(self):
        """Read the shadow doorbells of all queues."""
        controller = self.controller
        try:
            for sq in [sq for sq in controller.sqs.values() if sq.id]:
                value = controller.memory.load32(self.place(self.doorbells, sq, 0))
                if value < sq.size and value != sq.tail:
                    controller.tail(sq, value)
                head = controller.memory.load32(self.place(self.doorbells, sq.cq, 1))
                if head < sq.cq.size and head != sq.cq.head:
                    controller.head(sq.cq, head)
        except DmaError as error:
            controller.log(f"shadow doorbells: {error}")
            return
        controller.later(0.2, self.look)

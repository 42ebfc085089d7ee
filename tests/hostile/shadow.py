# SPDX-License-Identifier: GPL-2.0
"""Shadow doorbells.  NVMe Base 2.0, 5.8 and annex B.5."""

from vfio_user import DmaError


class Shadow:
    """Shadow doorbells: the host tells of most changes in memory only.

    This controller is always told by register, for it sets each event index to
    the last value that it saw; and it looks at the shadow now and then, so that
    a lying event index costs time, and no command is lost for good.
    """

    def __init__(self, controller, doorbells, events):
        self.controller, self.doorbells, self.events = controller, doorbells, events
        self.look()

    def place(self, base, queue, is_cq):
        """Where the entry of a queue is."""
        return base + (2 * queue.id + is_cq) * self.controller.stride

    def tell(self, sq):
        """Set the event index of a submission queue."""
        memory, faults = self.controller.memory, self.controller.faults
        fault = faults.armed and faults.take("lie", queue=sq.kind)
        value = fault.number("value") & 0xffff_ffff if fault else sq.tail
        if sq.id:
            memory.store32(self.place(self.events, sq, 0), value)

    def look(self):
        """Look at the shadows of all queues."""
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

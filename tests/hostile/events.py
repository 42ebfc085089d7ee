# SPDX-License-Identifier: GPL-2.0
"""Asynchronous events, and the changes of controller and namespaces that cause them.

NVMe Base 2.0, 5.2 (events), 5.16.1 (the logs that belong to them), 3.11 (firmware).
"""

# Event types; (type, information, log page) of the events that tests cause.
ERROR, HEALTH, NOTICE = 0, 1, 2
CHANGED = (NOTICE, 0, 4)
ACTIVATION = (NOTICE, 1, 3)
PERSISTENT = (ERROR, 3, 1)
RELIABILITY, TEMPERATURE, SPARE = 0, 1, 2
# Bits of Asynchronous Event Configuration that enable an event.
CONFIG = {CHANGED: 1 << 8, ACTIVATION: 1 << 9}
PROCESSING_PAUSED = 1 << 5
ASYNC_CONFIG = 0x0b


class Events:
    """Causes events: first the change, then the notice."""

    def __init__(self, controller):
        self.controller = controller
        self.reset()

    def reset(self):
        """No event was reported yet."""
        # Event types that are masked until their log page is read.
        self.masked = set()
        # What the driver has enabled since.
        self.ever = 0
        self.waiting = []

    def tell(self, event):
        """Report an event, now or when its type is no longer masked, unless the driver has
        disabled it again; raises ValueError if the driver has never enabled it."""
        kind, information, page = event
        enabled = self.controller.admin.features.get(ASYNC_CONFIG, 0)
        need = CONFIG.get(event, 0)
        if kind == HEALTH and self.controller.options["aec"]:
            need = self.controller.health["warning"]
        if need and not self.ever & need:
            raise ValueError(f"the driver has not enabled it: {enabled:#x} of {need:#x}")
        if need and not enabled & need:
            return
        if kind in self.masked:
            self.waiting.append(event)
            return
        self.masked.add(kind)
        self.controller.admin.event(page << 16 | information << 8 | kind)

    def was_read(self, page):
        """A log page was read: unmask its event type and report what waits."""
        for event in (CHANGED, ACTIVATION, PERSISTENT, (HEALTH, 0, 2)):
            if event[2] == page:
                self.masked.discard(event[0])
        waiting, self.waiting = self.waiting, []
        controller = self.controller
        if page == 2 and controller.health["warning"] and not controller.options["aec"]:
            waiting.append((HEALTH, RELIABILITY, page))
        for event in waiting:
            self.tell(event)

    # -- namespaces -------------------------------------------------------------------

    def changed(self, nsid):
        """Report that a namespace was changed, attached or detached."""
        admin = self.controller.admin
        if nsid not in admin.changed:
            admin.changed.append(nsid)
        self.tell(CHANGED)

    def namespace(self, verb, nsid, words):
        """attach, detach, resize BLOCKS, format SHIFT [keep], identity NAME."""
        controller = self.controller
        if verb == "attach":
            controller.attach(nsid)
        elif verb == "detach":
            controller.namespaces[nsid].attached = False
        elif verb == "resize":
            controller.namespaces[nsid].resize(int(words[0], 0))
        elif verb == "format":
            controller.namespaces[nsid].format(int(words[0], 0), "keep" in words)
        elif verb == "identity":
            controller.namespaces[nsid].identity = words[0]
        else:
            raise ValueError(f"no such change of a namespace: {verb}")
        if "quiet" not in words:
            self.changed(nsid)

    # -- the controller ---------------------------------------------------------------

    def smart(self, warning):
        """Set Critical Warning in the health log and report it; 0 is no warning any more, and no event."""
        self.controller.health["warning"] = warning
        if not warning:
            return
        which = SPARE if warning & 1 else TEMPERATURE if warning & 2 else RELIABILITY
        self.tell((HEALTH, which, 2))

    def persistent(self):
        """Report a persistent internal error."""
        self.tell(PERSISTENT)

    def activate(self, milliseconds):
        """Activate another firmware: CSTS.PP is set and I/O commands wait for so long."""
        controller = self.controller
        controller.regs["csts"] |= PROCESSING_PAUSED
        controller.paused = True
        controller.later(milliseconds / 1000, self.activated)
        self.tell(ACTIVATION)

    def activated(self):
        """The firmware runs: clear CSTS.PP and execute what waits."""
        controller = self.controller
        controller.regs["csts"] &= ~PROCESSING_PAUSED
        controller.paused = False
        for sq in list(controller.sqs.values()):
            controller.tail(sq, sq.tail)

# SPDX-License-Identifier: GPL-2.0
"""What happens to a controller and its namespaces by itself, and how it tells.

NVMe Base 2.0, 5.2 (events), 5.16.1 (the logs that belong to them), 3.11 (firmware).
"""

# Types of events; (type, information, log page) of those that tests cause.
ERROR, HEALTH, NOTICE = 0, 1, 2
CHANGED = (NOTICE, 0, 4)
ACTIVATION = (NOTICE, 1, 3)
PERSISTENT = (ERROR, 3, 1)
RELIABILITY, TEMPERATURE, SPARE = 0, 1, 2
# Bits of Asynchronous Event Configuration: without them there is no such event.
CONFIG = {CHANGED: 1 << 8, ACTIVATION: 1 << 9}
PROCESSING_PAUSED = 1 << 5
ASYNC_CONFIG = 0x0b


class Events:
    """Causes events: what changes, then the notice."""

    def __init__(self, controller):
        self.controller = controller
        self.reset()

    def reset(self):
        """Nothing was told yet."""
        # Types that are not told again until their log has been read.
        self.masked = set()
        self.waiting = []

    def tell(self, event):
        """An event of a kind; it comes now, or when the last of its type was dealt with."""
        kind, information, page = event
        enabled = self.controller.admin.features.get(ASYNC_CONFIG, 0)
        need = CONFIG.get(event, 0)
        if kind == HEALTH:
            need = self.controller.health["warning"]
        if need and not enabled & need:
            raise ValueError(f"the driver has not enabled it: {enabled:#x} of {need:#x}")
        if kind in self.masked:
            self.waiting.append(event)
            return
        self.masked.add(kind)
        self.controller.admin.event(page << 16 | information << 8 | kind)

    def was_read(self, page):
        """A log was read: what it belongs to may be told again."""
        for event in (CHANGED, ACTIVATION, PERSISTENT, (HEALTH, 0, 2)):
            if event[2] == page:
                self.masked.discard(event[0])
        waiting, self.waiting = self.waiting, []
        for event in waiting:
            self.tell(event)

    # -- namespaces -------------------------------------------------------------------

    def changed(self, nsid):
        """A namespace is another one, or gone, or new."""
        admin = self.controller.admin
        if nsid not in admin.changed:
            admin.changed.append(nsid)
        self.tell(CHANGED)

    def namespace(self, verb, nsid, words):
        """attach, detach, resize BLOCKS, format SHIFT, identity NAME."""
        controller = self.controller
        if verb == "attach":
            controller.attach(nsid)
        elif verb == "detach":
            controller.namespaces[nsid].attached = False
        elif verb == "resize":
            controller.namespaces[nsid].resize(int(words[0], 0))
        elif verb == "format":
            controller.namespaces[nsid].format(int(words[0], 0))
        elif verb == "identity":
            controller.namespaces[nsid].identity = words[0]
        else:
            raise ValueError(f"no such change of a namespace: {verb}")
        if "quiet" not in words:
            self.changed(nsid)

    # -- the controller ---------------------------------------------------------------

    def smart(self, warning):
        """A critical warning, which bits of the log name."""
        self.controller.health["warning"] = warning
        which = SPARE if warning & 1 else TEMPERATURE if warning & 2 else RELIABILITY
        self.tell((HEALTH, which, 2))

    def persistent(self):
        """A persistent internal error."""
        self.tell(PERSISTENT)

    def activate(self, milliseconds):
        """Another firmware begins: commands are not executed meanwhile, CSTS.PP says so."""
        controller = self.controller
        controller.regs["csts"] |= PROCESSING_PAUSED
        controller.paused = True
        controller.later(milliseconds / 1000, self.activated)
        self.tell(ACTIVATION)

    def activated(self):
        """It runs."""
        controller = self.controller
        controller.regs["csts"] &= ~PROCESSING_PAUSED
        controller.paused = False
        for sq in list(controller.sqs.values()):
            controller.tail(sq, sq.tail)

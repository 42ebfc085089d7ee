# SPDX-License-Identifier: GPL-2.0
"""Draws the next faults from a seed, so that a run can be repeated.

Each step is a fault or two, a change of the controller's capabilities, or both, and the
guest's action at that time.
"""

import random

# Fields of Identify that drivers use: (CNS, offset, bytes).
FIELDS = (
    (1, 77, 1), (1, 76, 1), (1, 88, 4), (1, 128, 2), (1, 130, 2), (1, 256, 2), (1, 512, 1),
    (1, 513, 1), (1, 516, 4), (1, 520, 2), (1, 525, 1), (1, 526, 2), (1, 528, 2), (1, 536, 4),
    (1, 24, 8), (1, 768, 8),
    (0, 0, 8), (0, 8, 8), (0, 24, 1), (0, 25, 1), (0, 26, 1), (0, 27, 1), (0, 29, 1),
    (0, 33, 1), (0, 34, 2), (0, 36, 2), (0, 38, 2), (0, 46, 2), (0, 64, 8), (0, 72, 2),
    (0, 104, 8), (0, 128, 4), (2, 0, 4), (2, 4, 4), (3, 0, 4), (3, 12, 4), (6, 0, 4), (6, 4, 4),
)
# CAP fields and other options, with values at the edges.
OPTIONS = {
    "mqes": (0, 1, 2, 3, 31, 65535), "to": (0, 1, 255), "dstrd": (0, 1, 3, 7, 15),
    "mpsmin": (0, 0, 0, 1, 15), "css": (1, 1, 1, 0, 0x40, 0xc1, 0xff), "mdts": (0, 1, 5, 9, 255),
    "queues": (1, 2, 9), "dbbuf": (0, 1), "sgls": (0, 1), "vs": (0, 0x10000, 0x10400, 0x20100,
                                                                0xffffffff),
    "ns": (0, 1, 2, 3), "shift": (9, 12),
}
EDGES = (0, 1, 0xff)


class Fuzzer:
    """The steps of one seed."""

    def __init__(self, controller, seed, resets=False):
        self.controller = controller
        self.resets = resets
        self.random = random.Random(seed)
        self.done = 0
        self.drawn = ({}, [])

    def step(self):
        """Draw the next step; returns "ACTION NUMBER: FAULT; ..."."""
        self.done += 1
        draw = self.random
        self.drawn = ({}, [])
        if self.resets:
            action, makers = "reset", draw.choice((
                (self.life,), (self.life,), (self.admin,), (self.admin,), (self.register,),
                (self.page,), (self.options,), (self.completion,), (self.stop,),
                (self.admin, self.completion), (self.options, self.admin)))
        else:
            action, makers = self.choose()
        said = [maker() for maker in makers]
        return f"{action} {self.done}: " + "; ".join(said)

    def choose(self):
        """Draw the guest's action and the kinds of faults."""
        return self.random.choice((
            ("io", (self.completion,)), ("io", (self.completion, self.completion)),
            ("io", (self.completion, self.register)), ("rebind", (self.completion,)),
            ("bind", (self.register,)), ("bind", (self.page,)), ("bind", (self.page, self.page)),
            ("bind", (self.options,)), ("bind", (self.options, self.page)),
            ("bind", (self.admin,)), ("bind", (self.life,)), ("rebind", (self.life,)),
            ("reset", (self.completion,)),
        ))

    def go(self):
        """Put the faults and options of the step into force."""
        options, faults = self.drawn
        self.controller.faults.disarm()
        self.controller.set_options({**self.controller.initial, **options})
        for name, words in faults:
            self.controller.faults.arm(name, words)

    def arm(self, name, *words):
        """Add a fault to the step; returns its text."""
        self.drawn[1].append((name, words))
        return " ".join((name, *words))

    def when(self, most):
        """Draw how often a fault is taken, and after how many chances."""
        draw = self.random
        return (f"times={draw.choice((1, 1, 2, 5, 20))}", f"after={draw.randrange(most)}")

    def bytes(self, count):
        """Draw so many bytes: an edge value repeated, a single bit, noise."""
        draw = self.random
        kind = draw.randrange(4)
        if kind == 0:
            return bytes([draw.choice(EDGES)]) * count
        if kind == 1:
            return (1 << draw.randrange(count * 8)).to_bytes(count, "little")
        return draw.randbytes(count)

    # -- kinds of misbehaviour ------------------------------------------------------

    def completion(self, queue="io", most=60):
        """A fault of a completion."""
        draw = self.random
        name, *words = draw.choice((
            ("stray", f"ms={draw.randrange(20)}"), ("stray", f"cid={draw.randrange(0xc00, 0xfff)}"), ("twice",),
            ("sqid", f"value={draw.randrange(65536)}"), ("sqhd", f"value={draw.randrange(65536)}"),
            ("oldphase", f"ms={draw.randrange(1, 20)}"), ("late", f"ms={draw.randrange(900)}"),
            ("late", f"ms={draw.randrange(1500, 4000)}"), ("never",),
            ("hold", f"count={draw.randrange(2, 12)}"), ("nointr",),
            ("storm", f"count={draw.randrange(1, 300)}"), ("overrun",),
            ("torn", "kind=cid", f"ms={draw.randrange(1, 10)}"),
            ("status", f"value={draw.randrange(1, 0x800) | draw.randrange(16) << 11}"), ("status", "value=each"),
            ("result", f"value={draw.randrange(1 << 32)}"),
        ))
        return self.arm(name, f"queue={queue}", *words, *self.when(most))

    def admin(self):
        """A fault of the completion of an admin command."""
        return self.completion("admin", 12)

    def register(self):
        """A register that reads as another value."""
        draw = self.random
        reg = draw.choice(("cap", "vs", "cc", "csts", "csts"))
        value = int.from_bytes(self.bytes(8 if reg == "cap" else 4), "little")
        how = draw.choice(("value", "or"))
        return self.arm("read", f"reg={reg}", f"{how}={value:#x}", *self.when(4))

    def life(self):
        """The controller fails, vanishes or is not ready in time, at some step of its life."""
        draw = self.random
        step = draw.choice(("enable", "ready", "disable", "shutdown", "admin", "io"))
        name = draw.choice(("fatal", "gone", "ready", "ready"))
        if name == "ready":
            # The driver never frees the memory of a controller that does not stop in time, which
            # kmemleak reports: so RDY is cleared within 200 ms.
            words = draw.choice((("to=1",), ("to=1", f"ms={draw.randrange(1500)}"),
                                 ("to=0", f"ms={draw.randrange(200)}")))
            return self.arm(name, *words)
        most = {"admin": 12, "io": 40}.get(step, 1)
        return self.arm(name, f"step={step}", f"after={draw.randrange(most)}")

    def stop(self):
        """The controller stops at some step, until a reset or for good."""
        draw = self.random
        step = draw.choice(("enable", "ready", "disable", "admin", "admin", "io"))
        most = {"admin": 12, "io": 40}.get(step, 1)
        until = draw.choice(("reset", "reset", "ever"))
        return self.arm("stop", f"step={step}", f"until={until}", f"after={draw.randrange(most)}")

    def page(self):
        """An Identify page with other contents."""
        draw = self.random
        if draw.randrange(6) == 0:
            return self.arm("identify", f"cns={draw.choice((0, 1, 2, 3, 6))}",
                            f"fill={draw.choice(EDGES)}")
        if draw.randrange(6) == 0:
            return self.arm("identify", "cns=2", "times=always",
                            f"list={draw.choice(('endless', 'unsorted', 'same'))}")
        cns, offset, length = draw.choice(FIELDS)
        return self.arm("identify", f"cns={cns}", f"at={offset}:{self.bytes(length).hex()}",
                        "times=always")

    def options(self):
        """Extreme capabilities of the controller."""
        draw = self.random
        names = draw.sample(sorted(OPTIONS), draw.choice((1, 1, 2, 4)))
        chosen = {name: draw.choice(OPTIONS[name]) for name in names}
        if self.resets and "to" in chosen:
            # At most 2 s: other tests cover the maximum of CAP.TO, 127.5 s.
            chosen["to"] = min(chosen["to"], 4)
        self.drawn[0].update(chosen)
        return "set " + " ".join(f"{name}={value}" for name, value in chosen.items())

# SPDX-License-Identifier: GPL-2.0
"""Named faults: which there are, arming them, taking them.

A fault is armed with a number of times (`times=always` for all), a number of
chances to let pass first (`after=N`), and `key=value` pairs.  A pair whose key
the place also knows (`queue`, `op`, `reg`, `cns`, ...) must match; the others
say what is done.  docs/TESTING.md has the table.
"""

import time

# What each fault does, and the keys by which its places can be chosen.
KNOWN = {
    "read": "a register (reg, times) reads as `value`, or has the bits `or`",
    "fatal": "CSTS.CFS is set at a step (enable, ready, disable, shutdown, admin, io, access; op)",
    "gone": "the device is gone from a step on: all ones, no interrupts",
    "away": "the device does not answer for `ms` after a reset of its function, or ever",
    "ready": "CSTS.RDY follows CC.EN (to=1 or 0) after `ms`, or never",
    "identify": "Identify (cns, nsid): `fill` bytes, `at`=OFFSET:HEX,..., list=endless|unsorted|same",
    "log": "Get Log Page (lid): `fill` bytes, `at`=OFFSET:HEX,...",
    "stop": "from a step on nothing happens any more, until a reset (`until=reset`) or for ever",
    "elsewhere": "its completion comes on another queue",
    "result": "dword 0 of a completion (queue, op, fid) is `value`",
    "status": "the command (queue, op) fails with `value`, or with `each` in turn",
    "never": "the command (queue, op) is not completed",
    "late": "it is completed after `ms`",
    "hold": "it waits until `count` have come, which are completed in the order of `order`",
    "stray": "a completion for a command that is not in flight comes `ms` before: `cid`",
    "twice": "it is completed twice",
    "sqid": "its completion names another queue: `value`",
    "sqhd": "its completion has another submission queue head: `value`",
    "oldphase": "its completion has the old phase tag for `ms`",
    "torn": "its completion is written in halves, the phase tag `ms` before the command id",
    "nointr": "its completion interrupts nobody",
    "storm": "`count` more interrupts come with it",
    "parting": "as CC.EN becomes 0 each I/O completion queue gets an entry of no command",
    "overrun": "`count` more entries than fit are written to its completion queue",
    "lie": "the event index of its queue's shadow doorbell is `value`",
    "noabort": "Abort says that it did nothing",
}


class Armed:
    """One fault that waits."""

    def __init__(self, words):
        pairs = dict(word.split("=", 1) for word in words)
        times = pairs.pop("times", "1")
        self.times = None if times == "always" else int(times)
        self.after = int(pairs.pop("after", "0"))
        self.args = pairs

    def matches(self, context):
        """Whether this is a place for it."""
        return all(self.same(self.args[key], value)
                   for key, value in context.items() if key in self.args)

    @staticmethod
    def same(said, value):
        """Texts as such, numbers as numbers; `a|b` is any of both."""
        if isinstance(value, int):
            return any(int(one, 0) == value for one in said.split("|"))
        return value in said.split("|")

    def number(self, key, default=0):
        """An argument as a number."""
        return int(self.args.get(key, str(default)), 0)


class Faults:
    """All that are armed, and how often each was taken."""

    def __init__(self, log):
        self.log = log
        self.armed = {}
        self.taken = {}
        # When each was first taken since it was armed.
        self.first = {}

    def arm(self, name, words):
        """Arm one more."""
        if name not in KNOWN:
            raise ValueError(f"no such fault: {name}")
        self.first.pop(name, None)
        self.armed.setdefault(name, []).append(Armed(words))

    def disarm(self, name=None):
        """Forget those of a name, or all."""
        if name is None:
            self.armed.clear()
        else:
            self.armed.pop(name, None)

    def take(self, name, **context):
        """The fault of this name for this place, if one is due."""
        if name not in self.armed:
            return None
        for one in self.armed[name]:
            if not one.matches(context):
                continue
            if one.after:
                one.after -= 1
                continue
            if one.times is not None:
                one.times -= 1
                if one.times == 0:
                    self.armed[name].remove(one)
                    if not self.armed[name]:
                        del self.armed[name]
            self.taken[name] = self.taken.get(name, 0) + 1
            self.first.setdefault(name, time.monotonic())
            if self.taken[name] < 100:
                where = " ".join(f"{key}={value}" for key, value in context.items())
                said = " ".join(f"{key}={value}" for key, value in one.args.items())
                self.log(f"fault: {name} {said} ({where})")
            return one
        return None

# SPDX-License-Identifier: GPL-2.0
"""Named faults: the list of them, arming them, taking them.

A fault is armed with a number of times (`times=N`, or `times=always`), a number of
chances that pass first (`after=N`), and `key=value` pairs.  A pair whose key the
place of the fault has, too (`queue`, `op`, `reg`, `cns`, ...), must match; the
others say what is done; with `until=flr` a function level reset disarms the fault.
docs/TESTING.md has the table.
"""

import time

# What each fault does, and the keys that choose its place.
KNOWN = {
    "read": "a register (reg, times) reads as `value`, or has the bits `or`",
    "fatal": "CSTS.CFS is set at a step (enable, ready, disable, shutdown, admin, io, access; op), for `ms` or for good",
    "gone": "the device vanishes at a step: all reads are ones, no interrupts",
    "hide": "the device does not answer for `ms` from a step on, and then goes on as it was",
    "left": "a function level reset ends with CC.EN = 1, as firmware leaves it, and CSTS.RDY = `rdy`",
    "lost": "the configuration space, and all else, is lost `ms` after a function level reset",
    "kept": "CC.EN = 0 leaves the I/O queues",
    "away": "the device does not answer for `ms`, or for good, after a function level reset",
    "ready": "CSTS.RDY follows CC.EN (to=1 or 0) after `ms`, or never",
    "identify": "Identify (cns, nsid): `fill` bytes, `at`=OFFSET:HEX,..., list=endless|unsorted|same",
    "log": "Get Log Page (lid): `fill` bytes, `at`=OFFSET:HEX,...",
    "stop": "the controller does nothing from a step on, until a reset (`until=reset`) or for good",
    "elsewhere": "its completion comes on another queue",
    "result": "dword 0 of a completion (queue, op, fid) is `value`",
    "status": "the command (queue, op; Identify: cns; Get Log Page: lid) fails with `value`, or with `each` in turn",
    "never": "the command (queue, op) is not completed",
    "late": "the command (queue, op) is completed after `ms`",
    "hold": "commands wait until there are `count`, and are completed in the order of `order`",
    "stray": "a completion of a command id not in flight (`cid`) comes `ms` before its own",
    "twice": "the command is completed twice",
    "sqid": "its completion names another queue: `value`",
    "sqhd": "its completion has another submission queue head: `value`",
    "oldphase": "its completion has the old phase tag for `ms`",
    "torn": "its completion is written in halves, the phase tag `ms` before the command id",
    "nointr": "its completion raises no interrupt",
    "storm": "`count` more interrupts come with it",
    "parting": "when CC.EN becomes 0 each I/O completion queue gets an entry of no command",
    "overrun": "`count` more entries than fit are written to its completion queue",
    "lie": "the event index of its queue's shadow doorbell is `value`",
    "noabort": "Abort completes without aborting the command",
}


class Armed:
    """One armed fault."""

    def __init__(self, words):
        pairs = dict(word.split("=", 1) for word in words)
        times = pairs.pop("times", "1")
        self.times = None if times == "always" else int(times)
        self.after = int(pairs.pop("after", "0"))
        self.args = pairs

    def matches(self, context):
        """Whether all keys that the place has match."""
        return all(self.same(self.args[key], value)
                   for key, value in context.items() if key in self.args)

    @staticmethod
    def same(said, value):
        """Compare a text, or a number; `a|b` is either of two."""
        if isinstance(value, int):
            return any(int(one, 0) == value for one in said.split("|"))
        return value in said.split("|")

    def number(self, key, default=0):
        """An argument as a number."""
        return int(self.args.get(key, str(default)), 0)


class Faults:
    """All armed faults, and how often each was taken."""

    def __init__(self, log):
        self.log = log
        self.armed = {}
        self.taken = {}
        # The time at which each was first taken since it was armed.
        self.first = {}

    def arm(self, name, words):
        """Arm a fault; raises ValueError if there is none of this name."""
        if name not in KNOWN:
            raise ValueError(f"no such fault: {name}")
        self.first.pop(name, None)
        self.armed.setdefault(name, []).append(Armed(words))

    def disarm(self, name=None):
        """Disarm the faults of a name, or all."""
        if name is None:
            self.armed.clear()
        else:
            self.armed.pop(name, None)

    def function_was_reset(self):
        """Disarm the faults that last until a function level reset."""
        for name, armed in list(self.armed.items()):
            left = [one for one in armed if one.args.get("until") != "flr"]
            self.armed[name] = left
            if not left:
                del self.armed[name]

    def take(self, name, **context):
        """Take the fault of this name at this place, if one is due."""
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

# SPDX-License-Identifier: GPL-2.0
"""Whether the controller is on the bus and does anything, and in what state it comes back."""

import time


class Presence:
    """The part of the controller by which it stops, vanishes and comes back."""

    def __init__(self):
        self.gone = False
        # The device is gone for a time only, and keeps its state.
        self.hidden = False
        # "" while the controller works; else until what it is stopped: "reset" or "ever".
        self.stopped = ""
        # CC was written while the controller was stopped.
        self.is_cc_unheard = False
        # Gone, but the host answers for its ids.
        self.shows_ids = False
        # When the last function level reset came.
        self.function_was_reset = 0.0
        # When the configuration space is lost; 0: it is not.
        self.lost_at = 0.0

    def lose(self):
        """The device loses its configuration space, and all else, if it is time to."""
        if self.lost_at and time.monotonic() >= self.lost_at:
            self.lost_at = 0.0
            self.log("the configuration space is lost")
            self.config.reset()
            self.memory.enabled = False
            self.power_on()

    def accessed(self):
        """A register is read or written: a device that needs a pause after a function level reset
        does not become ready any more if that comes too soon."""
        passed = (time.monotonic() - self.function_was_reset) * 1000
        if passed < self.options["flrdelay"]:
            self.complain(f"a register is accessed {passed:.0f} ms after a function level reset")
            self.function_was_reset = 0.0
            self.faults.arm("ready", ["to=1", "times=always", "until=flr"])
        self.lose()
        self.step("access")

    def disable(self):
        """CC.EN = 0 clears the controller; a fault may leave its I/O queues."""
        kept = None
        if self.faults.take("kept"):
            kept = [{ident: one for ident, one in queues.items() if ident}
                    for queues in (self.cqs, self.sqs)]
        self.clear()
        if kept:
            self.cqs, self.sqs = kept

    def function_reset(self):
        """A function level reset: of it the controller may come back late, or as others left it."""
        self.log("function level reset")
        if self.stopped == "reset":
            self.stopped = ""
        kept = {name: self.regs[name] for name in ("aqa", "asq", "acq")}
        self.reset()
        self.faults.function_was_reset()
        self.function_was_reset = time.monotonic()
        fault = self.faults.take("left")
        if fault:
            self.regs.update(kept)
            self.leave(fault.number("rdy", 1))
        fault = self.faults.take("lost")
        self.lost_at = time.monotonic() + fault.number("ms") / 1000 if fault else 0.0
        self.stay_away()

    def leave(self, ready):
        """Leave the controller enabled, as firmware or another kernel does, whether it is ready or
        will never be."""
        self.regs["cc"] = 0x460001
        self.rules.enabled = time.monotonic()
        self.rules.is_fresh = False
        if ready:
            self.set_ready(1)

    def stay_away(self):
        """After a function level reset a fault may keep the device away, for a time or for good."""
        fault = self.faults.take("away")
        if fault:
            self.vanish()
            if "ms" in fault.args:
                self.later(fault.number("ms") / 1000, self.come_back)

    def stop(self, until):
        """Stop the controller: registers keep their values, commands wait."""
        self.stopped, self.is_cc_unheard = until, False
        self.timers = []

    def vanish(self, shows_ids=False):
        """Remove the device from the bus; the host may still answer for its ids."""
        self.gone, self.shows_ids = True, shows_ids
        self.timers = []

    def hide(self, seconds):
        """Take the device from the bus for a time; it keeps its state."""
        self.gone = self.hidden = True
        self.later(seconds, self.come_back)

    def come_back(self):
        """A device that was gone is back, as after power on; one that was hidden is back as it was.
        A controller that was stopped goes on, without what it missed."""
        self.rules.forget()
        self.shows_ids = False
        if self.hidden:
            self.gone = self.hidden = False
        if self.gone:
            self.gone = False
            self.reset()
        if self.stopped:
            self.stopped = ""
        if self.is_cc_unheard:
            self.is_cc_unheard = False
            # The controller now follows the last value written to CC.
            enable, self.regs["cc"] = self.regs["cc"], 0
            self.clear()
            self.configure(enable)

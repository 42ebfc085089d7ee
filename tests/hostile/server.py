#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""An NVMe controller that behaves until a test tells it to misbehave.

  server.py --socket S --control C --name NAME [option=value ...]

QEMU's `vfio-user-pci` connects to the first socket; tests send requests to the second,
a line a connection: see `Control`.  The server ends with its standard input.
"""

import argparse
import contextlib
import os
import selectors
import socket
import sys
import time
import traceback

sys.dont_write_bytecode = True

from fuzz import Fuzzer  # noqa: E402  (after the line above on purpose)
from nvme import Controller  # noqa: E402
from options import parse_options  # noqa: E402
from vfio_user import Connection  # noqa: E402


def log(text):
    """Print a line of the log."""
    print(f"{time.monotonic():.3f} {text}", flush=True)


class Control:
    """The requests of tests: each returns a text or None, or raises ValueError."""

    def __init__(self, controller):
        self.controller = controller
        self.fuzzer = None

    def answer(self, line):
        """Serve a line of requests, separated by semicolons; returns (succeeded, texts)."""
        texts = []
        for request in filter(str.strip, line.split(";")):
            good, text = self.answer_one(request)
            texts.append(text)
            if not good:
                return False, text
        return True, "\n".join(filter(None, texts))

    def answer_one(self, line):
        """Serve one request; returns (succeeded, text)."""
        verb, *words = line.split()
        function = getattr(self, "do_" + verb.replace("-", "_"), None)
        try:
            if function is None:
                raise ValueError(f"unknown request: {verb}")
            said = function(words)
            return True, "" if said is None else str(said)
        except (ValueError, KeyError, IndexError) as error:
            return False, f"{line}: {error}"

    def do_arm(self, words):
        """arm FAULT [times=N|always] [after=N] [key=value ...]"""
        log("control: arm " + " ".join(words))
        self.controller.faults.arm(words[0], words[1:])

    def do_disarm(self, words):
        """disarm [FAULT]"""
        self.controller.faults.disarm(*words[:1])

    def do_count(self, words):
        """count FAULT|WHAT: how often a fault was taken, or WHAT was counted; count admin|io OPCODE,
        count identify CNS: how many of these commands came."""
        controller = self.controller
        if len(words) > 1:
            return controller.executed[words[0], int(words[1], 0)]
        if words[0] in controller.counts:
            return controller.counts[words[0]]
        return controller.faults.taken.get(words[0], 0)

    def do_set(self, words):
        """set OPTION=VALUE ...: in force from the next enable on."""
        self.controller.set_options(parse_options(words))

    def do_new(self, _words):
        """new: as at the start, with the present data."""
        log("control: new")
        self.controller.renew()
        self.fuzzer = None

    def do_gone(self, words):
        """gone [ids=1]: the device vanishes; the host may answer for its ids."""
        self.controller.vanish(bool(parse_options(words).get("ids")))

    def do_leave(self, words):
        """leave [rdy=0]: CC.EN = 1 now, as firmware leaves it, and CSTS.RDY = 1 unless told."""
        self.controller.leave(parse_options(words).get("rdy", 1))

    def do_back(self, _words):
        """back: the device is there again, as after power on."""
        self.controller.come_back()
        self.controller.power_on()

    def do_slow(self, words):
        """slow MS: each I/O command takes so long from now on, also after `new`; 0 ends that."""
        self.controller.poster.slow = int(words[0]) / 1000

    def do_event(self, words):
        """event RESULT: an asynchronous event with this dword 0."""
        self.controller.admin.event(int(words[0], 0))

    def do_since(self, words):
        """since FAULT: the seconds since it was first taken."""
        return f"{time.monotonic() - self.controller.faults.first[words[0]]:.2f}"

    def do_ns(self, words):
        """ns attach|detach|resize|format|identity NSID [VALUE] [keep] [quiet]: change a namespace."""
        self.controller.events.namespace(words[0], int(words[1], 0), words[2:])

    def do_smart(self, words):
        """smart WARNING: set these critical warnings in the health log, with the event."""
        self.controller.events.smart(int(words[0], 0))

    def do_persistent(self, _words):
        """persistent: the event of a persistent internal error."""
        self.controller.events.persistent()

    def do_activate(self, words):
        """activate MS: activate another firmware, which takes so long."""
        self.controller.events.activate(int(words[0]))

    def do_stop(self, words):
        """stop [until=reset]: the controller does nothing any more."""
        self.controller.stop(words[0].removeprefix("until=") if words else "ever")

    def do_fatal(self, _words):
        """fatal: set CSTS.CFS now."""
        self.controller.regs["csts"] |= 2

    def do_lose_cache(self, _words):
        """lose-cache: lose data that was not flushed (volatile=1); returns the sectors lost."""
        return sum(one.lose_cache() for one in self.controller.namespaces.values())

    def do_irq(self, words):
        """irq VECTOR [N]: raise interrupts without a completion."""
        for _ in range(int(words[1]) if len(words) > 1 else 1):
            self.controller.interrupt(int(words[0]))

    def do_state(self, _words):
        """state: registers and commands in flight."""
        return self.controller.pack_state()

    def do_transitions(self, _words):
        """transitions: power state transitions, as the driver has set them (apst=1)."""
        return self.controller.admin.transitions

    def do_fuzz(self, words):
        """fuzz SEED [resets]: start with a seed."""
        self.fuzzer = Fuzzer(self.controller, int(words[0], 0), "resets" in words)

    def do_fuzz_step(self, _words):
        """fuzz-step: draw the next step; returns the action and the faults."""
        text = self.fuzzer.step()
        log("fuzz: " + text)
        return text

    def do_fuzz_go(self, _words):
        """fuzz-go: put the faults of the step into force."""
        self.fuzzer.go()

    def do_calm(self, _words):
        """calm: no faults, options as at the start, the device present."""
        self.controller.faults.disarm()
        self.controller.set_options(self.controller.initial)
        self.controller.come_back()


class Server:
    """The two sockets and their connections."""

    def __init__(self, options, controller):
        self.controller = controller
        self.control = Control(controller)
        self.waits = []
        self.selector = selectors.DefaultSelector()
        # The process that started the server holds the other end.
        self.selector.register(sys.stdin, selectors.EVENT_READ, lambda _: sys.exit(0))
        self.listen(options.control, self.accept_control)
        self.listen(options.socket, self.accept_qemu)

    def listen(self, path, function):
        """Listen on a socket."""
        one = socket.socket(socket.AF_UNIX)
        # The runner passes short paths: sun_path has 108 bytes.
        one.bind(path)
        one.listen(4)
        self.selector.register(one, selectors.EVENT_READ, function)

    def accept_qemu(self, listener):
        """QEMU connects, at its start or when the device is plugged in again."""
        link = listener.accept()[0]
        log("QEMU has connected")
        connection = Connection(link, self.controller)

        def serve(_link):
            if not connection.serve():
                log("QEMU has gone")
                self.selector.unregister(link)
                connection.close()
                self.controller.rules.loses_power()
                self.controller.reset()
        self.selector.register(link, selectors.EVENT_READ, serve)

    def accept_control(self, listener):
        """Serve a line with one answer; that of `await WHAT TIMES SECONDS` comes later."""
        link = listener.accept()[0]
        link.settimeout(5)
        line = b""
        while not line.endswith(b"\n"):
            data = link.recv(4096)
            if not data:
                return
            line += data
        before, wait, what = line.decode().strip().partition("await ")
        good, text = self.control.answer(before)
        if wait and good:
            name, times, seconds = what.split()
            self.waits.append((link, name, int(times), time.monotonic() + float(seconds)))
        else:
            self.reply(link, good, text)

    @staticmethod
    def reply(link, good, text):
        """Send the answer and close the connection."""
        with link, contextlib.suppress(OSError):
            link.sendall(f"{0 if good else 1} {text}".encode())

    def look_at_waits(self):
        """Answer each `await` that is over; returns whether some still wait."""
        waits, self.waits = self.waits, []
        for wait in waits:
            link, name, times, until = wait
            count = self.control.do_count([name])
            if count >= times:
                self.reply(link, True, "")
            elif time.monotonic() > until:
                self.reply(link, False, f"{name}: {count} of {times} within the time")
            else:
                self.waits.append(wait)
        return bool(self.waits)

    def run(self):
        """Serve until standard input ends."""
        while True:
            timeout = self.controller.run_timers()
            if self.look_at_waits():
                timeout = min(0.05 if timeout is None else timeout, 0.05)
            for key, _ in self.selector.select(timeout):
                # After a stall of the host timers are due before what the guest asked meanwhile.
                self.controller.run_timers()
                key.data(key.fileobj)


def main():
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--socket", required=True)
    parser.add_argument("--control", required=True)
    parser.add_argument("--name", default="hostile")
    parser.add_argument("options", nargs="*")
    options = parser.parse_args()
    controller = Controller(options.name, log, parse_options(options.options))
    try:
        Server(options, controller).run()
    except Exception:  # of any kind: the runner looks for it in the log
        log("died: " + traceback.format_exc())
        os._exit(1)


if __name__ == "__main__":
    main()

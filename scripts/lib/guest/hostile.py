# SPDX-License-Identifier: GPL-2.0
"""The servers of a machine's own NVMe controllers (tests/hostile), beside QEMU."""

import contextlib
import json
import socket
import subprocess
import sys
import time

from . import initramfs

# What QEMU is told of the device; the rest of the header is for the server.
DEVICE = ("bus", "addr")


class Hostile:
    """One server, and the device that is connected to it."""

    def __init__(self, words, folder, top):
        self.name, *options = words
        pairs = [word.split("=", 1) for word in options]
        self.device = {key: value for key, value in pairs if key in DEVICE}
        self.socket, self.control = f"{folder}/{self.name}.sock", f"{folder}/{self.name}.ctl"
        self.log = f"{folder}/hostile-{self.name}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, f"{top}/tests/hostile/server.py", "--socket", self.socket,
                 "--control", self.control, "--name", self.name,
                 *["=".join(pair) for pair in pairs if pair[0] not in DEVICE]],
                stdin=subprocess.PIPE, stdout=log, stderr=log)
        self._await()

    def _await(self):
        """Wait until it listens; the control socket is its first."""
        deadline = time.monotonic() + 20
        while not self.ask("state")[0]:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the hostile controller does not start:\n{initramfs.read(self.log)}")
            time.sleep(0.02)

    def arguments(self):
        """QEMU's, for the device."""
        where = {"path": self.socket, "type": "unix"}
        device = {"driver": "vfio-user-pci", "id": self.name, "socket": where, **self.device}
        return ["-device", json.dumps(device)]

    def ask(self, line):
        """One request; returns (worked, answer)."""
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(120)
            try:
                link.connect(self.control)
                link.sendall(line.encode() + b"\n")
                answer = b""
                while data := link.recv(65536):
                    answer += data
            except OSError as error:
                return False, f"the hostile controller does not answer: {error}"
        status, _, text = answer.decode().partition(" ")
        return status == "0", text

    def died(self):
        """Why it ended, if it did: it never does by itself."""
        if self.process.poll() is None:
            return None
        last = initramfs.read(self.log).strip().splitlines()[-1:] or ["no word of it"]
        return f"the hostile controller {self.name} died: {last[0]}"

    def end(self):
        """End it; should the runner be killed, it ends with the pipe."""
        self.process.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()


def memory(size):
    """QEMU's arguments for memory that the servers share."""
    return ["-object", f"memory-backend-memfd,id=hostile-memory,size={size}M,share=on"]

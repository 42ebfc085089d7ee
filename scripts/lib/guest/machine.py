# SPDX-License-Identifier: GPL-2.0
"""One boot of the guest: QEMU, its kernel log, its command port, QMP."""

import contextlib
import json
import os
import re
import select
import shlex
import shutil
import socket
import subprocess
import tempfile
import time

from . import hostile, initramfs, times

LINUX = "/cache/linux"
QUIET = ("pci_nvme_err_*", "pci_nvme_ub_*")
# What spares an emulated CPU work that no test looks at.  Without these features the kernel sets
# and copies memory by words: QEMU executes "rep stosb" byte by byte.  The debug kernel makes no
# legacy pseudo terminals (256 pairs of devices), and no kernel compares QEMU's TSC with other
# clocks, which a loaded host makes look wrong.  Nor does a kernel look for devices that no test has.
LIGHT_FEATURES = ",erms=off,fsrm=off,fsrs=off,fzrm=off,fsrc=off"
LIGHT_APPEND = ["pty.legacy_count=0", "tsc=reliable"]
LIGHT_MACHINE = ",hpet=off,i8042=off,smbus=off,sata=off"
# How many seconds QEMU may take for an answer, and for its end.
QMP_PATIENCE = 120
END_PATIENCE = 10


class GuestDied(Exception):
    """QEMU ended, or the guest did not answer in time."""


class Kernel:
    """A kernel to boot: `stock`, `debug` or `inline`, as scripts/setup calls them."""

    def __init__(self, kind):
        self.kind = kind
        self.key = initramfs.read(f"{LINUX}/{kind}/.key").strip()
        if kind == "stock":
            self.image, self.modules = f"{LINUX}/vmlinuz", f"{LINUX}/modules"
        else:
            self.image, self.modules = f"{LINUX}/{kind}/arch/x86/boot/bzImage", f"{LINUX}/{kind}"
        self.release = initramfs.read(f"{LINUX}/{kind}/include/config/kernel.release").strip()
        config = initramfs.read(f"{LINUX}/{kind}/include/config/auto.conf")
        # Where the addresses of modules begin (MODULES_VADDR): above the room for the kernel.
        self.modules_at = (0xffffffffc0000000 if "CONFIG_RANDOMIZE_BASE=y" in config.splitlines()
                           else 0xffffffffa0000000)
        # What the debug kernel checks costs time.
        self.slower = 4 if kind == "debug" else 1


def headers(path):
    """The `#@ name: value` lines of a file: {name: [value, ...]}."""
    found = {}
    for line in initramfs.read(path).splitlines():
        match = re.match(r"#@\s*([\w-]+):\s*(.*?)\s*$", line)
        if match:
            found.setdefault(match[1], []).append(match[2])
    return found


def have_kvm():
    """Whether KVM can run a guest: /dev/kvm may open on machines where it cannot."""
    if not re.search(r"\b(vmx|svm)\b", initramfs.read("/proc/cpuinfo")):
        return False
    try:
        with open("/dev/kvm", "r+b", buffering=0):
            return True
    except OSError:
        return False


class Definition:
    """A machine: QEMU arguments in a file, with headers.

    `#@ disk: NAME SIZE` makes a sparse file, {NAME} stands for its path;
    `#@ each: N ARGUMENTS` stands for the arguments N times, {n} being 1 to N;
    `#@ append: ...` goes to the kernel's command line; `#@ mem: MiB`,
    `#@ smp: N` and `#@ machine: options of -M` say more about the machine.
    `#@ hostile: NAME OPTION=VALUE ...` adds an NVMe controller of our own
    (tests/hostile): `bus` and `addr` say where, the rest is for its server.
    `#@ firmware: FILE` is what starts the machine: SeaBIOS can end a sleep in ACPI S3.
    """

    def __init__(self, path):
        self.name = os.path.basename(path)
        head = headers(path)
        self.disks = [value.split() for value in head.get("disk", [])]
        self.append = head.get("append", [])
        self.memory = int(head.get("mem", ["512"])[0])
        self.cpus = head.get("smp", ["2"])[0]
        self.options = "".join("," + value for value in head.get("machine", []))
        # Not SeaBIOS: its own NVMe driver would be first at the device, and it takes longer.
        self.firmware = head.get("firmware", ["qboot.rom"])[0]
        self.hostile = [value.split() for value in head.get("hostile", [])]
        if self.hostile:
            self.options += ",memory-backend=hostile-memory"
        self.arguments = shlex.split(initramfs.read(path), comments=True)
        for value in head.get("each", []):
            number, arguments = value.split(" ", 1)
            for n in range(1, int(number) + 1):
                self.arguments += shlex.split(arguments.replace("{n}", str(n)))


class Guest:
    """A running guest."""

    def __init__(self, kernel, definition, module, top, shell=False, append="", arguments=(),
                 files=None, emulate=False, light=False):
        """Start QEMU; `arguments` are more of QEMU's, `files` more of the guest's, by path;
        `emulate` uses no hardware virtualisation even if there is; `light` makes an emulated
        CPU do less; bench/ counts instructions and does without."""
        self.began = time.monotonic()
        # CPU seconds of QEMU processes of this guest that have ended.
        self.spent = 0.0
        self.dir = tempfile.mkdtemp(prefix="rnvme-guest.")
        self.kvm = have_kvm() and not emulate
        self.light = light and not self.kvm
        self.kernel = kernel
        self.definition = definition
        # The kernel's own driver is under test: what the devices see of it is not ours.
        self.foreign = "rnvme.driver=nvme" in append
        self.buffer = b""
        self.qmp_socket = None
        self.port = None
        self.console = f"{self.dir}/kernel.log"
        self.trace = f"{self.dir}/trace.log"
        self.errors = f"{self.dir}/qemu.log"
        for path in (self.console, self.trace, self.errors):
            open(path, "wb").close()
        initramfs.initrd(f"{self.dir}/initrd", kernel, module, top)
        self._add_files(files or {})
        self.hostile = [hostile.Hostile(words, self.dir, top) for words in definition.hostile]
        self.command = self._command(shell, append) + list(arguments)
        self.qemu = None
        # What a test wants to find again when its guest has been killed.
        self.kept = {}
        # QEMU's trace events that a test has turned on.
        self.traced = set()
        # How a guest that sleeps is to be woken: "s3" or "s2idle".
        self.wakes = None
        if not shell:
            self._start()

    def _start(self):
        with open(self.errors, "ab") as errors:
            self.qemu = subprocess.Popen(self.command, stdin=subprocess.DEVNULL,
                                         stdout=errors, stderr=errors)

    def restart(self, limit):
        """Kill QEMU as it is, and boot another one with the same disks."""
        self._start_anew()
        self.boot(limit)

    def await_off(self, limit):
        """Wait until the guest has powered itself off; whether it did."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.qemu.wait(limit) == 0
        return False

    def _start_anew(self):
        self.kill()
        self._disconnect()
        self.traced.clear()
        with open(self.console, "rb") as old, open(f"{self.console}.killed", "ab") as kept:
            shutil.copyfileobj(old, kept)
        for name in ("port", "qmp"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self.dir}/{name}")
        self._start()

    def _add_files(self, files):
        """Another archive at the end of the initial file system: {path there: path here}."""
        path = f"{self.dir}/files"
        archive = initramfs.Archive(path)
        for name, source in files.items():
            archive.file(name, source)
        archive.close()
        with open(f"{self.dir}/initrd", "ab") as out, open(path, "rb") as more:
            shutil.copyfileobj(more, out)

    def _command(self, shell, append):
        definition = self.definition
        places = {}
        for name, size in definition.disks:
            places[name] = f"{self.dir}/disk.{name}"
            subprocess.run(["truncate", "-s", size, places[name]], check=True)
        arguments = [re.sub(r"\{(\w+)\}", lambda m: places[m[1]], word)
                     for word in definition.arguments]
        memory = definition.memory + (512 if self.kernel.kind == "debug" else 0)
        if self.hostile:
            arguments = hostile.memory(memory) + arguments
            for one in self.hostile:
                arguments += one.arguments()
        # Under load an emulated timer is late enough to look broken.
        line = ["console=ttyS0", "no_timer_check", "panic=-1", "oops=panic", "loglevel=7", "rdinit=/init",
                "rnvme.shell" if shell else "rnvme.test", *definition.append, append]
        # Four levels of page tables: an early interrupt that finds the CPU's features not
        # yet known takes them for that many, and KASAN then reports wild accesses.
        features = ",la57=off"
        machine = "q35" + definition.options
        if self.light:
            machine += LIGHT_MACHINE
            line += LIGHT_APPEND
            features += LIGHT_FEATURES
        port = ["-serial", "mon:stdio"] if shell else [
            # Not a serial port: its interrupts are edges, and with the machine
            # under load the guest misses one now and then, for good.
            "-chardev", f"socket,id=port,path={self.dir}/port,server=on,wait=off",
            "-device", "virtio-serial-pci,addr=1e.0", "-device", "virtconsole,chardev=port"]
        return [
            "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none",
            "-no-reboot", "-M", machine,
            "-accel", "kvm" if self.kvm else "tcg,thread=multi",
            "-cpu", ("host" if self.kvm else "max") + features,
            "-smp", definition.cpus, "-m", str(memory),
            "-bios", definition.firmware, "-kernel", self.kernel.image,
            "-initrd", f"{self.dir}/initrd", "-append", " ".join(line),
            "-serial", f"file:{self.console}", *port,
            "-qmp", f"unix:{self.dir}/qmp,server=on,wait=off",
            "-D", self.trace, *[word for name in QUIET for word in ("-trace", name)],
            *arguments,
        ]

    # -- waiting for the guest ------------------------------------------------

    def _connect(self, name, deadline):
        while True:
            link = socket.socket(socket.AF_UNIX)
            try:
                link.connect(f"{self.dir}/{name}")
                return link
            except OSError:
                link.close()
                self._check(deadline)
                time.sleep(0.02)

    def _check(self, deadline):
        for one in self.hostile:
            if one.died():
                raise GuestDied(one.died())
        if self.qemu.poll() is not None:
            said = initramfs.read(self.errors).strip().splitlines()[-1:]
            raise GuestDied(f"the guest ended (QEMU's status {self.qemu.returncode})"
                            + "".join(f": {line}" for line in said))
        if time.monotonic() > deadline:
            raise GuestDied("the guest did not answer in time")

    def _await_end(self):
        """QEMU has closed a connection: it is at its end, or stuck there."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.qemu.wait(END_PATIENCE)
        self._check(0)

    def has_crashed(self):
        """Whether QEMU was ended by a signal."""
        return (self.qemu.poll() or 0) < 0

    def read_line(self, deadline):
        """The next line of the command port, without its end."""
        while b"\n" not in self.buffer:
            ready = select.select([self.port], [], [], 0.5)[0]
            try:
                data = self.port.recv(65536) if ready else b""
            except ConnectionResetError:
                data = b""
            if ready and not data:
                self._await_end()
            if not data:
                self._check(deadline)
                self._wake()
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.decode(errors="replace").rstrip("\r")

    def boot(self, limit):
        """Wait until the guest takes commands.

        The kernel without the module fails to boot once in a while (QEMU's code generator and code
        that the kernel changes while other CPUs run it): then it is booted once more."""
        try:
            self._await_ready(limit)
        except GuestDied as reason:
            where = self.keep_logs(f"{self.kernel.kind}-{self.definition.name}-boot", {})
            print(f"      boot: {reason}, once more (logs: {where})", flush=True)
            self._start_anew()
            self._await_ready(limit)

    def _await_ready(self, limit):
        deadline = time.monotonic() + limit
        self.port = self._connect("port", deadline)
        while self.read_line(deadline) != "@ready":
            pass

    def send(self, line):
        """Send one line to the guest. The reader of its answer sees that the guest has ended."""
        with contextlib.suppress(ConnectionError):
            self.port.sendall(line.encode() + b"\n")

    def _wake(self):
        """End the sleep of a guest that asked to be woken; called when it has been silent."""
        if self.wakes == "s3" and '"suspended"' in self.qmp('{"execute":"query-status"}')[1]:
            self.wakes = None
            self.qmp('{"execute":"system_wakeup"}')
        elif self.wakes == "s2idle":
            # QEMU does not know of this sleep. The button does nothing to a guest that is awake.
            self.qmp('{"execute":"system_powerdown"}')

    # -- what the guest and the tests ask of the host ---------------------------

    def qmp(self, text):
        """Run one QMP command (JSON text); returns (worked, answer)."""
        if self.qmp_socket is None:
            link = self._connect("qmp", time.monotonic() + 10)
            link.settimeout(QMP_PATIENCE)
            self.qmp_socket = link.makefile("rw")
            self.qmp_socket.readline()
            self._qmp_call('{"execute":"qmp_capabilities"}')
        return self._qmp_call(text)

    def _qmp_call(self, text):
        with contextlib.suppress(ConnectionError, TimeoutError):
            self.qmp_socket.write(text + "\n")
            self.qmp_socket.flush()
            while line := self.qmp_socket.readline():
                answer = json.loads(line)
                if "return" in answer:
                    return True, json.dumps(answer["return"])
                if "error" in answer:
                    return False, answer["error"]["desc"]
        return self._await_end()

    def pin_jobs(self):
        """The guest's first CPU gets a core of the host, and all else of QEMU the other cores.

        A CPU that polls never sleeps: on the core of the thread that plays the controller it
        holds that up for as long as the host's scheduler thinks fair."""
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            return
        cpus = json.loads(self.qmp('{"execute":"query-cpus-fast"}')[1])
        first = next(one["thread-id"] for one in cpus if one["cpu-index"] == 0)
        for thread in map(int, os.listdir(f"/proc/{self.qemu.pid}/task")):
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(thread, cores[:1] if thread == first else cores[1:])

    def set_trace(self, pattern, enable):
        """Turn QEMU's trace events on or off."""
        (self.traced.add if enable else self.traced.discard)(pattern)
        return self.qmp(json.dumps({"execute": "trace-event-set-state",
                                    "arguments": {"name": pattern, "enable": enable}}))

    def calm(self):
        """Nothing of the test before stays in force: no fault that it armed, no trace but what every
        test is judged by, no text that it kept."""
        for one in self.hostile:
            one.ask("new; slow 0")
        for pattern in list(self.traced):
            self.set_trace(pattern, False)
        self.kept.clear()

    def log_size(self, path):
        """Where a log ends now."""
        return os.path.getsize(path)

    def log_since(self, path, start):
        """What was logged since."""
        with open(path, "rb") as log:
            log.seek(start)
            return log.read().decode(errors="replace")

    def answer(self, request, trace_start):
        """Serve one "@host" request of a test; returns (worked, text)."""
        verb, _, rest = request.partition(" ")
        if verb == "qmp":
            return self.qmp(rest)
        if verb in ("trace-on", "trace-off"):
            return self.set_trace(rest.strip(), verb == "trace-on")
        if verb in ("trace-count", "trace-log"):
            pattern = re.compile(re.escape(rest.strip()).replace(r"\*", r"\w*") + r"\b")
            text = self.log_since(self.trace, trace_start)
            lines = [line for line in text.splitlines() if pattern.match(line)]
            return True, str(len(lines)) if verb == "trace-count" else "\n".join(lines)
        if verb == "hostile":
            return self.ask_hostile(rest)
        if verb == "keep":
            name, _, text = rest.partition(" ")
            self.kept[name] = text
            return True, ""
        if verb == "kept":
            return rest in self.kept, self.kept.get(rest, "")
        if verb == "sleep":
            time.sleep(float(rest))
            return True, ""
        if verb == "wake":
            self.wakes = rest or None
            return True, ""
        return False, f"unknown request: {verb}"

    def ask_hostile(self, line):
        """Ask a hostile controller: the first, or the one named by "@NAME" in front."""
        name, _, rest = line.partition(" ")
        for one in self.hostile:
            if not name.startswith("@"):
                return one.ask(line)
            if name == "@" + one.name:
                return one.ask(rest)
        return False, f"there is no hostile controller for: {line}"

    # -- the end ----------------------------------------------------------------

    def cpu_seconds(self):
        """User and system seconds of QEMU and of the hostile controllers' servers so far."""
        running = [one.process.pid for one in self.hostile]
        if self.qemu and self.qemu.returncode is None:
            running.append(self.qemu.pid)
        return self.spent + sum(times.cpu_of(pid) for pid in running)

    def _reap(self):
        """Wait for QEMU, which has ended or is about to; its CPU seconds stay known."""
        os.waitid(os.P_PID, self.qemu.pid, os.WEXITED | os.WNOWAIT)
        self.spent += times.cpu_of(self.qemu.pid)
        self.qemu.wait()

    def quit(self):
        """Power the guest off; whether it went by itself."""
        if self.qemu.returncode is not None:
            return False
        self.send("quit")
        deadline = time.monotonic() + 20 * self.kernel.slower
        while time.monotonic() < deadline:
            if os.waitid(os.P_PID, self.qemu.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG):
                self._reap()
                return True
            time.sleep(0.05)
        return False

    def kill(self):
        """End QEMU however it is."""
        if self.qemu and self.qemu.returncode is None:
            self.qemu.kill()
            self._reap()

    def _disconnect(self):
        """Close what is connected to QEMU."""
        for link in (self.port, self.qmp_socket):
            if link:
                link.close()
        self.port = self.qmp_socket = None
        self.buffer = b""

    def keep_logs(self, name, texts):
        """Save the logs (and more texts) in the cache; returns where (outside the root)."""
        folder = f"logs/{time.strftime('%Y%m%d-%H%M%S')}-{re.sub(r'[^A-Za-z0-9._-]+', '-', name)}"
        os.makedirs("/cache/" + folder, exist_ok=True)
        for path in (self.console, self.trace, self.errors, *[one.log for one in self.hostile]):
            shutil.copy(path, "/cache/" + folder)
        texts["command"] = shlex.join(self.command) + "\n"
        for file, text in texts.items():
            with open(f"/cache/{folder}/{file}", "w", encoding="utf-8") as out:
                out.write(text)
        return os.environ.get("RNVME_CACHE_OUTSIDE", "/cache") + "/" + folder

    def clean(self):
        """End the guest and remove its files."""
        self.kill()
        for one in self.hostile:
            one.end()
        self._disconnect()
        shutil.rmtree(self.dir, ignore_errors=True)

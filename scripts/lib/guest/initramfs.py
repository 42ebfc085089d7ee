# SPDX-License-Identifier: GPL-2.0
"""Initial file systems for the guest, as uncompressed cpio archives.

The kernel takes several archives one after the other, so what rarely changes
(tools, kernel modules) is kept and only the module and the tests are packed
anew.  Nothing is compressed: unpacking costs seconds in an emulated CPU.
"""

import fcntl
import glob
import hashlib
import lzma
import os
import re
import shutil
import stat
import subprocess
import tempfile

CACHE = "/cache/guest"

# Programs of the guest, from the build root.  Whatever is missing here,
# busybox has.
PROGRAMS = """
    bash fio mke2fs e2fsck dumpe2fs mkfs.xfs xfs_repair xfs_io sfdisk blkdiscard
    blockdev blkzone lsblk findmnt wipefs taskset setpci lspci kmod dmsetup dd
    stat cmp fsfreeze perl
""".split()
LINKS = {
    "modprobe": "kmod", "insmod": "kmod", "rmmod": "kmod", "lsmod": "kmod",
    "modinfo": "kmod", "depmod": "kmod", "mkfs.ext4": "mke2fs", "fsck.ext4": "e2fsck",
}
# Libraries of fio's engines for network storage: they bring 50 MB and seconds
# of relocation in an emulated CPU.  One empty library with the same symbols does for all: the
# loader maps a file once, whatever its names.
UNUSED_LIBRARIES = re.compile(r"lib(ibverbs|rdmacm|nfs|gfapi|nbd|rados|rbd|pmem)\.so")

# Modules that the tests need in a kernel that has them as modules; what these
# depend on comes with them.
MODULES = "nvme ext4 xfs loop dm-mod dm-flakey kyber-iosched bfq button".split()


MOTD = """The guest of rnvme. The driver is loaded; /dev/rnvme0n1 is its disk.
`dmesg` shows the kernel log; `poweroff` or Ctrl-D ends the guest, Ctrl-A X kills it.
"""


class Archive:
    """Writes a cpio archive ("newc")."""

    def __init__(self, path):
        self.out = open(path, "wb")
        self.inode = 0
        self.seen = set()

    def _entry(self, name, mode, data=b""):
        self.inode += 1
        raw = name.encode() + b"\0"
        fields = [self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(raw), 0]
        head = b"070701" + b"".join(b"%08x" % f for f in fields) + raw
        self.out.write(head + b"\0" * (-len(head) % 4))
        self.out.write(data)
        self.out.write(b"\0" * (-len(data) % 4))

    def directory(self, name):
        """Add a directory and those above it, each once."""
        parent = os.path.dirname(name)
        if parent:
            self.directory(parent)
        if name and name not in self.seen:
            self.seen.add(name)
            self._entry(name, stat.S_IFDIR | 0o755)

    def data(self, name, data, mode=0o644):
        """Add a file with these contents."""
        self.directory(os.path.dirname(name))
        self._entry(name, stat.S_IFREG | mode, data)

    def file(self, name, path):
        """Add a file of the build root."""
        with open(path, "rb") as source:
            self.data(name, source.read(), 0o755 if os.access(path, os.X_OK) else 0o644)

    def link(self, name, target):
        """Add a symbolic link."""
        self.directory(os.path.dirname(name))
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def close(self):
        """Finish the archive."""
        self._entry("TRAILER!!!", 0)
        self.out.write(b"\0" * (-self.out.tell() % 512))
        self.out.close()


def digest(*parts):
    """A short key of strings."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def read(path):
    """The text of a file."""
    with open(path, encoding="utf-8") as source:
        return source.read()


def cached(name, key, make):
    """The path of an archive, made by `make(path)` unless it is there."""
    os.makedirs(CACHE, exist_ok=True)
    path = f"{CACHE}/{name}-{key}.cpio"
    with open(f"{CACHE}/.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(path):
            for old in os.listdir(CACHE):
                if old.startswith(name + "-"):
                    os.unlink(f"{CACHE}/{old}")
            make(path + ".tmp")
            os.rename(path + ".tmp", path)
    return path


def output(*command):
    """What a command prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def libraries(program):
    """The shared libraries of a program: {soname: path}."""
    found = {}
    result = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    for line in result.stdout.splitlines():
        match = re.match(r"\s*(?:(\S+) => )?(/\S+) \(", line)
        if match:
            found[match[1] or match[2]] = match[2]
    return found


def stub_library(soname, paths, wanted, folder):
    """Build an empty library that has the symbols of others which a program wants."""
    nodes = {}
    for path in paths:
        for line in output("nm", "-D", "--defined-only", path).splitlines():
            name = line.split()[-1].partition("@")[0]
            if name in wanted:
                nodes.setdefault(wanted[name], set()).add(name)
    source, script, stub = (f"{folder}/{soname}{end}" for end in (".c", ".map", ""))
    with open(source, "w", encoding="utf-8") as out:
        for name in set().union(*nodes.values()):
            out.write(f"void {name}(void) {{ __builtin_trap(); }}\n")
    with open(script, "w", encoding="utf-8") as out:
        for version, names in nodes.items():
            if version:
                out.write(f"{version} {{ {''.join(n + '; ' for n in sorted(names))}}};\n")
    command = ["gcc", "-shared", "-fPIC", "-w", "-fno-builtin", "-nostdlib",
               f"-Wl,-soname,{soname}", "-o", stub, source]
    if os.path.getsize(script):
        command.append(f"-Wl,--version-script={script}")
    subprocess.run(command, check=True)
    return stub


def make_tools(path):
    """Pack the programs of the guest with their libraries."""
    archive = Archive(path)
    for folder in "usr/bin usr/lib usr/lib64 dev proc sys tmp mnt run etc root".split():
        archive.directory(folder)
    for folder in "bin sbin lib lib64".split():
        archive.link(folder, "usr/" + folder)
    archive.link("usr/sbin", "bin")
    needed = {}
    for name in PROGRAMS:
        program = shutil.which(name)
        if program is None:
            raise SystemExit(f"the build root has no {name}")
        archive.file(f"usr/bin/{name}", os.path.realpath(program))
        with tempfile.TemporaryDirectory() as folder:
            found = libraries(program)
            unused = [soname for soname in found if UNUSED_LIBRARIES.match(soname)]
            if unused:
                names = output("nm", "-D", "--undefined-only", program).splitlines()
                wanted = dict((line.split()[-1] + "@").split("@")[:2] for line in names)
                stub = f"lib{name}-unused.so"
                paths = [found[soname] for soname in unused]
                archive.file(f"usr/lib/{stub}", stub_library(stub, paths, wanted, folder))
                for soname in unused:
                    archive.link(f"usr/lib/{soname}", stub)
                needed.update(direct_libraries(program, found, unused))
            else:
                needed.update(found)
    for soname, library in needed.items():
        archive.file(soname.lstrip("/") if soname.startswith("/") else "usr/lib/" + soname, library)
    for name, target in LINKS.items():
        archive.link("usr/bin/" + name, target)
    archive.file("usr/bin/busybox", shutil.which("busybox"))
    have = set(PROGRAMS) | set(LINKS) | {"busybox"}
    for name in output("busybox", "--list").split():
        if name not in have:
            archive.link("usr/bin/" + name, "busybox")
    archive.data("etc/passwd", b"root:x:0:0:root:/root:/bin/bash\n")
    archive.data("etc/group", b"root:x:0:\n")
    archive.close()


def direct_libraries(program, found, unused):
    """The libraries of a program without those that only the unused ones need."""
    keep = {name: path for name, path in found.items() if name.startswith("/")}
    queue = [program]
    while queue:
        for line in output("objdump", "-p", queue.pop()).splitlines():
            name = line.split()[-1] if line.strip().startswith("NEEDED") else None
            if name in found and name not in unused and name not in keep:
                keep[name] = found[name]
                queue.append(found[name])
    return keep


def make_modules(path, tree, release):
    """Pack the modules that the tests need, unpacked, with a fresh modules.dep."""
    available = {}
    for folder, _, files in os.walk(tree):
        for name in files:
            if re.search(r"\.ko(\.xz)?$", name):
                available[name.split(".")[0].replace("-", "_")] = f"{folder}/{name}"
    archive = Archive(path)
    with tempfile.TemporaryDirectory() as folder:
        base = f"{folder}/lib/modules/{release}"
        os.makedirs(base + "/kernel")
        for extra in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
            if os.path.exists(f"{tree}/{extra}"):
                shutil.copy(f"{tree}/{extra}", base)
        queue = [name.replace("-", "_") for name in MODULES]
        done = set()
        while queue:
            name = queue.pop()
            if name in done or name not in available:
                continue
            done.add(name)
            target = f"{base}/kernel/{name}.ko"
            source = available[name]
            with (lzma.open if source.endswith(".xz") else open)(source, "rb") as packed:
                with open(target, "wb") as out:
                    out.write(packed.read())
            # Soft dependencies too: ext4 asks for its checksum that way.
            for field in ("depends", "softdep"):
                for word in output("modinfo", "-F", field, target).replace(",", " ").split():
                    queue.append(word.removeprefix("pre:").replace("-", "_"))
        subprocess.run(["depmod", "-b", folder, release], check=True, stderr=subprocess.DEVNULL)
        for name in os.listdir(base):
            if os.path.isfile(f"{base}/{name}"):
                archive.file(f"lib/modules/{release}/{name}".replace("lib/", "usr/lib/", 1),
                             f"{base}/{name}")
        for name in os.listdir(base + "/kernel"):
            archive.file(f"usr/lib/modules/{release}/kernel/{name}", f"{base}/kernel/{name}")
    archive.close()


def make_payload(path, module, top):
    """Pack what changes: the guest's init, our module, the tests."""
    archive = Archive(path)
    archive.data("jobs/motd", MOTD.encode())
    archive.file("init", f"{top}/scripts/lib/guest/init")
    for name in ("scripts/bind", "scripts/bindlib.sh", "bench/common.sh", "bench/device.sh",
                 "bench/lists.sh"):
        archive.file(name, f"{top}/{name}")
    if module:
        # Without debug information it is a fifth of the size, and loads so much faster.
        stripped = f"{path}.ko"
        subprocess.run(["objcopy", "--strip-debug", module, stripped], check=True)
        archive.file("rnvme.ko", stripped)
        os.unlink(stripped)
    for path in sorted(glob.glob(f"{top}/tests/guest/**/*.sh", recursive=True)
                       + glob.glob(f"{top}/scripts/lib/guest/jobs/*")):
        name = path.removeprefix(f"{top}/").removeprefix("scripts/lib/guest/")
        archive.file(name, path)
    archive.close()


def initrd(path, kernel, module, top):
    """Put the whole initial file system of one run into `path`."""
    here = read(__file__)
    tools = cached("tools", digest(here, read("/.key")), make_tools)
    modules = cached(f"modules.{kernel.kind}", digest(here, kernel.key),
                     lambda target: make_modules(target, kernel.modules, kernel.release))
    payload = path + ".payload"
    make_payload(payload, module, top)
    with open(path, "wb") as out:
        for part in (tools, modules, payload):
            with open(part, "rb") as source:
                shutil.copyfileobj(source, out)
    os.unlink(payload)

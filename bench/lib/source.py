# SPDX-License-Identifier: GPL-2.0
"""Source lines and instructions of a module's addresses, from binutils."""

import re
from collections import Counter

from .symbols import plain, run

TREE = "/rnvme/"
# Calls in the file that the kernel patches away when it loads a module.
PATCHED = ("__fentry__", "__x86_return_thunk")


def shown(path):
    """A source file's path for the reader."""
    if path.startswith(TREE):
        return path.removeprefix(TREE)
    return re.sub(r"^.*/(library|linux/src|rust)/", "", path)


def frames(path, section, offsets):
    """{offset: [(function, file:line), ...]}, inlined functions first; needs debug
    information."""
    if not offsets:
        return {}
    text = run("addr2line", "-a", "-f", "-i", "-C", "-j", section, "-e", path,
               text="".join(f"{offset:#x}\n" for offset in offsets))
    found, lines = {}, text.splitlines()
    at = 0
    while at < len(lines):
        if lines[at].startswith("0x"):
            chain = found[int(lines[at], 16)] = []
            at += 1
            continue
        place = re.sub(r" \(discriminator.*", "", lines[at + 1])
        chain.append((plain(lines[at]), place))
        at += 2
    return found


def by_source(path, cost, module):
    """Instructions by rnvme's innermost function: (by function, by line); both empty without debug
    information. Inlined code of the kernel crate and core counts to rnvme's function."""
    functions, lines = Counter(), Counter()
    sections = {}
    for (owner, section, offset), count in cost.addresses.items():
        if owner == module:
            sections.setdefault(section, {})[offset] = count
    for section, counts in sections.items():
        for offset, chain in frames(path, section, counts).items():
            ours = [one for one in chain if one[1].startswith(TREE)]
            if ours:
                function, place = ours[0]
                functions[function, shown(place.rsplit(":", 1)[0])] += counts[offset]
                lines[shown(place)] += counts[offset]
            elif chain and chain[0][1] != "??:?" and not chain[0][1].startswith("??"):
                functions["(not inlined in ours)", "-"] += counts[offset]
    return functions, lines


def disassembly(path):
    """Yields (section, offset, text, function, source line) of a module's instructions."""
    section = function = place = ""
    for line in run("objdump", "-d", "-r", "-l", "-C", "--no-show-raw-insn", path).splitlines():
        match = re.match(r"Disassembly of section (\S+):", line)
        if match:
            section = match[1]
            continue
        match = re.match(r"([0-9a-f]+) <(.*)>:$", line)
        if match:
            function, place = plain(match[2]), ""
            continue
        match = re.match(r"\s*([0-9a-f]+):\t(.*)", line)
        if match:
            yield section, int(match[1], 16), plain(match[2]), function, place
            continue
        match = re.match(r"\s+[0-9a-f]+: (R_X86_64_\S+)\t(\S.*)", line)
        if match:
            # A relocation belongs to the instruction before it.
            yield section, None, plain(match[2]), match[1], place
            continue
        if re.match(r"\S+:\d+( \(discriminator \d+\))?$", line):
            place = shown(line.split(" ")[0])


def calls_out(path, cost, module):
    """{function of the kernel: calls} from a module's code."""
    counts = {(section, offset): count for (owner, section, offset), count
              in cost.addresses.items() if owner == module}
    found, last = Counter(), None
    for section, offset, text, kind, _ in disassembly(path):
        if offset is not None:
            last = (section, offset, text)
        elif last and kind in ("R_X86_64_PLT32", "R_X86_64_PC32") and \
                re.match(r"(notrack )?(call|jmp)\b", last[2]):
            target = re.sub(r"[-+]0x[0-9a-f]+$", "", text)
            count = counts.get(last[:2], 0)
            if count and not target.startswith(".") and target not in PATCHED:
                found[target] += count
    return found

# SPDX-License-Identifier: GPL-2.0
"""The identifiers of the kernel's source, kept in a sorted file: made once for each tree."""

import mmap
import os
import re

from scripts.lib.lint.source import read

FOLDERS = ("include", "block", "drivers/nvme", "drivers/pci", "drivers/base", "rust", "kernel",
           "mm", "lib")
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)
OWNER = re.compile(r"\b(?:struct|enum|union|trait|type|mod) (\w+)")
IDENTIFIER = re.compile(r"\b[A-Za-z]\w*\b")


def identifiers(tree):
    """All identifiers of the tree's parts; with `::` behind them those that may own others."""
    found = set()
    for folder in FOLDERS:
        for where, _, files in os.walk(os.path.join(tree, folder)):
            for name in files:
                if name.endswith((".c", ".h", ".rs")):
                    code = COMMENT.sub(" ", read(f"{where}/{name}"))
                    found.update(IDENTIFIER.findall(code))
                if name.endswith(".rs"):
                    owners = OWNER.findall(code) + [os.path.basename(where), name[:-3]]
                    found.update(f"{owner}::" for owner in owners)
    return found


class Kernel:
    """What the kernel has a name for."""

    def __init__(self, tree, index):
        self.tree = tree
        if not os.path.exists(index):
            os.makedirs(os.path.dirname(index), exist_ok=True)
            with open(index + ".tmp", "w", encoding="utf-8") as out:
                out.write("\n" + "\n".join(sorted(identifiers(tree))) + "\n")
            os.rename(index + ".tmp", index)
        with open(index, "rb") as source:
            self.map = mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ)

    def has_name(self, name):
        """Whether the kernel has an identifier."""
        word, low, high = name.encode(), 0, len(self.map) - 1
        while low < high:
            # `low` and `high` are at the ends of lines.
            begin = self.map.rfind(b"\n", low, (low + high) // 2 + 1)
            end = self.map.find(b"\n", begin + 1)
            line = self.map[begin + 1:end]
            if line == word:
                return True
            if line < word:
                low = end
            else:
                high = begin
        return False

    def has_file(self, name):
        """Whether the kernel has a file or a folder of that name, or a header."""
        return any(os.path.exists(os.path.join(self.tree, place, name))
                   for place in ("", "include", "rust/kernel", "rust", "drivers/nvme/host"))

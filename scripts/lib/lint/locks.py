# SPDX-License-Identifier: GPL-2.0
"""The locks of the driver: each says what it protects and what may be taken inside it, by

    /// LOCK: what it protects; inside: what may be taken while it is held.

above its field. docs/ARCHITECTURE.md has the table that is made from these comments."""

import re
from dataclasses import dataclass

from scripts.lib.lint.source import around, blocks, line_at
from scripts.lib.lint.tables import with_table, write_table

PAGE = "docs/ARCHITECTURE.md"
BEGIN = "<!-- locks: begin. Made from the LOCK: comments by `scripts/lint --write-tables`. -->"
END = "<!-- locks: end -->"
KINDS = {"Mutex": "mutex", "SpinLock": "spinlock, never in interrupts",
         "SpinLockIrq": "spinlock, interrupts off"}
FIELD = re.compile(
    r"^[ \t]*(?:pub(?:\([^)]*\))? )?(?:unsafe\(\w+\) )?(?:static )?(\w+): (?!&)[^=;,(){}\n]*?"
    r"\b(Mutex|SpinLock|SpinLockIrq)<", re.M)
# Then the names that follow are those of locks that may not.
OTHERS = re.compile(r"all other locks\b")
LABEL = re.compile(r"^\s*//[/!]? ?LOCK:")


@dataclass
class Lock:
    """A lock, and what its comment says."""

    name: str
    kind: str
    file: str
    line: int
    protects: str
    inside: str

    def nested(self, names):
        """The names of the locks that may be taken inside it."""
        said = re.findall(r"`([^`]+)`", self.inside)
        if OTHERS.match(self.inside):
            return [name for name in names if name not in [self.name, *said]]
        return [name for name in names if name in said]


def comment_above(lines, number):
    """The words after `LOCK:` in the comment and attributes above a line; None without."""
    at = number - 1
    while at > 0 and re.match(r"\s*(//|#\[)", lines[at - 1]):
        at -= 1
    words = None
    for line in lines[at:number - 1]:
        if LABEL.match(line):
            words = LABEL.sub("", line)
        elif words is not None:
            said = re.match(r"\s*//[/!]?\s*(?!\s|[A-Z]+:)(.+)", line)
            if not said:
                break
            words += " " + said[1]
    return words


def locks(project):
    """(the locks, complaints about fields that do not say what they protect)."""
    found, bad = [], []
    for name in project.driver:
        code = project.production[name]
        lines, spans = project.text[name].split("\n"), blocks(code)
        labels = sum(bool(LABEL.match(line)) for line in lines)
        for match in FIELD.finditer(code):
            owner = re.search(r"\b(?:struct (\w+)|global_lock!)[^;{}]*$",
                              (around(spans, match.end()) or [""])[-1])
            if not owner:
                continue
            number = line_at(code, match.start(1))
            words = comment_above(lines, number)
            labels -= words is not None
            parts = re.fullmatch(r"\s*(.+?); inside: (.+?)\.?\s*", words or "")
            if not parts:
                bad.append(f"{name}:{number}: {match[1]} has no comment "
                           "`LOCK: <what it protects>; inside: <what may be taken>`")
                continue
            title = f"{owner[1]}::{match[1]}" if owner[1] else match[1]
            found.append(Lock(title, KINDS[match[2]], name, number, parts[1], parts[2]))
        if labels:
            bad.append(f"{name}: {labels} LOCK: comments that no lock's field has")
    return found, bad


def ordered(found):
    """(the locks, those that are taken first at the beginning; complaints about circles)."""
    by_name = {lock.name: lock for lock in found}
    done, bad = [], []

    def visit(name, trail):
        if name in trail:
            circle = trail[trail.index(name):] + [name]
            bad.append("locks in a circle: " + " -> ".join(circle))
        elif by_name[name] not in done:
            for other in sorted(by_name[name].nested(by_name), reverse=True):
                visit(other, trail + [name])
            if by_name[name] not in done:
                done.insert(0, by_name[name])

    for name in sorted(by_name, reverse=True):
        visit(name, [])
    return done, bad


def table(found):
    """The lines of the page's table."""
    rows = [f"| `{lock.name}` ({lock.kind}) | `{lock.file}` | {lock.protects} | {lock.inside} |"
            for lock in ordered(found)[0]]
    return ["| lock | file | protects | inside it |", "|---|---|---|---|", *rows]


def check_locks(project):
    """Each lock says what it protects, and the page's table says the same."""
    found, bad = locks(project)
    names = {lock.name for lock in found}
    for lock in found:
        bad += [f"{lock.file}:{lock.line}: {other} is no lock" for other in
                re.findall(r"`(\w+::\w+|[A-Z_]+)`", lock.inside) if other not in names]
    bad += ordered(found)[1]
    page = project.text.get(PAGE, "")
    if with_table(page, BEGIN, END, table(found)) != page:
        bad.append(f"{PAGE}: the table of locks is not what the comments say: "
                   "scripts/lint --write-tables")
    return bad


def write_locks(project):
    """Write the table into the page; what kept it from that."""
    found, bad = locks(project)
    return bad + write_table(PAGE, "locks", BEGIN, END, table(found))

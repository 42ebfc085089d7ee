# SPDX-License-Identifier: GPL-2.0
"""The times and bounds of policy/timing.rs as a table in docs/BOUNDS.md."""

import re

from scripts.lib.lint.tables import with_table, write_table

PAGE = "docs/BOUNDS.md"
SOURCE = "policy/timing.rs"
BEGIN = "<!-- times: begin. Made from policy/timing.rs by `scripts/lint --write-tables`. -->"
END = "<!-- times: end -->"
CONSTANT = re.compile(
    r"((?:^///[^\n]*\n)+)^pub\(crate\) const (\w+): (?:u32|Delta) = "
    r"(?:Delta::from_(millis|secs)\()?([\d_]+)\)?;", re.M)


def meaning(comment):
    """The first paragraph of a doc comment; links are names in backticks."""
    words = " ".join(line.removeprefix("///").strip() for line in comment.splitlines())
    words = words.split(" TIMEOUT:")[0].strip()
    return re.sub(r"\[(`[^`]+`)\]", r"\1", words)


def times(project):
    """(name, milliseconds, meaning) of each constant."""
    return [(name, int(number) * (1000 if unit == "secs" else 1), meaning(comment))
            for comment, name, unit, number in CONSTANT.findall(project.text.get(SOURCE, ""))]


def table(found):
    """The lines of the page's table."""
    rows = [f"| `{name}` | {ms} | {words} |" for name, ms, words in found]
    return ["| constant | ms | time |", "|---|---|---|", *rows]


def check_times(project):
    """The page's table of times says what policy/timing.rs says."""
    if SOURCE not in project.text:
        return []
    page = project.text.get(PAGE, "")
    if with_table(page, BEGIN, END, table(times(project))) != page:
        return [f"{PAGE}: the table of times is not what {SOURCE} says: "
                "scripts/lint --write-tables"]
    return []


def write_times(project):
    """Write the table into the page; what kept it from that."""
    return write_table(PAGE, "times", BEGIN, END, table(times(project)))

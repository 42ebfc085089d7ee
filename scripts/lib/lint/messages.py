# SPDX-License-Identifier: GPL-2.0
"""Every line that the driver writes into the kernel log has a row in docs/MESSAGES.md."""

import re

from scripts.lib.lint.source import line_at, uncommented, without_tests

PAGE = "docs/MESSAGES.md"
LITERAL = r'"((?:\\.|[^"\\])*)"'
# A line of the log: the first text in the macro.
LINE = re.compile(r'\b(?:dev|pr)_(?:emerg|alert|crit|err|warn|notice|info)!\s*\((?:[^"]*?)' + LITERAL,
                  re.S)
# The reason that "resetting the controller: {}" and its like end with.
REASON = re.compile(r'\bEvent::\w+,\s*' + LITERAL, re.S)
FORMATTED = re.compile(r'\bfmt!\(\s*' + LITERAL, re.S)
FORMATTED_IN = re.compile(r"^controller/hardware(\.rs|/)")
ROW = re.compile(r"^\| `([^`]+)` \|", re.M)
PLACEHOLDER = re.compile(r"\{[^}]*\}")


def said(literal):
    """What a literal says: lines joined, without the newline at the end."""
    text = re.sub(r"\\\n\s*", "", literal)
    return text.removesuffix("\\n").replace('\\"', '"')


def has_words(text):
    """Whether there is more than placeholders: what those say is in the rows of its source."""
    return bool(re.search(r"\w", PLACEHOLDER.sub("", text)))


def messages(project):
    """{message: FILE:LINE} of the driver."""
    found = {}
    for path, text in sorted(project.text.items()):
        if not path.endswith(".rs") or path.startswith("tests/"):
            continue
        code = without_tests(uncommented(text))
        patterns = [LINE, REASON, *([FORMATTED] if FORMATTED_IN.match(path) else [])]
        for pattern in patterns:
            for match in pattern.finditer(code):
                message = said(match[1])
                if has_words(message):
                    found.setdefault(message, f"{path}:{line_at(code, match.start())}")
    return found


def literals(project):
    """Every literal of the driver: a row may also be about words that a message ends with."""
    return {said(match[1]) for path, text in project.text.items()
            if path.endswith(".rs") and not path.startswith("tests/")
            for match in re.finditer(LITERAL, without_tests(uncommented(text)), re.S)}


def check_messages(project):
    """The page has a row for each message, and no row that nothing says."""
    if PAGE not in project.text:
        return []
    found, known = messages(project), literals(project)
    rows = ROW.findall(project.text[PAGE])
    bad = [f"{PAGE}: no row for the message of {place}: | `{message}` | meaning | what to do |"
           for message, place in found.items() if message not in rows]
    bad += [f"{PAGE}: no such message in the source: {row}" for row in rows if row not in known]
    return bad + [f"{PAGE}: two rows for: {row}" for row in sorted(set(rows)) if rows.count(row) > 1]

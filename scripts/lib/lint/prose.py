# SPDX-License-Identifier: GPL-2.0
"""What holds in each text file: a licence, a length, words; and that the features are tested."""

import ast
import os
import re
from fnmatch import fnmatchcase

from scripts.lib.lint.source import line_at, lines_of

MAX_LINES, MAX_COLUMNS = 500, 100
NO_SPDX = re.compile(r"^(COPYING|LICENSES/.*|.*\.(png|svg|json|bin))$")
# Made by the project's tools, or not written by it.
ANY_LENGTH = {"bench/results.json", "COPYING"}
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
WORDS = re.compile(r"\b(who" r"ever|some" r"body|no" r"body|what\s+is\s+to\s+be)\b", re.I)
SUITE = re.compile(r"kunit_tests\((\w+)\)")


def spdx(project):
    """A licence line in each file."""
    return [f"{name}: no SPDX-License-Identifier" for name in project.files
            if not NO_SPDX.match(name)
            and "SPDX-License-Identifier:" not in "\n".join(project.text[name].split("\n")[:4])]


def unfinished(project):
    """Nothing left to do."""
    return [f"{name}:{line}: unfinished" for name in project.files
            for line in lines_of(project.text[name], UNFINISHED)]


def length(project):
    """No file of more than 500 lines."""
    return [f"{name}: {lines} lines, more than {MAX_LINES}" for name in project.files
            if name not in ANY_LENGTH and (lines := project.text[name].count("\n")) > MAX_LINES]


def python(project):
    """All Python files compile."""
    bad = []
    for name in project.python:
        try:
            ast.parse(project.text[name], name)
        except SyntaxError as error:
            bad.append(f"{name}: {error}")
    return bad


def words(project):
    """Sentences have a subject that is named, and pages are wrapped."""
    bad = []
    for name in project.files:
        if name.endswith(".md") or name in project.rust + project.shell + project.python:
            said = project.parts(name)[0]
            bad += [f"{name}:{line_at(said, match.start())}: says {' '.join(match[0].split())}"
                    for match in WORDS.finditer(said)]
    for name in project.pages:
        bad += [f"{name}:{line}: longer than {MAX_COLUMNS} columns"
                for line in long_lines(project.text[name])]
    return bad


def long_lines(page):
    """Numbers of the lines that should be wrapped: no table, no code, no link."""
    in_code = False
    for number, line in enumerate(page.split("\n"), 1):
        if line.lstrip().startswith("```"):
            in_code = not in_code
        without_links = re.sub(r"\]\([^)]*\)|https?://\S+", "", line)
        if not in_code and not line.startswith("|") and len(without_links) > MAX_COLUMNS:
            yield number


def rows(page):
    """(line, cells by the name of their column) of each row of a page's tables."""
    head = []
    for number, line in enumerate(page.split("\n"), 1):
        if not line.startswith("|"):
            head = []
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not head:
            head = cells
        elif not re.fullmatch(r"[-:| ]+", line):
            yield number, dict(zip(head, cells))


def features(project):
    """The tests and files that FEATURES.md names exist, and each test is named in a page."""
    tests, suites, units = known_tests(project)
    bad = []
    for line, cells in rows(project.text.get("docs/FEATURES.md", "")):
        where = f"docs/FEATURES.md:{line}"
        for name in re.findall(r"`([^`]+)`", re.sub(r"\[[^]]*\]", "", cells.get("test", ""))):
            if not any(fnmatchcase(one, name) for one in tests | suites | units):
                bad.append(f"{where}: there is no test {name}")
        for name in re.findall(r"`([^`]+)`", cells.get("file", "")):
            if name not in project.text and not (
                    name.endswith("/") and any(one.startswith(name) for one in project.files)):
                bad.append(f"{where}: there is no file {name}")
    named = set()
    for page in ("docs/FEATURES.md", "docs/TESTING.md"):
        named.update(re.findall(r"`([\w/*-]+)`", project.text.get(page, "")))
    bad += [f"{test}: neither FEATURES.md nor TESTING.md names this test"
            for test in sorted(tests | suites)
            if not any(fnmatchcase(test, name) for name in named if name.strip("*/"))]
    return bad


def known_tests(project):
    """Names of (guest tests, KUnit suites, unit tests)."""
    tests = {name.removeprefix("tests/guest/").removesuffix(".sh") for name in project.shell
             if re.fullmatch(r"tests/guest/(?!lib/)[^/]+/.+\.sh", name)}
    suites = {suite for name in project.driver for suite in SUITE.findall(project.code[name])}
    tests |= {"model/" + os.path.basename(name).removesuffix(".rs") for name in project.rust
              if name.startswith("tests/model/models/")}
    units = {os.path.basename(name).removesuffix(".py") for name in project.python
             if name.startswith("tests/unit/test_")}
    return tests, suites, units

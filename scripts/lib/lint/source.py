# SPDX-License-Identifier: GPL-2.0
"""The project's files, and what each language makes of their text."""

import io
import os
import re
import tokenize

TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)"""
    r"""|(?P<string>b?c?r(?P<hash>\#*)".*?"(?P=hash)|[bc]?"(?:\\.|[^"\\])*")"""
    r"""|(?P<char>b?'(?:\\.[^']*|[^'\\])')""", re.S)
SHELL_COMMENT = re.compile(r"(?:^|(?<=[\s;]))#(?!!)[^\n]*", re.M)
TEST_MODULE = re.compile(
    r"(#\[(kunit_tests|cfg\(test)[^\n]*\s*)?(?:pub(?:\([^)]*\))? )?mod (tests\b|\w+\s*(?=\{))")
BINARY = re.compile(r"\.(png|bin|ko|gz)$")


def read(path):
    """The text of a file."""
    with open(path, encoding="utf-8", errors="replace") as source:
        return source.read()


def blank(text):
    """As many spaces, on as many lines."""
    return re.sub(r"[^\n]", " ", text)


def line_at(text, offset):
    """The number of the line at an offset."""
    return text.count("\n", 0, offset) + 1


def lines_of(code, pattern):
    """Numbers of the lines where a pattern is found."""
    return [line_at(code, match.start()) for match in re.finditer(pattern, code)]


def code_of(text):
    """Rust text without comments and literals; lines stay where they are."""
    return TOKEN.sub(lambda match: blank(match[0]), text)


def uncommented(text):
    """Rust or C text without comments, with its literals."""
    return TOKEN.sub(lambda match: blank(match[0]) if match["comment"] else match[0], text)


def block_end(code, start):
    """Where the block that opens at or after `start` ends."""
    depth = 0
    for match in re.compile(r"[{}]").finditer(code, start):
        depth += 1 if match[0] == "{" else -1
        if depth == 0:
            return match.end()
    return len(code)


def without_tests(code):
    """Code without its test modules."""
    for match in reversed(list(TEST_MODULE.finditer(code))):
        if match[2] or match[3] == "tests":
            end = block_end(code, match.start())
            code = code[:match.start()] + blank(code[match.start():end]) + code[end:]
    return code


def blocks(code):
    """(start, end, header) of each block in braces; the header is what stands before it."""
    found, stack, begin = [], [], 0
    for match in re.finditer(r"[{};]", code):
        if match[0] == "{":
            stack.append((match.start(), code[begin:match.start()]))
        elif match[0] == "}" and stack:
            start, header = stack.pop()
            found.append((start, match.end(), header))
        begin = match.end()
    return found


def around(found, offset):
    """The headers of the blocks around an offset, the outermost first."""
    inside = [block for block in found if block[0] < offset < block[1]]
    return [header for _, _, header in sorted(inside)]


def python_parts(text):
    """(comments and docstrings, the rest) of Python text; lines stay where they are."""
    lines = text.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    comments, last = [], tokenize.NEWLINE
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        is_docstring = token.type == tokenize.STRING and last in (
            tokenize.NEWLINE, tokenize.INDENT)
        if token.type == tokenize.COMMENT or is_docstring:
            comments.append((starts[token.start[0] - 1] + token.start[1],
                             starts[token.end[0] - 1] + token.end[1]))
        if token.type not in (tokenize.NL, tokenize.COMMENT):
            last = token.type
    return split(text, comments)


def split(text, spans):
    """(what is in the spans, the rest), each with blanks in place of the other."""
    inside, outside, at = [], [], 0
    for start, end in spans:
        inside += [blank(text[at:start]), text[start:end]]
        outside += [text[at:start], blank(text[start:end])]
        at = end
    return "".join(inside) + blank(text[at:]), "".join(outside) + text[at:]


class Project:
    """The files of the project by name, and views of their text, each made once."""

    def __init__(self, text, root="."):
        self.root = root
        self.text = text
        self.files = sorted(text)
        self.rust = [name for name in self.files if name.endswith(".rs")]
        self.driver = [name for name in self.rust if not name.startswith(("tests/", "scripts/"))]
        self.code = {name: code_of(text[name]) for name in self.rust}
        self.production = {name: without_tests(code) for name, code in self.code.items()}
        self.pages = [name for name in self.files
                      if name == "README.md" or re.fullmatch(r"docs/[^/]+\.md", name)]
        self.shell = [name for name in self.files if self._is_shell(name)]
        self.python = [name for name in self.files
                       if name.endswith(".py") or text[name].startswith("#!/usr/bin/env python3")]
        self._parts = {}

    @classmethod
    def of_list(cls, listing):
        """The project whose file names a file lists."""
        names = {name for name in read(listing).split("\n") if os.path.isfile(name)}
        return cls({name: read(name) for name in names if not BINARY.search(name)})

    def _is_shell(self, name):
        return name.endswith(".sh") or re.match(
            r"#!.*\b(ba)?sh\b|# SPDX[^\n]*\n# shellcheck shell=", self.text[name])

    def parts(self, name):
        """(comments, code with its literals) of a file; (all, nothing) of a page."""
        if name not in self._parts:
            self._parts[name] = self._split(name)
        return self._parts[name]

    def _split(self, name):
        text = self.text[name]
        if name.endswith(".md"):
            return text, ""
        if name.endswith((".rs", ".c", ".h")):
            return split(text, [match.span() for match in TOKEN.finditer(text)
                                if match["comment"]])
        if name in self.python:
            return python_parts(text)
        if name in self.shell or name in ("Makefile", "Kbuild"):
            return split(text, [match.span() for match in SHELL_COMMENT.finditer(text)])
        return "", text

    def modules(self):
        """The files of the driver by their module path."""
        return {module_of(name): name for name in self.driver}


def module_of(name):
    """The module path of a file: of sys/block/tag_set.rs it is ("sys", "block", "tag_set")."""
    parts = name.removesuffix(".rs").split("/")
    return () if parts == ["rnvme"] else tuple(parts)

#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The checks of `scripts/lint`; runs in the build root, in the project's folder."""

import argparse
import os
import re
import subprocess
import sys
import time

MAX_LINES = 500
NO_SPDX = re.compile(r"^(COPYING|LICENSES/.*|.*\.(png|svg|json|bin))$")
# What `module!` makes in the crate root.
FROM_MACRO = {"LocalModule", "THIS_MODULE", "module_parameters"}
FORBIDDEN = re.compile(
    r"\.unwrap\(\)|\.expect\(|\b(?:panic|todo|unimplemented|unreachable)!")


def read(path):
    """The text of a file."""
    with open(path, encoding="utf-8", errors="replace") as source:
        return source.read()


TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)"""
    r"""|(?P<string>b?c?r(?P<hash>\#*)".*?"(?P=hash)|[bc]?"(?:\\.|[^"\\])*")"""
    r"""|(?P<char>b?'(?:\\.[^']*|[^'\\])')""", re.S)


def code_of(text):
    """Rust text without comments and literals; lines stay where they are."""
    return TOKEN.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)


def block_end(code, start):
    """Where the block that opens at or after `start` ends."""
    depth = 0
    for at in range(code.index("{", start), len(code)):
        depth += {"{": 1, "}": -1}.get(code[at], 0)
        if depth == 0:
            return at + 1
    return len(code)


def without_tests(code):
    """Code without its test modules."""
    for match in reversed(list(re.finditer(
            r"(#\[(kunit_tests|cfg\(test)[^\n]*\s*)?(pub )?mod (tests\b|\w+\s*(?=\{))", code))):
        if match[2] or match[4] == "tests":
            end = block_end(code, match.start())
            code = code[:match.start()] + re.sub(r"[^\n]", " ", code[match.start():end]) + code[end:]
    return code


def lines_of(code, pattern):
    """Numbers of the lines where a pattern is found."""
    return [code.count("\n", 0, m.start()) + 1 for m in re.finditer(pattern, code)]


class Lint:
    """All checks; each returns its complaints."""

    def __init__(self, options):
        self.options = options
        names = [name for name in read(options.files).split("\n") if os.path.isfile(name)]
        self.files = sorted(set(names))
        self.rust = [name for name in self.files if name.endswith(".rs")]
        self.driver = [name for name in self.rust if not name.startswith(("tests/", "scripts/"))]
        self.text = {name: read(name) for name in self.files}
        self.code = {name: code_of(self.text[name]) for name in self.rust}

    def run_tool(self, *command):
        """A tool's complaints, if it fails."""
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode == 0:
            return []
        return (result.stdout + result.stderr).splitlines() or [f"status {result.returncode}"]

    def rustfmt(self):
        """rustfmt with the kernel's settings."""
        return self.rust and self.run_tool(
            "rustfmt", "--check", "--color", "never", "--edition", "2021",
            "--config-path", "/cache/linux/src/.rustfmt.toml", *self.rust)

    def clippy(self):
        """Clippy, as the kernel configures it: no warning."""
        text = read(self.options.clippy)
        if self.options.clippy_status or re.search(r"^(warning|error)", text, re.M):
            return text.splitlines()
        return []

    # -- layers ---------------------------------------------------------------

    @staticmethod
    def module_of(name):
        """The module path of a file: sys/block/tag_set.rs is ("sys", "blk")."""
        parts = name.removesuffix(".rs").split("/")
        return () if parts == ["rnvme"] else tuple(parts)

    def order(self, module):
        """The modules that a module declares, in order."""
        name = "/".join(module) + ".rs" if module else "rnvme.rs"
        return re.findall(r"^\s*(?:pub(?:\([^)]*\))? )?mod (\w+);", self.code.get(name, ""), re.M)

    def references(self, name):
        """(line, module path) of what a file takes from the crate."""
        module, code = self.module_of(name), without_tests(self.code[name])
        for match in re.finditer(r"\b(crate|(?:super::)*super|self)::(\{|\w+(?:::\w+)*)", code):
            line = code.count("\n", 0, match.start()) + 1
            if match[1] == "crate":
                base = ()
            elif match[1] == "self":
                base = module
            else:
                base = module[:len(module) - match[1].count("super")]
            if match[2] != "{":
                yield line, base + tuple(match[2].split("::"))
                continue
            depth, word = 0, ""
            for char in code[match.end():block_end(code, match.start()) - 1] + ",":
                if char == "," and depth == 0:
                    if word.strip():
                        yield line, base + tuple(word.split("{")[0].strip(" \n:").split("::"))
                    word = ""
                else:
                    depth += {"{": 1, "}": -1}.get(char, 0)
                    word += char

    def layers(self):
        """A module imports only what is declared above it; below, no circles."""
        bad, siblings = [], {}
        for name in self.driver:
            module = self.module_of(name)
            if not module:
                continue
            for line, path in self.references(name):
                common = 0
                while common < min(len(path), len(module)) and path[common] == module[common]:
                    common += 1
                if common == len(module) or common == len(path):
                    continue
                order = self.order(module[:common])
                if common:
                    siblings.setdefault(module[:common + 1], set()).add(path[:common + 1])
                elif path[0] in order:
                    if module[0] in order and order.index(path[0]) > order.index(module[0]):
                        bad.append(f"{name}:{line}: imports {path[0]}, which is declared below it")
                elif path[0] not in FROM_MACRO:
                    bad.append(f"{name}:{line}: imports {path[0]} from the crate root")
        return bad + self.cycles(siblings)

    @staticmethod
    def cycles(graph):
        """Modules of one parent that import each other in a circle."""
        bad, done = [], set()

        def visit(module, trail):
            if module in trail:
                circle = trail[trail.index(module):] + [module]
                bad.append("circle: " + " -> ".join("::".join(one) for one in circle))
            elif module not in done:
                for other in sorted(graph.get(module, ())):
                    visit(other, trail + [module])
                done.add(module)

        for module in sorted(graph):
            visit(module, [])
        return bad

    # -- unsafe -----------------------------------------------------------------

    @staticmethod
    def is_sys(name):
        """Whether a file belongs to the layer that may be unsafe."""
        return name == "sys.rs" or name.startswith("sys/")

    def unsafe_only_in_sys(self):
        """The word `unsafe` outside sys/."""
        return [f"{name}:{line}: unsafe outside sys/" for name in self.driver
                if not self.is_sys(name) for line in lines_of(self.code[name], r"\bunsafe\b")]

    @staticmethod
    def of_traits(code):
        """Lines of unsafe functions that a trait asks for, and documents."""
        lines = set()
        for match in re.finditer(r"\bimpl\b[^;{]*\bfor\b[^;{]*\{", code):
            body = code[:block_end(code, match.start())]
            lines.update(body.count("\n", 0, one.start()) + 1 for one in
                         re.finditer(r"\bunsafe fn \w+", body) if one.start() > match.start())
        return lines

    def unsafe_documented(self):
        """Each unsafe block and impl says why it is sound, each unsafe fn what it asks."""
        bad = []
        for name in filter(self.is_sys, self.driver):
            lines = self.text[name].split("\n")
            code = self.code[name]
            for number in lines_of(code, r"\bunsafe\s*(\{|impl\b|(extern\s[^(]*)?fn \w+)"):
                if number in self.of_traits(code):
                    continue
                at, found = number - 1, "SAFETY:" in lines[number - 1]
                while not found and at > 0:
                    at -= 1
                    line = lines[at].strip()
                    found = line.startswith("//") and ("SAFETY:" in line or "# Safety" in line)
                    if not line or (line.endswith((";", "}")) and not line.startswith(("//", "#["))):
                        break
                if not found:
                    bad.append(f"{name}:{number}: undocumented unsafe")
        return bad

    # -- the rest -----------------------------------------------------------------

    def no_panic(self):
        """No unwrap, expect, panic!, todo! or unimplemented! outside tests."""
        return [f"{name}:{line}: may panic" for name in self.driver
                for line in lines_of(without_tests(self.code[name]), FORBIDDEN)]

    def shellcheck(self):
        """All shell scripts."""
        scripts = [name for name in self.files
                   if re.match(r"#!.*\b(ba)?sh\b|# SPDX[^\n]*\n# shellcheck shell=", self.text[name])
                   or name.endswith(".sh")]
        return self.run_tool("shellcheck", "--external-sources", "--severity=style", *scripts)

    def python(self):
        """All Python files compile."""
        bad = []
        for name in self.files:
            if name.endswith(".py") or self.text[name].startswith("#!/usr/bin/env python3"):
                try:
                    compile(self.text[name], name, "exec")
                except SyntaxError as error:
                    bad.append(f"{name}: {error}")
        return bad

    def spdx(self):
        """A licence line in each file."""
        return [f"{name}: no SPDX-License-Identifier" for name in self.files
                if not NO_SPDX.match(name)
                and "SPDX-License-Identifier:" not in "\n".join(self.text[name].split("\n")[:4])]

    def unfinished(self):
        """No TODO and FIXME."""
        word = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
        return [f"{name}:{line}: unfinished" for name in self.files
                for line in lines_of(self.text[name], word)
                if name != "scripts/lint.py"]

    def length(self):
        """Files longer than they should be; told, no failure."""
        self.notes = [f"{name}: {self.text[name].count(chr(10))} lines" for name in self.files
                if self.text[name].count("\n") > MAX_LINES]

    def run(self):
        """Run and report all; the exit status."""
        counts = {"ok": 0, "FAIL": 0}
        for check in (self.rustfmt, self.clippy, self.layers, self.unsafe_only_in_sys,
                      self.unsafe_documented, self.no_panic, self.shellcheck, self.python,
                      self.spdx, self.unfinished, self.length):
            begin = time.monotonic()
            self.notes = []
            bad = check() or []
            verdict = "FAIL" if bad else "ok"
            counts[verdict] += 1
            print(f"{verdict:<4}  lint/{check.__name__}  ({time.monotonic() - begin:.1f} s)")
            for line in (bad + self.notes)[:60]:
                print("      " + line)
        if self.options.counts:
            with open(self.options.counts, "a", encoding="utf-8") as out:
                out.write(f"{counts['ok']} {counts['FAIL']} 0\n")
        return 1 if counts["FAIL"] else 0


def main():
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", required=True)
    parser.add_argument("--clippy", required=True)
    parser.add_argument("--clippy-status", type=int, default=0)
    parser.add_argument("--counts")
    return Lint(parser.parse_args()).run()


if __name__ == "__main__":
    sys.exit(main())

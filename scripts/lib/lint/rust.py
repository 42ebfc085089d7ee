# SPDX-License-Identifier: GPL-2.0
"""What holds in each Rust file: unsafe code explained, nothing that panics, short functions,
names of types that mean one thing."""

import re

from scripts.lib.lint.source import around, block_end, blocks, line_at, lines_of
from scripts.lib.lint.structure import is_sys

FORBIDDEN = re.compile(
    r"\.unwrap\(\)|\.expect\(|\b(?:panic|todo|unimplemented|unreachable)!")
MAX_FUNCTION, MAX_TEST = 60, 100
FUNCTION = re.compile(r"\bfn (\w+)")
TYPE = re.compile(r"\b(struct|enum|trait|union|type) (\w+)|^\s*(?:pub(?:\([^)]*\))? )?"
                  r"(\w+)\((?:u8|u16|u32|u64)\) @ ", re.M)


def of_traits(code):
    """Lines of unsafe functions that a trait asks for, and documents."""
    lines = set()
    for match in re.finditer(r"\bimpl\b[^;{]*\bfor\b[^;{]*\{", code):
        body = code[:block_end(code, match.start())]
        lines.update(line_at(body, one.start()) for one in
                     re.finditer(r"\bunsafe fn \w+", body) if one.start() > match.start())
    return lines


def is_documented(lines, number):
    """Whether the comment above a line, or on it, says why it is sound."""
    at, found = number - 1, "SAFETY:" in lines[number - 1]
    while not found and at > 0:
        at -= 1
        line = lines[at].strip()
        found = line.startswith("//") and ("SAFETY:" in line or "# Safety" in line)
        if not line or (line.endswith((";", "}")) and not line.startswith(("//", "#["))):
            break
    return found


def unsafe_documented(project):
    """Each unsafe block and impl says why it is sound, each unsafe fn what it asks."""
    bad = []
    for name in filter(is_sys, project.driver):
        lines, code = project.text[name].split("\n"), project.code[name]
        exempt = of_traits(code)
        bad += [f"{name}:{number}: undocumented unsafe"
                for number in lines_of(code, r"\bunsafe\s*(\{|impl\b|(extern\s[^(]*)?fn \w+)")
                if number not in exempt and not is_documented(lines, number)]
    return bad


def no_panic(project):
    """No unwrap, expect, panic!, todo! or unimplemented! outside tests."""
    return [f"{name}:{line}: may panic" for name in project.driver
            for line in lines_of(project.production[name], FORBIDDEN)]


def body_of(code, start):
    """Where the body of the function at `start` begins; None of one without a body."""
    depth = 0
    for match in re.compile(r"[()\[\]{;]").finditer(code, start):
        if match[0] in "([":
            depth += 1
        elif match[0] in ")]":
            depth -= 1
        elif depth == 0:
            return match.start() if match[0] == "{" else None
    return None


def functions(project):
    """No function of more than 60 lines, from `fn` to the brace; 100 in tests."""
    bad = []
    for name in project.rust:
        code, production = project.code[name], project.production[name]
        for match in FUNCTION.finditer(code):
            body = body_of(code, match.end())
            if body is None:
                continue
            lines = code.count("\n", match.start(), block_end(code, body)) + 1
            most = MAX_FUNCTION if production.startswith("fn", match.start()) else MAX_TEST
            if lines > most:
                bad.append(f"{name}:{line_at(code, match.start())}: fn {match[1]} has {lines} "
                           f"lines, more than {most}")
    return bad


def types(project):
    """(name, file, line) of each type that the driver declares, outside tests and functions."""
    for name in project.driver:
        code = project.production[name]
        found = blocks(code)
        for match in TYPE.finditer(code):
            headers = around(found, match.start())
            if any(re.search(r"\bfn \w+|\bmacro_rules!", header) for header in headers):
                continue
            is_associated = match[1] == "type" and any(
                re.search(r"\b(impl|trait)\b", header) for header in headers)
            if not is_associated:
                yield match[2] or match[3], name, line_at(code, match.end())


def type_names(project):
    """No name of a type twice."""
    places, bad = {}, []
    for type_name, name, line in types(project):
        places.setdefault(type_name, []).append(f"{name}:{line}")
    for type_name, where in sorted(places.items()):
        bad += [f"{place}: {type_name} is also the name of the type at {where[0]}"
                for place in where[1:]]
    return bad

# SPDX-License-Identifier: GPL-2.0
"""What a Rust file names of other modules, and where those names lead."""

import re
from dataclasses import dataclass

from scripts.lib.lint.source import blank, block_end, line_at, module_of

USE = re.compile(r"\buse\s+([^;]+);")
MOD = re.compile(r"^\s*(?:pub(?:\([^)]*\))? )?mod (\w+);", re.M)
INLINE_MOD = re.compile(r"\bmod (\w+)\s*(?=\{)")
PATH = re.compile(r"(?<![\w:])(\w+)((?:::\w+)+)")
WORD = re.compile(r"\s*(?:::)?\s*(\w+|\*|\{)")


@dataclass(frozen=True)
class Reference:
    """A path that a file names: absolute, if it leads into the crate."""

    line: int
    # As it is written, less `self`, `super` and names of the file's own.
    path: tuple
    in_crate: bool
    is_use: bool = False
    # The first segments that a `use` elsewhere answers for.
    answered: int = 0
    name: str = ""
    is_macro: bool = False


def leaves(tree, prefix=()):
    """(offset, path, name) of each name that a use tree imports."""
    at, path = 0, prefix
    while match := WORD.match(tree, at):
        if match[1] == "{":
            yield from branches(tree, match.end(), path)
            return
        path, start, at = path + (match[1],), match.start(1), match.end()
    if path == prefix:
        return
    alias = re.match(r"\s*as\s+(\w+)", tree[at:])
    if path[-1] == "self" and len(path) > 1:
        path = path[:-1]
    yield start, path, alias[1] if alias else path[-1]


def branches(tree, start, prefix):
    """The leaves of what stands in braces, from `start` on."""
    depth, begin = 0, start
    for match in re.compile(r"[{},]").finditer(tree, start):
        ends = match[0] == "}" and depth == 0
        if ends or (match[0] == "," and depth == 0):
            for offset, path, name in leaves(tree[begin:match.start()], prefix):
                yield begin + offset, path, name
            begin = match.end()
        if ends:
            return
        depth += {"{": 1, "}": -1}.get(match[0], 0)


class Crate:
    """The modules of the driver, in their order, and what each file names."""

    def __init__(self, project, code=None):
        self.code = code or project.production
        self.files = project.modules()
        self.order = {module: MOD.findall(self.code[name]) for module, name in self.files.items()}
        self.inline = {name: [(match.end(), block_end(text, match.start()), match[1])
                              for match in INLINE_MOD.finditer(text)]
                       for name, text in self.code.items()}
        self._imports = {}
        self._references = {}

    @classmethod
    def of(cls, project):
        """The crate of a project without its tests, made once."""
        if not hasattr(project, "crate"):
            project.crate = cls(project)
        return project.crate

    def is_module(self, path):
        """Whether a path is a module that a file has declared."""
        return not path or (path[:-1] in self.order and path[-1] in self.order[path[:-1]])

    def module_part(self, path):
        """The longest beginning of a path that is a module."""
        length = 0
        while length < len(path) and self.is_module(path[:length + 1]):
            length += 1
        return path[:length]

    def base(self, name, offset):
        """The module at an offset of a file: inline modules count."""
        inner = tuple(one for start, end, one in self.inline[name] if start < offset < end)
        return module_of(name) + inner

    def absolute(self, path, base):
        """The path from the crate's root; None if it leads elsewhere, as far as the words say."""
        if path[0] == "crate":
            return path[1:]
        if path[0] in ("self", "super"):
            while path and path[0] in ("self", "super"):
                base = base[:-1] if path[0] == "super" else base
                path = path[1:]
            return base + path
        return base + path if self.is_module(base + path[:1]) else None

    def imports(self, module):
        """What each name that a module imports leads to: (path, in the crate)."""
        if module not in self._imports:
            found = self._imports[module] = {}
            if module in self.files:
                for one in self.uses(self.files[module]):
                    found.setdefault(one.name, (one.path, one.in_crate))
        return self._imports[module]

    def uses(self, name):
        """The imports of a file."""
        code = self.code[name]
        for match in USE.finditer(code):
            for offset, path, alias in leaves(match[1]):
                where = match.start(1) + offset
                whole = self.absolute(path, self.base(name, where))
                yield Reference(line_at(code, where), path if whole is None else whole,
                                whole is not None, is_use=True, name=alias)

    def references(self, name):
        """All that a file names: its imports, and the paths in its code."""
        if name not in self._references:
            self._references[name] = list(self.uses(name)) + list(self.paths(name))
        return self._references[name]

    def paths(self, name):
        """The paths in the code of a file, those through an imported module included."""
        module = module_of(name)
        code = USE.sub(lambda match: blank(match[0]), self.code[name])
        for match in PATH.finditer(code):
            path = (match[1],) + tuple(match[2].split("::")[1:])
            line, is_macro = line_at(code, match.start()), code[match.end():match.end() + 1] == "!"
            whole = self.absolute(path, self.base(name, match.start()))
            if whole is not None:
                yield Reference(line, whole, True, is_macro=is_macro)
                continue
            target, in_crate = self.imports(module).get(path[0], (path[:1], False))
            if not in_crate:
                yield Reference(line, target + path[1:], False, is_macro=is_macro)
            elif self.is_module(target):
                yield Reference(line, target + path[1:], True, answered=len(target),
                                is_macro=is_macro)

    def resolve(self, path):
        """(module, name) where a path of the crate is defined; None if outside of the crate."""
        for _ in range(8):
            module = self.module_part(path)
            if module == path:
                return module, ""
            target, in_crate = self.imports(module).get(path[len(module)], (None, True))
            if not in_crate:
                return None
            if target is None or target == path[:len(module) + 1]:
                return module, path[len(module)]
            path = target + path[len(module) + 1:]
        return module, path[len(module)]


def common(one, other):
    """How many segments two paths share at their beginning."""
    count = 0
    while count < min(len(one), len(other)) and one[count] == other[count]:
        count += 1
    return count

# SPDX-License-Identifier: GPL-2.0
"""Names in backticks, in pages and comments: what they name must exist."""

import os
import re
from fnmatch import fnmatchcase

from scripts.lib.lint.prose import known_tests
from scripts.lib.lint.source import around, block_end, blocks, line_at, module_of

# Neither of the project nor of the kernel, with the reason why a page says it.
WORDS = {
    "scripts/sign-file": "of the kernel's headers: the kernel's build makes it",
    "queue/io_timeout": "an attribute of a disk in sysfs",
}
FENCE = re.compile(r"```.*?```|~~~.*?~~~", re.S)
TICKED = re.compile(r"(?<!`)`([^`\n]+(?:\n[^`\n]+)?)`(?!`)")
COMMENT_MARK = re.compile(r"^[ \t]*(?://[/!]?|#+|\*)", re.M)
CALL = re.compile(r"\([^()]*\)$|!$")
GENERIC = re.compile(r"(::)?<[^<>]*>")
MODULE_PATH = re.compile(r"\w+(::\w+)+")
FILE = re.compile(r"[\w*./<>-]+\.(?:rs|sh|py|md|h|c|json|html|config|ko)|[\w*.-]+(?:/[\w*.-]+)*/")
PLACE = re.compile(r"[\w*.-]+(?:/[\w*.{},-]+)+")
SNAKE = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)+|[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
CAMEL = re.compile(r"(?:[A-Z][a-z0-9]+){2,}|[A-Z][a-z0-9]+(?:[A-Z][a-z0-9]*)+")
WORD = re.compile(r"[A-Za-z_]\w*")
# Owners of names that the language has.
LANGUAGE = re.compile(r"[iuf](?:8|16|32|64|128|size)|str|bool|char|Self|Option|Result|Ordering")
# What `#[derive]` and the traits of the prelude give each type.
OF_ALL_TYPES = {"new", "default", "clone", "drop", "fmt", "from", "into", "eq", "init"}
OWNER = re.compile(r"\b(?:struct|enum|trait|union|impl)\b(?:\s*<[^{]*?>)?\s*([^{]*)$")


class Names:
    """The names that the project has."""

    def __init__(self, project, kernel):
        self.project, self.kernel = project, kernel
        self.tests, self.suites, self.units = known_tests(project)
        self.words = {}
        for name in project.files:
            self.words[name] = set(WORD.findall(project.parts(name)[1]))
        self.all = set().union(*self.words.values())
        self.modules = {}
        for name in project.driver:
            for segment in module_of(name)[-1:]:
                self.modules.setdefault(segment, set()).add(name)
        self.members = {}
        for name in project.driver:
            self.add_members(name)
        self.folders = {os.path.dirname(name) for name in project.files}
        self.folders |= {os.path.dirname(folder) for folder in self.folders}
        self.tops = {folder.split("/")[0] for folder in self.folders} - {""}
        self.tops |= {test.split("/")[0] for test in self.tests}

    def add_members(self, name):
        """Note the words in the declarations and implementations of each type."""
        code = self.project.code[name]
        for start, end, header in blocks(code):
            owner = OWNER.search(header)
            if not owner:
                continue
            for word in WORD.findall(owner[1]):
                self.members.setdefault(word, set()).update(WORD.findall(code[start:end]))
        for match in re.finditer(r"^\s*(?:pub(?:\([^)]*\))? )?(\w+)\(u\d+\) @ ", code, re.M):
            body = code[match.start():block_end(code, match.start())]
            self.members.setdefault(match[1], set()).update(WORD.findall(body))

    def has_word(self, word):
        """Whether the project or the kernel has an identifier."""
        return (word in self.all or word.removeprefix("with_") in self.all
                or self.kernel.has_name(word) or self.kernel.has_name(word + "::"))

    def has_path(self, path):
        """Whether a path of modules, types and names leads somewhere."""
        segments = path.split("::")
        if segments[0] in ("crate", "self", "super", "rnvme"):
            segments = segments[1:]
        if segments[0] in ("core", "alloc", "std") or LANGUAGE.fullmatch(segments[0]):
            return segments[0] != "Self" or self.has_word(segments[-1])
        return all(one in self.modules or self.has_word(one) for one in segments) and all(
            self.is_member(*pair) for pair in zip(segments, segments[1:]))

    def is_member(self, owner, name):
        """Whether a type or a module has a name."""
        if owner not in self.members and owner not in self.modules:
            return self.kernel.has_name(owner + "::")
        files = self.modules.get(owner, set())
        folder = {one for file in files for one in self.project.driver
                  if one.startswith(file.removesuffix(".rs") + "/")}
        return (name in OF_ALL_TYPES or name in self.members.get(owner, ())
                or any(name in self.words[file] for file in files | folder)
                or any(module_of(file)[-1] == name for file in folder)
                or (self.kernel.has_name(owner + "::") and self.kernel.has_name(name + "::")))

    def has_file(self, path, near):
        """Whether a file, a folder or a test exists, or is made; globs may be used."""
        path = re.sub(r"<[^<>]*>", "*", path.removeprefix("./"))
        bare = path.rstrip("/")
        if path.startswith("/") or self.kernel.has_file(bare):
            return True
        patterns = [bare, f"{os.path.dirname(near)}/{bare}", f"{near.removesuffix('.rs')}/{bare}"]
        places = self.folders if path.endswith("/") else set(self.project.files) | self.folders
        if any(fnmatchcase(place, one) or (not path.endswith(".*") and place.endswith("/" + bare))
               for place in places for one in patterns):
            return True
        if any(fnmatchcase(test, bare) for test in self.tests):
            return True
        made = re.compile(rf"(?<![\w.-]){re.escape(os.path.basename(bare))}\b")
        return "." in bare and any(made.search(self.project.parts(name)[1])
                                   for name in self.project.files)

    def is_wrong(self, said, near):
        """Whether what stands in backticks names something that does not exist."""
        said = re.sub(r"\s+", " ", COMMENT_MARK.sub("", said)).strip()
        name = CALL.sub("", said)
        while "/" not in name and name != (shorter := GENERIC.sub("", name)):
            name = shorter
        name = name.removeprefix("&").removeprefix("mut ")
        if name in WORDS:
            return False
        if MODULE_PATH.fullmatch(name):
            return not self.has_path(name)
        if FILE.fullmatch(name):
            return not self.has_file(name, near)
        if PLACE.fullmatch(name):
            return name.split("/")[0] in self.tops and not self.has_file(name, near)
        return bool((SNAKE.fullmatch(name) or CAMEL.fullmatch(name)) and not self.has_word(name))


def names(project, kernel):
    """What pages and comments name in backticks exists."""
    known, bad = Names(project, kernel), []
    for name in project.files:
        if not (name in project.pages or name in project.rust + project.shell + project.python):
            continue
        said = FENCE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), project.parts(name)[0])
        bad += [f"{name}:{line_at(said, match.start())}: there is no `{match[1]}`"
                for match in TICKED.finditer(said) if known.is_wrong(match[1], name)]
    return bad

# SPDX-License-Identifier: GPL-2.0
"""Who may import what: layers, faces, and the rooms that are pure."""

from scripts.lib.lint.paths import Crate, common
from scripts.lib.lint.source import lines_of, module_of

# What `module!` makes in the crate root.
FROM_MACRO = {"LocalModule", "THIS_MODULE", "module_parameters"}
PURE = ("nvme", "policy", "prp")
# Modules and macros of the kernel crate that touch neither device, lock nor thread.
PURE_KERNEL = {"prelude", "fmt", "macros", "time", "bitfield", "register",
               "static_assert", "const_assert", "build_assert"}


def layers(project):
    """A file imports what is declared above it, or above one of its parents."""
    crate, bad = Crate.of(project), []
    for name in project.driver:
        for one in crate.references(name):
            if one.in_crate and (why := wrong_layer(crate, module_of(name), one)):
                bad.append(f"{name}:{one.line}: {why}")
    return bad


def wrong_layer(crate, module, one):
    """What is wrong with a reference of a module, if anything."""
    path = one.path
    if path[-1] == "*" and module[:len(path) - 1] == path[:-1] and len(path) <= len(module):
        return "imports * from a parent, which hides what it uses"
    places = [(crate.module_part(path), path)]
    target = crate.resolve(path)
    if target:
        places.append((target[0], target[0] + (target[1],) if target[1] else target[0]))
    for place, whole in places:
        shared = common(module, place)
        if shared == len(module):
            continue
        if shared < len(place):
            order = crate.order[place[:shared]]
            if module[shared] in order and order.index(place[shared]) > order.index(module[shared]):
                return (f"imports {'::'.join(whole)}: {place[shared]} is declared "
                        f"below {module[shared]}")
        elif target and target[0] == place and target[1] and whole[-1] not in FROM_MACRO:
            if not place:
                return f"imports {target[1]} from the crate root"
            if place != module[:-1]:
                return f"imports {'::'.join(whole)} from a face that is not its parent"
    return ""


def faces(project):
    """From outside a folder one imports from its face, never from a file in it."""
    crate, bad = Crate.of(project), []
    for name in project.driver:
        for one in crate.references(name):
            if one.in_crate and beyond_face(crate, module_of(name), one):
                bad.append(f"{name}:{one.line}: {'::'.join(one.path)} passes by a face")
    return bad


def beyond_face(crate, module, one):
    """Whether a path goes through more than one module that the importer is outside of."""
    place = crate.module_part(one.path)
    shared = common(module, place)
    if one.answered > shared:
        # The `use` has named the face. The rooms of sys are rooms of the root.
        return len(place) - one.answered > (one.path[:one.answered] == ("sys",))
    steps = len(place) - shared
    if shared == 0 and len(place) > 1 and place[0] == "sys":
        steps -= 1
    # A face may offer a file as a namespace: the file itself is the name then.
    return steps > (2 if one.is_use and place == one.path else 1)


def pure(project):
    """Facts and decisions need nothing of the kernel but what computes."""
    crate, bad = Crate.of(project), []
    for name in project.driver:
        if module_of(name)[:1] and module_of(name)[0] in PURE:
            for one in crate.references(name):
                if why := impure(crate, one):
                    bad.append(f"{name}:{one.line}: {why}")
    return bad


def impure(crate, one):
    """Why a pure file may not name a path, if it may not."""
    path = "::".join(one.path)
    if one.in_crate:
        target = crate.resolve(one.path)
        is_sys = one.path[:1] == ("sys",) or (target and target[0][:1] == ("sys",))
        return f"{path} is of sys, this file is pure" if is_sys else ""
    if one.path[0] in ("kernel", "bindings") and len(one.path) > 1:
        if one.path[0] == "kernel" and (one.path[1] in PURE_KERNEL or one.is_macro):
            return ""
        return f"{path} is of the kernel, this file is pure"
    if one.path[:2] in (("core", "sync"), ("alloc", "sync")):
        return f"{path} is for threads, this file is pure"
    return ""


def is_sys(name):
    """Whether a file belongs to the layer that may be unsafe."""
    return name == "sys.rs" or name.startswith("sys/")


def unsafe_only_in_sys(project):
    """The word `unsafe`, and `ffi` as a part of a path, outside sys/."""
    crate, bad = Crate(project, project.code), []
    for name in project.driver:
        if is_sys(name):
            continue
        bad += [f"{name}:{line}: unsafe outside sys/"
                for line in lines_of(project.code[name], r"\bunsafe\b")]
        bad += [f"{name}:{one.line}: {'::'.join(one.path)}: ffi outside sys/"
                for one in crate.references(name) if "ffi" in one.path]
    return bad

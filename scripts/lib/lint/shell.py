# SPDX-License-Identifier: GPL-2.0
"""shellcheck. For each script it reads all that the script sources, which takes half a second for
a guest test: so a script that was found good is not looked at again until it, or what it sources,
is another."""

import hashlib
import json
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

COMMAND = ("shellcheck", "--external-sources", "--severity=style", "--format=gcc")
SOURCES = re.compile(r"^[ \t]*(?:# shellcheck source=(\S+)|(?:\.|source) /?([\w./-]+\.sh)$)", re.M)
# Scripts of one call: few, so that all CPUs have work until the end.
BATCH = 8


def sourced(project, name):
    """The names of a script and of all that it sources, directly or not."""
    found, todo = [], [name]
    while todo:
        one = todo.pop()
        if one in project.text and one not in found:
            found.append(one)
            todo += [match[1] or match[2] for match in SOURCES.finditer(project.text[one])]
    return found


def keys(project, version):
    """What the verdict on each script depends on, as a hash."""
    return {name: hashlib.sha256("\0".join(
        [version, *COMMAND] + [word for one in sourced(project, name)
                               for word in (one, project.text[one])]).encode()).hexdigest()
            for name in project.shell}


def remembered(path):
    """The keys of the scripts that were found good."""
    try:
        with open(path, encoding="utf-8") as source:
            return set(json.load(source))
    except (OSError, ValueError):
        return set()


def run(scripts):
    """(scripts, the complaints about them)."""
    result = subprocess.run([*COMMAND, *scripts], capture_output=True, text=True, check=False)
    lines = (result.stdout + result.stderr).splitlines()
    return scripts, lines or ([f"status {result.returncode}"] if result.returncode else [])


def shellcheck(project, memory, runner=run, version=None):
    """All shell scripts."""
    version = version or subprocess.run([COMMAND[0], "--version"], capture_output=True, text=True,
                                        check=True).stdout
    key = keys(project, version)
    good = remembered(memory) & set(key.values())
    todo = [name for name in project.shell if key[name] not in good]
    batches = [todo[at:at + BATCH] for at in range(0, len(todo), BATCH)]
    bad = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for scripts, lines in pool.map(runner, batches):
            bad += lines
            if lines and len(scripts) > 1:
                # A complaint about what is sourced has another name: each for itself.
                good |= {key[one] for one in scripts if not runner([one])[1]}
            elif not lines:
                good |= {key[one] for one in scripts}
    os.makedirs(os.path.dirname(memory), exist_ok=True)
    with open(memory + ".tmp", "w", encoding="utf-8") as out:
        json.dump(sorted(good), out)
    os.rename(memory + ".tmp", memory)
    return bad

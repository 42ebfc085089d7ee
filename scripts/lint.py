#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The checks of `scripts/lint`; runs in the build root, in the project's folder.

Either those of the source (--files: the names of the project's files), or the verdicts of tools
that have run (--tool NAME:STATUS:LOG), a result line for each.
"""

import argparse
import re
import subprocess
import sys
import time

sys.dont_write_bytecode = True

TOP = "/rnvme"
sys.path.insert(0, TOP)  # before the imports below, on purpose

from scripts.lib.lint import locks, messages, names, prose, rust, shell, structure, times  # noqa: E402
from scripts.lib.lint.kernel import Kernel  # noqa: E402
from scripts.lib.lint.source import Project, read  # noqa: E402

CACHE = "/cache/lint"
LINUX = "/cache/linux"
# The most lines that are shown of what one check says.
SHOWN = 60


def rustfmt(project):
    """rustfmt with the kernel's settings."""
    result = subprocess.run(
        ["rustfmt", "--check", "--color", "never", "--edition", "2021",
         "--config-path", f"{LINUX}/src/.rustfmt.toml", *project.rust],
        capture_output=True, text=True, check=False)
    if result.returncode == 0:
        return []
    return (result.stdout + result.stderr).splitlines() or [f"status {result.returncode}"]


def shellcheck(project):
    """shellcheck of all shell scripts."""
    return shell.shellcheck(project, f"{CACHE}/shellcheck.json")


def check_names(project):
    """Names in backticks."""
    kernel = Kernel(f"{LINUX}/src", f"{CACHE}/names-{read(f'{LINUX}/.key').strip()}")
    return names.names(project, kernel)


CHECKS = {
    "rustfmt": rustfmt,
    "layers": structure.layers,
    "faces": structure.faces,
    "pure": structure.pure,
    "unsafe_only_in_sys": structure.unsafe_only_in_sys,
    "unsafe_documented": rust.unsafe_documented,
    "no_panic": rust.no_panic,
    "functions": rust.functions,
    "type_names": rust.type_names,
    "locks": locks.check_locks,
    "times": times.check_times,
    "messages": messages.check_messages,
    "features": prose.features,
    "names": check_names,
    "words": prose.words,
    "shellcheck": shellcheck,
    "python": prose.python,
    "spdx": prose.spdx,
    "unfinished": prose.unfinished,
    "length": prose.length,
}


def told_by(tool):
    """What is wrong by the log of a tool: it ended with an error, or it warned."""
    _, status, log = tool.split(":", 2)
    text = read(log)
    if status != "0" or re.search(r"^(warning|error)", text, re.M):
        return text.splitlines() or [f"status {status}"]
    return []


def report(name, begin, bad):
    """Print the result of a check; whether it is good."""
    print(f"{'FAIL' if bad else 'ok':<4}  lint/{name}  ({time.monotonic() - begin:.1f} s)",
          flush=True)
    for line in bad[:SHOWN]:
        print("      " + line)
    if len(bad) > SHOWN:
        print(f"      and {len(bad) - SHOWN} more")
    return not bad


def main():
    """Parse the command line, run the checks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", help="check the source: a list of files")
    parser.add_argument("--tool", action="append", default=[], help="check a tool's log")
    parser.add_argument("--write-tables", action="store_true",
                        help="write the tables of locks and times into the page, check nothing")
    parser.add_argument("--counts", help="append the numbers of results to this file")
    options = parser.parse_args()
    project = Project.of_list(options.files) if options.files else None
    if options.write_tables:
        bad = locks.write_locks(project) + times.write_times(project)
        print("\n".join(bad), file=sys.stderr)
        return 1 if bad else 0
    results = [report(tool.split(":")[0], time.monotonic(), told_by(tool))
               for tool in options.tool]
    for name, check in CHECKS.items() if project else ():
        begin = time.monotonic()
        results.append(report(name, begin, check(project)))
    if options.counts:
        with open(options.counts, "a", encoding="utf-8") as out:
            out.write(f"{results.count(True)} {results.count(False)} 0\n")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())

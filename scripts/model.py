#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The models of tests/model, a result line for each; runs in the build root, in the project's
folder. What is broken on purpose must be found."""

import argparse
import os
import subprocess
import sys
import time

TARGET = "/cache/model"
PROGRAM = TARGET + "/debug/model"
SECONDS = 120

RACE = "Causality violation"
BEHIND_GATE = "put in flight behind a"
# A feature of the crate, which breaks something; what finds it; what that says.
BROKEN = (
    ("relaxed_arm", "in_flight/reuse", RACE),
    ("relaxed_release", "in_flight/reuse", RACE),
    ("relaxed_take", "in_flight/reuse", RACE),
    ("kept_armed", "in_flight/repeated", "a request has two owners"),
    ("same_generation", "in_flight/repeated", "a completion took another's request"),
    ("armed_by_last_id", "in_flight/invented", "an invented id took a request"),
    ("lent_as_armed", "in_flight/lent", "taken as its own queue's"),
    ("gate_outside_lock", "gate/closed", BEHIND_GATE),
    ("gate_outside_lock", "gate/two_cpus", BEHIND_GATE),
    ("gate_outside_lock", "gate/reopened", BEHIND_GATE),
    ("no_grace", "lists/trimmed", RACE),
    ("flight_ignored", "lists/trimmed", RACE),
    ("relaxed_ready", "lists/supplied", "the address of another page"),
    ("no_store_barrier", "shadow/in_order", RACE),
    ("no_store_barrier", "shadow/wrapping", RACE),
    ("no_full_barrier", "shadow/in_order", "a wake-up was lost"),
    ("no_full_barrier", "shadow/wrapping", "a wake-up was lost"),
)


class Failed(Exception):
    """What went wrong, in lines."""


def run(*command, **options):
    """Exit status and output of a command."""
    try:
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True, timeout=options.pop("timeout", None), check=False,
                                **options)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"no end within {SECONDS} s") from error
    return result.returncode, result.stdout


def build(*features):
    """Compile the crate. Nothing is fetched: what it needs is installed."""
    environment = dict(os.environ, CARGO_TARGET_DIR=TARGET, CARGO_HOME=TARGET + "/home")
    status, output = run("cargo", "build", "--quiet", "--frozen", "--features", ",".join(features),
                         cwd="tests/model", env=environment)
    if status:
        raise Failed(output)


def explore(model):
    """A model of what was built last: its promises hold."""
    status, output = run(PROGRAM, model, timeout=SECONDS)
    if status:
        raise Failed(output)


def find(feature, model, complaint):
    """A model finds what is broken."""
    build(feature)
    status, output = run(PROGRAM, model, timeout=SECONDS)
    if not status:
        raise Failed(f"{model} does not find it")
    if complaint not in output:
        raise Failed(f"{model} does not say: {complaint}\n{output}")


class Results:
    """A line for each, and how many there are."""

    def __init__(self):
        self.passed = self.failed = 0

    def check(self, name, test, *arguments):
        """Run one; whether it passed."""
        begin, verdict, said = time.monotonic(), "ok", ""
        try:
            test(*arguments)
            self.passed += 1
        except Failed as error:
            verdict, said = "FAIL", str(error)
            self.failed += 1
        print(f"{verdict:<4}  model/{name}  ({time.monotonic() - begin:.1f} s)", flush=True)
        for line in said.rstrip().splitlines()[-40:]:
            print("      " + line)
        return verdict == "ok"


def main():
    """Run them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", help="append the numbers of results to this file")
    options = parser.parse_args()
    results = Results()
    if results.check("build", build):
        for model in run(PROGRAM)[1].split():
            results.check(model, explore, model)
        for feature, model, complaint in BROKEN:
            results.check(f"broken/{feature}/{model}", find, feature, model, complaint)
    if options.counts:
        with open(options.counts, "a", encoding="utf-8") as out:
            out.write(f"{results.passed} {results.failed} 0\n")
    return 1 if results.failed else 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: GPL-2.0
"""Parses the output of bench/guest.sh and bench/device.sh, line by line."""

import json
from dataclasses import dataclass, field


class BenchError(Exception):
    """A measurement failed; the text says why."""


@dataclass
class Sample:
    """One run of fio."""

    name: str
    driver: str
    ios: int
    fio: dict


@dataclass
class Outcome:
    """All results of a plan."""

    samples: list = field(default_factory=list)
    # (cell, driver) -> [Cost of a pair of samples]
    costs: dict = field(default_factory=dict)
    # driver -> [microseconds until its disk is there]
    probes: dict = field(default_factory=dict)
    # (kind, driver, words)
    values: list = field(default_factory=list)


class Told:
    """The parser: takes lines and keeps their contents."""

    def __init__(self, kernel_symbols=()):
        self.outcome = Outcome()
        # (address, name) of the kernel's functions
        self.kernel_symbols = list(kernel_symbols)
        # For each load of the drivers (an epoch): module -> section -> address
        self.epochs = []
        # The epoch of each sample
        self.epoch_of = []
        self.driver = ""
        self._name, self._json = "", None

    def read(self, path):
        """Take all lines of a file; returns the outcome."""
        with open(path, encoding="utf-8") as source:
            for line in source:
                self.take(line.rstrip("\n"))
        if self._json is not None:
            raise BenchError("the output ends in the middle of a sample")
        return self.outcome

    def take(self, line):
        """Take a line."""
        if self._json is not None:
            if line == "end":
                self._sample()
            else:
                self._json.append(line)
            return
        verb, *words = line.split()
        if verb == "symbol":
            self.kernel_symbols.append((int(words[0], 16), words[1]))
        elif verb == "drivers":
            self.epochs.append({})
        elif verb == "section":
            self.epochs[-1].setdefault(words[0], {})[words[1]] = int(words[2], 16)
        elif verb == "probe":
            self.driver = words[0]
            self.outcome.probes.setdefault(words[0], []).append(int(words[1]))
        elif verb == "value":
            self.outcome.values.append((words[0], self.driver, words[1:]))
        elif verb == "sample":
            self._name, self._json = words[0], []
        else:
            raise BenchError(f"unknown line in the output: {line}")

    def _sample(self):
        try:
            job = json.loads("\n".join(self._json))["jobs"][0]
        except (ValueError, KeyError, IndexError) as reason:
            raise BenchError(f"fio's output is not as expected: {reason}") from reason
        self._json = None
        ios = sum(job[kind]["total_ios"] for kind in ("read", "write", "trim"))
        self.outcome.samples.append(Sample(self._name, self.driver, ios, job))
        self.epoch_of.append(len(self.epochs) - 1)

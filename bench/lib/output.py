# SPDX-License-Identifier: GPL-2.0
"""What bench/guest.sh and bench/device.sh tell, line by line."""

import json
from dataclasses import dataclass, field


class BenchError(Exception):
    """A measurement that did not work; the text says why."""


@dataclass
class Sample:
    """One run of fio."""

    name: str
    driver: str
    ios: int
    fio: dict


@dataclass
class Outcome:
    """All that a plan gave."""

    samples: list = field(default_factory=list)
    # (cell, driver) -> [Cost of a pair of samples]
    costs: dict = field(default_factory=dict)
    # driver -> [microseconds until its disk is there]
    probes: dict = field(default_factory=dict)
    # (what, driver, words)
    values: list = field(default_factory=list)


class Told:
    """Takes lines, keeps what they say."""

    def __init__(self, kernel_symbols=()):
        self.outcome = Outcome()
        # (address, name) of the kernel's functions
        self.kernel_symbols = list(kernel_symbols)
        # For each loading of the drivers: module -> section -> address
        self.epochs = []
        # Of each sample
        self.epoch_of = []
        self.driver = ""
        self._name, self._json = "", None

    def read(self, path):
        """Take all lines of a file."""
        with open(path, encoding="utf-8") as source:
            for line in source:
                self.take(line.rstrip("\n"))
        if self._json is not None:
            raise BenchError("what was told ends in the middle of a sample")
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
            raise BenchError(f"the guest said: {line}")

    def _sample(self):
        try:
            job = json.loads("\n".join(self._json))["jobs"][0]
        except (ValueError, KeyError, IndexError) as reason:
            raise BenchError(f"fio's answer makes no sense: {reason}") from reason
        self._json = None
        ios = sum(job[kind]["total_ios"] for kind in ("read", "write", "trim"))
        self.outcome.samples.append(Sample(self._name, self.driver, ios, job))
        self.epoch_of.append(len(self.epochs) - 1)

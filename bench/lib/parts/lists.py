# SPDX-License-Identifier: GPL-2.0
"""What the lists of large requests cost: memory, waiting, latency."""

from ..output import BenchError
from ..session import PLAIN

DRIVERS = ("rnvme", "nvme")
CPUS = 8
# As many requests at a time, of 256 KiB.
DEPTH = 128
# 1023 tags a queue. nvme keeps its dma pools for good, rnvme frees pages: both after a minute.
OPTIONS = "io_queue_depth=1024"
ROUNDS = 10


def memory(bench, found):
    """Bytes of a controller with 8 queues of 1023 tags."""
    plan = [f'load_memory {PLAIN} {driver} "{OPTIONS}"' for driver in DRIVERS]
    outcome = bench.session(plan, 600, counting=False, smp=CPUS)
    for kind, driver, words in outcome.values:
        if kind == "load":
            tags, queues, idle, load, later = map(int, words)
            found[driver].update(tags=tags, queues=queues, idle=idle, load=load, later=later)
    if any("idle" not in found[driver] for driver in DRIVERS):
        raise BenchError("lists: expected the memory of both drivers")


def waiting(bench, found):
    """How often requests of 256 KiB were queued again, and their latencies, on one CPU, in pairs."""
    plan, order = ['drivers "" ""'], DRIVERS
    for _ in range(ROUNDS):
        plan += [f"large_reads {PLAIN} {driver}" for driver in order]
        order = order[::-1]
    outcome = bench.session(plan, 1200, counting=False)
    for kind, driver, words in outcome.values:
        if kind == "requeues":
            found[driver].setdefault("requeues", []).append(int(words[0]))
    for sample in outcome.samples:
        latency = sample.fio["read"]["clat_ns"]
        for name in ("mean", "max"):
            values = found[sample.driver].setdefault(f"{name}_us", [])
            values.append(round(latency[name] / 1000))


def measure(bench):
    """Measure both."""
    bench.say("lists of large requests")
    found = {driver: {} for driver in DRIVERS}
    waiting(bench, found)
    memory(bench, found)
    bench.results["lists"] = found

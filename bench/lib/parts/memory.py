# SPDX-License-Identifier: GPL-2.0
"""Memory and code size of a driver, and its time to probe."""

import re
import statistics

from ..session import PLAIN, module_file
from ..symbols import run
from ..output import BenchError

DRIVERS = ("rnvme", "nvme")
# Two depths give the bytes of a tag, two numbers of queues the bytes of a queue; with many queues
# in each, because free memory is not exact. nvme has at most one poll queue a CPU.
CPUS = 4
SHALLOW, DEEP = "io_queue_depth=64", "io_queue_depth=2048"
MORE_QUEUES = f"io_queue_depth=64 poll_queues={CPUS}"
TIMES = 5
# Pairs of probes, A B B A.
PROBES = 20


def solve(shallow, deep, more):
    """(bytes a tag, a queue, a controller) from three measurements of (tags of a queue, queues,
    bytes): bytes = controller + queues * (queue + tags * tag)."""
    (few, queues, low), (many, same, high), (again, most, wide) = shallow, deep, more
    if same != queues or again != few or most <= queues or many <= few:
        raise BenchError(f"memory: queues and tags do not compare: {shallow}, {deep}, {more}")
    tag = (high - low) / ((many - few) * queues)
    queue = (wide - low) / (most - queues) - few * tag
    return tag, queue, low - queues * (queue + few * tag)


def memory(bench):
    """Bytes a tag, a queue and a controller."""
    kinds = (SHALLOW, DEEP, MORE_QUEUES)
    # The first one warms the kernel's caches, and does not count.
    plan = [f'memory {PLAIN} {DRIVERS[-1]} "{DEEP}"']
    plan += [f'memory {PLAIN} {driver} "{kind}"' for _ in range(1 if bench.options.quick else TIMES)
            for driver in DRIVERS for kind in kinds]
    plan += ['drivers "" ""', *[f"request_size {PLAIN} {driver}" for driver in DRIVERS]]
    outcome = bench.session(plan, 600 + 60 * len(plan), counting=False, smp=CPUS)
    for driver in DRIVERS:
        values = [words for kind, who, words in outcome.values[1:]
                  if (kind, who) == ("memory", driver)]
        request, = [int(words[0]) for kind, who, words in outcome.values
                    if (kind, who) == ("request", driver)]
        points, samples = [], []
        for at in range(len(kinds)):
            some = [[int(word) for word in words] for words in values[at::len(kinds)]]
            tags, queues, _ = some[0]
            samples.append({"tags": tags, "queues": queues, "kib": [one[2] for one in some]})
            points.append((tags, queues, statistics.median(one[2] for one in some) * 1024))
        tag, queue, controller = solve(*points)
        bench.results["memory"][driver] = {
            "request": request, "tag": round(tag), "queue": round(queue), "controller": round(controller),
            "samples": samples}


def probes(bench):
    """Measure the microseconds from probe to disk."""
    plan, order = ['drivers "" ""'], DRIVERS
    for _ in range(5 if bench.options.quick else PROBES):
        plan += [f"take {PLAIN} {driver}" for driver in order]
        order = order[::-1]
    outcome = bench.session(plan, 900, counting=False)
    # The first pair has cold caches.
    bench.results["probe_us"] = {driver: outcome.probes[driver][1:] for driver in DRIVERS}


def text_size(path):
    """Bytes of a module's code."""
    sections = re.findall(r"\]\s+(\.\S*text\S*)\s+PROGBITS\s+\S+\s+\S+\s+(\S+)",
                          run("readelf", "-SW", path))
    return sum(int(size, 16) for name, size in sections if not name.startswith((".init", ".exit")))


def measure(bench):
    """Measure memory, code size and time to probe."""
    bench.say("memory, code, probing")
    memory(bench)
    probes(bench)
    with bench.folder() as folder:
        files = {"rnvme": [bench.options.module],
                 "nvme": [module_file(bench.kernel, name, folder)
                          for name in ("nvme", "nvme_core")]}
        for driver, paths in files.items():
            bench.results["text_bytes"][driver] = sum(map(text_size, paths))

# SPDX-License-Identifier: GPL-2.0
"""The bars that rnvme must meet, and whether results.json meets them. Arithmetic only."""

import statistics
from dataclasses import dataclass

from .stats import geometric_interval, interval

# (kind of I/O, limit of rnvme/nvme, cells), each cell without and with shadow doorbells.
DRIVER_BARS = (
    ("4 KiB read, queue depth 1", 0.50, ("read-4k-qd1",)),
    ("4 KiB write, queue depth 1", 0.50, ("write-4k-qd1",)),
    ("4 KiB read, queue depth 32", 0.50, ("read-4k-qd32", "read-4k-qd32-batch32")),
    ("16 KiB read in 4 segments, queue depth 8", 0.45, ("read-16k-qd8", "read-16k-qd8-batch8")),
    ("128 KiB read in 32 segments, queue depth 8", 0.35,
     ("read-128k-qd8", "read-128k-qd8-batch8")),
    ("4 KiB read, polled, queue depth 32", 0.50, ("read-4k-qd32-poll",)),
)
# Parts of the kernel whose instructions are the same each time; the others depend on timers and
# on contention.
EXACT_PARTS = ("dma", "block")
TAG_BYTES = 320
# The most memory of a controller with 8 queues of 1023 tags.
MEMORY_SHARE = 0.82
NOT_MEASURED = "not measured"
# The most seconds of `make bench`: in full, and with QUICK=1.
LIMITS = (45 * 60, 5 * 60)
# The most bytes of a command in bench/machine; the most completions with one interrupt.
LARGEST_COMMAND = 512 * 1024
DEEPEST_BATCH = 32
# The least pairs of samples for a verdict.
LEAST_PAIRS = 10
# A difference of so few events an I/O counts as none.
SAME = 0.01


@dataclass
class Bar:
    """One demand; `met` is None where it was not measured."""

    title: str
    demand: str
    found: str = NOT_MEASURED
    met: bool | None = None


def by_cell(results):
    """{cell: {driver: entry}} of the costs."""
    found = {}
    for entry in results["cost"]:
        found.setdefault(entry["cell"], {})[entry["driver_name"]] = entry
    return {name: both for name, both in found.items() if len(both) == 2}


def figure_of(entry, name):
    """The mean of a figure over the pairs of a cell."""
    return statistics.fmean(pair[name] for pair in entry["pairs"])


def varies(entry):
    """Whether QEMU's timing decides how many completions an interrupt finds: with I/Os one by one,
    with jobs that share a CPU, with I/Os that are split into commands, and with more completions
    than one interrupt handles."""
    return (entry["poll"] or (entry["depth"] > 1 and entry["batch"] == 1) or entry["jobs"] > 1
            or entry["size"] > LARGEST_COMMAND or entry["depth"] > DEEPEST_BATCH)


def share(both, figure=None):
    """rnvme/nvme of a cell: of the driver's instructions, or of another figure."""
    ours, theirs = (both[driver]["instructions"] if figure is None
                    else figure_of(both[driver], figure) for driver in ("rnvme", "nvme"))
    return ours / theirs


def ratios(entry, figure):
    """rnvme/nvme of each pair of timed samples."""
    return [pair["rnvme"][figure] / pair["nvme"][figure] for pair in entry["pairs"]
            if pair["nvme"][figure] and pair["rnvme"][figure]]


def noise(entry, figure):
    """Ratios of two consecutive samples of the same driver, without a bind between them: pairs go
    A B B A, so the second sample of a pair and the first of the next are of one driver."""
    found = []
    for at, (first, second) in enumerate(zip(entry["pairs"], entry["pairs"][1:])):
        driver = "nvme" if at % 2 == 0 else "rnvme"
        if first[driver][figure]:
            found.append(second[driver][figure] / first[driver][figure])
    return found


def driver_bars(costs):
    """The bars of the driver's instructions."""
    for title, most, names in DRIVER_BARS:
        bar = Bar("the driver's instructions: " + title, f"at most {most:.2f} of nvme's")
        found = [(name, share(costs[name])) for base in names
                 for name in (base, base + "-shadow") if name in costs]
        if found:
            bar.met = all(value <= most for _, value in found)
            bar.found = ", ".join(f"{value:.3f}{flavour(name)}" for name, value in found)
        yield bar


def flavour(name):
    """The words that distinguish the cells of a bar."""
    words = [word for word, there in (("in batches", "-batch" in name),
                                      ("with shadow doorbells", "-shadow" in name)) if there]
    return f" ({', '.join(words)})" if words else ""


def elsewhere(both):
    """How many instructions more than nvme rnvme causes outside the driver, in the parts of the
    kernel that are exact."""
    return sum(figure_of(both["rnvme"], part) - figure_of(both["nvme"], part)
               for part in EXACT_PARTS)


def rest(entry):
    """The instructions of the kernel without the driver."""
    return figure_of(entry, "kernel") - figure_of(entry, "driver")


def moved_bars(costs):
    """The rest of the kernel must not pay for the driver's saving: the exact parts are compared
    cell by cell, the whole rest of the kernel, which is noisy, on the average."""
    deep = {name: both for name, both in costs.items() if both["rnvme"]["depth"] == 32}
    exact = Bar("the rest of the kernel at queue depth 32, where it is exact: block layer and DMA "
                "mapping, in batches", "no more instructions than with nvme, in every cell")
    found = {name: elsewhere(both) for name, both in deep.items() if not varies(both["rnvme"])}
    if found:
        worst = max(found, key=found.get)
        exact.met = found[worst] < 1
        exact.found = (f"fewer in all {len(found)} cells, by {-found[worst]:.0f} to "
                       f"{-min(found.values()):.0f}" if exact.met else
                       f"{sum(value >= 1 for value in found.values())} of {len(found)} cells with "
                       f"more; the worst: {worst}, {found[worst]:.0f} more")
    whole = Bar("the rest of the kernel at queue depth 32, all of it", "no more instructions than "
                "with nvme: the interval of the ratio not wholly above 1.00")
    ratio = [rest(both["rnvme"]) / rest(both["nvme"]) for both in deep.values()
             if min(rest(one) for one in both.values()) > 0 and not both["rnvme"]["poll"]]
    if len(ratio) > 1:
        middle, low, high = interval(ratio)
        whole.met = low <= 1
        whole.found = (f"{middle:.3f} (95 %: {low:.3f} to {high:.3f}), the median over {len(ratio)} "
                       "cells")
    return [exact, whole]


def event_bar(costs, figure, title):
    """A bar of events that cost time on real hardware: compared exactly in exact cells, on the
    average in cells where QEMU's timing decides how many completions an interrupt finds."""
    bar = Bar(title, "no more than with nvme, in every cell")
    exact = {name: figure_of(both["rnvme"], figure) - figure_of(both["nvme"], figure)
             for name, both in costs.items() if not varies(both["rnvme"])}
    loose = [share(both, figure) for both in costs.values()
             if varies(both["rnvme"]) and figure_of(both["nvme"], figure) > SAME
             and figure_of(both["rnvme"], figure) > 0]
    if not exact:
        return bar
    more = {name: value for name, value in exact.items() if value > SAME}
    bar.met = not more
    bar.found = f"in {len(exact)} exact cells: " + (
        f"{len(more)} with more, the worst {max(more, key=more.get)} by {max(more.values()):.3f}"
        if more else "none with more")
    if len(loose) > 1:
        middle, low, high = interval(loose)
        bar.met = bar.met and low <= 1
        bar.found += (f"; in {len(loose)} cells where timing decides: median of the ratios "
                      f"{middle:.3f} (95 %: {low:.3f} to {high:.3f})")
    return bar


def time_bars(times):
    """The bars of IOPS and p99 latency, in pairs."""
    for figure, title, better in (("iops", "IOPS", 1), ("p99_us", "p99 latency", -1)):
        sign = "at least" if better > 0 else "at most"
        bar = Bar(f"{title}, rnvme / nvme in pairs", f"geometric mean {sign} 1.00, no cell's "
                  "interval wholly on the wrong side")
        if times:
            groups = {entry["cell"]: ratios(entry, figure) for entry in times}
            mean, low, high = geometric_interval(list(groups.values()))
            wrong = [name for name, values in groups.items() if wholly_wrong(values, better)]
            if min(map(len, groups.values())) >= LEAST_PAIRS:
                bar.met = (round(mean, 2) - 1) * better >= 0 and not wrong
            bar.found = (f"{mean:.3f} (95 %: {low:.3f} to {high:.3f}) over {len(groups)} cells; "
                         + (f"wrong: {', '.join(wrong)}" if wrong else "no cell wrong"))
        yield bar


def wholly_wrong(values, better):
    """Whether the interval of the median says that rnvme is worse."""
    _, low, high = interval(values)
    return high < 1 if better > 0 else low > 1


def size_bars(results):
    """The bars of memory a tag and time to probe."""
    tag = Bar("memory a tag: a request with the driver's data", f"at most {TAG_BYTES} bytes")
    whole = Bar("memory a tag in all: request, ring entries, lists", "at most nvme's")
    memory = results["memory"]
    if memory:
        ours, theirs = (memory[driver]["tag"] for driver in ("rnvme", "nvme"))
        whole.met, whole.found = ours <= theirs, f"{ours} (nvme: {theirs})"
        bytes_of = {driver: memory[driver]["request"] for driver in ("rnvme", "nvme")}
        tag.met = bytes_of["rnvme"] <= TAG_BYTES
        tag.found = f"{bytes_of['rnvme']} (nvme: {bytes_of['nvme']})"
    probe = Bar("time from probe to disk", "not longer than nvme: the interval of rnvme / nvme in "
                "pairs not wholly above 1.00")
    times = results["probe_us"]
    if times:
        ours, theirs = (statistics.median(times[driver]) / 1000 for driver in ("rnvme", "nvme"))
        middle, low, high = interval([one / other for one, other in
                                      zip(times["rnvme"], times["nvme"])])
        probe.met = low <= 1
        probe.found = (f"{middle:.2f} (95 %: {low:.2f} to {high:.2f}); medians {ours:.1f} ms and "
                       f"{theirs:.1f} ms of {len(times['rnvme'])}")
    return [tag, whole, probe]


def list_bars(results):
    """The bars of the lists of large requests: memory of a controller, waiting, latency."""
    share_bar = Bar("memory of a controller with 8 queues of 1023 tags: idle, during 128 reads of "
                    "256 KiB, a minute later", f"at most {MEMORY_SHARE:.2f} of nvme's")
    again = Bar("reads of 256 KiB, 128 at a time, that are queued again", "none")
    slow = Bar("completion latency of these reads: mean, longest", "at most nvme's, in the median")
    found = results["lists"]
    if found:
        shares = [found["rnvme"][when] / found["nvme"][when] for when in ("idle", "load", "later")]
        share_bar.met = max(shares) <= MEMORY_SHARE
        share_bar.found = ", ".join(f"{value:.2f}" for value in shares)
        again.met = not any(found["rnvme"]["requeues"])
        again.found = f"{max(found['rnvme']['requeues'])} (nvme: {max(found['nvme']['requeues'])})"
        pairs = [[statistics.median(found[driver][name]) / 1000 for driver in ("rnvme", "nvme")]
                 for name in ("mean_us", "max_us")]
        slow.met = all(ours <= theirs for ours, theirs in pairs)
        slow.found = ", ".join(f"{ours:.1f} ms (nvme: {theirs:.1f})" for ours, theirs in pairs)
    return [share_bar, again, slow]


def limit_bar(results):
    """The bar of the time that the benchmark took."""
    most = LIMITS[results["quick"]]
    bar = Bar("make bench" + (" QUICK=1" if results["quick"] else ""),
              f"at most {most // 60} minutes")
    took = sum(results["seconds"].values())
    if {"cost", "scaling", "time", "memory"} <= set(results["seconds"]):
        bar.met, bar.found = took <= most, f"{took / 60:.1f} minutes"
    return bar


def bars(results):
    """All bars."""
    costs = by_cell(results)
    return [*driver_bars(costs), *moved_bars(costs),
            event_bar(costs, "register_writes", "register writes (MMIO) an I/O"),
            event_bar(costs, "interrupts", "interrupts an I/O"),
            *time_bars(results["time"]), *size_bars(results), *list_bars(results),
            limit_bar(results)]

# SPDX-License-Identifier: GPL-2.0
"""bench/report.html: results.json for a reader who does not know the project."""

import html
import statistics

from scripts.lib.guest import initramfs
from scripts.lib.guest.machine import have_kvm

from . import plots
from .bars import NOT_MEASURED, bars, by_cell, figure_of, noise, ratios, share
from .markup import facts, folded, met, page, ratio, section, table, text
from .stats import geometric, geometric_interval, interval, percentiles
from .symbols import run

# Common kinds of I/O, for the plots at the top.
SHOWN = ("read-4k-qd1", "write-4k-qd1", "read-4k-qd32-batch32", "read-4k-qd32-poll",
         "read-16k-qd8-batch8", "read-128k-qd8-batch8", "read-1m-qd8-batch8", "flush-4k-qd1",
         "discard-64k-qd1")
PARTS_SHOWN = ("read-4k-qd1", "read-4k-qd32-batch32", "read-128k-qd8-batch8")
# The figures of the cost table: (figure, title, decimals)
FIGURES = (("dma", "DMA mapping", 0), ("block", "block layer", 0),
           ("interrupt", "interrupt entry", 0), ("kernel", "whole kernel", 0),
           ("register_writes", "register writes", 3), ("interrupts", "interrupts", 3),
           ("locks_taken", "locks", 2), ("allocations", "allocations", 2))
TIMES = (("iops", "IOPS"), ("p50_us", "p50 µs"), ("p99_us", "p99 µs"), ("p999_us", "p99.9 µs"),
         ("cpu_us", "CPU µs"))


def processors():
    """The machine's CPUs."""
    names = [line.split(":")[1].strip() for line in initramfs.read("/proc/cpuinfo").splitlines()
             if line.startswith("model name")]
    return f"{len(names)} CPUs, {names[0] if names else 'unknown'}"


def where(kernel):
    """The kernel, QEMU and machine of the measurement."""
    qemu = run("qemu-system-x86_64", "--version").split("\n")[0].split("(")[0].strip()
    return (f"Linux {kernel.release} in {qemu}, "
            f"{'with KVM for the timed part' if have_kvm() else 'without hardware virtualisation'}, "
            f"on a machine with {processors()}")


# ------------------------------------------------------------------ the top ---

def lead(costs):
    """The introduction: what is compared, and how."""
    body = ('<p><b class="r">rnvme</b> is a driver for NVMe solid-state disks, written in Rust, '
            "that loads into an ordinary Linux kernel. This report compares it with "
            '<b class="n">nvme</b>, the driver in C that Linux has. Both drive <b>the same '
            "controller in the same boot</b>: it is given to the one, then to the other, and "
            "<code>fio</code> reads and writes its disk.</p>")
    if costs:
        body += ("<p>The main figure is <b>how many instructions the CPU executes in the driver for "
                 "one I/O</b>. In an emulated machine, which this was measured in, times are mostly "
                 "noise, but instructions can be counted, and are the same each time. Fewer is "
                 "better; a ratio below 1 means that rnvme needs less. Times are there as well, "
                 "with their noise.</p>")
    else:
        body += ("<p>Here only times were measured: I/Os a second, latency, CPU time, in pairs of "
                 "samples of both drivers, one after the other.</p>")
    return body


def top_facts(results, costs):
    """The main numbers."""
    items = []
    standard = [name for name in SHOWN if name in costs]
    if "read-4k-qd1" in costs:
        both = costs["read-4k-qd1"]
        items.append((f"{both['rnvme']['instructions']:.0f}",
                      "instructions of the driver for a read of 4 KiB, where nvme has "
                      f"{both['nvme']['instructions']:.0f}"))
    if standard:
        values = [share(both) for both in costs.values()]
        items.append((f"{geometric(values):.2f}", "of nvme's instructions in the driver: the "
                      f"geometric mean over all {len(values)} kinds of I/O "
                      f"({min(values):.2f} to {max(values):.2f})"))
    if results["time"]:
        mean, low, high = geometric_interval([ratios(entry, "iops") for entry in results["time"]])
        items.append((f"{mean:.2f}", "of nvme's I/Os a second, the geometric mean over "
                      f"{len(results['time'])} kinds of I/O (95 %: {low:.2f} to {high:.2f})"))
    if results["memory"]:
        found = results["memory"]
        items.append((f"{found['rnvme']['request']}", "bytes of a request for each I/O that can be "
                      f"in flight, where nvme has {found['nvme']['request']}"))
    return facts(items)


def bar_section(results):
    """The bars and whether they are met."""
    found = [bar for bar in bars(results) if bar.found != NOT_MEASURED]
    judged = [bar.met for bar in found if bar.met is not None]
    rows = [[text(bar.title[0].upper() + bar.title[1:]), text(bar.demand), text(bar.found),
             met(bar.met)] for bar in found]
    return section("bars", "What was demanded, and what came out",
                   "<p>These bars were set before the driver was made fast. "
                   f"<b>{sum(judged)} of {len(judged)}</b> are met.</p>",
                   table(["what", "demanded", "found", ""], rows))


# ------------------------------------------------------------- instructions ---

def cost_section(costs, slopes):
    """The plots of the driver's instructions."""
    shown = [name for name in SHOWN if name in costs] or list(costs)[:9]
    kinds = (
        (lambda one: in_batches(one) and plain(one), "Interrupts, in batches"),
        (lambda one: not one["poll"] and one["batch"] == 1 and plain(one),
         "Interrupts, I/Os one by one"),
        (lambda one: one["poll"] and plain(one), "Polled"),
        (lambda one: in_batches(one) and plain(one, True),
         "Interrupts, in batches, with shadow doorbells"))
    heat = "".join(plots.matrix(costs, *kind) for kind in kinds)
    return section(
        "cost", "Instructions in the driver",
        plots.driver_costs(costs, shown),
        "<p>A name says: what is done, its size, the queue depth (how many I/Os are on the way at a "
        "time); <i>poll</i>: the program asks for completions instead of being interrupted; "
        "<i>batch8</i>: eight are submitted and awaited together; <i>off512</i>: the program's "
        "memory is 512 bytes off a page; <i>fixed</i>: io_uring's registered buffers; "
        "<i>jobs2</i>: two processes on two CPUs; <i>shadow</i>: doorbells in memory.</p>",
        "<h3>All sizes and depths</h3><p>rnvme's instructions as a share of nvme's, by size, "
        f'operation and queue depth: green is fewer.</p><div class="plots">{heat}</div>'
        if heat else "", slope_table(slopes))


def slope_table(slopes):
    """The table of the slopes: the instructions of each event that is taken out."""
    each = {(poll, shadow, driver): value for driver, poll, shadow, value in slopes}
    rows = [[title, *[f"{each[poll, shadow, driver]:.0f}" for driver in ("rnvme", "nvme")]]
            for title, poll, shadow in (
                ("an interrupt", False, False), ("an interrupt, with shadow doorbells", False, True),
                ("a poll that finds nothing", True, False))
            if all((poll, shadow, driver) in each for driver in ("rnvme", "nvme"))]
    if not rows:
        return ""
    return ("<p>Of I/Os one by one and polled ones, what QEMU's timing adds is taken out: how many "
            "interrupts there are, and how many polls find nothing. Each has these instructions in "
            "the driver:</p>" + table(["", "rnvme", "nvme"], rows))


def in_batches(one):
    """Whether a cell has interrupts, and batches as large as its depth."""
    return not one["poll"] and one["batch"] == one["depth"]


def plain(one, shadow=False):
    """Whether a cell belongs to the matrix of sizes and depths."""
    return (one["op"] in ("read", "write") and not one["fixed"] and one["jobs"] == 1
            and one["shadow"] == shadow)


def kernel_section(costs):
    """The whole kernel's instructions, and all numbers."""
    names = [name for name in PARTS_SHOWN if name in costs] or list(costs)[:3]
    return section(
        "kernel", "The whole kernel",
        "<p>The driver is a small part of what an I/O costs. What the driver asks the rest of the "
        "kernel to do is counted, too, so that nothing can be moved out of sight: <i>the driver</i> "
        "is the module and what it alone uses of the kernel's Rust code. The driver, DMA mapping "
        "and the block layer are exact; the other parts have timers, locks that are waited for and "
        "QEMU's timing in them.</p>",
        plots.parts(costs, names),
        folded(f"All {len(costs)} kinds of I/O: instructions, register writes, interrupts, locks, "
               "allocations", cost_table(costs)),
        folded("Function by function: the drivers in each kind of I/O", function_tables(costs)))


def cost_table(costs):
    """The table of all cells: instructions and events."""
    head = ["kind of I/O", "driver<br>rnvme", "driver<br>nvme", "ratio", "spread"]
    for _, title, _ in FIGURES:
        head += [f"{title}<br>rnvme", "<br>nvme"]
    rows = []
    for name, both in costs.items():
        ours, theirs = both["rnvme"], both["nvme"]
        row = [name, f"{ours['instructions']:.1f}", f"{theirs['instructions']:.1f}",
               ratio(ours["instructions"], theirs["instructions"]),
               f"{max(ours['spread'], theirs['spread']):.1f}"]
        for figure, _, places in FIGURES:
            row += [f"{figure_of(one, figure):.{places}f}" for one in (ours, theirs)]
        rows.append(row)
    return ("<p>An I/O's. <i>Driver</i>: with what QEMU's timing adds taken out (see the end). "
            "<i>Spread</i>: the largest less the smallest of several pairs of runs, where there "
            "were several. The other columns are as counted.</p>" + table(head, rows))


def function_tables(costs):
    """The driver's functions, cell by cell."""
    found = []
    for name, both in costs.items():
        columns = [sorted(both[driver]["functions"].items(), key=lambda one: -one[1])
                   for driver in ("rnvme", "nvme")]
        rows = []
        for at in range(max(map(len, columns))):
            row = []
            for column in columns:
                row += ([text(column[at][0][:70]), f"{column[at][1]:.1f}"]
                        if at < len(column) else ["", ""])
            rows.append(row)
        found.append(folded(name, table(["rnvme", "", "nvme", ""], rows)))
    return "".join(found)


# ------------------------------------------------------------------ scaling ---

def scaling_section(rows):
    """Cost with more CPUs, namespaces and depth; interrupts under load."""
    if not rows:
        return ""
    cells = []
    for kind, value, title in plots.SCALES:
        for number in sorted({row["number"] for row in rows if row["kind"] == kind}):
            both = {row["driver_name"]: row for row in rows
                    if (row["kind"], row["number"]) == (kind, number)}
            cells.append([f"{number} {title.split(',')[0]}" if kind != "load"
                          else f"queue depth {number}, one by one"]
                         + [f"{both[driver][figure]:.{places}f}"
                            for figure, places in (("driver", 1), ("register_writes", 3),
                                                   ("interrupts", 3), ("p99_us", 0))
                            for driver in ("rnvme", "nvme")])
    return section(
        "scaling", "Scaling",
        "<p>The cost of an I/O must not grow with queues, namespaces or depth. Reads of 4 KiB. The "
        "last plot is how interrupts become fewer as more is in flight: QEMU's controller and the "
        "CPU race, and what is counted depends on who is faster.</p>",
        plots.scaling(rows),
        folded("The numbers", "<p>Instructions as counted: one by one at a depth above 1 they vary "
               "with the interrupts. p99 is in a guest that is being counted, and noise for the "
               "most part.</p>" + table(
                   ["4 KiB read", "driver<br>rnvme", "<br>nvme", "register writes<br>rnvme",
                    "<br>nvme", "interrupts<br>rnvme", "<br>nvme", "p99 µs<br>rnvme", "<br>nvme"],
                   cells)))


# --------------------------------------------------------------------- time ---

def time_section(results):
    """IOPS, latency, CPU time, in pairs."""
    entries = results["time"]
    if not entries:
        return ""
    pairs = len(entries[0]["pairs"])
    return section(
        "time", "Time",
        f"<p>{pairs} pairs of samples for each kind of I/O, in the order A B B A: the controller is "
        "given to one driver, sampled, given to the other, sampled twice, and so on. So each pair "
        "has both drivers within seconds, and what drifts slowly cancels out. The grey bars show "
        "the noise: the same ratio of <i>two samples of one driver</i>, which should be 1.</p>",
        plots.times(entries, "iops", "IOPS, rnvme / nvme (more is better)"),
        plots.times(entries, "p99_us", "p99 latency, rnvme / nvme (less is better)"),
        time_table(entries))


def time_table(entries):
    """Medians, the paired ratios, and the noise."""
    rows = []
    for entry in entries:
        row = [entry["cell"]]
        for figure, _ in TIMES:
            medians = [statistics.median(pair[driver][figure] for pair in entry["pairs"])
                       for driver in ("rnvme", "nvme")]
            values = ratios(entry, figure)
            middle, low, high = interval(values) if values else (0, 0, 0)
            row += [f"{medians[0]:.0f}", f"{medians[1]:.0f}", f"{middle:.2f} ({low:.2f}–{high:.2f})"]
        quiet = noise(entry, "iops")
        row.append("{:.2f}–{:.2f}".format(*percentiles(quiet)) if len(quiet) > 1 else "")
        rows.append(row)
    mean = ["geometric mean"]
    for figure, _ in TIMES:
        groups = [values for entry in entries if (values := ratios(entry, figure))]
        middle, low, high = geometric_interval(groups) if groups else (0, 0, 0)
        mean += ["", "", f"{middle:.3f} ({low:.3f}–{high:.3f})"]
    head = ["kind of I/O"]
    for _, title in TIMES:
        head += [f"{title}<br>rnvme", "<br>nvme", "ratio"]
    return ("<p>Medians; the ratio is the median of the pairs' ratios with its 95 % interval, "
            "<i>noise</i> that of IOPS with themselves.</p>"
            + table(head + ["noise"], rows + [mean + [""]], "wide"))


# ------------------------------------------------------------------ the end ---

def memory_section(results):
    """Memory, code, time to probe."""
    rows = []
    memory = results["memory"]
    for key, title in (
            ("request", "bytes a tag (an I/O that can be in flight): the block layer's request "
                        "with the driver's data, exactly"),
            ("tag", "bytes a tag in all, with ring entries and lists, from free memory"),
            ("queue", "bytes a queue without its tags, from free memory"),
            ("controller", "bytes a controller with its disk, without queues, from free memory")):
        if memory:
            rows.append([title, *[memory[driver][key] for driver in ("rnvme", "nvme")]])
    for key, title in (("idle", "idle"), ("load", "during 128 reads of 256 KiB"),
                       ("later", "a minute later")):
        if results["lists"]:
            rows.append([f"bytes of a controller with 8 queues of 1023 tags, {title}, by the "
                         "kernel's events",
                         *[results["lists"][driver][key] for driver in ("rnvme", "nvme")]])
    if results["text_bytes"]:
        rows.append(["bytes of code of the module (nvme: nvme and nvme_core)",
                     *[results["text_bytes"][driver] for driver in ("rnvme", "nvme")]])
    if results["probe_us"]:
        rows.append(["milliseconds from probe to disk (median)",
                     *[round(statistics.median(results["probe_us"][driver]) / 1000, 1)
                       for driver in ("rnvme", "nvme")]])
    if not rows:
        return ""
    return section("memory", "Memory, size, probing",
                   table(["", "rnvme", "nvme", "ratio"],
                         [[text(row[0]), row[1], row[2], ratio(row[1], row[2])] for row in rows]))


def method_section(results):
    """The method and its limits."""
    took = ", ".join(f"{name} {seconds} s" for name, seconds in results["seconds"].items())
    return section(
        "method", "How it was measured",
        f"<p>{html.escape(results['where'])}. It took: {took}.</p>"
        "<p><b>Instructions.</b> A plugin of QEMU counts each instruction that the guest's kernel "
        "executes. fio runs twice, with few and with many I/Os; the difference divided by the "
        "difference of the I/Os is the cost of one, and what happens once cancels out. The "
        "program's memory is scattered, so that each page of 4 KiB is a piece of its own for the "
        "controller: the worst case. Scheduler, queue depth and sizes are set the same for both. "
        "The disk behind the controller costs nothing.</p>"
        "<p><b>What timing decides.</b> How many completions an interrupt finds, and how often a "
        "poll finds none, depends on how fast QEMU is. Both are counted; one more interrupt (or "
        "empty poll) takes the same way through the driver each time, so a line through several "
        "runs tells its cost, and the instructions are given for a fixed number. In batches, and at "
        "queue depth 1, nothing has to be taken out.</p>"
        "<p><b>What instructions do not say:</b> caches, branch prediction, barriers and atomic "
        "instructions cost more than their number. Register writes, interrupts, locks and "
        "allocations are counted for that reason.</p>"
        "<p><code>docs/PERFORMANCE.md</code> says more; <code>bench/results.json</code> has all "
        "numbers.</p>")


def write(results, path):
    """Write the report."""
    costs = by_cell(results)
    title = "rnvme and nvme: what an I/O costs"
    body = [f"<h1>{title}</h1><p class=sub>Two drivers for the same disk: one in Rust, and Linux's "
            f"own in C. {html.escape(results['where'])}.</p>",
            lead(costs), top_facts(results, costs), bar_section(results)]
    if costs:
        body += [cost_section(costs, results["slopes"]), kernel_section(costs)]
    body += [scaling_section(results["scaling"]), time_section(results), memory_section(results),
             method_section(results)]
    with open(path, "w", encoding="utf-8") as out:
        out.write(page(title, "".join(body)))


def print_summary(results):
    """Print the instructions of all cells, and the bars."""
    for name, both in by_cell(results).items():
        ours, theirs = both["rnvme"]["instructions"], both["nvme"]["instructions"]
        print(f"{name:<38}{ours:>10.1f}{theirs:>10.1f}{ours / theirs:>8.2f}")
    for bar in bars(results):
        word = {True: "met", False: "NOT MET", None: "-"}[bar.met]
        print(f"{word:<8}{bar.title}: {bar.found}; demanded: {bar.demand}")

# SPDX-License-Identifier: GPL-2.0
"""bench/report.html: tables and plots of results.json, in one file."""

import html
import io
import random
import statistics

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402  (after the choice of what it draws with)

from .symbols import PART_TITLES, PARTS  # noqa: E402

COLOURS = {"rnvme": "#b7410e", "nvme": "#5b7083"}
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72em; margin: 2em auto; padding: 0 1em;
       color: #222 }
table { border-collapse: collapse; margin: 1em 0; font-variant-numeric: tabular-nums }
th, td { padding: .2em .7em; text-align: right; border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left }
th { background: #f3f1ee; position: sticky; top: 0 }
.good { color: #1a6b2d } .bad { color: #b3261e }
code { font-size: 90% } svg { max-width: 100%; height: auto } .scroll { overflow-x: auto }
"""
INTRO = """<p>rnvme is an NVMe driver for Linux in Rust. Here it is compared with the kernel's own driver,
<code>nvme</code> (in C), on the same emulated controller in the same boot, the controller being given to
the one and to the other. <b>Instructions</b> are counted by the emulator (QEMU): those that one I/O makes
the CPU execute. They are exact, and the same each time, which no time in an emulator is. A ratio
below 1 means that rnvme needs less. <code>docs/BENCHMARKS.md</code> says how it is done.</p>"""


def plot(figure):
    """A figure as SVG, to stand in HTML."""
    out = io.StringIO()
    figure.savefig(out, format="svg", bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)
    text = out.getvalue()
    return text[text.index("<svg"):]


def ratio(value, other, places=2):
    """A ratio as a cell of a table, coloured by who is better."""
    if not other:
        return "<td></td>"
    number = value / other
    kind = "good" if number < 0.995 else "bad" if number > 1.005 else ""
    return f'<td class="{kind}">{number:.{places}f}</td>'


def table(head, rows):
    """Rows of ready-made or plain cells."""
    def cell(value):
        return value if str(value).startswith("<td") else f"<td>{html.escape(str(value))}</td>"
    return ('<div class="scroll"><table><tr>' + "".join(f"<th>{word}</th>" for word in head)
            + "</tr>" + "".join("<tr>" + "".join(map(cell, row)) + "</tr>" for row in rows)
            + "</table></div>")


def by_cell(results):
    """{cell: {driver: entry}} of the costs."""
    found = {}
    for entry in results["cost"]:
        found.setdefault(entry["cell"], {})[entry["driver_name"]] = entry
    return {name: both for name, both in found.items() if len(both) == 2}


def figure_of(entry, name):
    """The mean of a figure over the pairs of a cell."""
    return statistics.mean(pair[name] for pair in entry["pairs"])


# ------------------------------------------------------------- instructions ---

def plot_costs(costs):
    """Instructions in the driver: rnvme's as a share of the other's."""
    names = list(costs)[:40]
    figure, axes = pyplot.subplots(figsize=(10, 0.3 * len(names) + 1))
    pairs = [[costs[name][driver]["instructions"] for driver in ("rnvme", "nvme")]
             for name in names]
    bars = axes.barh(range(len(names)), [ours / theirs for ours, theirs in pairs], 0.7,
                     color=COLOURS["rnvme"])
    axes.bar_label(bars, [f"{ours:.0f} to {theirs:.0f}" for ours, theirs in pairs], padding=3,
                   fontsize=8)
    axes.axvline(1, color=COLOURS["nvme"])
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel("instructions in the driver per I/O: rnvme as a share of nvme (1)")
    axes.spines[["top", "right"]].set_visible(False)
    return plot(figure)


def plot_parts(costs, name):
    """Where an I/O's instructions go in the whole kernel."""
    figure, axes = pyplot.subplots(figsize=(10, 2))
    for row, driver in enumerate(("rnvme", "nvme")):
        left = 0.0
        for at, part in enumerate(PARTS):
            value = max(0.0, part_figure(costs[name][driver], part))
            axes.barh(row, value, left=left, color=pyplot.get_cmap("tab20c")(at * 2 % 20),
                      label=PART_TITLES[part] if row == 0 else None)
            left += value
    axes.set_yticks([0, 1], ["rnvme", "nvme"])
    axes.invert_yaxis()
    axes.set_xlabel(f"instructions of the kernel per I/O: {name}")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(ncols=3, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.35))
    return plot(figure)


def part_figure(entry, part):
    """A part's instructions: two parts share their name with a count of events."""
    return figure_of(entry, {"locks": "instructions_locks",
                             "interrupt": "instructions_interrupt"}.get(part, part))


def cost_table(costs):
    """All cells: instructions, and what is counted besides."""
    rows = []
    for name, both in costs.items():
        ours, theirs = both["rnvme"], both["nvme"]
        row = [name, f"{ours['instructions']:.1f}", f"{theirs['instructions']:.1f}",
               ratio(ours["instructions"], theirs["instructions"]),
               f"{max(ours['spread'], theirs['spread']):.1f}",
               f"{part_figure(ours, 'dma'):.0f}", f"{part_figure(theirs, 'dma'):.0f}",
               f"{part_figure(ours, 'block'):.0f}", f"{part_figure(theirs, 'block'):.0f}"]
        for figure in ("register_writes", "interrupts", "allocations"):
            row += [f"{figure_of(ours, figure):.2f}", f"{figure_of(theirs, figure):.2f}"]
        rows.append(row + [f"{figure_of(ours, 'kernel'):.0f}", f"{figure_of(theirs, 'kernel'):.0f}"])
    return table(["kind of I/O", "driver<br>rnvme", "driver<br>nvme", "ratio", "spread",
                  "DMA<br>rnvme", "DMA<br>nvme", "block<br>rnvme", "block<br>nvme",
                  "register<br>writes", "nvme", "interrupts", "nvme", "allo-<br>cations", "nvme",
                  "kernel<br>rnvme", "kernel<br>nvme"], rows)


def function_tables(costs):
    """The driver's functions, cell by cell, folded."""
    text = []
    for name, both in costs.items():
        columns = [sorted(both[driver]["functions"].items(), key=lambda one: -one[1])
                   for driver in ("rnvme", "nvme")]
        rows = []
        for at in range(max(map(len, columns))):
            row = []
            for column in columns:
                row += [column[at][0][:70], f"{column[at][1]:.1f}"] if at < len(column) else ["", ""]
            rows.append(row)
        text.append(f"<details><summary>{name}</summary>"
                    + table(["rnvme", "", "nvme", ""], rows) + "</details>")
    return "".join(text)


# --------------------------------------------------------------------- time ---

def interval(values, rounds=2000):
    """(median, low, high): 95 % by resampling, the same each time."""
    source = random.Random(1)
    medians = sorted(statistics.median(source.choices(values, k=len(values)))
                     for _ in range(rounds))
    return statistics.median(values), medians[rounds // 40], medians[-rounds // 40]


def ratios(entry, figure):
    """rnvme/nvme of each pair."""
    return [pair["rnvme"][figure] / pair["nvme"][figure] for pair in entry["pairs"]
            if pair["nvme"][figure]]


def plot_times(times):
    """The ratio of IOPS of each cell: every pair, median and interval."""
    figure, axes = pyplot.subplots(figsize=(10, 0.36 * len(times) + 1))
    for row, entry in enumerate(times):
        values = ratios(entry, "iops")
        middle, low, high = interval(values)
        axes.plot(values, [row] * len(values), ".", color="#bbb")
        axes.errorbar(middle, row, xerr=[[middle - low], [high - middle]], fmt="o",
                      color=COLOURS["rnvme"], capsize=3)
    axes.axvline(1, color="#222", linewidth=0.8)
    axes.set_yticks(range(len(times)), [entry["cell"] for entry in times])
    axes.invert_yaxis()
    axes.set_xlabel("IOPS, rnvme / nvme: each pair, their median and its 95 % interval")
    axes.spines[["top", "right"]].set_visible(False)
    return plot(figure)


def time_table(times):
    """IOPS, latency, CPU time: medians, and the paired ratios."""
    rows = []
    for entry in times:
        row = [entry["cell"]]
        for figure in ("iops", "p50_us", "p99_us", "p999_us", "cpu_us"):
            medians = [statistics.median(pair[driver][figure] for pair in entry["pairs"])
                       for driver in ("rnvme", "nvme")]
            values = ratios(entry, figure)
            middle, low, high = interval(values) if values else (0, 0, 0)
            row += [f"{medians[0]:.0f}", f"{medians[1]:.0f}", f"{middle:.2f} ({low:.2f}–{high:.2f})"]
        rows.append(row)
    head = ["kind of I/O"]
    for title in ("IOPS", "p50 µs", "p99 µs", "p99.9 µs", "CPU µs"):
        head += [f"{title}<br>rnvme", "nvme", "ratio"]
    return table(head, rows)


# ------------------------------------------------------------------- memory ---

def memory_table(results):
    """Memory, code, time to probe."""
    rows = []
    for title, values in (
            ("bytes a tag (blk-mq's request, the driver's data, ring entries)",
             {driver: found["tag"] for driver, found in results["memory"].items()}),
            ("bytes a controller without tags",
             {driver: found["controller"] for driver, found in results["memory"].items()}),
            ("bytes of the module's code", results["text_bytes"]),
            ("ms to probe (median)", {driver: round(statistics.median(found) / 1000, 1) for
                                      driver, found in results["probe_us"].items()})):
        if len(values) == 2:
            rows.append([title, values["rnvme"], values["nvme"],
                         ratio(values["rnvme"], values["nvme"])])
    return table(["", "rnvme", "nvme", "ratio"], rows)


def write(results, path):
    """Write the report."""
    costs, parts = by_cell(results), []
    if costs:
        first = "read-4k-qd1" if "read-4k-qd1" in costs else next(iter(costs))
        parts += ["<h2>Instructions per I/O</h2>", plot_costs(costs),
                  "<p>Everything that is counted. <i>Driver</i> is the module and what it alone uses "
                  "of the kernel's Rust code; <i>spread</i> the difference of the largest and the "
                  "smallest of several pairs; <i>kernel</i> is everything, and varies with what "
                  "else the guest did.</p>", cost_table(costs),
                  "<h2>Where an I/O spends them</h2>", plot_parts(costs, first),
                  "<h2>Function by function</h2>", function_tables(costs)]
    if results["time"]:
        parts += ["<h2>Time</h2><p>In an emulator: this is noise with a little signal in it. Each "
                  "pair is two samples, one of each driver, one after the other.</p>",
                  plot_times(results["time"]), time_table(results["time"])]
    parts += ["<h2>Memory, size, probing</h2>", memory_table(results)]
    with open(path, "w", encoding="utf-8") as out:
        out.write('<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
                  f"<title>rnvme: benchmarks</title><style>{STYLE}</style></head><body>"
                  f"<h1>rnvme and nvme on Linux {html.escape(results['kernel'])}</h1>{INTRO}"
                  + "\n".join(parts) + "</body></html>\n")


def print_summary(results):
    """The instructions of all cells, for the terminal."""
    for name, both in by_cell(results).items():
        ours, theirs = both["rnvme"]["instructions"], both["nvme"]["instructions"]
        print(f"{name:<34}{ours:>10.1f}{theirs:>10.1f}{ours / theirs:>8.2f}")

# SPDX-License-Identifier: GPL-2.0
"""The plots of the report, as SVG for HTML."""

import io

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402  (after the choice of what it draws with)

from .bars import figure_of, noise, ratios, share  # noqa: E402
from .stats import interval, percentiles  # noqa: E402
from .symbols import PART_TITLES, PARTS  # noqa: E402

COLOURS = {"rnvme": "#b7410e", "nvme": "#5b7083"}
PART_COLOURS = ("#b7410e", "#e39b63", "#5b7083", "#93a7b5", "#7a9a6b", "#b5c9a5", "#8b6f9e",
                "#c9b8d6", "#cccccc")
pyplot.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "rnvme", "font.size": 10,
                        "font.family": "sans-serif", "axes.spines.top": False,
                        "axes.spines.right": False})


def plot(figure):
    """A figure as SVG."""
    out = io.StringIO()
    figure.savefig(out, format="svg", bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)
    text = out.getvalue()
    return text[text.index("<svg"):]


def driver_costs(costs, names):
    """rnvme's instructions in the driver as a share of nvme's."""
    figure, axes = pyplot.subplots(figsize=(10, 0.4 * len(names) + 1))
    values = [share(costs[name]) for name in names]
    bars = axes.barh(range(len(names)), values, 0.62, color=COLOURS["rnvme"])
    axes.bar_label(bars, [
        f"{value:.2f}:  {costs[name]['rnvme']['instructions']:.0f} where nvme has "
        f"{costs[name]['nvme']['instructions']:.0f}" for name, value in zip(names, values)],
                   padding=4, fontsize=9, backgroundcolor="white")
    axes.axvline(1, color=COLOURS["nvme"], linewidth=2, zorder=0)
    axes.text(1, -0.75, "nvme", color=COLOURS["nvme"], ha="center")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlim(0, max([1.3, *values]) * 1.3)
    axes.set_xlabel("instructions in the driver per I/O, as a share of nvme's (less is better)")
    return plot(figure)


def matrix(costs, kind, title):
    """The ratios of all sizes and depths as a coloured table; `kind` selects the cells."""
    chosen = {name: both for name, both in costs.items() if kind(both["rnvme"])}
    rows, columns, values = [], [], {}
    for both in chosen.values():
        one = both["rnvme"]
        row = (one["size"], one["offset"])
        column = (one["op"], one["depth"])
        values[row, column] = share(both)
        rows += [row] if row not in rows else []
        columns += [column] if column not in columns else []
    if len(values) < 4:
        return ""
    rows.sort()
    columns.sort()
    figure, axes = pyplot.subplots(figsize=(1 + 0.62 * len(columns), 0.8 + 0.36 * len(rows)))
    grid = [[values.get((row, column), float("nan")) for column in columns] for row in rows]
    axes.imshow(grid, cmap="RdYlGn_r", vmin=0.3, vmax=1.7, aspect="auto")
    for y, line in enumerate(grid):
        for x, value in enumerate(line):
            axes.text(x, y, f"{value:.2f}" if value == value else "", ha="center", va="center",
                      fontsize=9, color="black" if 0.55 < value < 1.45 else "white")
    axes.set_xticks(range(len(columns)), [f"{op}\n{depth}" for op, depth in columns], fontsize=9)
    axes.set_yticks(range(len(rows)), [size_title(*row) for row in rows])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=10, loc="left")
    return plot(figure)


def size_title(size, offset):
    """The title of a row of the matrix."""
    for factor, unit in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if size % factor == 0:
            return f"{size // factor} {unit}" + (" unaligned" if offset else "")
    return f"{size} B"


def parts(costs, names):
    """An I/O's instructions in the whole kernel, by part."""
    figure, axes = pyplot.subplots(figsize=(10, 0.9 * len(names) + 1.4))
    labels, row = [], 0
    for name in names:
        for driver in ("rnvme", "nvme"):
            left = 0.0
            for at, part in enumerate(PARTS):
                value = max(0.0, figure_of(costs[name][driver], part))
                axes.barh(row, value, 0.8, left=left, color=PART_COLOURS[at],
                          label=PART_TITLES[part] if row == 0 else None)
                left += value
            axes.text(left, row, f" {left:.0f}", va="center", fontsize=8)
            labels.append((row, f"{name}: {driver}"))
            row += 1
        row += 0.5
    axes.set_yticks([at for at, _ in labels], [label for _, label in labels])
    axes.invert_yaxis()
    axes.set_xlabel("instructions of the whole kernel per I/O")
    axes.legend(ncols=3, fontsize=8, loc="upper center", bbox_to_anchor=(0.45, -0.18), frameon=False)
    return plot(figure)


SCALES = (("queues", "driver", "vCPUs, each with a queue; one job"),
          ("jobs", "driver", "vCPUs, each with a queue and a job"),
          ("namespaces", "driver", "namespaces, an I/O to any of them"),
          ("depth", "driver", "queue depth, in batches"),
          ("load", "interrupts", "queue depth, one by one"))


def scaling(rows):
    """Instructions, and interrupts, over numbers of CPUs, namespaces and depth."""
    figure, axes = pyplot.subplots(2, 3, figsize=(11, 5.6))
    for (kind, value, title), place in zip(SCALES, axes.flat):
        for driver in ("nvme", "rnvme"):
            some = sorted((row["number"], row[value]) for row in rows
                          if row["kind"] == kind and row["driver_name"] == driver)
            if some:
                place.plot(*zip(*some), "o-", color=COLOURS[driver], label=driver)
                place.set_xscale("log", base=2)
                place.set_xticks([number for number, _ in some],
                                 [str(number) for number, _ in some])
                place.minorticks_off()
        place.set_ylim(bottom=0)
        place.set_xlabel(title, fontsize=9)
        place.set_ylabel({"driver": "instructions in the driver per I/O",
                          "interrupts": "interrupts per I/O"}[value], fontsize=8)
    for place in list(axes.flat)[len(SCALES):]:
        place.axis("off")
    handles, names = axes.flat[0].get_legend_handles_labels()
    list(axes.flat)[-1].legend(handles, names, loc="center", frameon=False)
    figure.tight_layout()
    return plot(figure)


# The tick marks of an axis of ratios.
FINE_MARKS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.3, 1.5, 1.75, 2, 2.5)
COARSE_MARKS = tuple(2.0 ** power for power in range(-8, 9))


def times(entries, figure_name, title):
    """The ratios of each timed cell: each pair, the median and its interval, and the noise."""
    figure, axes = pyplot.subplots(figsize=(10, 0.34 * len(entries) + 1.2))
    for row, entry in enumerate(entries):
        values = ratios(entry, figure_name)
        quiet = noise(entry, figure_name)
        if len(quiet) > 1:
            low, high = percentiles(quiet)
            axes.barh(row, high - low, 0.7, left=low, color="#e9e6e1",
                      label="two samples of the same driver, 95 % of them" if row == 0 else None)
        axes.plot(values, [row] * len(values), ".", color="#b9a79c", markersize=4,
                  label="each pair" if row == 0 else None)
        middle, low, high = interval(values)
        axes.errorbar(middle, row, xerr=[[max(0, middle - low)], [max(0, high - middle)]], fmt="o",
                      color=COLOURS["rnvme"], capsize=3,
                      label="their median, and its 95 % interval" if row == 0 else None)
    axes.axvline(1, color="#222", linewidth=0.8)
    # A logarithmic axis: a ratio and its inverse are equally far from 1.
    axes.set_xscale("log", base=2)
    low, high = axes.get_xlim()
    marks = FINE_MARKS if high < 4 * low else COARSE_MARKS
    axes.set_xticks(*zip(*[(mark, f"{mark:g}") for mark in marks if low <= mark <= high]))
    axes.minorticks_off()
    axes.set_yticks(range(len(entries)), [entry["cell"] for entry in entries])
    axes.invert_yaxis()
    axes.set_xlabel(title)
    axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.45, -0.9 / len(entries) - 0.04),
                ncols=3, frameon=False)
    return plot(figure)

# SPDX-License-Identifier: GPL-2.0
"""Arithmetic of samples: medians with intervals, geometric means, slopes. Knows of no device."""

import math
import random
import statistics

# Resamplings behind an interval of a mean; their seed is fixed, so that a report is the same each time.
ROUNDS = 2000
SEED = 1


def percentiles(values):
    """The middle 95 % of values: (low, high)."""
    values = sorted(values)
    cut = len(values) // 40
    return values[cut], values[-1 - cut]


def interval(values):
    """(median, low, high): the interval of the median, at least 95 % whatever the distribution:
    two of the values, as far from the ends as half of the coin's throws allow. Of fewer than six
    values, all of them."""
    values, tail, rank = sorted(values), 0, 0
    while True:
        tail += math.comb(len(values), rank)
        if 2 * tail > 0.05 * 2 ** len(values):
            break
        rank += 1
    low = max(0, rank - 1)
    return statistics.median(values), values[low], values[-1 - low]


def geometric(values):
    """The geometric mean of ratios."""
    return math.exp(statistics.fmean(math.log(value) for value in values))


def geometric_interval(groups):
    """(mean, low, high): the geometric mean of the groups' medians; 95 %, by resampling within
    each group: the groups are the cells, and these were chosen, not drawn."""
    source = random.Random(SEED)

    def drawn():
        return geometric([statistics.median(source.choices(values, k=len(values)))
                          for values in groups])

    low, high = percentiles(drawn() for _ in range(ROUNDS))
    return geometric([statistics.median(values) for values in groups]), low, high


def slope(groups):
    """The slope that lines through groups of (x, y) have in common, each group with a level of its
    own; None where nothing says so."""
    product = square = 0.0
    for points in groups:
        if len(points) < 2:
            continue
        x_mean = statistics.fmean(x for x, _ in points)
        y_mean = statistics.fmean(y for _, y in points)
        product += sum((x - x_mean) * (y - y_mean) for x, y in points)
        square += sum((x - x_mean) ** 2 for x, _ in points)
    return product / square if square > 1e-4 else None

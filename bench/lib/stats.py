# SPDX-License-Identifier: GPL-2.0
"""Arithmetic of samples: medians with intervals, geometric means, slopes."""

import math
import random
import statistics

# Resamplings for the interval of a mean; the fixed seed makes reports reproducible.
ROUNDS = 2000
SEED = 1


def percentiles(values):
    """The middle 95 % of values: (low, high)."""
    values = sorted(values)
    cut = len(values) // 40
    return values[cut], values[-1 - cut]


def interval(values):
    """(median, low, high): the interval of the median by the sign test, at least 95 % for any
    distribution; its ends are two of the values. With fewer than six values it spans all of
    them."""
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
    """(mean, low, high): the geometric mean of the groups' medians and its 95 % interval, by
    resampling within each group. The groups are cells, which are chosen, not sampled."""
    source = random.Random(SEED)

    def drawn():
        return geometric([statistics.median(source.choices(values, k=len(values)))
                          for values in groups])

    low, high = percentiles(drawn() for _ in range(ROUNDS))
    return geometric([statistics.median(values) for values in groups]), low, high


def slope(groups):
    """The common slope of lines through groups of (x, y), each group with an intercept of its own;
    None if x does not vary."""
    product = square = 0.0
    for points in groups:
        if len(points) < 2:
            continue
        x_mean = statistics.fmean(x for x, _ in points)
        y_mean = statistics.fmean(y for _, y in points)
        product += sum((x - x_mean) * (y - y_mean) for x, y in points)
        square += sum((x - x_mean) ** 2 for x, _ in points)
    return product / square if square > 1e-4 else None

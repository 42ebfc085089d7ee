# SPDX-License-Identifier: GPL-2.0
"""The statistics of the benchmark."""

import math
import random
import unittest

from bench.lib import stats


class Statistics(unittest.TestCase):
    """Medians, intervals, means, slopes."""

    def test_percentiles_leave_out_a_fortieth_at_each_end(self):
        self.assertEqual(stats.percentiles(range(2000)), (50, 1949))
        self.assertEqual(stats.percentiles([3]), (3, 3))

    def test_interval_is_of_the_ranks_of_the_sign_test(self):
        # From tables of the sign test: of 10 values the 2nd and the 9th, of 16 the 4th and so on.
        for number, rank in ((6, 1), (10, 2), (16, 4), (20, 6), (30, 10), (100, 40)):
            values = list(range(1, number + 1))
            random.Random(1).shuffle(values)
            self.assertEqual(stats.interval(values), ((number + 1) / 2, rank, number + 1 - rank))
        for number in (1, 2, 5):
            self.assertEqual(stats.interval(range(number))[1:], (0, number - 1))

    def test_interval_has_the_true_median_as_often_as_it_says(self):
        source, hits = random.Random(7), 0
        for _ in range(400):
            _, low, high = stats.interval([source.expovariate(1) for _ in range(16)])
            hits += low <= math.log(2) <= high
        self.assertGreaterEqual(hits, 380)
        self.assertLess(hits, 400)

    def test_geometric_mean_of_a_ratio_and_its_inverse_is_one(self):
        self.assertAlmostEqual(stats.geometric([0.5, 2.0]), 1.0)
        self.assertAlmostEqual(stats.geometric([4.0, 9.0]), 6.0)

    def test_geometric_interval_narrows_with_more_groups(self):
        source = random.Random(3)
        groups = [[source.gauss(1, 0.1) for _ in range(10)] for _ in range(16)]
        middle, low, high = stats.geometric_interval(groups)
        _, one_low, one_high = stats.geometric_interval(groups[:1])
        self.assertLess(high - low, (one_high - one_low) / 2)
        self.assertLess(low, middle)
        self.assertLess(middle, high)

    def test_slope_is_common_to_groups_of_different_levels(self):
        groups = [[(1, 100 + 7), (3, 100 + 21)], [(2, 5000 + 14), (5, 5000 + 35)]]
        self.assertAlmostEqual(stats.slope(groups), 7)
        self.assertAlmostEqual(stats.slope(groups + [[(9, 1)]]), 7)

    def test_slope_of_points_that_do_not_differ_is_none(self):
        self.assertIsNone(stats.slope([[(1, 5), (1, 6)], [(2, 9)]]))
        self.assertIsNone(stats.slope([]))

# SPDX-License-Identifier: GPL-2.0
"""The statistics of the benchmark."""

import random
import unittest

from benchlib import stats


class Statistics(unittest.TestCase):
    """Medians, intervals, means, slopes."""

    def test_percentiles_leave_out_a_fortieth_at_each_end(self):
        self.assertEqual(stats.percentiles(range(2000)), (50, 1949))
        self.assertEqual(stats.percentiles([3]), (3, 3))

    def test_interval_is_the_same_each_time_and_around_the_median(self):
        source = random.Random(5)
        values = [source.gauss(1, 0.1) for _ in range(20)]
        middle, low, high = stats.interval(values)
        self.assertEqual((middle, low, high), stats.interval(values))
        self.assertLessEqual(low, middle)
        self.assertLessEqual(middle, high)
        self.assertLess(low, high)
        self.assertEqual(stats.interval([2.0] * 10), (2.0, 2.0, 2.0))

    def test_interval_has_the_true_median_about_as_often_as_it_says(self):
        source, hits = random.Random(7), 0
        for _ in range(100):
            _, low, high = stats.interval([source.gauss(1, 0.2) for _ in range(15)])
            hits += low <= 1 <= high
        self.assertGreaterEqual(hits, 88)
        self.assertLessEqual(hits, 100)

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

# SPDX-License-Identifier: GPL-2.0
"""The checks of `scripts/lint`, by subject; each is a function of a Project."""

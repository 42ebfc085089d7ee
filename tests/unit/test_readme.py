# SPDX-License-Identifier: GPL-2.0
"""README.md's picture of the modules is that of rnvme.rs."""

import os
import re
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def read(name):
    """The text of a file of the project."""
    with open(f"{TOP}/{name}", encoding="utf-8") as file:
        return file.read()


def picture(text):
    """The drawing in a text."""
    return text.split("```text\n")[1].split("```")[0]


class Picture(unittest.TestCase):
    """Two drawings and the `mod` lines."""

    def test_readme_and_root_have_the_same(self):
        root = re.sub(r"^//! ?", "", read("rnvme.rs"), flags=re.M)
        self.assertEqual(picture(root), picture(read("README.md")))

    def test_modules_are_those_of_the_root_in_order(self):
        drawn = re.findall(r"│ (\w+) +│ [^│]+│$", picture(read("README.md")), re.M)
        self.assertEqual(re.findall(r"^mod (\w+);", read("rnvme.rs"), re.M), drawn)

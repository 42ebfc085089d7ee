# SPDX-License-Identifier: GPL-2.0
"""README.md's table of the module parameters."""

import os
import runpy
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PARAMS = runpy.run_path(f"{TOP}/scripts/params")

SOURCE = '''$macro! {
            depth: u32 = 5, 2..=9,
                "Size; it \\
                 may be less (2 to 9 entries, default 5)";
            fast: bool = 0, 0..=1, "1: fast (0 to 1, default 0)";
        }
'''
TABLE = """| parameter | default | range | |
|---|---|---|---|
| `depth` | 5 | 2 to 9 entries | Size; it may be less |
| `fast` | 0 | 0 to 1 | 1: fast |
"""


class Table(unittest.TestCase):
    """From rows to Markdown."""

    def test_readme_has_the_present_rows(self):
        readme, source = (PARAMS["read"](PARAMS[name]) for name in ("README", "SOURCE"))
        self.assertEqual(readme, PARAMS["replaced"](readme, source))

    def test_rows_become_lines(self):
        self.assertEqual(TABLE, PARAMS["table"](SOURCE))

    def test_only_the_table_is_replaced(self):
        begin, end = PARAMS["BEGIN"], PARAMS["END"]
        self.assertEqual(f"a\n{begin}{TABLE}{end}b\n",
                         PARAMS["replaced"](f"a\n{begin}old\n{end}b\n", SOURCE))

    def test_a_row_of_another_form_is_refused(self):
        for old, new in (("2..=9", "2..=MOST"), ("default 5)", "5)"), ("fast:", "/* */ fast:")):
            with self.assertRaises(ValueError):
                PARAMS["table"](SOURCE.replace(old, new))

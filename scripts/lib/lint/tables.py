# SPDX-License-Identifier: GPL-2.0
"""Tables in pages of docs/ that are made from the source, each between two markers."""


def with_table(page, begin, end, lines):
    """The page with these lines between its markers; None if it has no such place."""
    start, stop = page.find(begin), page.find(end)
    if not 0 <= start < stop:
        return None
    return page[:start] + "\n".join([begin, "", *lines, "", end]) + page[stop + len(end):]


def write_table(where, what, begin, end, lines):
    """Write a table into a page; what kept it from that."""
    with open(where, encoding="utf-8") as source:
        page = with_table(source.read(), begin, end, lines)
    if page is None:
        return [f"{where}: has no markers for the table of {what}"]
    with open(where, "w", encoding="utf-8") as out:
        out.write(page)
    return []

# SPDX-License-Identifier: GPL-2.0
"""Tables in docs/ARCHITECTURE.md that are made from the source, each between two markers."""

PAGE = "docs/ARCHITECTURE.md"


def with_table(page, begin, end, lines):
    """The page with these lines between its markers; None if it has no such place."""
    start, stop = page.find(begin), page.find(end)
    if not 0 <= start < stop:
        return None
    return page[:start] + "\n".join([begin, "", *lines, "", end]) + page[stop + len(end):]


def write_table(what, begin, end, lines):
    """Write a table into the page; what kept it from that."""
    with open(PAGE, encoding="utf-8") as source:
        page = with_table(source.read(), begin, end, lines)
    if page is None:
        return [f"{PAGE}: has no markers for the table of {what}"]
    with open(PAGE, "w", encoding="utf-8") as out:
        out.write(page)
    return []

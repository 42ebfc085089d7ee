# SPDX-License-Identifier: GPL-2.0
"""HTML of the report: its style, tables, cells."""

import html

STYLE = """
:root { --rnvme: #b7410e; --nvme: #5b7083 }
body { font: 16px/1.55 system-ui, "DejaVu Sans", sans-serif; max-width: 66em; margin: 2em auto;
       padding: 0 1.2em; color: #222; background: #fff }
h1 { line-height: 1.2; margin-bottom: .2em } h2 { margin-top: 2em; border-bottom: 2px solid #eee }
h3 { margin: 1.4em 0 .3em } .sub { color: #666; margin-top: 0 }
table { border-collapse: collapse; margin: 1em 0; font-size: 14px;
        font-variant-numeric: tabular-nums }
th, td { padding: .25em .6em; text-align: right; border-bottom: 1px solid #e4e2df;
         vertical-align: top }
th:first-child, td:first-child { text-align: left } td.text { text-align: left }
th { background: #f6f4f1; font-weight: 600 }
th.text { text-align: left } .met { white-space: nowrap }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(28em, 1fr)); gap: .5em }
.good { color: #1a6b2d } .bad { color: #b3261e } .met { font-weight: 600 }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(13em, 1fr)); gap: 1em;
         margin: 1.2em 0 }
.facts div { background: #f6f4f1; border-radius: 8px; padding: .8em 1em; font-size: 14px }
.facts b { display: block; font-size: 26px; line-height: 1.3 }
code { font-size: 92% } svg { max-width: 100%; height: auto } .scroll { overflow-x: auto }
.r { color: var(--rnvme); font-weight: 600 } .n { color: var(--nvme); font-weight: 600 }
table.wide { font-size: 11.5px } .wide th, .wide td { padding: .2em .35em }
.wide td:first-child { white-space: nowrap }
details { margin: .5em 0 } summary { cursor: pointer } nav a { margin-right: 1em }
"""


def text(value):
    """A table cell of text."""
    return f'<td class="text">{html.escape(str(value))}</td>'


def ratio(value, other, places=2):
    """A ratio as a table cell: green below 1, red above."""
    if not other:
        return "<td></td>"
    number = value / other
    kind = "good" if number < 0.995 else "bad" if number > 1.005 else ""
    return f'<td class="{kind}">{number:.{places}f}</td>'


def met(value):
    """Whether a bar is met, as a table cell."""
    word, kind = {True: ("met", "good"), False: ("not met", "bad"), None: ("–", "")}[value]
    return f'<td class="met {kind}">{word}</td>'


def table(head, rows, kind=""):
    """Rows of ready-made or plain cells; the head is HTML, `kind` a class of the style."""
    def cell(value):
        return value if str(value).startswith("<td") else f"<td>{html.escape(str(value))}</td>"
    kinds = [' class="text"' if rows and str(value).startswith('<td class="text"') else ""
             for value in (rows[0] if rows else head)]
    return (f'<div class="scroll"><table class="{kind}"><tr>'
            + "".join(f"<th{kind}>{word}</th>" for word, kind in zip(head, kinds))
            + "</tr>" + "".join("<tr>" + "".join(map(cell, row)) + "</tr>" for row in rows)
            + "</table></div>")


def section(anchor, title, *parts):
    """A chapter."""
    return f'<h2 id="{anchor}">{title}</h2>' + "".join(parts)


def folded(title, content):
    """A part that the reader can unfold."""
    return f"<details><summary>{title}</summary>{content}</details>"


def facts(items):
    """The main numbers: (number, its meaning)."""
    return '<div class="facts">' + "".join(
        f"<div><b>{number}</b>{what}</div>" for number, what in items) + "</div>"


def page(title, body):
    """The whole HTML file."""
    return ('<!doctype html>\n<!-- SPDX-License-Identifier: GPL-2.0 -->\n'
            '<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width">'
            f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body>{body}"
            "</body></html>\n")

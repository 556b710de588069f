"""A value as a small table of HTML, for notebooks: everything in it is escaped.

It has no colours of its own, so it is as light or as dark as the page that it stands in, and no script.
"""

from __future__ import annotations

__all__ = ["html_table"]

from collections.abc import Sequence
from html import escape

_LONGEST = 400
"""characters of a cell: a reason is shorter, and a name that somebody chose need not be"""
_CELL = "text-align:left;vertical-align:top"


def html_table(caption: str, rows: Sequence[Sequence[str]], *, heading: Sequence[str] = ()) -> str:
    """A table with a caption.

    Args:
        caption: what it is.
        rows: cells of each row; the first one names the row.
        heading: names of the columns; none for a table of two columns that needs none.
    """
    said = [f'<table><caption style="{_CELL}">{_shown(caption)}</caption>']
    if heading:
        cells = "".join(f'<th scope="col" style="{_CELL}">{_shown(one)}</th>' for one in heading)
        said.append(f"<thead><tr>{cells}</tr></thead>")
    said.append("<tbody>")
    for name, *cells_left in rows:
        cells = "".join(f'<td style="{_CELL}">{_shown(one)}</td>' for one in cells_left)
        said.append(f'<tr><th scope="row" style="{_CELL}">{_shown(name)}</th>{cells}</tr>')
    return "".join([*said, "</tbody></table>"])


def _shown(text: str) -> str:
    """A text that is only text, whatever stands in it: what shows nothing is spelt out by its number."""
    cut = text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"
    plain = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in cut)
    return escape(plain)

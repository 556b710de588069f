"""Markdown that says text as it is, and the marks between which a page is generated.

    <!-- generated: NAME -->
    …
    <!-- generated end -->

What stands between the marks is replaced; what stands around them is written by people.
"""

from __future__ import annotations

__all__ = ["filled", "made_names", "slug", "table", "worded"]

import re
from collections.abc import Iterable, Mapping, Sequence

_MARKED = re.compile(r"(<!-- generated: (?P<name>[\w.-]+) -->\n).*?(<!-- generated end -->)", re.DOTALL)
_CODE = re.compile(r"(`+[^`]*`+)")
_SPECIAL = re.compile(r"([\\*<>\[\]]|(?<!\w)_)")


def filled(page: str, parts: Mapping[str, str]) -> str:
    """A page with its generated parts made again.

    Raises:
        KeyError: a mark names a part that nobody makes.
    """
    return _MARKED.sub(lambda found: f"{found[1]}\n{parts[found['name']].strip()}\n\n{found[3]}", page)


def made_names(page: str) -> list[str]:
    """The names of the parts that a page has marks for."""
    return [found["name"] for found in _MARKED.finditer(page)]


def worded(text: str) -> str:
    """Words of the source as Markdown: double backticks become single ones, the rest stays what it is."""
    pieces = _CODE.split(" ".join(text.replace("``", "`").split()))
    return "".join(p if p.startswith("`") else _SPECIAL.sub(r"\\\1", p) for p in pieces)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a pipe in a cell stays in it."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub and MyST make it."""
    kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return kept.replace(" ", "-")

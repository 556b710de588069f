"""Links and anchors of a Markdown page, as GitHub and the site see them."""

from __future__ import annotations

__all__ = ["Link", "anchors_of", "links_of", "prose_of", "target_of"]

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from reference_from.markdown import slug

_FENCE = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)
_LINK = re.compile(r"\[((?:[^\[\]]|\\.)*)\]\(\s*([^)\s]+)\s*\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Link:
    """A link of a page."""

    text: str
    target: str

    @property
    def path(self) -> str:
        return self.target.partition("#")[0]

    @property
    def anchor(self) -> str:
        return self.target.partition("#")[2]


def prose_of(page: Path) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", page.read_text("utf-8"))


def links_of(page: Path) -> list[Link]:
    """The links of a page, of pictures too; what code says is none."""
    return [Link(text, target) for text, target in _LINK.findall(_SPAN.sub("``", prose_of(page)))]


@cache
def anchors_of(page: Path) -> frozenset[str]:
    """The anchors of the headings of a page; a second of the same words has a number."""
    seen: dict[str, int] = {}
    found = set()
    for heading in _HEADING.findall(prose_of(page)):
        name = slug(re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", heading))
        found.add(f"{name}-{seen[name]}" if name in seen else name)
        seen[name] = seen.get(name, 0) + 1
    return frozenset(found)


def target_of(page: Path, link: Link) -> Path | None:
    """The file that a link leads to, none where it or its anchor is not there; of a web address the page."""
    if re.match(r"[a-z]+:", link.target):
        return page
    target = (page.parent / link.path).resolve() if link.path else page
    there = target.exists() and (not link.anchor or link.anchor in anchors_of(target))
    return target if there else None

"""SVG elements that hold whatever text they are given as text.

Positions are percent of the element that a chart is drawn in, so one chart serves a telephone and a wide
screen: it stretches, and neither text nor marks do. Looks are the stylesheet's; what is drawn here has class
names alone, so that pages need no inline style.
"""

from __future__ import annotations

__all__ = ["Element", "draw", "element", "percent"]

from typing import TypeAlias
from xml.etree import ElementTree as ET

from markupsafe import Markup

Element: TypeAlias = ET.Element


def percent(share: float) -> str:
    """A share of the frame as an SVG length: ``12.3%``."""
    return f"{100 * share:.2f}".rstrip("0").rstrip(".") + "%"


def element(name: str, /, *children: Element, text: str = "", **attributes: str | float | None) -> Element:
    """An SVG element.

    Args:
        name: of the tag.
        children: elements in it.
        text: in it, before its children.
        attributes: by name, ``_`` for ``-`` and a last one dropped (``class_``); none are left out.
    """
    said = {_name(key): _length(value) for key, value in attributes.items() if value is not None}
    made = ET.Element(name, said)
    made.text = _visible(text) or None
    made.extend(children)
    return made


def draw(drawn: Element) -> Markup:
    """The element as HTML holds it."""
    return Markup(ET.tostring(drawn, encoding="unicode"))  # noqa: S704 - ElementTree has escaped it


def _name(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def _length(value: str | float) -> str:
    return _visible(value) if isinstance(value, str) else f"{value:.4g}"


def _visible(text: str) -> str:
    """Text without what XML has no place for: such a character is shown as one that is not known."""
    return "".join(
        char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}" for char in text
    )

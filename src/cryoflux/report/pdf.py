"""A document as PDF: its pictures and its text, on pages that can be read and printed, with what it is about.

Letters stay letters, so that text can be searched and read aloud.
"""

from __future__ import annotations

__all__ = ["write_pdf"]

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryoflux.report.figures import GREY, INK, Picture, saved, shown
from cryoflux.report.layout import table, wrap
from cryoflux.report.parts import ReportDocument, ReportPart

_WIDTH, _HEIGHT = 8.27, 11.69
"""A4, inches"""
_MARGIN = 0.75
_COLUMNS = 94
_TABLE_COLUMNS = 108
_COMMAND_COLUMNS = 100
_LEADING = 1.4
"""times the height of its letters that a line is high"""


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    size: float = 8.5
    """points"""
    mono: bool = False
    bold: bool = False
    before: float = 0.0
    """points above it"""
    whole: int = 1
    """lines from this one on that stay on one page, such as a heading with what stands below it"""


def write_pdf(document: ReportDocument, pictures: Mapping[str, Sequence[Picture]]) -> bytes:
    """The document; to be called within `drawing`.

    Args:
        document: its text.
        pictures: by the names that its parts give them; each gets a page below its part.
    """
    pages: list[Picture] = []
    lines = list(_beginning(document))
    for part in document.parts:
        lines += _part(part)
    pages += [
        Picture(figure, document.title, document.headline if not n else "")
        for n, figure in enumerate(_set(lines))
    ]
    for some in pictures.values():
        pages += some
    return saved(pages, "pdf", document.title)


def _beginning(document: ReportDocument) -> Iterator[_Line]:
    yield _Line(document.title, 16, bold=True)
    for number, line in enumerate(wrap(document.headline, 74, 0)):
        yield _Line(line, 10.5, bold=True, before=8 if not number else 0)


def _part(part: ReportPart) -> Iterator[_Line]:
    yield _Line(part.title, 11.5, bold=True, before=14, whole=4)
    for paragraph in part.text:
        yield from _paragraph(paragraph)
    for found in part.tables:
        if found.rows:
            yield from _rows(table([found.heading, *found.rows], found.right))
    for said, command in part.points:
        yield from _paragraph(f"•  {said}", indent=3)
        if command:
            yield from _command(f"   {command}", before=1)
    for number, command in enumerate(part.commands):
        yield from _command(f"$ {command}", before=4 if not number else 0)
    for paragraph in part.after:
        yield from _paragraph(paragraph)


def _paragraph(text: str, indent: int = 0) -> Iterator[_Line]:
    for number, line in enumerate(wrap(text, _COLUMNS, indent)):
        yield _Line(line, before=4 if not number else 0)


def _command(text: str, *, before: float) -> Iterator[_Line]:
    """What to type; what is wider than the page goes on below, and not beyond its edge."""
    for number, line in enumerate(_cut(text)):
        yield _Line(line if not number else f"    {line}", 7.5, mono=True, before=0 if number else before)


def _cut(text: str) -> Iterator[str]:
    for line in wrap(text, _COMMAND_COLUMNS, 0):
        yield from (line[at : at + _COMMAND_COLUMNS] for at in range(0, len(line), _COMMAND_COLUMNS))


def _rows(rows: Sequence[str]) -> Iterator[_Line]:
    """Rows of a table; what is wider than the page goes on below, further to the right."""
    for number, row in enumerate(rows):
        for line in wrap(row, _TABLE_COLUMNS, 8):
            yield _Line(line, 7, mono=True, bold=not number, before=5 if not number else 0)


def _set(lines: Sequence[_Line]) -> list[Any]:
    """The lines on pages, as many as it takes."""
    from matplotlib.figure import Figure

    pages: list[Any] = []
    left, top = _MARGIN * 72, (_HEIGHT - _MARGIN) * 72
    y = 0.0
    for number, line in enumerate(lines):
        needed = sum(one.before + one.size * _LEADING for one in lines[number : number + line.whole])
        if not pages or y - needed < _MARGIN * 72:
            pages.append(Figure(figsize=(_WIDTH, _HEIGHT)))
            y = top
            pages[-1].text(0.5, 0.4 * _MARGIN / _HEIGHT, str(len(pages)), fontsize=7, color=GREY, ha="center")
        else:
            y -= line.before
        y -= line.size * _LEADING
        pages[-1].text(
            left / (_WIDTH * 72),
            y / (_HEIGHT * 72),
            shown(line.text.replace("\N{NO-BREAK SPACE}", " ")),
            fontsize=line.size,
            color=INK,
            fontfamily="DejaVu Sans Mono" if line.mono else "DejaVu Sans",
            fontweight="bold" if line.bold else "normal",
            va="bottom",
        )
    return pages

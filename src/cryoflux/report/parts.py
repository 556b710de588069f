"""A document as parts that every format writes in its own way: headings, sentences, tables, things to type.

Texts are plain: whatever a stranger has written in them is escaped by the writer of a format, and by nobody
before.
"""

from __future__ import annotations

__all__ = ["ReportDocument", "ReportPart", "ReportTable"]

from dataclasses import dataclass

from cryoflux.report.layout import Cells


@dataclass(frozen=True, slots=True)
class ReportTable:
    """Rows of cells, each with as many as the heading."""

    heading: Cells
    rows: tuple[Cells, ...]
    right: tuple[bool, ...]
    """by column, whether it is set to the right"""


@dataclass(frozen=True, slots=True)
class ReportPart:
    """One heading with what stands below it; what is empty is not shown."""

    title: str
    text: tuple[str, ...] = ()
    """paragraphs"""
    tables: tuple[ReportTable, ...] = ()
    points: tuple[tuple[str, str], ...] = ()
    """list items, each with what to type about it, or nothing"""
    commands: tuple[str, ...] = ()
    """what to type"""
    after: tuple[str, ...] = ()
    """paragraphs below all that"""
    figure: str = ""
    """the picture that stands here where a format has pictures: ``attempts``, ``progress`` of all tasks, or
    ``progress:TASK``"""


@dataclass(frozen=True, slots=True)
class ReportDocument:
    """A whole document."""

    title: str
    headline: str
    """the result in one sentence"""
    parts: tuple[ReportPart, ...]

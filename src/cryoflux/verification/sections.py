"""Sections of a receipt that only a task knows: who checks them, and what nobody here can check.

A check is handed in by whoever verifies, by the kind of its section. Nothing is imported because a state
names it.
"""

from __future__ import annotations

__all__ = ["ExampleCheck", "FactCheck", "SectionCheck", "Sections"]

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

from cryoflux.receipts.statement import Intent, Receipt, Section


class SectionCheck(Protocol):
    """Knows one kind of section."""

    files: tuple[str, ...]
    """that an update of this kind has, and a receipt names"""

    def complaints(self, section: Section, receipt: Receipt, intent: Intent) -> Iterator[str]:
        """What in a section does not keep to its intent.

        Args:
            section: of the receipt.
            receipt: the receipt.
            intent: that announced it.
        """

    def trained(self, section: Section) -> tuple[int, tuple[str, ...]]:
        """Trained parameters, and names of the modules that were trained; none where it has no such thing."""


@runtime_checkable
class ExampleCheck(Protocol):
    """Knows what the examples of its tasks look like, beside what their sections say."""

    def is_example(self, row: object) -> bool:
        """Whether a line of a data set, read as JSON, is something that its training can read."""


@runtime_checkable
class FactCheck(Protocol):
    """Knows what the files of an update say of it that its section says, too."""

    def facts(self, folder: Path) -> Mapping[str, str | int]:
        """Fields of the section with the values that follow from the files.

        Args:
            folder: of the update; its files are those that were signed.

        Raises:
            ValueError, LookupError, TypeError, OSError: they are no such update.
        """


Sections = Mapping[str, SectionCheck]
"""Kind of a section → what checks it."""

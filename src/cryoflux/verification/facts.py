"""What the files of an update say of it, beside what the section of its receipt says."""

from __future__ import annotations

__all__ = ["FactsOfUpdates"]

from collections.abc import Iterator, Mapping
from pathlib import Path

from cryoflux.receipts.statement import Section, Subject
from cryoflux.verification.sections import FactCheck

_MOST_KNOWN = 64


class FactsOfUpdates:
    """The facts of the newest updates: many receipts may name one."""

    def __init__(self) -> None:
        self._known: dict[tuple[Subject, ...], Mapping[str, str | int] | str] = {}
        """subjects of an update → what its files say, or why they cannot be read"""

    def complaints(
        self, check: object, folder: Path, subjects: tuple[Subject, ...], section: Section
    ) -> Iterator[str]:
        """What a section says otherwise than the files of its update.

        Args:
            check: knows such sections, and perhaps such updates.
            folder: of the update; its files are those that were signed.
            subjects: these files, as the receipt names them.
            section: of the receipt.
        """
        if not isinstance(check, FactCheck):
            return
        if subjects not in self._known:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[subjects] = _facts(check, folder)
        if isinstance(facts := self._known[subjects], str):
            yield f"its update cannot be read: {facts}"
            return
        for name, fact in facts.items():
            if (said := section.fields.get(name)) != fact:
                yield f"says {name} {said!r}, and the files of its update {fact!r}"


def _facts(check: FactCheck, folder: Path) -> Mapping[str, str | int] | str:
    try:
        return check.facts(folder)
    except (ValueError, LookupError, TypeError, OSError, RecursionError) as error:
        return f"{type(error).__name__}: {error}"

"""Steps 1 and 3: what the rows hold, and their order."""

from __future__ import annotations

__all__ = ["CHAIN", "FORM", "Chain", "Form"]

from collections.abc import Iterator
from typing import ClassVar

from cryoflux.log_state import LogState
from cryoflux.receipts.store import columns_of
from cryoflux.verification.material import Material
from cryoflux.verification.result import Check, NumberedStep, failed
from cryoflux.verification.walk import Fold, Seen

FORM = NumberedStep(1, "entries are well formed")
CHAIN = NumberedStep(3, "order without gaps")


class Form(Fold):
    """Step 1: the source is readable and every envelope is strict and canonical."""

    step: ClassVar = FORM

    def __init__(self, material: Material) -> None:
        super().__init__()
        self._material = material
        if material.problem:
            self.findings.add(failed(str(material.target), material.problem))

    def take(self, seen: Seen, memory: LogState) -> None:  # noqa: ARG002
        """Look at the form of the next entry."""
        columns, entry = seen.row.columns, seen.entry
        if entry is None:
            self.findings.add(failed(seen.name, seen.complaint))
        elif columns is not None and columns != columns_of(entry.statement):
            detail = "the database's index columns say something else than the entry"
            self.findings.add(failed(seen.name, detail))

    def conclude(self, memory: LogState) -> list[Check]:
        """The lines of the step."""
        if (expected := len(self._material.rows)) != memory.size and not self.findings.failed:
            detail = f"holds {expected} entries, of which {memory.size} are in the order of the log"
            self.findings.add(failed(str(self._material.target), detail))
        said = f"{memory.size} envelopes and statements are strict and canonical"
        return self.findings.conclude(FORM, said)


class Chain(Fold):
    """Step 3: sequence numbers count from 0 and each entry names the hash of the one before."""

    step: ClassVar = CHAIN

    def take(self, seen: Seen, memory: LogState) -> None:  # noqa: ARG002
        """Look at the place of the next entry."""
        if seen.row.index != seen.index:
            detail = f"lies at index {seen.row.index}: entries before it are missing"
            self.findings.add(failed(f"entry {seen.index}", detail))
        self.findings.fail(seen, _wrong_link(seen))

    def conclude(self, memory: LogState) -> list[Check]:
        """The lines of the step."""
        return self.findings.conclude(CHAIN, f"{memory.size} entries, head {memory.last[:16]}…")


def _wrong_link(seen: Seen) -> Iterator[str]:
    """What is wrong with the place of an entry."""
    if seen.entry is None:
        return
    said = seen.entry.statement.predicate
    if said.sequence != seen.index:
        yield f"says that it is number {said.sequence}"
    if seen.before and said.prev != seen.before:
        yield "does not name the hash of the entry before it"

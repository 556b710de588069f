"""Steps 1 and 3: what the rows hold, and their order."""

from __future__ import annotations

__all__ = ["CHAIN", "FORM", "Form", "Order"]

from collections.abc import Iterator
from typing import ClassVar

from cryoflux.log_state import LogState
from cryoflux.receipts.store import columns_of
from cryoflux.verification.material import Material
from cryoflux.verification.result import Check, Findings, NumberedStep, failed
from cryoflux.verification.walk import Fold, Seen

FORM = NumberedStep(1, "entries are well formed")
CHAIN = NumberedStep(3, "order without gaps")
_EMPTY = "there is no entry to look at"


class _Gaps:
    """Rows that are lost: one finding for all that lie together for the same reason."""

    def __init__(self, findings: Findings) -> None:
        self._findings, self._first, self._last, self._why = findings, 0, 0, ""

    def take(self, index: int, why: str) -> None:
        """The next row; ``why`` is empty where it is not lost."""
        if why != self._why:
            self.close()
            self._first, self._why = index, why
        self._last = index

    def close(self) -> None:
        """No more rows."""
        if self._why:
            several = f"entries {self._first} to {self._last}"
            one = f"entry {self._first}"
            self._findings.add(failed(one if self._first == self._last else several, self._why))


class Form(Fold):
    """Step 1: the source is readable and every envelope is strict and canonical."""

    step: ClassVar = FORM

    def __init__(self, material: Material) -> None:
        super().__init__()
        self._material, self._gaps = material, _Gaps(self.findings)
        if material.problem:
            self.findings.add(failed(str(material.target), material.problem))

    def take(self, seen: Seen, memory: LogState) -> None:  # noqa: ARG002
        """Look at the form of the next entry."""
        columns, entry, lost = seen.row.columns, seen.entry, seen.row.lost
        self._gaps.take(seen.index, f"cannot be read: {lost}" if lost else "")
        if lost is not None:
            return
        if entry is None:
            self.findings.add(failed(seen.name, seen.complaint))
        elif columns is not None and columns != columns_of(entry.statement):
            detail = "the database's index columns say something else than the entry"
            self.findings.add(failed(seen.name, detail))

    def conclude(self, memory: LogState) -> list[Check]:
        """The lines of the step."""
        self._gaps.close()
        if (expected := len(self._material.rows)) != memory.size and not self.findings.failed:
            detail = f"holds {expected} entries, of which {memory.size} are in the order of the log"
            self.findings.add(failed(str(self._material.target), detail))
        said = f"{memory.size} envelopes and statements are strict and canonical"
        return self.findings.conclude(FORM, said, nothing="" if memory.size else _EMPTY)


class Order(Fold):
    """Step 3: sequence numbers count from 0 and each entry names the hash of the one before."""

    step: ClassVar = CHAIN

    def __init__(self) -> None:
        super().__init__()
        self._gaps = _Gaps(self.findings)

    def take(self, seen: Seen, memory: LogState) -> None:  # noqa: ARG002
        """Look at the place of the next entry."""
        self._gaps.take(seen.index, "not in the database" if seen.row.lost == "" else "")
        if seen.row.index != seen.index:
            detail = f"lies at index {seen.row.index} of the database"
            self.findings.add(failed(f"entry {seen.index}", detail))
        self.findings.fail(seen, _wrong_link(seen))

    def conclude(self, memory: LogState) -> list[Check]:
        """The lines of the step."""
        self._gaps.close()
        said = f"{memory.size} entries, head {memory.last[:16]}…"
        return self.findings.conclude(CHAIN, said, nothing="" if memory.size else _EMPTY)


def _wrong_link(seen: Seen) -> Iterator[str]:
    """What is wrong with the place of an entry."""
    if seen.entry is None:
        return
    said = seen.entry.statement.predicate
    if said.sequence != seen.index:
        yield f"says that it is number {said.sequence}"
    if seen.before and said.prev != seen.before:
        yield "does not name the hash of the entry before it"

"""What receipts say of an update of an index, and how that is checked."""

from __future__ import annotations

__all__ = ["SECTION", "SECTIONS", "IndexSection"]

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from cryoflux.files import read_lines, read_regular
from cryoflux.receipts.statement import Intent, Receipt, Section
from cryoflux.verification.sections import Sections

SECTION = "index/v1"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST_BYTES, _LONGEST_LINE = 200_000_000, 100_000
_COUNTS = ("documents", "added", "removed", "pending")


class IndexSection:
    """Knows sections of the kind ``index/v1``."""

    files: tuple[str, ...] = ("update.json", "added.jsonl", "added.i8", "queries.i8")

    def complaints(self, section: Section, receipt: Receipt, intent: Intent) -> Iterator[str]:
        """What in a section does not keep to its intent."""
        fields = section.fields
        for name in _COUNTS:
            if not isinstance(found := fields.get(name), int) or found < 0:
                yield f"says no number of documents {name}"
        encoder = fields.get("encoder")
        if not (isinstance(encoder, str) and _SHA256.fullmatch(encoder)):
            yield "names nothing that embeds"
        elif encoder != intent.recipe.get("encoder"):
            yield "was embedded by another encoder than its intent announced"
        if intent.metric.name != "reciprocal-rank":
            yield f"is judged by {intent.metric.name!r}, which is no measure of an index"
        yield from _embedding(receipt, intent)

    def is_example(self, row: object) -> bool:
        """Whether a line is a query with the name of its document."""
        return (
            isinstance(row, dict)
            and isinstance(row.get("text"), str)
            and isinstance(row.get("document"), str)
        )

    def facts(self, folder: Path) -> Mapping[str, str | int]:
        """What the files of an update say of encoder and documents."""
        said = json.loads(read_regular(folder / "update.json", _MOST_BYTES))
        manifest, removed = said["manifest"], said["removed"]
        if not isinstance(removed, list):
            raise TypeError("what is gone is no list")
        added = sum(bool(line) for line, _ in read_lines(folder / "added.jsonl", _LONGEST_LINE))
        return {
            "encoder": manifest["encoder"],
            "documents": manifest["documents"],
            "added": added,
            "removed": len(removed),
        }

    def trained(self, section: Section) -> tuple[int, tuple[str, ...]]:  # noqa: ARG002
        """An index has no trained parameters."""
        return 0, ()


def _embedding(receipt: Receipt, intent: Intent) -> Iterator[str]:
    """What embedding cannot have done."""
    training = receipt.training
    if training is None:
        return
    if training.slice_count or training.fresh_count:
        yield "says that it learned from examples, though an index learns from none"
    if training.screen is None and not receipt.cause:
        yield "was not tried on the queries that are set aside for it"
    if training.working and intent.chain is None:
        yield "leaves something to go on from, though it is of no chain"


SECTIONS: Sections = {SECTION: IndexSection()}
"""Kind of a section → what checks it."""

"""What in a receipt of an index does not keep to its intent."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from cryoflux.receipts.statement import Intent, Metric, Receipt, Screen, Section, Training
from cryoflux.tasks.index.section import SECTION, SECTIONS

ENCODER = "ab" * 32
FIELDS: dict[str, Any] = {"encoder": ENCODER, "documents": 3, "added": 3, "removed": 0, "pending": 0}
SCREEN = Screen(count=9, base_loss_sum=9, new_loss_sum=9, delta_squared_sum="0")
TRAINING = Training(
    slice_sha256="00" * 32,
    slice_count=0,
    stopped_by="steps",
    section=Section(kind=SECTION, fields=FIELDS),
    screen=SCREEN,
)


def complaints(fields: dict[str, Any], training: Training = TRAINING, **intent: Any) -> list[str]:
    said = {
        "recipe": {"encoder": ENCODER},
        "metric": Metric(name="reciprocal-rank", unit="MRR"),
        "chain": None,
    }
    announced = msgspec.defstruct("Announced", [(n, object) for n in said])(**{**said, **intent})
    receipt = msgspec.defstruct("Said", [("training", object), ("cause", object)])(training, "")
    check = SECTIONS[SECTION]
    section = Section(kind=SECTION, fields=fields)
    return list(check.complaints(section, _as(Receipt, receipt), _as(Intent, announced)))


def _as(_kind: type, value: Any) -> Any:
    return value


def test_an_honest_section_is_left_alone() -> None:
    assert complaints(FIELDS) == []


@pytest.mark.parametrize(
    ("found", "what"),
    [
        (complaints({**FIELDS, "added": -1}), "no number of documents added"),
        (complaints({name: FIELDS[name] for name in FIELDS if name != "pending"}), "documents pending"),
        (complaints({**FIELDS, "encoder": "somebody"}), "names nothing that embeds"),
        (complaints({**FIELDS, "encoder": "cd" * 32}), "another encoder than its intent"),
        (complaints(FIELDS, metric=Metric(name="cross-entropy", unit="nats")), "no measure of an index"),
        (complaints(FIELDS, TRAINING.but(slice_count=4)), "learns from none"),
        (complaints(FIELDS, TRAINING.but(screen=None)), "not tried on the queries"),
        (complaints(FIELDS, TRAINING.but(working="00" * 32)), "of no chain"),
    ],
)
def test_what_cannot_be_is_said(found: list[str], what: str) -> None:
    assert len(found) == 1
    assert what in found[0]

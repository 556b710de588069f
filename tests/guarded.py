"""States whose log names a leak guard, with the training texts that their owner likes."""

from __future__ import annotations

__all__ = ["AUDIT", "COPY", "HOLDOUT", "LEAST", "TEXTS", "TRAIN", "guarded", "rule"]

import json
from collections.abc import Sequence
from pathlib import Path

from cryoflux.data.fold import FOLD
from cryoflux.data.lowest_hash import GIVEN
from cryoflux.digests import write_checksums
from cryoflux.receipts.statement import SetRules, SimilarRule
from synthetic_parts import COUNT
from synthetic_state import SyntheticState, open_state
from unalike import rearranged, unalike

LEAST = 820
"""above what sentences of `unalike` have with each other (773), below what a copy has with its text (867)"""
TEXTS = unalike(3 * COUNT)
TRAIN, HOLDOUT, AUDIT = TEXTS[:COUNT], TEXTS[COUNT : 2 * COUNT], TEXTS[2 * COUNT :]
COPY = rearranged(AUDIT[4])


def rule(dropped: int, *, encoder: str = "e" * 64, name: str = "cosine/v1") -> SimilarRule:
    return SimilarRule(rule=name, least_milli=LEAST, encoder=encoder, dropped=dropped)


def guarded(
    folder: Path, train: Sequence[str], said: SimilarRule, left_out: Sequence[str] = ()
) -> SyntheticState:
    """A finished state with one attempt."""
    made = open_state(folder / "state", [*train, *HOLDOUT, *AUDIT])
    if left_out:
        place = made.path / "data" / made.data.digest
        lines = [json.dumps({"text": text, "label": "a"}) + "\n" for text in left_out]
        (place / "similar.jsonl").write_text("".join(lines))
        made.data = made.data.but(digest=write_checksums(place))
        place.rename(place.with_name(made.data.digest))
    made.data = made.data.but(rules=SetRules(holdout=GIVEN, audit=GIVEN, copies=FOLD, similar=said))
    made.attempt(0.05)
    made.finish()
    return made

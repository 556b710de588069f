"""Texts of many words that are no copies of each other, and states of which they are the data."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from cryoflux.data.fold import FOLD
from cryoflux.data.lowest_hash import LOWEST_HASH
from cryoflux.receipts.statement import SetRules
from cryoflux.verification.result import Check
from synthetic_parts import COUNT
from synthetic_state import SyntheticState, open_state
from verifying import artefact_checks

_TEXT = """
the quiet river host returns a letter of some open name to each reader and its older copy after every
winter storm while children count bright stones under seven wooden bridges near that small market town
where nobody sells bread or salt before noon because bells ring twice for rain
"""
WORDS = _TEXT.split()
DRAWN = SetRules(holdout=LOWEST_HASH, audit=LOWEST_HASH, copies=FOLD)


def written(count: int, seed: int = 0, length: int = 16) -> list[str]:
    """Sentences of random words."""
    draw = random.Random(seed)
    made = [" ".join(draw.choices(WORDS, k=length)) for _ in range(count)]
    return [f"{text[0].upper()}{text[1:]}." for text in made]


def of_sets(folder: Path, sets: Sequence[Sequence[str]], rules: SetRules | None = None) -> SyntheticState:
    """A state with one attempt and these texts as training, holdout and audit set, 64 of each that judges."""
    assert {len(texts) for texts in sets[1:]} == {COUNT}
    made = open_state(folder / "state", [text for texts in sets for text in texts], spares=len(sets) - 3)
    made.data = made.data.but(rules=rules)
    made.attempt(0.05)
    made.finish()
    return made


def searched(made: SyntheticState) -> list[Check]:
    """What step 9 says of the sets."""
    return [check for check in artefact_checks(made.path) if check.knowledge.value == "searched"]

"""The guard names the set that a text is like, embeds each text once, and is the one that the log names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cryoflux.errors import ModelError
from cryoflux.tasks.index.encoding import TextEncoder
from cryoflux.tasks.index.guard import LeakGuard, TextVectors, guard_of
from guarded import LEAST
from unalike import rearranged, unalike

TEXTS = unalike(12)
JUDGING = {"holdout": TEXTS[:4], "audit": [*TEXTS[4:8], TEXTS[0]]}
ASKED = [rearranged(TEXTS[5]), TEXTS[9], rearranged(TEXTS[0]), TEXTS[10]]


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Texts that were embedded."""
    seen: list[str] = []
    real = TextEncoder.embed
    monkeypatch.setattr(TextEncoder, "embed", lambda self, texts: seen.extend(texts) or real(self, texts))
    return seen


def test_a_copy_is_of_the_first_set_that_has_it_and_an_honest_text_of_none(embedded: list[str]) -> None:
    told: list[tuple[int, int]] = []
    guard = LeakGuard(LEAST, TextVectors())
    assert guard.near(ASKED, JUDGING, lambda *done: told.append(done)) == {0: "audit", 2: "holdout"}
    assert len(embedded) == len({*ASKED, *TEXTS[:8]}) == told[-1][0] == told[-1][1]
    assert guard.near([], JUDGING) == guard.near(ASKED, {}) == guard.near(ASKED, {"audit": []}) == {}
    assert guard.rule(2)["dropped"] == 2


def test_what_was_embedded_when_a_state_began_is_there_when_texts_join(
    tmp_path: Path, embedded: list[str]
) -> None:
    first = LeakGuard(LEAST, TextVectors())
    first.near(ASKED, JUDGING)
    first.vectors.keep_in(tmp_path)
    embedded.clear()
    later = guard_of({"similar": first.rule(2)}, tmp_path)
    more = rearranged(TEXTS[6])
    assert later.near([more], JUDGING) == {0: "audit"}
    assert embedded == [more]
    assert later.near([more], JUDGING) == {0: "audit"}
    assert embedded == [more]


def test_of_a_long_text_as_much_as_is_read_decides(embedded: list[str]) -> None:
    vectors = TextVectors()
    long = "a word " * 400
    one, other = vectors.of([long, f"{long} and an end that nobody reads"])
    assert np.array_equal(one, other)
    assert max(map(len, embedded)) < len(long)


@pytest.mark.parametrize("changed", [{"rule": "cosine/v9"}, {"encoder": "0" * 64}])
def test_a_guard_that_is_not_known_here_is_refused(changed: dict[str, str], tmp_path: Path) -> None:
    said = LeakGuard(LEAST, TextVectors()).rule(0)
    with pytest.raises(ModelError, match="is not known here"):
        guard_of({"similar": {**said, **changed}}, tmp_path)

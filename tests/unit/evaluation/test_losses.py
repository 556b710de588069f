"""Losses survive the way into evidence files and the cache, and nonsense does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.digests import sha256_hex
from cryoflux.evaluation.cache import KnownLosses, LossCache
from cryoflux.evaluation.losses import (
    LARGEST_NANO_NAT,
    EvaluationFailedError,
    Losses,
    to_nano_nats,
    write_evidence,
)
from synthetic_parts import losses_in

SCORES = st.lists(st.tuples(st.integers(0, 10**12), st.booleans()), min_size=1).map(
    lambda rows: Losses(tuple(r[0] for r in rows), tuple(r[1] for r in rows))
)


@given(SCORES)
def test_evidence_reads_back_what_was_written(losses: Losses) -> None:
    assert losses_in(write_evidence(losses, losses)) == (losses, losses)


def test_a_loss_is_rounded_once_or_refused() -> None:
    assert to_nano_nats(0.1234567894) == 123_456_789
    assert to_nano_nats(1000.0) == LARGEST_NANO_NAT
    for loss in (float("nan"), float("inf"), -1e-3, 1000.1):
        with pytest.raises(EvaluationFailedError, match="holdout loss is"):
            to_nano_nats(loss)


@given(SCORES, st.integers(0, 2**40))
def test_the_cache_remembers_by_everything_that_matters(
    tmp_path_factory: pytest.TempPathFactory, losses: Losses, cost_uj: int
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    cache = LossCache(folder)
    known = KnownLosses(losses, cost_uj)
    count = len(losses.correct)
    cache.put("model", "holdout", 24, known)
    assert cache.get("model", "holdout", 24, count) == known
    assert cache.get("model", "holdout", 24, count + 1) is None
    assert cache.get("other", "holdout", 24, count) is None
    assert cache.get("model", "other", 24, count) is None
    assert cache.get("model", "holdout", 32, count) is None
    (path,) = folder.iterdir()
    path.write_bytes(path.read_bytes().replace(b"[", b"[9", 1))
    assert cache.get("model", "holdout", 24, count) is None


@pytest.mark.parametrize(
    "body",
    [
        [[1.5], [1], 0],
        [[-1], [1], 0],
        [["1"], [1], 0],
        [[1], [2], 0],
        [[1], [True], 0],
        [[1], [1], -1],
        [[10**13], [1], 0],
    ],
)
def test_nonsense_with_a_right_checksum_is_as_good_as_no_cache(tmp_path: Path, body: list) -> None:
    cache = LossCache(tmp_path)
    cache.put("model", "holdout", 24, KnownLosses(Losses((1,), (True,)), 0))
    (path,) = tmp_path.iterdir()
    document = dict(zip(("nano_nats", "correct", "cost_uj"), body, strict=True))
    document["sha256"] = sha256_hex(json.dumps(body).encode())
    path.write_text(json.dumps(document))
    assert cache.get("model", "holdout", 24, 1) is None

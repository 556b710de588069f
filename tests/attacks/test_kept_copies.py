"""The owner says that a leak guard held the training texts, and trains on copies of what judges.

The copies are rearranged, so that neither a fold nor a search by words sees them. Files, counts and
signatures are all in order; the texts are embedded by the real model.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from cryoflux.tasks.index.again import TextEmbedder
from cryoflux.verification.again import Again
from cryoflux.verification.leak_guard import GUARDED
from cryoflux.verification.recomputer import Recomputer
from cryoflux.verification.result import Check, Report, Status
from guarded import AUDIT, COPY, HOLDOUT, TRAIN, guarded, rule
from synthetic_state import SyntheticState
from unalike import rearranged
from verifying import verify_target


@pytest.fixture(scope="module")
def encoder() -> str:
    return TextEmbedder().encoder


def no_trainer(_cut: object) -> Recomputer:
    raise AssertionError("nothing but texts is computed here")


def embedded_again(made: SyntheticState) -> tuple[Report, list[Check]]:
    report = verify_target(made.path, again=Again(no_trainer, embedder=TextEmbedder, losses=1))
    return report, [check for check in report.checks if check.name == GUARDED.name]


@pytest.mark.parametrize("judge", [HOLDOUT, AUDIT], ids=["holdout", "audit"])
def test_a_copy_in_other_order_that_was_kept_is_found_with_its_row(
    judge: list[str], encoder: str, tmp_path: Path
) -> None:
    train = [*TRAIN[:20], rearranged(judge[7]), *TRAIN[21:]]
    made = guarded(tmp_path, train, rule(0, encoder=encoder))
    plain = verify_target(made.path)
    assert not [c for c in plain.checks if c.status is Status.FAIL], "only embedding shows it"
    _, (check,) = embedded_again(made)
    file = "holdout" if judge is HOLDOUT else "audit"
    assert (check.number, check.status) == (9, Status.FAIL)
    assert check.subject.endswith("/train.jsonl")
    assert check.detail.startswith("1 training texts are near to one that judges")
    assert "line 21 has 0.9" in check.detail
    assert f"with line 8 of {file}.jsonl" in check.detail


def test_the_innocent_twin_left_it_out_and_passes(encoder: str, tmp_path: Path) -> None:
    made = guarded(tmp_path, TRAIN, rule(1, encoder=encoder), [COPY])
    _, (check,) = embedded_again(made)
    assert check.status is Status.OK
    assert "none of 64 training texts has a cosine of 0.82 or more with one of 128 that judge" in check.detail
    assert "and the 1 that were left out do" in check.detail


def test_training_texts_that_were_left_out_on_a_pretext_are_found(encoder: str, tmp_path: Path) -> None:
    made = guarded(tmp_path, TRAIN[1:], rule(2, encoder=encoder), [COPY, TRAIN[0]])
    _, (check,) = embedded_again(made)
    assert (check.status, check.subject.rpartition("/")[2]) == (Status.FAIL, "similar.jsonl")
    assert check.detail.startswith(
        "1 of its texts are near to none that judges, though they were left out: line 2"
    )

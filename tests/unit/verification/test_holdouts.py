"""A log may go on to the next holdout of its data set, and only once the one before is spent."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryoflux.digests import file_digest, write_checksums
from cryoflux.receipts.statement import Holdout
from cryoflux.verification.datasets import holdout_path
from cryoflux.verification.result import Status
from synthetic_parts import COUNT, NO_BAR, OLD_RULE, RULE
from synthetic_state import SyntheticState, open_state
from verifying import verify_target


def found(made: SyntheticState, status: Status = Status.FAIL) -> list[tuple[int, str, str]]:
    checks = verify_target(made.finish()).checks
    return [(c.number, c.subject, c.detail) for c in checks if c.status is status]


def wasteful(path: Path, spares: int = 2) -> SyntheticState:
    """A log whose error budget is spent after four verdicts."""
    made = open_state(path, spares=spares)
    made.rule, made.policy = RULE.but(alpha_ppm=1_000_000), "uniform/v1"
    return made


def spend(made: SyntheticState, verdicts: int = 4) -> None:
    for _ in range(verdicts):
        made.attempt(-0.0005)


def test_going_on_to_the_next_holdout_is_fine_once_the_one_before_is_spent(tmp_path: Path) -> None:
    made = wasteful(tmp_path / "state")
    spend(made)
    made.rotate()
    made.attempt(0.05)
    spend(made, 4)
    made.rotate()
    made.attempt(0.02)
    report = verify_target(made.finish())
    assert report.ok
    assert all(check.status is Status.OK for check in report.checks)
    (said,) = [c.detail for c in report.checks if c.number == 8]
    assert said.endswith("3 holdouts, 4 and 5 and 1 verdicts in 10 attempts")


def test_losses_shown_again_in_the_order_of_another_holdout_are_named(tmp_path: Path) -> None:
    made = wasteful(tmp_path / "state")
    spend(made, 3)
    first = made.conclude_attempt(made.announce(), -0.01, read=32)
    made.rotate()
    shown = first.statement.predicate.evaluation
    made.conclude_attempt(made.announce(), -0.01, read=32, evaluation=shown)
    assert (9, "entry 9 (receipt b0001_8)", "its Merkle root is not that of its per-example losses") in found(
        made
    )


def test_leaving_a_holdout_too_early_is_named(tmp_path: Path) -> None:
    made = wasteful(tmp_path / "state")
    spend(made, 3)
    made.rotate()
    made.attempt(0.05)
    assert found(made) == [
        (8, "entry 6 (intent b0001_6)", "leaves a holdout whose error budget is not spent")
    ]


def test_an_attempt_that_gave_no_verdict_spends_nothing(tmp_path: Path) -> None:
    made = wasteful(tmp_path / "state")
    spend(made, 3)
    made.abort(made.announce())
    made.screen_out()
    made.rotate()
    made.attempt(0.05)
    assert [(n, s) for n, s, _ in found(made)] == [(8, "entry 10 (intent b0001_10)")]


def test_a_larger_error_budget_does_not_spend_a_holdout_sooner(tmp_path: Path) -> None:
    made = wasteful(tmp_path / "state")
    made.rule = RULE
    spend(made)
    made.rule = RULE.but(alpha_ppm=1_000_000)
    made.rotate()
    made.attempt(0.05)
    assert [(n, s) for n, s, _ in found(made)] == [(8, "entry 8 (intent b0001_8)")]


@pytest.mark.parametrize("leaving", [OLD_RULE, RULE.but(alpha_ppm=0)])
def test_a_rule_without_an_error_budget_leaves_no_holdout(tmp_path: Path, leaving: object) -> None:
    made = wasteful(tmp_path / "state")
    spend(made)
    made.rotate()
    made.abort(made.announce(rule=leaving, bar=NO_BAR))
    bad = [(n, s, detail) for n, s, detail in found(made) if n == 8]
    assert bad == [(8, "entry 8 (intent b0001_8)", "leaves a holdout whose error budget is not spent")]


def test_going_back_to_a_holdout_is_named(tmp_path: Path) -> None:
    made = wasteful(tmp_path / "state")
    first = made.data
    spend(made)
    made.rotate()
    spend(made)
    made.data, made.uses, made.series = first, 4, "c"
    made.attempt(0.05)
    assert found(made) == [(8, "entry 16 (intent c0005_16)", "goes back to a holdout that was left")]


def test_uses_are_counted_by_holdout(tmp_path: Path) -> None:
    made = wasteful(tmp_path / "state")
    spend(made)
    made.rotate()
    made.uses = 4
    made.attempt(0.05)
    assert found(made) == [(8, "entry 8 (intent b0005_8)", "is use 1 of the holdout, but says 5")]


def test_another_number_of_examples_in_the_same_holdout_is_named(tmp_path: Path) -> None:
    made = wasteful(tmp_path / "state")
    spend(made, 1)
    other = made.data.holdout.but(count=COUNT + 1)
    made.data = made.data.but(holdout=other)
    made.abort(made.announce())
    assert found(made) == [(8, "entry 2 (intent a0002_2)", "uses another data set than the first attempt")]


def test_skipping_a_holdout_is_named(tmp_path: Path) -> None:
    made = wasteful(tmp_path / "state")
    spend(made)
    made.rotate()
    made.rotate()
    made.attempt(0.05)
    assert found(made) == [(9, "entry 8 (intent c0001_8)", "its holdout is not the next one of its data set")]


def test_a_holdout_that_is_none_of_the_data_set_is_named(tmp_path: Path) -> None:
    made = wasteful(tmp_path / "state")
    spend(made)
    made.rotate()
    foreign = Holdout(sha256="f" * 64, count=COUNT, use_index=1)
    made.data = made.data.but(holdout=foreign)
    made.attempt(0.05)
    assert found(made) == [(9, "entry 8 (intent b0001_8)", "its holdout is none of its data set")]


@pytest.mark.parametrize(
    ("text", "other"), [("example 3", "train"), ("EXAMPLE 70", "holdout"), ("example 130", "audit")]
)
def test_a_spare_that_shares_a_text_is_named(tmp_path: Path, text: str, other: str) -> None:
    texts = [f"example {i}" for i in range(4 * COUNT)]
    texts[3 * COUNT + 5] = text
    made = open_state(tmp_path / "state", texts, spares=1)
    made.attempt(0.05)
    (bad,) = found(made)
    assert bad[0] == 9
    assert {Path(bad[1]).stem, bad[2].split()[4].removesuffix(".jsonl:")} <= {other, "holdout-2"}


def test_a_spare_that_is_not_kept_is_a_question_and_one_that_changed_a_lie(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state", spares=1)
    made.attempt(0.05)
    spare = made.path / "data" / made.data.digest / "holdout-2.jsonl"
    spare.write_bytes(spare.read_bytes() + b"\n")
    assert [(n, Path(s).name) for n, s, _ in found(made)] == [(9, "holdout-2.jsonl")]
    spare.unlink()
    report = verify_target(made.path)
    assert report.ok
    assert [c.number for c in report.checks if c.status is Status.UNKNOWN] == [9]


def test_holdouts_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    made = wasteful(tmp_path / "state", spares=10)
    spend(made)
    made.rotate()
    made.attempt(0.05)
    assert found(made) == []


def test_the_holdout_is_found_by_its_digest(tmp_path: Path) -> None:
    made = wasteful(tmp_path / "state")
    folder = made.path / "data" / made.data.digest
    assert holdout_path(made.path, made.data) == folder / "holdout.jsonl"
    made.rotate()
    assert holdout_path(made.path, made.data) == folder / "holdout-2.jsonl"
    (folder / "holdout-2.jsonl").write_text("another")
    assert holdout_path(made.path, made.data) is None
    (folder / "holdout-2.jsonl").unlink()
    assert holdout_path(made.path, made.data) is None
    assert holdout_path(tmp_path, made.data) is None
    made.finish()


def test_a_data_set_without_a_holdout_is_named(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    folder = made.path / "data" / made.data.digest
    (folder / "holdout.jsonl").unlink()
    digest = write_checksums(folder)
    folder.rename(folder.with_name(digest))
    made.data = made.data.but(digest=digest)
    made.attempt(0.05)
    assert found(made) == [(9, "entry 0 (intent a0001_0)", "its holdout is none of its data set")]
    assert file_digest(folder.with_name(digest) / "train.jsonl") == made.data.train

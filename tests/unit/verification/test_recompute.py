from __future__ import annotations

import shutil
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from cryoflux.digests import read_tensor_entries
from cryoflux.errors import CryoFluxError
from cryoflux.report.verdict_words import recomputed_in_words
from cryoflux.verification.again import Again
from cryoflux.verification.artefacts import capsule_path
from cryoflux.verification.binding import Binding
from cryoflux.verification.recompute import check_recomputed
from cryoflux.verification.recomputer import Recomputer
from cryoflux.verification.result import Check, Knowledge, Status
from synthetic_parts import COUNT, losses_of, tiny_safetensors
from synthetic_state import SyntheticState, open_state
from verifying import verify_target, walked

GAINS = (0.0, 0.05, 0.05 + 0.0005, 0.05 + 0.02)
USES = range(9)


class Evaluator:
    """Evaluates the synthetic models as they were made: by the second number in their weights."""

    def __init__(self, *, off: int = 0, by: int = 1, flip: bool = False) -> None:
        self.off, self.by, self.flip = off, by, flip
        self.evaluated: list[str] = []

    def evaluate(self, model: Path, holdout: Path) -> tuple[list[int], list[bool]]:
        assert holdout.name == "holdout.jsonl"
        (tensor,) = read_tensor_entries(model / "model.safetensors")
        self.evaluated.append(tensor.sha256)
        raw = (model / "model.safetensors").read_bytes()
        gain = next(g for g in GAINS if any(tiny_safetensors([1.0, g, float(u)]) == raw for u in USES))
        losses, correct = losses_of(gain)
        if self.flip:
            correct[0] = not correct[0]
        return [loss + (self.by if i < self.off else 0) for i, loss in enumerate(losses)], correct

    def merge(self, base: Path, capsule: Path, into: Path) -> Path:
        merged, gain, use = into / "merged", *_numbers(capsule / "adapter_model.safetensors")
        _, before, _ = _numbers(base / "model.safetensors")
        shutil.copytree(base, merged)
        (merged / "model.safetensors").write_bytes(tiny_safetensors([1.0, _as_made(before + gain), use]))
        return merged


def _numbers(path: Path) -> list[float]:
    body = path.read_bytes()
    size = int.from_bytes(body[:8], "little")
    return [number for (number,) in struct.iter_unpack("<f", body[8 + size :])]


def _as_made(gain: float) -> float:
    return min(GAINS, key=lambda made: abs(made - gain))


def recomputed(state: Path, evaluator: Recomputer, most: int = 1) -> list[Check]:
    def make(max_tokens: int) -> Recomputer:
        assert max_tokens == 32
        return evaluator

    report = verify_target(state, again=Again(make, losses=most))
    return [check for check in report.checks if check.number == 11]


def test_equal_is_said_with_its_numbers(pristine: SyntheticState) -> None:
    (check,) = recomputed(pristine.path, Evaluator())
    assert (check.status, check.knowledge) == (Status.OK, Knowledge.RECOMPUTED)
    assert "entry 7 (receipt a0004_6) equal" in check.detail
    assert f"all {2 * COUNT} losses identical" in check.detail


def test_the_last_accepted_comes_first_and_then_the_newest_others(pristine: SyntheticState) -> None:
    checks = recomputed(pristine.path, Evaluator(), most=9)
    order = [check.detail.split(")")[0] for check in checks]
    assert order == ["entry 7 (receipt a0004_6", "entry 3 (receipt a0002_2", "entry 1 (receipt a0001_0"]


@pytest.mark.parametrize(
    ("evaluator", "words"),
    [
        (Evaluator(off=1, by=2), "by up to 2 nano-nats"),
        (Evaluator(off=2, by=1), "2 of 64 base losses differ"),
        (Evaluator(flip=True), "predictions"),
    ],
)
def test_other_numbers_refute_the_receipt(pristine: SyntheticState, evaluator: Evaluator, words: str) -> None:
    checks = recomputed(pristine.path, evaluator)
    assert {check.status for check in checks} == {Status.FAIL}
    assert any(words in check.detail and "refuted" in check.detail for check in checks), checks
    assert {check.subject for check in checks} == {"entry 7 (receipt a0004_6)"}


def test_the_report_says_how_many_of_how_many(pristine: SyntheticState) -> None:
    report = verify_target(pristine.path, again=Again(lambda _most: Evaluator(), losses=2))
    assert (report.recomputed, report.evaluated, report.receipts) == (2, 3, 4)


def test_a_candidate_that_was_not_kept_is_merged_again(state: Path, pristine: SyntheticState) -> None:
    candidate = pristine.entries[3].statement.predicate.evaluation.candidate
    shutil.rmtree(state / "models" / candidate.digest)
    checks = recomputed(state, Evaluator(), most=2)
    assert [check.status for check in checks] == [Status.OK] * 2
    assert all("merged again" in check.detail for check in checks)


def test_a_candidate_whose_adapter_is_withheld_is_equal_and_not_merged(
    state: Path, pristine: SyntheticState
) -> None:
    shutil.rmtree(capsule_path(state, pristine.entries[7].statement))
    equal, open_ = recomputed(state, Evaluator())
    assert (equal.status, open_.status) == (Status.OK, Status.UNKNOWN)
    assert "equal" in equal.detail
    assert "not merged again" in open_.detail
    shutil.rmtree(state / "models" / pristine.head.digest)
    (check,) = recomputed(state, Evaluator())
    assert check.status is Status.UNKNOWN


def test_a_kept_candidate_of_other_weights_is_refuted(state: Path, pristine: SyntheticState) -> None:
    shutil.rmtree(capsule_path(state, pristine.entries[7].statement))
    weights = state / "models" / pristine.head.digest / "model.safetensors"
    weights.write_bytes(tiny_safetensors([1.0, 0.05, 1.0]))
    (check,) = recomputed(state, Evaluator())
    assert check.status is Status.FAIL
    assert "the kept candidate is another model" in check.detail


def test_a_profile_that_is_not_known_leaves_the_question_open(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    said = made.entries[1].statement.predicate.evaluation
    made.attempt(0.02, evaluation=said.but(profile="f16/v9"))
    (check,) = recomputed(made.finish(), Evaluator())
    assert check.status is Status.UNKNOWN
    assert "f16/v9" in check.detail


@pytest.mark.parametrize("error", [CryoFluxError("it cannot be loaded"), KeyError("classifier.weight")])
def test_a_merge_that_fails_is_not_equal(pristine: SyntheticState, error: Exception) -> None:
    class Broken(Evaluator):
        def merge(self, *_paths: Path) -> Path:
            raise error

    (check,) = recomputed(pristine.path, Broken())
    assert (check.status, check.subject) == (Status.FAIL, "entry 7 (receipt a0004_6)")


def test_what_is_not_kept_leaves_the_question_open(state: Path, pristine: SyntheticState) -> None:
    shutil.rmtree(state / "data")
    (check,) = recomputed(state, Evaluator())
    assert (check.status, check.subject) == (Status.UNKNOWN, "entry 7 (receipt a0004_6)")


def test_an_evaluation_that_fails_is_not_equal(pristine: SyntheticState) -> None:
    class Broken(Evaluator):
        def evaluate(self, *_paths: Path) -> tuple[list[int], list[bool]]:
            raise CryoFluxError("the model cannot be loaded")

    (check,) = recomputed(pristine.path, Broken())
    assert check.status is Status.FAIL
    assert "cannot be loaded" in check.detail


def test_an_exported_file_cannot_be_evaluated_again(pristine: SyntheticState, tmp_path: Path) -> None:
    path = tmp_path / "export.jsonl"
    path.write_bytes(b"".join(entry.envelope + b"\n" for entry in pristine.entries))
    (check,) = recomputed(path, Evaluator())
    assert check.status is Status.UNKNOWN


class Partial(Evaluator):
    """Knows the candidate of the attempt that reading stopped for, too."""

    def evaluate(self, model: Path, holdout: Path) -> tuple[list[int], list[bool]]:
        weights = (model / "model.safetensors").read_bytes()
        made = {tiny_safetensors([1.0, gain, use]): gain for gain, use in ((0.0, 0.0), (-0.01, 1.0))}
        losses, correct = losses_of(made[weights])
        return losses + [1] * self.off, correct + [True] * self.off

    def merge(self, base: Path, capsule: Path, into: Path) -> Path:
        merged = into / "merged"
        shutil.copytree(base, merged)
        (merged / "model.safetensors").write_bytes(tiny_safetensors([1.0, -0.01, 1.0]))
        return merged


def test_only_what_was_read_is_compared_and_in_that_order(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.conclude_attempt(made.announce(), -0.01, read=32)
    made.screen_out()
    made.finish()
    (check,) = recomputed(made.path, Partial(), most=5)
    assert check.status is Status.OK
    assert "entry 1 (receipt a0001_0) equal" in check.detail
    assert "all 64 losses identical" in check.detail
    assert "Δ = -0.0109" in check.detail


def test_a_holdout_of_another_length_than_signed_is_refuted(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.conclude_attempt(made.announce(), -0.01, read=32)
    made.finish()
    (check,) = recomputed(made.path, Partial(off=1))
    assert check.status is Status.FAIL
    assert "has not the 64 examples recorded" in check.detail


class OtherMachine(Evaluator):
    """Merges in float32, and gets other last bits than whoever trained; knows what rounding allows."""

    def __init__(self, *, within: bool = True, apart: int = 0) -> None:
        super().__init__()
        self.within, self.apart = within, apart

    def merge(self, base: Path, capsule: Path, into: Path) -> Path:
        merged = super().merge(base, capsule, into)
        one, gain, use = _numbers(merged / "model.safetensors")
        (merged / "model.safetensors").write_bytes(tiny_safetensors([one + 2**-23, gain, use]))
        return merged

    def as_kept(self, base: Path, capsule: Path, kept: Path, into: Path) -> Path | None:
        return kept if self.within else None

    def evaluate(self, model: Path, holdout: Path) -> tuple[list[int], list[bool]]:
        one, gain, _ = _numbers(model / "model.safetensors")
        if one == 1:
            return super().evaluate(model, holdout)
        losses, right = losses_of(_as_made(gain))
        return [loss + self.apart for loss in losses], right


def said(check: Check) -> tuple[Status, bool]:
    return check.status, "refuted" in check.detail


def test_other_last_bits_of_an_older_merge_are_no_refutation(pristine: SyntheticState) -> None:
    """Why a log of today names no list is asked; of one from before lists it is not."""
    report = verify_target(pristine.path, again=Again(lambda _most: OtherMachine(), losses=1))
    check, question = (check for check in report.checks if check.number == 11)
    assert said(check) == (Status.OK, False)
    assert "reproduced exactly" in check.detail
    assert question.status is Status.UNKNOWN
    assert "names no list of updates, and has other bytes than its merge here" in question.detail
    words = "1 of the candidates, up to what float32 rounds away, from base and adapter"
    assert words in recomputed_in_words(report)
    seen = walked(pristine.path)
    before = replace(seen, binding=Binding.NONE)
    (check,) = check_recomputed(before, 1, lambda _most: OtherMachine())
    assert said(check) == (Status.OK, False)
    assert "as far as float32 repeats itself: losses are of the kept candidate" in check.detail


def test_a_kept_candidate_beyond_rounding_is_refuted(pristine: SyntheticState) -> None:
    (check,) = recomputed(pristine.path, OtherMachine(within=False))
    assert said(check) == (Status.FAIL, True)


def test_where_no_candidate_was_kept_losses_have_a_tolerance_and_a_question_stays(
    state: Path, pristine: SyntheticState
) -> None:
    shutil.rmtree(state / "models" / pristine.head.digest)
    near, question = recomputed(state, OtherMachine(apart=500))
    assert [near.status, question.status] == [Status.OK, Status.UNKNOWN]
    assert "reproduced within tolerance" in near.detail
    assert "other bytes" in question.detail
    for apart in (2_000, 200_000):
        (check,) = recomputed(state, OtherMachine(apart=apart))
        assert said(check) == (Status.FAIL, True)

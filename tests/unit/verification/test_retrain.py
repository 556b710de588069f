"""Training again: what it takes is read from the log, and another adapter is a distance, not a failure."""

from __future__ import annotations

import shutil
from math import inf, nan
from pathlib import Path

import pytest
from test_spot_check import Some

import synthetic_state
from chains import CARRYING, STAKING, TOO_LITTLE, due_link, go_on
from cryoflux.receipts.statement import Training
from cryoflux.verification.again import Again
from cryoflux.verification.apart import FAR, Apart, furthest_in_words, length
from cryoflux.verification.artefacts import capsule_path
from cryoflux.verification.result import Check, Report, Status
from cryoflux.verification.retrain import Plan, Retrained, plan_of
from synthetic_parts import SEED, tiny_safetensors, training
from synthetic_state import SyntheticState, make_state, open_state
from verifying import verify_target, walked

HERE = {"cryoflux": "0.1.0", "cpu": "x86_64 AVX512"}


class Trainer(Some):
    """Trains what it is told to: the recorded adapter, or another one."""

    def __init__(self, capsule: Path | None, apart: float = 0.5, departed: str = "") -> None:
        super().__init__()
        self.capsule, self.apart, self.departed = capsule, apart, departed
        self.plans: list[Plan] = []

    def retrain(self, plan: Plan, into: Path) -> Retrained:
        self.plans.append(plan)
        if self.capsule is not None:
            folder = shutil.copytree(self.capsule, into / "retrained")
            return Retrained(folder, self.departed)
        (into / "retrained").mkdir()
        (into / "retrained" / "adapter_model.safetensors").write_bytes(tiny_safetensors([0.0201, 4.0]))
        return Retrained(into / "retrained", self.departed)

    def with_update(self, base: Path, update: Path, into: Path) -> Path:
        return self.merge(base, update, into)

    def distances(self, *_folders: Path) -> dict[str, tuple[float, float]]:
        return {"w": (self.apart, 2.0)}

    def software(self) -> dict[str, str]:
        return HERE


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SyntheticState:
    """The standard state, with receipts that say how products were computed."""

    def made(**changes: object) -> Training:
        return training(**{**changes, "backend": "f32", "threads": 1, "device": "cpu"})

    monkeypatch.setattr(synthetic_state, "training", made)
    return make_state(tmp_path / "trained")


def retrained(state: Path, trainer: Trainer, most: int = 1) -> tuple[Report, list[Check]]:
    report = verify_target(state, again=Again(lambda _most: trainer, adapters=most))
    return report, [check for check in report.checks if check.number == 15]


def test_the_same_bytes_are_reproduced_exactly(trained: SyntheticState) -> None:
    capsule = capsule_path(trained.path, trained.entries[7].statement)
    report, (check,) = retrained(trained.path, Trainer(capsule))
    assert (check.status, report.ok) == (Status.OK, True)
    assert "the same bytes" in check.detail
    assert report.levels[0]["levels"]["retraining"] == "reproduced exactly"


def test_other_bytes_are_a_distance_and_no_failure(trained: SyntheticState) -> None:
    report, (check,) = retrained(trained.path, Trainer(None))
    assert (check.status, report.ok) == (Status.UNKNOWN, True)
    assert check.detail.startswith("other bytes, ΔW 0.25 of its length away: loss ")
    assert "of 1 tensors 0.25 (median), at most 0.25 (w)" in check.detail
    assert "(+0.000000, where Δ was +0.02" in check.detail
    assert "its cpu is not recorded" in check.detail
    assert report.levels[0]["levels"]["retraining"] == "other bytes"
    said = report.levels[0]["trained_again"]
    assert (said["distance"], said["loss_here_nats"]) == (0.25, said["loss_recorded_nats"])


LIMIT, NEARER = 2 * FAR, 2 * FAR - 0.001
"""‖ours - theirs‖, where ‖theirs - base‖ is 2"""
SAME = {"cryoflux": "0.1.0", "code": "ab12", "torch": "2.13.0", "cpu": "x86_64 AVX512", "processor": "E, avx"}


def recorded(
    path: Path, monkeypatch: pytest.MonkeyPatch, software: dict[str, str], **changes: object
) -> SyntheticState:
    """One kept update by a machine that is described."""

    def made(**said: object) -> Training:
        return training(**{**said, "backend": "f32", "threads": 1, "device": "cpu", **changes})

    monkeypatch.setattr(synthetic_state, "training", made)
    state = open_state(path)
    state.attempt(0.05, software=software)
    state.finish()
    return state


class Described(Trainer):
    """A trainer whose machine is known."""

    def software(self) -> dict[str, str]:
        return SAME


@pytest.mark.parametrize(
    ("apart", "status"),
    [(LIMIT, Status.FAIL), (inf, Status.FAIL), (nan, Status.FAIL), (NEARER, Status.UNKNOWN)],
)
def test_on_the_same_machine_it_is_not_reproduced_and_far_away_a_failure(
    apart: float, status: Status, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = recorded(tmp_path / "same", monkeypatch, SAME)
    report, (check,) = retrained(state.path, Described(None, apart))
    assert (check.status, report.ok) == (status, status is not Status.FAIL)
    assert check.detail.startswith("not reproduced, ΔW ")
    assert report.levels[0]["levels"]["retraining"] == "not reproduced"


@pytest.mark.parametrize(
    ("machine", "changes", "said"),
    [
        ({**SAME, "torch": "2.9.1"}, {}, "torch 2.9.1 there, 2.13.0 here"),
        ({**SAME, "code": "cd34"}, {}, "code cd34 there, ab12 here"),
        ({**SAME, "cpu": "x86_64 AVX2"}, {}, "cpu x86_64 AVX2 there, x86_64 AVX512 here"),
        (
            {**SAME, "processor": "E, avx, MKL_CBWR=AVX2"},
            {},
            "processor MKL_CBWR=AVX2 there, nothing more here",
        ),
        ({k: v for k, v in SAME.items() if k != "processor"}, {}, "its processor is not recorded"),
        ({"cryoflux": "0.1.0"}, {}, "its code is not recorded"),
        (SAME, {"threads": 0}, "its number of threads is not recorded"),
        (SAME, {"device": "cuda"}, "a device whose kind is not recorded (cuda)"),
    ],
)
def test_another_machine_or_an_older_receipt_is_never_a_failure(
    machine: dict[str, str],
    changes: dict[str, object],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state = recorded(tmp_path / "other", monkeypatch, machine, **changes)
    report, (check,) = retrained(state.path, Described(None, 9.9))
    assert (check.status, report.ok) == (Status.UNKNOWN, True)
    assert check.detail.startswith(
        "other bytes, ΔW 5 of its length away, beyond honest ones measured (0.63): further than not training"
    )
    assert said in check.detail
    assert report.levels[0]["levels"]["retraining"] == "other bytes"


@pytest.mark.parametrize(
    ("distance", "said"),
    [
        (0.0, "0"), (8.6e-06, "8.6e-06"), (0.463, "0.46"), (1.34, "1.3"), (inf, "∞"), (nan, "∞"),
        (0.63, "0.63"), (0.6301, "0.6301"), (0.6299999, "0.6299999"),
        (0.7499, "0.7499"), (0.75, "0.75"), (0.998, "0.998"), (0.9999999, "0.9999999"), (1.0, "1"),
        (1.0004, "1.0004"), (1 - 2**-53, "0.9999999999999999"),
    ],
)  # fmt: skip
def test_a_distance_is_never_rounded_over_a_limit(distance: float, said: str) -> None:
    assert length(distance) == said


def test_what_is_no_number_is_infinitely_far() -> None:
    same = Apart({"w": (0.0, 0.0)}, 0.5, 0.5, 0.1)
    odd = [Apart({"w": pair}, 0.5, 0.5, 0.1) for pair in ((nan, 1.0), (inf, inf), (1.0, nan), (1.0, 0.0))]
    assert (same.distance, {one.distance for one in odd}) == (0.0, {inf})
    assert odd[0].to_json()["distance"] is None
    assert "∞ of its length away, further than any honest other machine measured (0.63)" in (
        furthest_in_words([same.to_json(), odd[0].to_json()])
    )


def test_the_newest_kept_updates_are_trained_and_no_others(trained: SyntheticState) -> None:
    trainer = Trainer(None)
    retrained(trained.path, trainer, most=9)
    assert [plan.drawn.before for plan in trainer.plans] == [96, 0]
    assert [len(plan.earlier) for plan in trainer.plans] == [2, 0]


def test_the_plan_says_what_the_log_says(trained: SyntheticState) -> None:
    log = walked(trained.path)
    receipts = list(log.pairs())
    plan = plan_of(log, receipts[3])
    assert (plan.drawn.training.steps, plan.drawn.training.section.fields["plannedSteps"]) == (20, 200)
    assert (plan.intent.seed, plan.pool_seed) == (SEED, 11)
    assert plan.base == receipts[3].receipt.base.digest
    assert not plan.first_step_ended


def test_what_is_not_recorded_or_not_kept_leaves_the_question_open(
    trained: SyntheticState, pristine: SyntheticState
) -> None:
    trainer = Trainer(None)
    _, (silent,) = retrained(pristine.path, trainer)
    shutil.rmtree(capsule_path(trained.path, trained.entries[7].statement))
    _, (withheld,) = retrained(trained.path, trainer)
    assert (silent.status, withheld.status) == (Status.UNKNOWN, Status.UNKNOWN)
    assert "how products were computed" in silent.detail
    assert "nothing to compare with" in withheld.detail
    assert not trainer.plans


def test_a_trainer_that_breaks_refutes_nothing(trained: SyntheticState) -> None:
    class Broken(Trainer):
        def retrain(self, plan: Plan, into: Path) -> Retrained:
            raise RuntimeError("no memory")

    _, (check,) = retrained(trained.path, Broken(None))
    assert (check.status, "no memory" in check.detail) == (Status.UNKNOWN, True)


@pytest.fixture
def carried(tmp_path: Path) -> SyntheticState:
    """A chain of which an attempt was carried, another aborted, and the last one kept."""
    made = {"backend": "f32"}
    threads = {"threads": 1, "device": "cpu"}
    state = open_state(tmp_path / "carried")
    go_on(state, shown=TOO_LITTLE, ended="plateau", section=made, training=threads)
    go_on(state, shown=TOO_LITTLE, section=made, training=threads)
    state.abort(state.announce(rule=STAKING, recipe=CARRYING, chain=due_link(state)))
    go_on(state, section=made, training=threads)
    state.finish()
    return state


def test_a_chain_is_trained_again_from_its_start_and_all_of_its_attempts_are_compared(
    carried: SyntheticState,
) -> None:
    capsule = capsule_path(carried.path, carried.entries[7].statement)
    trainer = Trainer(capsule)
    report, (check,) = retrained(carried.path, trainer)
    assert (check.status, report.ok) == (Status.OK, True), check.detail
    assert "and so did each of the 2 attempts of its chain" in check.detail
    (plan,) = trainer.plans
    assert [played.training.before for played in plan.chain] == [0, 20], "the chain before it has ended"
    assert plan.base == carried.entries[2].intent.chain.start.digest


def test_the_attempt_of_a_chain_that_departs_is_named(carried: SyntheticState) -> None:
    departed = "entry 3 leaves another working update than recorded"
    capsule = capsule_path(carried.path, carried.entries[7].statement)
    _, (same,) = retrained(carried.path, Trainer(capsule, departed=departed))
    _, (other,) = retrained(carried.path, Trainer(None, departed=departed))
    for check in (same, other):
        assert check.status is Status.UNKNOWN
        assert departed in check.detail
    assert same.detail.startswith("reproduced exactly")


def test_a_start_of_a_chain_that_is_not_kept_leaves_the_question_open(carried: SyntheticState) -> None:
    start = carried.entries[2].intent.chain.start.digest
    shutil.rmtree(carried.path / "models" / start)
    _, (check,) = retrained(carried.path, Trainer(None))
    assert (check.status, "is not kept here" in check.detail) == (Status.UNKNOWN, True)

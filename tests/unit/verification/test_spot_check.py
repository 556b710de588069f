"""Examples that the signer could not choose are evaluated again, and are among the losses it signed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from test_recompute import Evaluator

import synthetic_state
from cryoflux.errors import UsageError
from cryoflux.quantities import NANO
from cryoflux.receipts.checkpoint import KeyType, cosign, parse_checkpoint, verifier_key, with_signatures
from cryoflux.receipts.losses_tree import loss_leaves, losses_root
from cryoflux.receipts.statement import Evaluation
from cryoflux.signing.keys import load_public_key
from cryoflux.verification.again import Again
from cryoflux.verification.challenge import Challenge, DrawnBy, Seed, challenge_of, own_seed, parse_seed
from cryoflux.verification.result import Report, Status
from cryoflux.verification.witnessing import Demand
from cryoflux.witness.policy import Policy, parse_policy
from synthetic_parts import COUNT, evaluation, losses_in
from synthetic_state import SyntheticState, open_state
from verifying import verify_target, walked

WITNESS = Ed25519PrivateKey.from_private_bytes(b"\x07" * 32)
STRANGER = Ed25519PrivateKey.from_private_bytes(b"\x08" * 32)
POLICY = f"witness w {verifier_key('w.example', WITNESS.public_key(), KeyType.WITNESS)}\nquorum w\n"


class Some(Evaluator):
    """Evaluates what it is asked for, and remembers how many that were."""

    def __init__(self, **wrong: int) -> None:
        super().__init__(**wrong)
        self.asked: list[int] = []

    def evaluate_some(
        self, model: Path, holdout: Path, indices: Sequence[int] | None, profile: str
    ) -> tuple[list[int], list[bool]]:
        losses, right = self.evaluate(model, holdout)
        chosen = list(range(COUNT) if indices is None else indices)
        self.asked.append(len(chosen))
        return [losses[i] for i in chosen], [right[i] for i in chosen]


@pytest.fixture
def rooted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SyntheticState:
    """An accepted attempt whose receipt has the Merkle root of its losses."""
    return rooted_state(tmp_path / "rooted", monkeypatch)


def rooted_state(path: Path, monkeypatch: pytest.MonkeyPatch, root: str = "") -> SyntheticState:
    def with_root(candidate: object, per_example: str, *rest: object, **changes: object) -> Evaluation:
        base, new = losses_in((path / "evidence" / f"{per_example}.bin").read_bytes())
        leaves = loss_leaves(range(COUNT), base.nano_nats, new.nano_nats, base.correct, new.correct)
        said = root or losses_root(leaves)
        return evaluation(candidate, per_example, *rest, **changes, losses_root=said)  # type: ignore[arg-type]

    monkeypatch.setattr(synthetic_state, "evaluation", with_root)
    made = open_state(path)
    made.attempt(0.05)
    made.finish()
    return made


def spotted(
    state: Path, evaluator: Some, wanted: int = 8, policy: Policy | None = None, seed: Seed | None = None
) -> Report:
    demand = Demand(policy, 2_000_000_000) if policy else None
    again = Again(lambda _most: evaluator, spots=wanted, seed=seed or own_seed())
    return verify_target(state, again=again, demand=demand)


def step_14(report: Report) -> tuple[Status, str]:
    (check,) = [check for check in report.checks if check.number == 14]
    return check.status, check.detail


def test_only_drawn_examples_are_evaluated_and_what_that_can_miss_is_said(rooted: SyntheticState) -> None:
    evaluator = Some()
    report = spotted(rooted.path, evaluator)
    status, detail = step_14(report)
    assert status is Status.OK
    assert evaluator.asked == [8, 8]
    assert "reproduced exactly on 8 of 64 examples" in detail
    assert "forgeries that it misses with a chance of 5%: at most 32 examples with 0.0" in detail
    (levels,) = report.levels
    draw = levels["draw"]
    assert f"drawn at random here (again: --spot-seed {draw['seed']})" in detail
    assert (draw["by"], draw["examples"], draw["of"], draw["evenly"], draw["by_gain"]) == (
        "verifier", 8, COUNT, 4, 4,
    )  # fmt: skip
    assert [one["chance"] for one in draw["missed"]] == [0.05, 0.01]
    assert levels["levels"] == {
        "bytes": "consistent",
        "arithmetic": "consistent",
        "merge": "reproduced exactly",
        "spot-check": "reproduced exactly",
    }


def test_the_losses_of_a_receipt_have_its_root(rooted: SyntheticState) -> None:
    report = verify_target(rooted.path)
    assert report.ok
    assert any("1 Merkle roots of losses are the signed ones" in check.detail for check in report.checks)


def test_another_root_is_found_and_refutes_the_draw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = rooted_state(tmp_path / "state", monkeypatch, root="ab" * 32)
    report = spotted(made.path, Some())
    status, detail = step_14(report)
    assert (status, "not in the tree of losses" in detail) == (Status.FAIL, True)
    assert any(c.number == 9 and "Merkle root" in c.detail for c in report.checks if c.status is Status.FAIL)


def test_forged_losses_are_refuted(rooted: SyntheticState) -> None:
    report = spotted(rooted.path, Some(off=COUNT, by=2))
    assert {check.status for check in report.checks if check.number == 14} == {Status.FAIL}
    assert report.levels[0]["levels"]["spot-check"] == "refuted"


def test_a_draw_is_new_each_time_and_its_seed_repeats_it(rooted: SyntheticState) -> None:
    first, other = (spotted(rooted.path, Some()).levels[0]["draw"]["seed"] for _ in range(2))
    assert first != other
    report = spotted(rooted.path, Some(off=COUNT, by=2), seed=parse_seed(first))
    refused = [check.detail for check in report.checks if check.number == 14]
    assert all(f"--spot-seed {first} draws the same examples" in detail for detail in refused)
    assert report.levels[0]["draw"]["by"] == "given seed"


@pytest.mark.parametrize("said", ["", "12", "zz" * 16, "ab" * 17, "heads"])
def test_a_seed_is_as_long_as_those_that_are_shown(said: str) -> None:
    with pytest.raises(UsageError):
        parse_seed(said)


def test_an_older_receipt_without_a_root_is_checked_by_its_files_digest(pristine: SyntheticState) -> None:
    status, detail = step_14(spotted(pristine.path, Some(), wanted=10**6))
    assert status is Status.OK
    assert "that is all of them" in detail


def challenges(state: SyntheticState, note: bytes) -> Challenge | None:
    return challenge_of(walked(state.path), [note], parse_policy(POLICY.encode()), 1)


def test_a_witness_draws_and_a_strangers_line_changes_nothing(rooted: SyntheticState) -> None:
    own = (rooted.path / "log" / "checkpoint").read_bytes()
    point = parse_checkpoint(own, load_public_key(rooted.path / "keys" / "log.pub"))
    line = cosign(point, "w.example", WITNESS, 1_800_000_000)
    other = cosign(point, "x.example", STRANGER, 1_800_000_000)
    later = cosign(point, "w.example", WITNESS, 1_800_000_001)
    alone, seen = challenges(rooted, own), challenges(rooted, with_signatures(own, [line]))
    assert alone is not None
    assert seen is not None
    assert (alone.witnesses, seen.witnesses) == ((), ("w",))
    assert alone.seed != seen.seed
    assert challenges(rooted, with_signatures(own, [line, other])) == seen
    assert challenges(rooted, with_signatures(own, [later])) != seen
    (rooted.path / "log" / "checkpoint").write_bytes(with_signatures(own, [line]))
    by_head, policy = Seed(DrawnBy.HEAD), parse_policy(POLICY.encode())
    status, detail = step_14(spotted(rooted.path, Some(), policy=policy, seed=by_head))
    assert status is Status.OK
    assert "drawn by the cosignatures of w over the head of 2 entries: repeatable, and weaker" in detail
    _, alone_detail = step_14(spotted(rooted.path, Some(), seed=by_head))
    assert "the head of 2 entries, which its signer can make again until the draw suits it" in alone_detail


def test_where_no_head_covers_the_receipt_no_head_draws_and_the_verifier_can(rooted: SyntheticState) -> None:
    (rooted.path / "log" / "checkpoint").unlink()
    status, detail = step_14(spotted(rooted.path, Some(), seed=Seed(DrawnBy.HEAD)))
    assert (status, "no signed head" in detail) == (Status.UNKNOWN, True)
    assert step_14(spotted(rooted.path, Some()))[0] is Status.OK


def test_a_model_of_another_profile_is_held_to_its_tolerance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def in_f32(*arguments: object, **changes: object) -> Evaluation:
        return evaluation(*arguments, **{**changes, "profile": "f32/v1"})  # type: ignore[arg-type]

    monkeypatch.setattr(synthetic_state, "evaluation", in_f32)
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    made.finish()
    near, far = Some(off=COUNT, by=900), Some(off=COUNT, by=NANO // 1000)
    for again, number in (("spots", 14), ("losses", 11)):
        report = verify_target(made.path, again=Again(lambda _most: near, **{again: 64}))
        (check,) = [check for check in report.checks if check.number == number]
        assert (check.status, "reproduced within tolerance" in check.detail) == (Status.OK, True)
        report = verify_target(made.path, again=Again(lambda _most: far, **{again: 64}))
        assert {check.status for check in report.checks if check.number == number} == {Status.FAIL}

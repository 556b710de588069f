"""Looks and rollbacks, evaluated again from the models: a head that was worse and was said to be none."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from test_grown_data import added, regrown
from test_monitor_examples import content_of, feed, fresh
from test_monitor_looks import against

from cryoflux.decision.monitor import cap_of, cut_mean_nano, evidence_milli, needed_milli
from cryoflux.digests import COMPOSED, file_digest, sha256_hex, write_checksums
from cryoflux.quantities import NANO, NATS
from cryoflux.receipts.profiles import F32, PROFILE
from cryoflux.receipts.session import MonitorCheck
from cryoflux.receipts.statement import Base
from cryoflux.registry.composition import Composition, Term
from cryoflux.registry.kept_lists import composition_text
from cryoflux.state import ADAPTER, ADAPTER_CONFIG, StateFolder
from cryoflux.verification.recomputer import Models
from cryoflux.verification.result import Check, Status
from cryoflux.verification.rollback_again import check_rollback_again
from rolled_back import COUNT, Rollback
from synthetic_state import SyntheticState, open_state
from verifying import verify_target, walked


def losses_of(folder: Path) -> list[int]:
    """What a model loses on each example, by its own bytes alone."""
    level = int(sha256_hex((folder / "model.safetensors").read_bytes())[:4], 16) % 900
    return [(1000 + level + n % 7) * NANO // 1000 for n in range(COUNT)]


@dataclass
class Evaluator:
    """Evaluates the tiny models of a synthetic state."""

    off: int = 0
    """by how much another machine is apart, nano-nats"""
    profiles: tuple[str, ...] = (PROFILE,)
    """in which it is exact"""

    def evaluate_some(
        self, model: Path, holdout: Path, indices: Sequence[int] | None, profile: str
    ) -> tuple[list[int], list[bool]]:
        count = len(holdout.read_text().splitlines())
        head = model.name == "head"
        off = 0 if profile in self.profiles or head else self.off
        return [loss + off * (n % 2) for n, loss in enumerate(losses_of(model))][:count], [not head] * count


@dataclass
class Composer(Evaluator):
    """Adds lists up to one and the same file of weights."""

    content: bytes = b""

    def compose(self, _composed: Composition, models: Models, into: Path) -> Path:
        shutil.copytree(models.genesis, into)
        (into / "model.safetensors").write_bytes(self.content)
        return into


@dataclass
class Real:
    """A state whose looks say what its models show."""

    made: SyntheticState
    sha256: str

    def losses(self, digest: str) -> list[int]:
        return losses_of(self.made.path / "models" / digest)

    def look(self, **changes: object) -> MonitorCheck:
        known = self.made.memory.tasks[self.made.task]
        mine, cap = self.losses(known.head.digest), cap_of(NATS)
        listed = [
            against(
                made.version.digest,
                evidence_milli(mine, self.losses(made.version.digest), cap),
                cut_mean_nano(mine, self.losses(made.version.digest), cap),
            )
            for made in known.before_head()
        ]
        said = {
            "task": self.made.task,
            "head": known.head,
            "sha256": self.sha256,
            "count": COUNT,
            "compared": len(listed),
            "needed_milli": needed_milli(10_000, known.heads, len(listed)),
            "evidence_milli": max(one.evidence_milli for one in listed),
            "microjoules": 1,
            "alpha_ppm": 10_000,
            "head_number": known.heads,
            "profile": PROFILE,
            "against": listed,
        }
        return MonitorCheck(**{**said, **changes})

    def rollback(self, to: Base) -> Rollback:
        return Rollback(self.made, self.losses(self.made.head.digest), self.losses(to.digest), to)

    def again(self, evaluator: Evaluator | None = None) -> list[Check]:
        walk = walked(self.made.finish())
        return check_rollback_again(walk, lambda _cut: evaluator or Evaluator())


def begun(path: Path, *, sealed: bool) -> Real:
    made, texts = open_state(path), fresh()
    made.policy = "uniform/v1"
    digest = sha256_hex(content_of(texts))
    if sealed:
        folder = path / "data" / made.data.digest
        (folder / "monitor.jsonl").write_bytes(content_of(texts))
        (folder / "SHA256SUMS").unlink()
        made.data = made.data.but(digest=write_checksums(folder))
        folder.rename(path / "data" / made.data.digest)
        assert file_digest(path / "data" / made.data.digest / "monitor.jsonl") == digest
    else:
        feed(made, texts)
    made.attempt(0.05)
    made.attempt(0.02)
    return Real(made, digest)


@pytest.fixture(params=[False, True], ids=["fed", "sealed"])
def real(request: pytest.FixtureRequest, tmp_path: Path) -> Real:
    return begun(tmp_path / "state", sealed=request.param)


def best(real: Real) -> Base:
    known = real.made.memory.tasks[real.made.task]
    return min((made.version for made in known.before_head()), key=lambda one: real.losses(one.digest))


@pytest.mark.parametrize("composed", ["again", "as another", "not at all"])
def test_what_a_look_lists_is_added_up_where_it_is_kept_as_a_list(real: Real, composed: str) -> None:
    look, state = real.look(), StateFolder(real.made.path)
    listed = state.model(look.against[-1].version)
    weights, genesis = listed / "model.safetensors", state.model(look.against[0].version)
    content = (listed if composed == "again" else genesis) / "model.safetensors"
    made_by, adapter = Composer(content=content.read_bytes()), "a" * 64
    term = Term(weight="1", adapter=adapter, parent="b" * 64)
    said = Composition(genesis=genesis.name, terms=(term,))
    (listed / COMPOSED).write_bytes(composition_text(said))
    weights.unlink()
    if composed != "not at all":
        state.capsule(adapter).mkdir(parents=True)
        for name in (ADAPTER, ADAPTER_CONFIG):
            (state.capsule(adapter) / name).touch()
    real.made.session(checks=[look])
    (line,) = real.again(made_by)
    found = {"again": Status.OK, "as another": Status.FAIL, "not at all": Status.UNKNOWN}
    assert line.status is found[composed], line.detail
    details = {"again": "by 2 of the 2 versions", "as another": "another than the one recorded"}
    assert details.get(composed, "cannot be evaluated again here") in line.detail


def test_a_look_is_what_its_models_show(real: Real) -> None:
    real.made.session(checks=[real.look()])
    (line,) = real.again()
    assert (line.status, line.number) == (Status.OK, 11)
    assert "reproduced exactly, evidence against its head by 2 of the 2 versions" in line.detail


@pytest.mark.parametrize("change", ["evidence", "worse", "swapped"])
def test_a_look_that_says_less_than_its_models_show_is_refuted(real: Real, change: str) -> None:
    look = real.look()
    one, two = look.against
    if change == "swapped":
        listed = [one.but(version=two.version), two.but(version=one.version)]
    elif change == "worse":
        listed = [one, two.but(worse_nano=two.worse_nano + 1000)]
    else:
        listed = [one.but(evidence_milli=0), two.but(evidence_milli=0)]
    strongest = max(item.evidence_milli for item in listed)
    real.made.session(checks=[look.but(against=listed, evidence_milli=strongest)])
    line = real.again()[0]
    assert line.status is Status.FAIL
    assert "refuted: " in line.detail


def test_a_rollback_and_its_look_after_the_data_grew(real: Real) -> None:
    """The state has the grown folder alone, in which the slice is the same."""
    made = real.made
    look, rollback = real.look(), real.rollback(best(real))
    rollback.write(evidence=[rollback.measurement(sha256=real.sha256)])
    for _ in range(2):
        made.data = regrown(made, added(3))
        made.attempt(0.03)
    made.session(checks=[look])
    assert len(list((made.path / "data").iterdir())) == 1
    lines = real.again()
    assert [(line.status, line.number) for line in lines] == 2 * [(Status.OK, 11)]
    assert "reproduced exactly, 128 losses on 64 examples of the monitor" in lines[0].detail


@pytest.mark.parametrize("lie", [False, True])
def test_what_a_rollback_lists_is_evaluated_again_where_no_session_tells_of_it(real: Real, lie: bool) -> None:
    """The run died before its session's entry."""
    look, rollback = real.look(), real.rollback(best(real))
    listed = [one.but(worse_nano=one.worse_nano - 9 * lie) for one in look.against]
    rollback.write(evidence=[rollback.measurement(sha256=real.sha256)], test=rollback.test(against=listed))
    line = real.again()[1]
    assert line.status is (Status.FAIL if lie else Status.OK)
    assert line.name == "a look at the monitor evaluated again"


def test_a_rollback_of_other_losses_after_the_data_grew_is_refuted(real: Real) -> None:
    rollback = real.rollback(best(real))
    rollback = replace(rollback, other=[loss - 5 for loss in rollback.other])
    rollback.write(evidence=[rollback.measurement(sha256=real.sha256)], test=rollback.test(against=[]))
    real.made.data = regrown(real.made, added(3))
    real.made.attempt(0.03)
    line = real.again()[0]
    assert line.status is Status.FAIL
    assert "new losses differ" in line.detail


def test_a_monitor_that_is_gone_leaves_it_open(tmp_path: Path) -> None:
    real = begun(tmp_path / "state", sealed=False)
    real.made.session(checks=[real.look()])
    shutil.rmtree(StateFolder(real.made.path).monitors)
    (line,) = real.again()
    assert (line.status, "is not kept here" in line.detail) == (Status.UNKNOWN, True)


def test_of_versions_that_are_gone_nothing_is_said(real: Real) -> None:
    look = real.look()
    real.made.session(checks=[look])
    shutil.rmtree(real.made.path / "models" / look.against[0].version)
    (line,) = real.again()
    assert "1 of the 2 versions that it lists" in line.detail
    shutil.rmtree(real.made.path / "models" / look.head.digest)
    assert real.again() == []


def test_a_version_that_was_altered_is_refuted(real: Real) -> None:
    look = real.look()
    real.made.session(checks=[look])
    (real.made.path / "models" / look.against[0].version / "config.json").write_text("{}")
    (line,) = real.again()
    assert line.status is Status.FAIL


@pytest.mark.parametrize(
    ("profile", "evaluator", "word"),
    [
        (PROFILE, Evaluator(off=1, profiles=()), "reproduced exactly"),
        (F32, Evaluator(off=1000), "reproduced within tolerance"),
        (F32, Evaluator(off=400_000_000), "reproduced in fp64"),
    ],
)
def test_another_machine_is_not_accused(real: Real, profile: str, evaluator: Evaluator, word: str) -> None:
    real.made.session(checks=[real.look(profile=profile)])
    (line,) = real.again(evaluator)
    assert (line.status, word in line.detail) == (Status.OK, True), line.detail


def test_looks_of_older_logs_and_profiles_of_later_ones(real: Real) -> None:
    real.made.session(checks=[real.look(profile="")])
    assert real.again() == []


def test_a_profile_that_is_not_known_is_open(real: Real) -> None:
    real.made.session(checks=[real.look(profile="f8/v9")])
    (line,) = real.again()
    assert (line.status, "'f8/v9' is not known here" in line.detail) == (Status.UNKNOWN, True)


def test_the_whole_state_has_no_question(real: Real) -> None:
    listed = [one.but(evidence_milli=-9) for one in real.look().against]
    real.made.session(checks=[real.look(evidence_milli=-9, against=listed)])
    report = verify_target(real.made.finish())
    assert [
        c.detail for c in report.checks if c.status in {Status.FAIL, Status.UNKNOWN} and c.number == 8
    ] == []

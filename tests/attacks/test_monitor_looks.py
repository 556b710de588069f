"""What a session says of the monitor: looks that the log cannot have had, and rollbacks that were due."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from cryoflux.decision.monitor import needed_milli
from cryoflux.quantities import NANO
from cryoflux.receipts.session import BaseCharge, MonitorCheck
from cryoflux.receipts.statement import Base, CheckedAgainst
from cryoflux.verification.result import Status
from cryoflux.verification.verified import Trust
from rolled_back import WORSE, Rollback, three_heads
from synthetic_parts import digest_of
from synthetic_state import SyntheticState
from verifying import verify_target

ALPHA_PPM = 10_000


def against(version: str, evidence: int, worse: int) -> CheckedAgainst:
    return CheckedAgainst(version=version, evidence_milli=evidence, worse_nano=worse)


@dataclass
class Watched:
    """A state with three heads, whose session tells how the last was held against those before it."""

    made: SyntheticState

    def look(self, **changes: object) -> MonitorCheck:
        """A look that has found nothing, as a run writes it; ``changes`` forge fields of it."""
        known = self.made.memory.tasks[self.made.task]
        before = known.before_head()
        said = {
            "task": self.made.task,
            "head": known.head,
            "sha256": digest_of("monitor"),
            "count": 64,
            "compared": len(before),
            "needed_milli": needed_milli(ALPHA_PPM, known.heads, len(before)),
            "evidence_milli": 20,
            "microjoules": 1_000_000,
            "alpha_ppm": ALPHA_PPM,
            "head_number": known.heads,
            "against": [against(m.version.digest, 20 - n, n) for n, m in enumerate(before)],
        }
        return MonitorCheck(**{**said, **changes})

    def end(self, *checks: MonitorCheck) -> None:
        self.made.session(checks=list(checks))

    def found(self, status: Status = Status.FAIL) -> list[str]:
        checks = verify_target(self.made.finish()).checks
        return [c.detail for c in checks if c.status is status and c.number == 8]


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(three_heads(tmp_path / "state"))


def first(made: SyntheticState) -> Base:
    return made.entries[1].receipt.result


def test_looks_that_the_log_can_have_had_are_no_question(watched: Watched) -> None:
    watched.end(watched.look(), watched.look(sha256=digest_of("more of it"), count=70))
    watched.made.attempt(0.03)
    watched.end(watched.look())
    report = verify_target(watched.made.finish())
    assert report.ok
    assert watched.found(Status.UNKNOWN) == []
    (said,) = [c.detail for c in report.checks if c.number == 8]
    assert "monitor may err in 1 % over its life, 0.8 % of that went to 4 heads" in said


def test_the_form_of_older_sessions_is_no_question(watched: Watched) -> None:
    watched.end(watched.look(alpha_ppm=0, head_number=0, against=[]))
    assert watched.found() == watched.found(Status.UNKNOWN) == []


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"task": "nothing"}, "of which the log knows no head"),
        ({"head": Base(digest="1" * 64, files="2" * 64)}, "was no head while the session went on"),
        ({"compared": 7}, "by the log there were 2"),
        ({"needed_milli": 1}, "no error budget asks for evidence of 1"),
        ({"needed_milli": 90_000}, "no error budget asks for evidence of 90000"),
    ],
)
def test_a_look_that_the_log_cannot_have_had(
    watched: Watched, changes: dict[str, object], words: str, old: bool
) -> None:
    older = {"alpha_ppm": 0, "head_number": 0, "against": []} if old else {}
    watched.end(watched.look(**{**older, **changes}))
    assert any(words in detail or "by its error budget" in detail for detail in watched.found())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"head_number": 2}, "is head 2 of its task; by the log it is 3"),
        ({"alpha_ppm": 500_000}, "by its error budget"),
        ({"evidence_milli": 19}, "the strongest that it lists is 20"),
        ({"against": [against("1" * 64, 20, 0)]}, "which the log does not compare it with"),
        ({"against": 2 * [against("1" * 64, 20, 0)]}, "lists a version twice"),
    ],
)
def test_a_look_that_contradicts_itself(watched: Watched, changes: dict[str, object], words: str) -> None:
    watched.end(watched.look(**changes))
    assert any(words in detail for detail in watched.found())


def test_an_error_budget_that_looks_were_promised_is_not_widened(watched: Watched) -> None:
    watched.end(watched.look())
    watched.made.attempt(0.03)
    known = watched.made.memory.tasks[watched.made.task]
    wide = {"alpha_ppm": 50_000, "needed_milli": needed_milli(50_000, 4, len(known.before_head()))}
    watched.end(watched.look(**wide))
    assert any("may be tightened, never widened" in detail for detail in watched.found())


def test_looks_at_a_head_that_was_left_before_the_session_began(watched: Watched) -> None:
    look = watched.look()
    watched.made.session()
    watched.made.attempt(0.03)
    watched.made.session(opened_at=watched.made.memory.size, checks=[look])
    assert any("was no head while the session went on" in detail for detail in watched.found())


def test_a_head_that_was_left_during_the_session_was_one(watched: Watched) -> None:
    look = watched.look()
    watched.made.attempt(0.03)
    watched.end(look, watched.look())
    assert watched.found() == watched.found(Status.UNKNOWN) == []


def test_a_version_that_was_not_looked_at_though_nothing_freed_it_is_asked_about(watched: Watched) -> None:
    look = watched.look()
    watched.end(watched.look(against=look.against[:1]))
    assert any("does not say how it compares with" in d for d in watched.found(Status.UNKNOWN))


@pytest.mark.parametrize(("uj", "asked"), [(30_000_000, False), (30_000_001, True)])
def test_looks_do_not_cost_more_than_their_session(watched: Watched, uj: int, asked: bool) -> None:
    watched.end(watched.look(microjoules=uj))
    report = verify_target(watched.made.finish())
    found = [c for c in report.checks if c.number == 10 and c.status is Status.UNKNOWN]
    assert any("of measurements and looks" in c.detail for c in found) == asked
    assert report.ok


def measured(made: SyntheticState, **changes: object) -> BaseCharge:
    """What a session says that it measured of the head; ``changes`` forge fields of it."""
    known, signed = made.memory.tasks[made.task], made.entries[-1].receipt.evaluation
    said = {"task": made.task, "base": known.head, "holdout": known.holdout, "count": 64}
    said |= {"profile": signed.profile, "loss_sum": signed.new_loss_sum, "microjoules": 1}
    return BaseCharge(**{**said, **changes})


def test_a_measurement_of_the_head_is_no_question(watched: Watched) -> None:
    watched.made.session(bases=[measured(watched.made)])
    assert watched.found() == watched.found(Status.UNKNOWN) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"base": Base(digest="1" * 64, files="2" * 64)}, "was no head while the session went on"),
        ({"count": 65}, "measured 65 examples of a holdout that has 64"),
        ({"loss_sum": 1}, "of which receipts sign"),
    ],
)
def test_a_measurement_that_the_log_contradicts(
    watched: Watched, changes: dict[str, object], words: str
) -> None:
    watched.made.session(bases=[measured(watched.made, **changes)])
    assert any(words in detail for detail in watched.found())


DUE = {"evidence_milli": 60_000}


def due(watched: Watched, **changes: object) -> MonitorCheck:
    listed = [against(one.version, 60_000 - n, n + 1) for n, one in enumerate(watched.look().against)]
    return watched.look(**{**DUE, "against": listed, **changes})


@pytest.mark.parametrize("old", [False, True])
def test_a_rollback_that_was_due_and_was_not_made_is_asked_for(watched: Watched, old: bool) -> None:
    watched.end(due(watched, **({"alpha_ppm": 0, "head_number": 0, "against": []} if old else {})))
    watched.made.attempt(0.03)
    assert any("and it was not left" in detail for detail in watched.found(Status.UNKNOWN))
    assert watched.found() == []


def test_nor_does_a_promotion_do_for_one(watched: Watched) -> None:
    look = due(watched)
    watched.made.move(first(watched.made))
    watched.end(look)
    assert any("and it was not left" in detail for detail in watched.found(Status.UNKNOWN))


@pytest.mark.parametrize("trust", [Trust.JUDGED, Trust.READ])
def test_what_was_verified_before_is_not_forgotten(watched: Watched, tmp_path: Path, trust: Trust) -> None:
    """A head since then, a rollback that is due, and the error budget that was promised."""
    made, heads = watched.made, tmp_path / "heads"
    watched.end(watched.look(), due(watched))
    assert verify_target(made.path, heads=heads).ok
    wide = {"alpha_ppm": 50_000, "needed_milli": needed_milli(50_000, 3, 2)}
    watched.end(watched.look(), watched.look(**wide))
    report = verify_target(made.path, heads=heads, trust=trust)
    assert any("may be tightened, never widened" in c.detail for c in report.checks)
    made.session(checks=[watched.look(head=Base(digest="1" * 64, files="2" * 64))])
    asked = [c.detail for c in verify_target(made.path, heads=heads, trust=trust).checks]
    assert sum("and it was not left" in detail for detail in asked) == 1
    made.finish()


# With the rollback that a look led to


@pytest.fixture
def left(watched: Watched) -> Rollback:
    """The same state, whose head is to be left for its first version but one."""
    return Rollback(watched.made, WORSE, [loss - NANO for loss in WORSE], first(watched.made))


def led_to(watched: Watched, left: Rollback, **changes: object) -> MonitorCheck:
    """The look that led to a rollback: the version gone back to, and the first one, which is less good."""
    test, said = left.test(), left.measurement()
    fields = {"evidence_milli": test.evidence_milli, "sha256": said.sha256, "count": said.count}
    return watched.look(**{"against": test.against, **fields, **changes})


@pytest.mark.parametrize("sessions", [1, 2])
def test_a_rollback_that_was_due_and_was_made_is_no_question(
    watched: Watched, left: Rollback, sessions: int
) -> None:
    look = led_to(watched, left)
    if sessions == 2:  # the disk was full: the next run makes it
        watched.end(look)
    left.write()
    watched.end(look)
    assert watched.found() == watched.found(Status.UNKNOWN) == []


def test_a_rollback_to_another_version_than_the_best_one(watched: Watched, left: Rollback) -> None:
    look = led_to(watched, left)
    one, two = look.against
    turned = [one.but(worse_nano=two.worse_nano), two.but(worse_nano=one.worse_nano)]
    look = look.but(against=[item.but(evidence_milli=look.evidence_milli) for item in turned])
    left.write()
    watched.end(look)
    assert any("for another version than the best one" in detail for detail in watched.found())


def test_a_rollback_that_lists_what_its_look_does_not(watched: Watched, left: Rollback) -> None:
    look = led_to(watched, left)
    moved = [one.but(worse_nano=one.worse_nano - 1) for one in look.against]
    left.write()
    watched.end(look.but(against=moved))
    assert any("lists other versions, or what they have not shown" in detail for detail in watched.found())


@pytest.mark.parametrize("changes", [{"sha256": digest_of("others")}, {"evidence_milli": 99_999}])
def test_a_rollback_of_other_evidence_than_its_look(
    watched: Watched, left: Rollback, changes: dict[str, object]
) -> None:
    look = led_to(watched, left, **changes)
    if "evidence_milli" in changes:
        look = look.but(against=[one.but(evidence_milli=99_999) for one in look.against])
    left.write()
    watched.end(look)
    assert any("shows other evidence, or of other examples" in detail for detail in watched.found())

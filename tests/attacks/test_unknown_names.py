"""A log that names what nobody knows is not taken for one whose decisions were made again."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cryoflux.claims.making import make_claim
from cryoflux.cli.main import app
from cryoflux.decision.reason import Reason
from cryoflux.receipts.statement import Metric, Outcome, Rule
from cryoflux.verification.result import Report, Status
from cryoflux.verification.topics import Topic
from synthetic_parts import BAR, NO_BAR, RULE, decision, evaluation, make_evidence, make_model
from synthetic_state import SyntheticState, open_state
from verifying import verify_target


def verdict(state: Path, *options: str) -> tuple[int, str]:
    arguments = ["verify", str(state), "--no-memory", *options]
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": None})
    return result.exit_code, result.stdout.splitlines()[-1]


def open_lines(report: Report, step: int) -> list[str]:
    found = [check for check in report.checks if check.status is Status.UNKNOWN and check.number == step]
    return [f"{check.subject} {check.detail}" for check in found]


def by_unknown_policy(made: SyntheticState) -> None:
    said = made.due_schedule().but(policy="genius/v9")
    made.conclude_attempt(made.announce(schedule=said), 0.05)


def by_unknown_policy_without_arms(made: SyntheticState) -> None:
    said = made.due_schedule().but(policy="genius/v9", arms=[])
    made.conclude_attempt(made.announce(schedule=said), 0.05)


def by_unknown_rule(made: SyntheticState) -> None:
    _kept_by(made, RULE.but(name="generous/v9"))


def _kept_by(made: SyntheticState, rule: Rule) -> None:
    """An update that helps nobody, kept by a rule of the signer's own."""
    intent = made.announce(rule=rule, bar=NO_BAR)
    candidate = make_model(made.path, [1.0, -0.01, 9.0])
    per_example, evidence = make_evidence(made.path, made.gain, made.gain - 0.01)
    made._conclude_trained(
        intent,
        -0.01,
        {
            "base": made.head,
            "outcome": Outcome.ACCEPTED,
            "reason": Reason(code="generous.kept"),
            "result": candidate,
            "evaluation": evaluation(candidate, per_example, evidence),
            "decision": decision(accepted=True, rule=rule, bar=NO_BAR),
        },
    )
    made.head = candidate
    made.link()


def by_unknown_screen(made: SyntheticState) -> None:
    made.rule = RULE.but(screen="screen/v9")
    made.screen_out()
    made.rule = RULE


@pytest.mark.parametrize(
    ("lie", "topic", "name"),
    [
        (by_unknown_policy, Topic.CHOICES, "policy 'genius/v9'"),
        (by_unknown_policy_without_arms, Topic.CHOICES, "policy 'genius/v9'"),
        (by_unknown_rule, Topic.DECISIONS, "rule 'generous/v9'"),
        (by_unknown_screen, Topic.DECISIONS, "screen 'screen/v9'"),
    ],
)
def test_an_unknown_name_stands_in_its_step_and_in_the_verdict(
    tmp_path: Path, lie: object, topic: Topic, name: str
) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.02)
    lie(made)  # type: ignore[operator]
    report = verify_target(made.finish())
    assert report.ok
    assert [line.startswith(f"{name} is not known here") for line in open_lines(report, 7)] == [True]
    assert topic in report.open
    assert topic not in report.proven
    assert "except: " in str(report)
    code, said = verdict(made.path)
    assert (code, said[:23]) == (0, "✓ VERIFIED 2 receipts, ")
    assert f"except: {topic.words} ({name} is not known here)." in said
    assert topic.value not in said.partition("Proven: ")[2].partition(".")[0]


def test_a_log_of_nothing_but_unknown_names_has_no_pass_in_that_step(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    rule = RULE.but(name="generous/v9")
    said = made.due_schedule().but(policy="genius/v9", arms=[])
    made.abort(made.announce(schedule=said, rule=rule, bar=BAR))
    report = verify_target(made.finish())
    assert [check.status for check in report.checks if check.number == 7] == [Status.UNKNOWN]
    assert {Topic.CHOICES, Topic.DECISIONS}.isdisjoint(report.proven)


def test_many_questions_of_one_kind_do_not_hide_another(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.policy = "uniform/v1"
    for number in range(30):
        made.rule = RULE.but(alpha_ppm=50_000 + number)
        made.screen_out()
    by_unknown_policy_without_arms(made)
    report = verify_target(made.finish())
    assert {Topic.RULE, Topic.CHOICES} <= set(report.open)
    assert Topic.CHOICES not in report.proven
    assert any("genius/v9" in said for said in report.exceptions)


def test_a_hostile_log_cannot_make_a_verifier_keep_names_without_end(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    for number in range(40):
        said = made.due_schedule().but(policy=f"genius/v{number}", arms=[])
        made.abort(made.announce(schedule=said))
    lines = open_lines(verify_target(made.finish()), 7)
    assert len(lines) == 17
    assert "24 choices of arms were not made again" in lines[-1]


def test_losses_in_another_unit_under_a_profile_of_nats_are_a_question(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.metric = Metric(name="cross-entropy", unit="bits")
    candidate = make_model(made.path, [1.0, 0.05, 0.0])
    said = evaluation(candidate, *make_evidence(made.path, 0.0, 0.05), metric=made.metric)
    made.attempt(0.05, evaluation=said)
    report = verify_target(made.finish())
    assert any("metric 'cross-entropy' in 'bits'" in line for line in open_lines(report, 6))
    assert Topic.ARITHMETIC not in report.proven


def test_a_claim_over_such_a_log_does_not_read_like_one_that_was_checked(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.02)
    by_unknown_rule(made)
    file, state = tmp_path / "claim.json", made.finish()
    file.write_bytes(make_claim(state, "kept == 2").content)
    keys = [*("--key", str(state / "keys" / "receipt.pub")), *("--log-key", str(state / "keys" / "log.pub"))]
    code, said = verdict(file, *keys)
    assert (code, said[:29]) == (0, "✓ CLAIM HOLDS: kept == 2 (ent")
    assert "except: decisions (rule 'generous/v9' is not known here)." in said
    assert "decisions" not in said.partition("Proven: ")[2].partition(".")[0]
    code, said = verdict(file, "--strict", *keys)
    assert (code, said[:20]) == (1, "✗ CLAIM NOT VERIFIED")


def test_a_log_of_known_names_leaves_nothing_out(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    made.screen_out()
    report = verify_target(made.finish())
    assert report.exceptions == ()
    assert set(report.proven) >= {Topic.CHOICES, Topic.DECISIONS, Topic.ARITHMETIC}
    code, said = verdict(made.path)
    assert (code, said[:22]) == (0, "✓ VERIFIED 2 receipts.")


def test_a_log_from_before_schedules_is_believed_and_says_what_it_could_not_know(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state", old=True)
    made.attempt(0.05)
    report = verify_target(made.finish())
    assert report.ok
    assert Topic.DECISIONS in report.proven
    assert report.exceptions == (
        "whether all of it is here (log key nothing vouches for it)",
        "how arms were chosen (policy 'greedy-eta/v1' is not known here)",
    )


def test_strict_makes_a_question_a_negative_verdict(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.02)
    state = made.finish()
    key = ("--key", str(state / "keys" / "receipt.pub"))
    assert verdict(state, "--strict", *key)[0] == 0
    code, said = verdict(state, "--strict")
    assert (code, "open: whose key it is" in said) == (1, True)
    again = open_state(tmp_path / "again")
    by_unknown_policy(again)
    state = again.finish()
    code, said = verdict(state, "--strict", "--key", str(state / "keys" / "receipt.pub"))
    assert code == 1
    assert said.startswith("✗ NOT VERIFIED, as --strict asks for.")
    assert "genius/v9" in said

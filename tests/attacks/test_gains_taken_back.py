"""What was gained is counted once, and only while it is in a head.

A head is moved back, and the same update kept again; or a second task gains on the same holdout what the
first one gained. Summed over all that was kept, any Δ and any η can be had that way. Joules count always.
"""

from __future__ import annotations

from contextlib import closing
from fractions import Fraction
from pathlib import Path

import pytest

from cryoflux.claims import making
from cryoflux.claims.check import check_claim
from cryoflux.claims.document import ClaimedValue, format_claim, parse_claim
from cryoflux.claims.evaluation import EvaluatedClause, Figures, add_up, judge, told_by
from cryoflux.claims.making import ClaimScope, make_claim
from cryoflux.claims.report import ClaimReport
from cryoflux.claims.wording import spelt
from cryoflux.errors import VerificationError
from cryoflux.expression import parse_expression
from cryoflux.log_view import open_log
from cryoflux.network.books import books_of
from cryoflux.network.peers import parse_peers
from cryoflux.network.telling import own_record
from cryoflux.network.telling import told_by as told_by_logs
from cryoflux.report.log_words import log_lines
from cryoflux.signing.envelope import CLAIM_PAYLOAD, sign_document
from cryoflux.signing.keys import load_key, load_public_key
from cryoflux.tasks.lora.section import SECTIONS
from cryoflux.verification.result import Report, Status
from node_log import TASK, NodeLog
from plain_log import StoredLog
from synthetic_parts import COUNT
from synthetic_state import SyntheticState, open_state

LIE = "delta >= 0.14 nats"


@pytest.fixture
def made(tmp_path: Path) -> SyntheticState:
    found = open_state(tmp_path / "state")
    found.metered, found.policy = True, "uniform/v1"
    return found


def kept_and_taken_back(made: SyntheticState, times: int) -> None:
    first = made.head
    for number in range(times):
        if number:
            made.move(first)
        made.attempt(0.05)


def figures(made: SyntheticState, first: int = 0, *, taken_back: bool = False) -> Figures:
    told = (said for entry in made.entries[first:] if (said := told_by(entry)) is not None)
    return add_up(told, taken_back=taken_back)


def checked(content: bytes, state: Path) -> ClaimReport:
    named = {
        "key": load_public_key(state / "keys" / "receipt.pub"),
        "log_key": load_public_key(state / "keys" / "log.pub"),
    }
    return check_claim(content, Path("claim.json"), sections=SECTIONS, **named)


def failures(report: Report) -> list[str]:
    return [f"{c.number} {c.subject}: {c.detail}" for c in report.checks if c.status is Status.FAIL]


def questions(report: Report) -> list[str]:
    return [f"{c.subject} {c.detail}" for c in report.checks if c.status is Status.UNKNOWN]


def by_an_older_program(made: SyntheticState, text: str, first: int = 0) -> bytes:
    """A claim whose values count all that was kept, signed by the owner, who holds every key."""
    state, expression = made.path, parse_expression(text)
    scope = ClaimScope(first=first)
    document = parse_claim(make_claim(state, "kept >= 0", scope).content)
    judged = judge(figures(made, first, taken_back=True), expression)
    values = [ClaimedValue(quantity=one.clause.quantity.value, value=spelt(one.value)) for one in judged]
    said = document.predicate.but(expression=expression.text, values=values)
    signer = load_key(state / "keys", "receipt", create=False)
    envelope = sign_document(document.statement.but(predicate=said), signer, CLAIM_PAYLOAD)
    log = making._read_log(state, witnessed=False)
    return format_claim(envelope, log.note, making._evidence(log.entries, (first, len(log.entries))))


def test_a_gain_that_was_taken_back_and_made_again_is_counted_once(made: SyntheticState) -> None:
    kept_and_taken_back(made, 3)
    state = made.finish()
    with pytest.raises(VerificationError, match=r"The claim is false: delta is ≈ 0.0549"):
        make_claim(state, LIE)
    lie = checked(by_an_older_program(made, LIE), state).report
    assert any(said.startswith("22 delta >= 0.14 nats: delta is ≈ 0.0549") for said in failures(lie))
    found = checked(make_claim(state, "delta >= 0.05 and kept == 3").content, state)
    assert found.ok
    said = {c.number: c.detail for c in found.report.checks if c.number in {21, 22}}
    assert "2 of 3 kept updates were taken back, and count for joules alone" in said[21]
    assert said[22] == "kept == 3: kept is 3, 2 of them taken back since"


def test_what_was_taken_back_at_the_end_is_no_gain(made: SyntheticState) -> None:
    first = made.head
    made.attempt(0.05)
    made.move(first)
    state = made.finish()
    for lie in ("delta >= 0.04", "eta > 0", "accuracy_gain > 0 points"):
        with pytest.raises(VerificationError, match="The claim is false"):
            make_claim(state, lie)
        assert failures(checked(by_an_older_program(made, lie), state).report)
    found = figures(made)
    assert (found.delta, found.kept, found.taken_back) == (0, 1, 1)
    # The head has the loss that it began with, whatever the last attempt came to.
    assert found.loss_last == found.loss_first
    assert found.estimate_uj == 100_000_000


def test_joules_of_what_was_taken_back_count(made: SyntheticState) -> None:
    kept_and_taken_back(made, 2)
    made.finish()
    found, lie = figures(made), figures(made, taken_back=True)
    assert (found.estimate_uj, found.attempts) == (lie.estimate_uj, 2)
    assert found.delta is not None
    assert lie.delta is not None
    assert found.delta < lie.delta


def test_a_move_behind_the_range_gives_no_gain_a_value(made: SyntheticState) -> None:
    first = made.head
    made.attempt(0.05)
    made.move(first)
    made.attempt(0.05)
    state = made.finish()
    with pytest.raises(VerificationError, match="delta has no value") as caught:
        make_claim(state, "delta >= 0.05", ClaimScope(first=2))
    assert "went back behind the range" in caught.value.why
    (said,) = failures(checked(by_an_older_program(made, "delta >= 0.05", first=2), state).report)
    assert "delta has no value" in said
    assert "went back behind the range" in said


def test_two_tasks_on_one_holdout_gain_in_two_models(made: SyntheticState) -> None:
    made.attempt(0.05)
    made.begin("lora_two")
    made.attempt(0.05)
    state = made.finish()
    for lie in ("delta >= 0.09", "eta >= 0.1", "accuracy_gain >= 0 points"):
        with pytest.raises(VerificationError, match="has no value") as caught:
            make_claim(state, lie)
        assert "2 tasks have 2 heads" in caught.value.why
        (said,) = failures(checked(by_an_older_program(made, lie), state).report)
        assert "no model gained what all of them did" in said


def test_what_is_claimed_of_several_tasks_says_of_how_many(made: SyntheticState) -> None:
    made.attempt(0.05)
    made.begin("lora_two")
    made.abort(made.announce())
    state = made.finish()
    # Only one of them gained anything, so it is a gain of one model; both cost something.
    found = checked(make_claim(state, "delta >= 0.05 and joules <= 220 J").content, state)
    assert found.ok
    assert found.sentence.startswith("delta >= 0.05 and joules <= 220 J; over 2 tasks; joules: modelled")
    assert found.to_json()["claim"]["task_count"] == 2


def test_the_totals_of_a_report_follow_the_head(made: SyntheticState) -> None:
    kept_and_taken_back(made, 3)
    log = open_log(made.finish())
    (total,) = log.summary().tasks
    assert total.delta == pytest.approx(0.0549, abs=1e-4)
    assert (total.taken_back, log.summary().kept) == (2, 3)
    assert total.eta_per_kj == pytest.approx(total.delta / 0.3)
    assert log_lines(log)[-1].endswith("; without the Δ of 2 kept updates that were taken back")


# Beside them, whoever did nothing of it


def test_a_head_that_goes_back_and_comes_again_has_what_it_had(made: SyntheticState) -> None:
    first = made.head
    made.attempt(0.05)
    better = made.head
    made.move(first)
    made.move(better)
    made.attempt(0.02)
    state = made.finish()
    found = figures(made)
    assert found.delta is not None
    assert found.delta > Fraction(60_000_000)
    assert found.taken_back == 0
    assert checked(make_claim(state, "delta >= 0.06").content, state).report.complete


def test_only_what_lies_behind_the_move_is_lost(made: SyntheticState) -> None:
    made.attempt(0.05)
    good = made.head
    made.attempt(0.02)
    made.move(good)
    made.attempt(0.03)
    state = made.finish()
    kept = [e.receipt.evaluation.delta_sum for e in made.entries if e.receipt and e.receipt.evaluation]
    assert figures(made).delta == Fraction(kept[0] + kept[2], COUNT)
    assert make_claim(state, "delta >= 0.08").report.ok
    assert figures(made).loss_last is not None


def test_a_log_without_moves_counts_as_before(pristine: SyntheticState) -> None:
    assert figures(pristine) == figures(pristine, taken_back=True)


def test_a_true_claim_of_an_older_program_is_no_forgery(made: SyntheticState) -> None:
    kept_and_taken_back(made, 2)
    found = checked(by_an_older_program(made, "delta >= 0.05"), made.finish())
    assert found.ok
    assert questions(found.report) == [
        "claim its values count what moves of heads took back, as older programs did"
    ]


def test_a_part_that_begins_behind_the_move_has_its_gain(made: SyntheticState) -> None:
    kept_and_taken_back(made, 2)
    last = max(entry.index for entry in made.entries if entry.intent is not None)
    state = made.finish()
    judged: tuple[EvaluatedClause, ...] = make_claim(
        state, "delta >= 0.05", ClaimScope(first=last)
    ).report.judged
    assert judged[0].holds


def test_a_part_says_which_key_its_head_is_taken_to_be_of(made: SyntheticState) -> None:
    made.attempt(0.05)
    made.attempt(0.02)
    state = made.finish()
    content = make_claim(state, "kept == 1", ClaimScope(last=1)).content
    (said,) = [one for one in questions(check_claim(content, Path("c")).report) if one.startswith("log key")]
    assert "only what brings the head says that it is " in said
    assert said.endswith("is not here; name it with --log-key FILE")
    assert not [one for one in questions(checked(content, state).report) if one.startswith("log key")]


def test_books_count_what_rounds_certified_while_the_head_rests_on_it(tmp_path: Path) -> None:
    """Levels that are taken back and certified again would else add up to any η."""
    with closing(StoredLog(tmp_path / "s")) as log:
        node = NodeLog(log)
        trained = node.train()
        node.introduce()
        node.enter()

        def certified() -> int:
            record = own_record(tmp_path / "s")
            logs, now_s = told_by_logs(tmp_path / "none", parse_peers(b"quorum none\n"), [record])
            return books_of(logs, (), 1, now_s)[record.origin].certified_nano

        first = log.state.tasks[TASK].head
        adopting = node.record(node.announce([node.candidate()]))
        adopted, level = log.state.tasks[TASK].head, certified()
        assert level > 0
        log.move(TASK, first, trained)
        assert certified() == 0
        node.record(node.announce([node.candidate()]))
        once = certified()
        assert 0 < once <= level, "one of the two is in the head"
        log.move(TASK, adopted, adopting)
        assert certified() == level, "back at the first one, without the other"

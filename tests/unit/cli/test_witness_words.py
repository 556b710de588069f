"""What a run says of its witnesses: what is new, and never that a dispute was hidden by something else."""

from __future__ import annotations

from cryoflux.cli.witness_words import WitnessWords, witness_document, witness_line
from cryoflux.receipts.checkpoint import NoteSignature
from cryoflux.witness.client import Answer, Collected

LINE = NoteSignature("w", b"0000", b"signature")


def found(*answers: Answer, reached: bool = True) -> Collected:
    return Collected(b"", answers, reached, "1 of 2 (a, b)")


def signed(name: str) -> Answer:
    return Answer(name, LINE)


def gone(name: str) -> Answer:
    return Answer(name, None, "cannot be reached")


def disputes(name: str) -> Answer:
    return Answer(name, None, "has cosigned another history", disputed=True)


def test_a_quorum_is_named_when_it_is_found_and_when_it_is_lost() -> None:
    words = WitnessWords()
    assert words.news(found(signed("a"), signed("b"))) == [
        "witness  ✓ cosigned by a, b; needed: 1 of 2 (a, b)"
    ]
    assert words.news(found(signed("a"), signed("b"))) == []
    lost = "witness  ✗ NOT WITNESSED, cosigned only by nobody; needed: 1 of 2 (a, b)"
    assert words.news(found(reached=False)) == [lost]
    assert words.news(found(signed("b"))) == ["witness  ✓ cosigned by b; needed: 1 of 2 (a, b)"]


def test_what_is_wrong_with_a_witness_is_said_once_for_each() -> None:
    words = WitnessWords()
    assert words.news(found(signed("a"), gone("b")))[1:] == ["witness  b cannot be reached"]
    assert words.news(found(signed("a"), gone("b"))) == []
    assert words.news(found(gone("a"), signed("b"))) == ["witness  a cannot be reached"]


def test_a_dispute_is_loud_whatever_was_said_of_that_witness_before() -> None:
    words = WitnessWords()
    words.news(found(signed("a"), gone("b")))
    loud, advice = words.news(found(signed("a"), disputes("b")))
    assert loud == "witness  ✗ DISPUTED: b has cosigned another history"
    assert "verify" in advice
    assert words.news(found(signed("a"), disputes("b"))) == []


def test_a_program_reads_the_same() -> None:
    collected = found(signed("a"), disputes("b"))
    assert witness_document(collected) == {
        "event": "witnessed",
        "cosigned": ["a"],
        "needed": "1 of 2 (a, b)",
        "problems": ["b: has cosigned another history"],
        "disputed": True,
    }
    assert witness_line(collected) == "✓ cosigned by a; needed: 1 of 2 (a, b)"

from __future__ import annotations

import base64
import json
import sqlite3
from pathlib import Path

import pytest
import rfc8785

from cryoflux.errors import StateError, StateTamperedError, VerificationError
from cryoflux.receipts.decoding import NewerFormatError, parse_statement, predicate_type_of
from cryoflux.receipts.log import ReceiptLog
from cryoflux.receipts.merkle import leaf_hash
from cryoflux.receipts.reading import read_entries
from cryoflux.receipts.statement import Cause, Outcome, ReceiptStatement
from cryoflux.sentences import say
from cryoflux.signing.canonical import MAX_ENTRY_BYTES
from cryoflux.signing.envelope import pae, parse_envelope
from cryoflux.signing.keys import key_id, load_key
from plain_log import PlainLog

FIRST_FORM = Path(__file__).parents[2] / "vectors" / "log-evidence-v1.jsonl"


def retyped(payload: bytes, kind: str) -> bytes:
    return rfc8785.dumps({**json.loads(payload), "predicateType": kind})


def first_form() -> list[bytes]:
    return [parse_envelope(line).payload for line in FIRST_FORM.read_bytes().splitlines()]


@pytest.mark.parametrize(
    "kind", ["receipt/v3", "intent/v17", "head/v2", "key-rotation/v2", "verdict/v1", "receipt/v10"]
)
def test_what_a_newer_version_wrote_is_called_that(log: PlainLog, kind: str) -> None:
    for payload in (log.entries[1].signed.payload, first_form()[1]):
        with pytest.raises(NewerFormatError, match="newer CryoFlux") as caught:
            parse_statement(retyped(payload, f"https://cryoflux.dev/{kind}"))
        assert "Install" in caught.value.hint


@pytest.mark.parametrize(
    "kind",
    [
        "https://cryoflux.dev/receipt/v0",
        "https://cryoflux.dev/receipt/v1x",
        "https://cryoflux.dev/receipt/v3\n",
        "https://cryoflux.dev.example.org/receipt/v3",
        "https://cryoflux.dev/receipt/v1",
        "https://cryoflux.dev/receipt/v2",
        "https://cryoflux.dev/head/v1",
        "",
    ],
)
def test_what_nobody_ever_writes_is_malformed(log: PlainLog, kind: str) -> None:
    payload = retyped(log.entries[0].signed.payload, kind)  # an intent's fields
    with pytest.raises(VerificationError, match="malformed") as caught:
        parse_statement(payload)
    assert not isinstance(caught.value, NewerFormatError)


def test_hostile_bytes_claim_no_type() -> None:
    for payload in (b"", b"[]", b"null", b"{", b'{"predicateType":1}', b"[" * 50_000, b"\xff", b"1" * 5000):
        assert predicate_type_of(payload) == ""
    assert predicate_type_of(b" " * MAX_ENTRY_BYTES + b'{"predicateType":"x"}') == ""


def test_the_first_form_is_read_in_the_words_of_the_second() -> None:
    for payload in first_form():
        statement, version = parse_statement(payload)
        said, found = json.loads(payload)["predicate"], statement.predicate
        assert version == 1
        assert (found.sequence, found.prev, found.task.id) == (
            said["sequence"],
            said["prev"],
            said["task"]["id"],
        )
        if not isinstance(statement, ReceiptStatement):
            continue
        receipt = statement.predicate
        assert say(receipt.reason) == said["reason"]
        assert receipt.outcome == said["outcome"]
        if receipt.evaluation is not None:
            judged = said["evaluation"]
            assert receipt.evaluation.base_loss_sum == judged["baseLossNanoNatSum"]
            assert receipt.evaluation.delta_sum == judged["deltaNanoNatSum"]
            assert receipt.evaluation.read == judged.get("examples", said["holdout"]["count"])
            assert receipt.evaluation.hits is not None
            assert receipt.evaluation.hits.gained == judged["gained"]


@pytest.mark.parametrize(
    ("sentence", "cause"),
    [
        ("Aborted: interrupted after 3 training steps.", Cause.INTERRUPTED),
        ("Aborted: the run ended before this attempt did; nothing was kept.", Cause.CRASHED),
        ("Aborted: the bucket no longer held the reservation; nothing was tried.", Cause.UNRESERVED),
        ("Aborted: the reservation does not pay for evaluation and training both.", Cause.EXHAUSTED),
        # To the scheduler of those days this was a failure of the arm, and its choices are made again.
        ("Aborted: the joules were used up before one training example was ready.", Cause.FAILED),
        ("Aborted: the loss is not a number.", Cause.FAILED),
    ],
)
def test_the_cause_of_an_old_abort_is_what_its_sentence_meant(sentence: str, cause: Cause) -> None:
    said = json.loads(first_form()[1])
    none = {"training": None, "evaluation": None, "decision": None, "outcome": "aborted"}
    said["predicate"].update(none, reason=sentence, result=said["predicate"]["base"])
    statement, _ = parse_statement(rfc8785.dumps(said))
    assert isinstance(statement, ReceiptStatement)
    assert (statement.predicate.cause, say(statement.predicate.reason)) == (cause, sentence)


def test_what_was_not_aborted_has_no_cause_whatever_its_sentence_says() -> None:
    said = json.loads(first_form()[1])
    said["predicate"]["reason"] = "Aborted: interrupted."
    statement, _ = parse_statement(rfc8785.dumps(said))
    assert isinstance(statement, ReceiptStatement)
    assert statement.predicate.outcome is not Outcome.ABORTED
    assert statement.predicate.cause is Cause.NONE


def with_an_entry_of_tomorrow(state: Path) -> Path:
    stored = ReceiptLog.open(state)
    log = PlainLog(store=stored.append)
    log.conclude(log.announce())
    stored.close()
    key = load_key(state / "keys", "receipt", create=False)
    said = json.loads(log.entries[-1].signed.payload)
    said["predicate"].update(sequence=2, prev=log.entries[-1].leaf_hash)
    payload = rfc8785.dumps({**said, "predicateType": "https://cryoflux.dev/receipt/v3"})
    signature = {"keyid": key_id(key.public_key()), "sig": base64.b64encode(key.sign(pae(payload))).decode()}
    fields = {"payload": base64.b64encode(payload).decode(), "signatures": [signature]}
    envelope = rfc8785.dumps({**fields, "payloadType": "application/vnd.in-toto+json"})
    connection = sqlite3.connect(state / "receipts.db", isolation_level=None)
    connection.execute(
        "INSERT INTO entries VALUES (2, 'receipt', 'a0005', 'accepted', ?, ?)",
        (leaf_hash(envelope).hex(), envelope),
    )
    connection.close()
    return state


def test_a_log_with_an_entry_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    state = with_an_entry_of_tomorrow(tmp_path)
    with pytest.raises(StateError, match="newer CryoFlux") as caught:
        ReceiptLog.open(state)
    assert not isinstance(caught.value, StateTamperedError)
    with pytest.raises(StateError, match="newer CryoFlux"):
        read_entries(state)


def test_nobody_vouches_for_what_nobody_here_can_read(tmp_path: Path) -> None:
    from cryoflux.verification.result import Status
    from cryoflux.verification.steps import verify_target

    report = verify_target(with_an_entry_of_tomorrow(tmp_path))
    assert not report.ok
    assert any("newer CryoFlux" in c.detail for c in report.checks if c.status is Status.FAIL)

"""What was verified before: taken up it gives the verdict that all entries give, or it is not taken up."""

from __future__ import annotations

import base64
import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cryoflux.decision.reason import Reason
from cryoflux.receipts.checkpoint import origin_of, parse_note, sign_checkpoint
from cryoflux.receipts.entry import parse_entry
from cryoflux.receipts.log import ReceiptLog
from cryoflux.receipts.merkle import leaf_hash
from cryoflux.receipts.rotation import enrol_root, rotate_key
from cryoflux.receipts.statement import Cause
from cryoflux.signing.keys import LOG_KEY, key_id, load_key, load_public_key
from cryoflux.verification import material, verified
from cryoflux.verification.again import Again
from cryoflux.verification.artefacts import Artefacts
from cryoflux.verification.result import Check, Report, Status
from cryoflux.verification.verified import Trust, recall_verified
from rewriting import flip_signature, without_triggers
from running import cryoflux
from synthetic_parts import TASK, figure, make_model
from synthetic_state import SyntheticState, open_state
from verifying import verify_target

NOW = "2026-11-23T03:00:00Z"
TRUSTED = [Trust.JUDGED, Trust.READ]


def lines(report: Report) -> list[Check]:
    """The lines of steps 1 to 10, without what they say of memory."""
    first, *others = (check for check in report.checks if check.number <= 10)
    return [replace(first, detail=first.detail.partition("; the first")[0]), *others]


def failures(report: Report) -> list[tuple[int, str]]:
    return [(c.number, c.subject) for c in report.checks if c.status is Status.FAIL]


def no_trainer(_: int) -> Any:
    raise AssertionError("nothing is trained here")


def rotate(made: SyntheticState) -> None:
    """Name a root key and put another receipt key in the place of the first."""
    root = Ed25519PrivateKey.generate()
    for entry in (
        enrol_root(made.log, made.path, root.public_key(), NOW),
        rotate_key(made.log, made.path, root, "it is old", NOW),
    ):
        made.memory.take(entry)
    made.log.close()
    made.log = ReceiptLog.open(made.path)


def story(made: SyntheticState) -> Iterator[None]:
    """What may happen to a log; it is looked at after each of it."""
    first = made.head
    made.policy, made.slots = "uniform/v1", 2
    yield made.attempt(0.05)
    yield made.attempt(0.0005)
    yield made.abort(made.announce())
    yield made.screen_out()
    rotate(made)
    yield made.begin("another_task")
    yield made.attempt(0.04)
    opened = made.announce()
    yield
    yield made.conclude_attempt(opened, 0.0003)
    yield made.begin(TASK)
    yield made.move(first)
    yield made.attempt(0.03)
    yield


@pytest.fixture
def verified_state(tmp_path: Path) -> Iterator[tuple[SyntheticState, Path]]:
    """A state of some attempts that was verified, and where that is remembered."""
    made = open_state(tmp_path / "state")
    made.policy = "uniform/v1"
    made.attempt(0.05)
    made.attempt(0.0005)
    assert verify_target(made.path, heads=tmp_path / "heads").ok
    yield made, tmp_path / "heads"
    made.finish()


@pytest.mark.parametrize("trust", TRUSTED)
def test_each_verdict_that_goes_on_from_the_one_before_is_the_one_of_all_entries(
    tmp_path: Path, trust: Trust
) -> None:
    made, heads, sizes = open_state(tmp_path / "state"), tmp_path / "heads", [0]
    for _ in story(made):
        whole, now = verify_target(made.path), verify_target(made.path, heads=heads, trust=trust)
        assert lines(now) == lines(whole)
        assert failures(whole) == []
        assert (now.receipts, now.evaluated) == (whole.receipts, whole.evaluated)
        assert now.remembered == sizes[-1]
        sizes.append(now.entries)
    made.finish()


def test_a_log_that_crosses_a_tile_is_gone_on_with(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.policy = "uniform/v1"
    for _ in range(126):
        made.screen_out()
    for count in (0, 2, 3, 1):
        for _ in range(count):
            made.screen_out()
        now = verify_target(made.path, heads=tmp_path / "heads", trust=Trust.READ)
        assert lines(now) == lines(verify_target(made.path))
    assert now.remembered == now.entries - 2 == 262
    made.finish()
    # One way finds what was changed on the disk since, the other says that it did not look.
    flip_signature(made.path, 2)
    left = verify_target(made.path, heads=tmp_path / "heads", trust=Trust.READ)
    assert left.ok
    assert "the first 264 were verified here before, and were not read again" in left.checks[0].detail
    found = verify_target(made.path, heads=tmp_path / "heads", trust=Trust.JUDGED)
    assert (2, "entry 2 (intent a0002_2)") in failures(found)
    assert found.remembered == 0


def test_nothing_older_is_read_or_judged_again(
    verified_state: tuple[SyntheticState, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, heads = verified_state
    made.attempt(0.0004)
    judged: list[int] = []
    take = Artefacts.take
    monkeypatch.setattr(
        Artefacts, "take", lambda self, seen, memory: (judged.append(seen.index), take(self, seen, memory))
    )
    for trust in TRUSTED:
        assert verify_target(made.path, heads=heads, trust=trust).ok
    assert judged == [4, 5]  # by the second time these too had been verified


def test_what_was_verified_says_nothing_of_another_history(
    verified_state: tuple[SyntheticState, Path], tmp_path: Path
) -> None:
    made, heads = verified_state
    fork = made.fork(tmp_path / "fork")
    fork.policy = made.policy
    fork.attempt(0.0001)
    made.attempt(0.0002)
    assert verify_target(made.path, heads=heads, trust=Trust.READ).ok
    fork.attempt(0.0003)
    for trust in TRUSTED:
        report = verify_target(fork.path, heads=heads, trust=trust)
        assert report.remembered == 0
        assert {number for number, _ in failures(report)} == {13}
    fork.finish()


@pytest.mark.parametrize("trust", TRUSTED)
def test_an_older_row_of_the_account_that_was_changed_is_found_where_the_account_goes_on_from_it(
    verified_state: tuple[SyntheticState, Path], trust: Trust
) -> None:
    made, heads = verified_state
    made.attempt(0.0002)
    with closing(sqlite3.connect(made.path / "account.db")) as connection, connection:
        trigger = "entries_are_final_update"
        (text,) = connection.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (trigger,)).fetchone()
        connection.execute(f"DROP TRIGGER {trigger}")
        connection.execute("UPDATE entries SET balance_uj = balance_uj + 1")
        connection.execute(text)
    report = verify_target(made.path, heads=heads, trust=trust)
    assert (10, "account.db") in failures(report)
    assert report.remembered == 0


def test_joules_that_were_charged_for_nothing_since_are_found(
    verified_state: tuple[SyntheticState, Path],
) -> None:
    made, heads = verified_state
    made.settle("index_9_9", 50_000_000)
    report = verify_target(made.path, heads=heads, trust=Trust.READ)
    assert (10, "account.db") in failures(report)


def test_a_model_that_was_changed_since_is_found(verified_state: tuple[SyntheticState, Path]) -> None:
    made, heads = verified_state
    weights = made.path / "models" / made.head.digest / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    for trust in TRUSTED:
        assert {number for number, _ in failures(verify_target(made.path, heads=heads, trust=trust))} == {9}


@pytest.mark.parametrize(
    "asked",
    [
        {"meters": [Ed25519PrivateKey.generate().public_key()]},
        {"sections": {}},
        {"again": Again(no_trainer, losses=17)},
    ],
)
def test_a_memory_of_less_than_is_asked_for_is_not_used(
    verified_state: tuple[SyntheticState, Path], asked: dict[str, Any]
) -> None:
    made, heads = verified_state
    for trust in TRUSTED:
        assert verify_target(made.path, heads=heads, trust=trust).remembered == 4
        assert verify_target(made.path, heads=heads, trust=trust, **asked).remembered == 0
        verify_target(made.path, heads=heads)


def test_a_memory_of_older_rules_is_not_used(
    verified_state: tuple[SyntheticState, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, heads = verified_state
    monkeypatch.setattr(verified, "_RULES", 99)
    assert verify_target(made.path, heads=heads, trust=Trust.READ).remembered == 0


def _flipped(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


def _with_digest(body: bytes) -> bytes:
    return hashlib.sha256(body).digest() + body


@pytest.mark.parametrize(
    "damage",
    [
        _flipped,
        lambda _: b"",
        lambda content: content[:40],
        lambda _: _with_digest(b"\xc1"),
        lambda _: _with_digest(b"\x80"),
        lambda content: _with_digest(content[32:-20]),
    ],
)
def test_a_memory_that_cannot_be_read_is_none(
    verified_state: tuple[SyntheticState, Path], damage: Callable[[bytes], bytes]
) -> None:
    made, heads = verified_state
    (path,) = heads.glob("*.verified")
    path.write_bytes(damage(path.read_bytes()))
    for trust in TRUSTED:
        report = verify_target(made.path, heads=heads, trust=trust)
        assert (report.ok, report.remembered) == (True, 0)
        path.write_bytes(damage(path.read_bytes()))


def test_a_log_that_failed_is_not_remembered(state: Path, tmp_path: Path) -> None:
    flip_signature(state, 2)
    verify_target(state, heads=tmp_path / "heads")
    assert not list((tmp_path / "heads").glob("*.verified"))


def test_an_exported_file_is_gone_through_each_time(
    verified_state: tuple[SyntheticState, Path], tmp_path: Path
) -> None:
    made, heads = verified_state
    file = tmp_path / "receipts.jsonl"
    file.write_bytes(b"".join(entry.envelope + b"\n" for entry in made.entries))
    key = load_public_key(made.path / "keys" / "receipt.pub")
    report = verify_target(file, key=key, heads=heads, trust=Trust.READ)
    assert report.remembered == 0
    assert recall_verified(heads, report.signer) is not None


def test_the_command_says_how_much_it_took_from_memory(verified_state: tuple[SyntheticState, Path]) -> None:
    made, heads = verified_state
    said = cryoflux("verify", str(made.path), "--heads", str(heads), "--only-new")
    assert "the first 4 were verified here before, and were not read again" in " ".join(said.stdout.split())
    assert "Of 4 entries, 4 by memory." in " ".join(said.stdout.split())
    refused = cryoflux("verify", str(made.path), "--no-memory", "--trust-memory")
    assert refused.code == 2
    assert "--no-memory leaves nothing to trust" in refused.stderr


def _put(made: SyntheticState, index: int, envelope: bytes) -> None:
    with closing(without_triggers(made.path)) as connection:
        values = (envelope, leaf_hash(envelope).hex(), index)
        connection.execute("UPDATE entries SET envelope = ?, leaf = ? WHERE idx = ?", values)


@pytest.mark.parametrize("trust", TRUSTED)
def test_a_head_does_not_move_to_what_an_entry_says_that_was_put_in_the_place_of_an_older_one(
    tmp_path: Path, trust: Trust
) -> None:
    made, heads = open_state(tmp_path / "state"), tmp_path / "heads"
    made.policy = "uniform/v1"
    made.attempt(0.05)
    for _ in range(128):  # beyond the first tile, which is not read again
        made.screen_out()
    assert verify_target(made.path, heads=heads).ok
    bad, (_, true, *_) = make_model(made.path, [9.0, 9.0, 9.0]), made.entries
    envelope = json.loads(true.envelope)
    statement = json.loads(base64.b64decode(envelope["payload"]))
    statement["predicate"]["result"] |= {"digest": bad.digest, "files": bad.files}
    payload = json.dumps(statement, sort_keys=True, separators=(",", ":")).encode()
    envelope["payload"] = base64.b64encode(payload).decode()
    forged = json.dumps(envelope, sort_keys=True, separators=(",", ":")).encode()
    leaf = parse_entry(1, forged).leaf_hash
    _put(made, 1, forged)
    made.made[bad.digest] = (1, leaf, 0.0)
    made.move(bad)
    report = verify_target(made.path, heads=heads, trust=trust)
    assert (report.ok, report.remembered) == (False, 0)
    _put(made, 1, true.envelope)
    report = verify_target(made.path, heads=heads, trust=trust)
    assert failures(report) == [(8, f"entry {made.log.size - 1} (head)")]
    made.finish()


@pytest.mark.parametrize("index", [0, 1])
def test_a_receipt_to_compute_again_is_the_one_that_was_judged(tmp_path: Path, index: int) -> None:
    made, heads = open_state(tmp_path / "state"), tmp_path / "heads"
    made.policy = "uniform/v1"
    made.attempt(0.05)
    for _ in range(128):
        made.screen_out()
    assert verify_target(made.path, heads=heads).ok
    flip_signature(made.path, index)
    report = verify_target(made.path, heads=heads, trust=Trust.READ)
    assert (report.ok, report.remembered) == (False, 0)
    made.finish()


def test_a_tile_that_is_not_full_has_to_be_there(verified_state: tuple[SyntheticState, Path]) -> None:
    made, heads = verified_state
    for path in (made.path / "log" / "tile").rglob("*.p/*"):
        path.unlink()
    report = verify_target(made.path, heads=heads, trust=Trust.READ)
    assert {number for number, _ in failures(report)} == {4}


def test_a_partial_tile_that_came_back_is_compared(tmp_path: Path) -> None:
    made, heads = open_state(tmp_path / "state"), tmp_path / "heads"
    made.policy = "uniform/v1"
    for _ in range(129):
        made.screen_out()
    assert verify_target(made.path, heads=heads).ok
    tile = made.path / "log" / "tile" / "0" / "000.p" / "5"
    tile.parent.mkdir(exist_ok=True)
    tile.write_bytes(bytes(5 * 32))
    report = verify_target(made.path, heads=heads, trust=Trust.READ)
    assert failures(report) == [(4, "log/tile/0/000.p/5")]
    made.finish()


@pytest.mark.parametrize("trust", TRUSTED)
def test_what_was_settled_for_another_log_was_not_never_reserved(tmp_path: Path, trust: Trust) -> None:
    made, heads = open_state(tmp_path / "state"), tmp_path / "heads"
    made.policy = "uniform/v1"
    made.abort(made.announce(meter="daemon"))
    made.settle("a0002_2", 50_000_000, log="another.example/log")
    assert verify_target(made.path, heads=heads).ok
    intent = made.announce(task="a0002_2")
    nothing = dict.fromkeys(("microjoules", "lo_microjoules", "hi_microjoules", "cpu_microseconds"), 0)
    said = figure().but(**nothing, flags=["never-reserved"])
    why = {"cause": Cause.CRASHED, "reason": Reason(code="crashed")}
    made.abort(intent, settles=False, energy=said, **why)
    report = verify_target(made.path, heads=heads, trust=trust)
    assert failures(report) == [(10, "entry 3 (receipt a0002_2)")]
    made.finish()


def test_a_key_that_is_another_one_when_all_is_read_takes_nothing_from_memory(
    verified_state: tuple[SyntheticState, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, heads = verified_state
    other, read = Ed25519PrivateKey.generate().public_key(), material.read_material
    log_key = load_key(made.path / "keys", LOG_KEY, create=False)

    def swapped(*args: Any, **kwargs: Any) -> Any:
        found = read(*args, **kwargs)
        head = replace(parse_note(found.checkpoint).checkpoint, origin=origin_of(other))
        return replace(found, key=other, checkpoint=sign_checkpoint(head, log_key))

    monkeypatch.setattr("cryoflux.verification.steps.read_material", swapped)
    report = verify_target(made.path, heads=heads, trust=Trust.READ)
    assert (report.ok, report.remembered) == (False, 0)
    assert recall_verified(heads, key_id(other)) is None


def test_a_tally_that_cannot_be_kept_ends_no_verification(
    verified_state: tuple[SyntheticState, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, _ = verified_state

    def too_large(*_: object) -> Any:
        raise OverflowError

    monkeypatch.setattr(verified.Verified, "of", too_large)
    assert verify_target(made.path, heads=tmp_path / "others").ok
    assert not list((tmp_path / "others").glob("*.verified"))

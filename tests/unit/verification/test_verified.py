"""What was verified before: taken up it gives the verdict that all entries give, or it is not taken up."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cryoflux.receipts.log import ReceiptLog
from cryoflux.receipts.rotation import enrol_root, rotate_key
from cryoflux.signing.keys import load_public_key
from cryoflux.verification import verified
from cryoflux.verification.again import Again
from cryoflux.verification.artefacts import Artefacts
from cryoflux.verification.result import Check, Report, Status
from cryoflux.verification.verified import Trust, recall_verified
from rewriting import flip_signature
from running import cryoflux
from synthetic_parts import TASK
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
        {"meter_key": Ed25519PrivateKey.generate().public_key()},
        {"sections": {}},
        {"again": Again(no_trainer, 17)},
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

"""A stranger brings a log under another's name to a witness, or fills what the witness keeps of others.

`--accept-new` gives a name to whoever comes first. That must not make an honest log look like a liar, hide
another's lie, or make the witness slow for all. Beside it: a backup that really is one, an earlier key.
"""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cryoflux.receipts.checkpoint import Checkpoint, cosign, parse_note, sign_checkpoint
from cryoflux.witness.client import Collected, WitnessClient
from cryoflux.witness.evidence import check_equivocation, parse_equivocation
from cryoflux.witness.policy import parse_policy
from cryoflux.witness.service import WitnessReply
from cryoflux.witness.submission import SIZE_TYPE, Submission
from signed_log import OpenWitness, SignedLog, answer_of, policy_text, serving
from waiting import CEILING_S
from witness_process import witness

LOG = SignedLog()
STRANGER = SignedLog("x", key=Ed25519PrivateKey.from_private_bytes(b"x" * 32))
HUGE = 999_999_999_999_999_999


def huge_head(log: SignedLog) -> bytes:
    note = sign_checkpoint(Checkpoint(log.origin, HUGE, b"?" * 32), log.key)
    return Submission(0, (), parse_note(note)).body


def asked(url: str, watched: OpenWitness, size: int = 5, log: SignedLog = LOG) -> Collected:
    policy = parse_policy(policy_text("all", ("a", watched.vkey, url)))
    with closing(WitnessClient(policy, log.vkey, timeout_s=CEILING_S)) as client:
        return client.submit(log.note(size), lambda old: log.proof(old, size), wait_for_all=True)


@pytest.fixture
def squatted(tmp_path: Path) -> OpenWitness:
    """A witness that a stranger came to first; then its operator listed the honest key."""
    watched = OpenWitness(tmp_path / "w", logs=[], accept_new=True)
    assert watched.witness.add_log(f"{STRANGER.vkey}\n".encode()).status == 200
    assert watched.add(huge_head(STRANGER)).status == 200
    watched.logs = [LOG.vkey]
    watched.reopen()
    return watched


def test_what_a_stranger_had_cosigned_in_its_name_is_not_held_against_a_log(squatted: OpenWitness) -> None:
    with serving(answer_of(squatted)) as url:
        found = asked(url, squatted)
    assert not found.reached
    assert not found.disputed
    assert f"{HUGE} entries under this log's name that another key signed" in found.problems[0]


def test_the_one_who_runs_the_witness_is_told_at_the_start(squatted: OpenWitness) -> None:
    squatted.heads.close()
    with witness(squatted.folder, "--log", str(LOG.vkey)) as running:
        assert [head["size"] for head in running.hello["foreign_heads"]] == [HUGE]
        assert running.process.stderr.readline().startswith(f"{LOG.origin}: {HUGE} entries were cosigned")


def test_of_an_honest_log_nothing_is_told(tmp_path: Path) -> None:
    watched = OpenWitness(tmp_path / "w")
    watched.add(LOG.submission(0, 5))
    watched.heads.close()
    with witness(watched.folder, "--log", str(LOG.vkey)) as running:
        assert running.hello["foreign_heads"] == []


@pytest.mark.parametrize("size", [3, 5])
def test_a_small_head_of_a_stranger_is_none_of_the_logs_either(tmp_path: Path, size: int) -> None:
    watched = OpenWitness(tmp_path / "w", logs=[], accept_new=True)
    watched.witness.add_log(f"{STRANGER.vkey}\n".encode())
    assert watched.add(STRANGER.submission(0, size)).status == 200
    watched.logs = [LOG.vkey]
    watched.reopen()
    with serving(answer_of(watched)) as url:
        assert not asked(url, watched).disputed


@pytest.mark.parametrize("said", [b"7\n", b"0\n", b"5\n"])
def test_a_size_without_a_head_shows_nothing(tmp_path: Path, said: bytes) -> None:
    watched = OpenWitness(tmp_path / "w")

    def liar(path: str, _: bytes) -> WitnessReply:
        return WitnessReply(409, said, SIZE_TYPE) if path == "/add-checkpoint" else WitnessReply(404, b"")

    with serving(liar) as url:
        found = asked(url, watched)
    assert not found.disputed
    assert "shows no head of it: nothing follows from that alone" in found.problems[0]


def test_nor_does_a_refusal_beside_a_head_that_the_log_continues(tmp_path: Path) -> None:
    watched = OpenWitness(tmp_path / "w")
    watched.add(LOG.submission(0, 3))

    def liar(path: str, body: bytes) -> WitnessReply:
        return WitnessReply(422, b"") if path == "/add-checkpoint" else answer_of(watched)(path, body)

    with serving(liar) as url:
        found = asked(url, watched)
    assert not found.disputed
    assert "shows a head that this log continues" in found.problems[0]


@pytest.mark.parametrize(("seen", "shown"), [(9, 5), (5, 5), (5, 9)])
def test_another_history_that_the_log_itself_signed_is_heard_of(
    tmp_path: Path, seen: int, shown: int
) -> None:
    watched = OpenWitness(tmp_path / "w")
    watched.add(LOG.submission(0, seen))
    with serving(answer_of(watched)) as url:
        found = asked(url, watched, shown, SignedLog("b", forked_at=2))
    assert found.disputed


def evidence(watched: OpenWitness, log: SignedLog) -> int:
    found = [parse_equivocation(path.read_bytes()) for path in (watched.folder / "evidence").iterdir()]
    assert all(check_equivocation(item) for item in found)
    return sum(item.log == log.vkey for item in found)


def test_a_strangers_lies_leave_room_for_the_evidence_of_a_watched_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cryoflux.witness.service._MOST_EVIDENCE", 3)
    watched = OpenWitness(tmp_path / "w", accept_new=True)
    stranger = replace(STRANGER, origin="attacker.example/1")
    watched.witness.add_log(f"{stranger.vkey}\n".encode())
    watched.add(LOG.submission(0, 9))
    for number in range(9):
        watched.add(replace(stranger, story=str(number)).submission(3 if number else 0, 3))
    assert 1 <= evidence(watched, stranger) <= 4
    for number in range(9):
        assert watched.add(SignedLog(f"b{number}").submission(9, 9)).status == 422
    assert evidence(watched, LOG) == 4  # one convicts for good


def with_extension(log: SignedLog, length: int) -> bytes:
    point = Checkpoint(log.origin, 1, log.head(1).checkpoint.root, ("x" * length,))
    return Submission(0, (), parse_note(sign_checkpoint(point, log.key))).body


def test_long_heads_of_strangers_are_not_kept_and_those_of_listed_logs_are(tmp_path: Path) -> None:
    watched = OpenWitness(tmp_path / "w", accept_new=True)
    stranger = replace(STRANGER, origin="attacker.example/1")
    watched.witness.add_log(f"{stranger.vkey}\n".encode())
    assert watched.add(with_extension(stranger, 100_000)).status == 403
    assert watched.add(with_extension(stranger, 100)).status == 200
    assert watched.add(with_extension(LOG, 100_000)).status == 200


def test_no_more_heads_are_read_than_an_answer_may_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = [SignedLog(origin=f"log.example/{number}") for number in range(30)]
    watched = OpenWitness(tmp_path / "w", logs=[log.vkey for log in logs])
    for log in logs:
        watched.add(with_extension(log, 100_000))
    read: list[bytes] = []

    def counted(content: bytes) -> object:
        read.append(content)
        return parse_note(content)

    monkeypatch.setattr("cryoflux.witness.heads.parse_note", counted)
    reply = watched.witness.heads("")
    assert len(reply.body) <= 1024 * 1024 + 20_000
    assert len(read) <= 11
    assert b"after=10" in dict(reply.headers)[b"link"]


@pytest.mark.parametrize(
    ("time_s", "problem"), [(0, "says no time"), (1_700_003_600, "ahead of this machine's clock")]
)
def test_a_cosignature_that_verify_would_not_count_does_not_reach_a_quorum(
    tmp_path: Path, time_s: int, problem: str
) -> None:
    key = Ed25519PrivateKey.from_private_bytes(b"w" * 32)
    vkey = OpenWitness(tmp_path / "w").vkey
    vkey = type(vkey)("witness.example/w", vkey.kind, key.public_key().public_bytes_raw())
    line = cosign(LOG.head(5).checkpoint, vkey.name, key, time_s).line
    with serving(lambda *_: WitnessReply(200, line)) as url:
        policy = parse_policy(policy_text("all", ("a", vkey, url)))
        with closing(
            WitnessClient(policy, LOG.vkey, timeout_s=CEILING_S, now=lambda: 1_700_000_000.0)
        ) as client:
            found = client.submit(LOG.note(5), lambda old: LOG.proof(old, 5), wait_for_all=True)
    assert not found.reached
    assert problem in json.dumps(found.problems)


def test_a_clock_that_is_a_little_ahead_is_no_problem(tmp_path: Path) -> None:
    watched = OpenWitness(tmp_path / "w")
    with serving(answer_of(watched)) as url:
        policy = parse_policy(policy_text("all", ("a", watched.vkey, url)))
        now_s = watched.clock.now_s - 299
        with closing(WitnessClient(policy, LOG.vkey, timeout_s=CEILING_S, now=lambda: now_s)) as client:
            assert client.submit(LOG.note(5), lambda old: LOG.proof(old, 5), wait_for_all=True).reached

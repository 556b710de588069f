"""The client against witnesses over real sockets: good ones, dead ones, and hostile ones."""

from __future__ import annotations

import socket
import threading
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cryoflux.errors import StateTamperedError
from cryoflux.receipts.checkpoint import KeyType, VerifierKey, cosign, cosigned_at, parse_note
from cryoflux.signing.keys import raw_public_key
from cryoflux.witness.client import Collected, WitnessClient
from cryoflux.witness.policy import parse_policy
from cryoflux.witness.service import WitnessReply
from signed_log import OpenWitness, SignedLog, answer_of, policy_text, serving
from waiting import CEILING_S

LOG = SignedLog()


def submit(
    policy: bytes, size: int, log: SignedLog = LOG, *, timeout_s: float = CEILING_S, wait_for_all: bool = True
) -> Collected:
    with closing(WitnessClient(parse_policy(policy), log.vkey, timeout_s=timeout_s)) as client:
        return client.submit(log.note(size), lambda old: log.proof(old, size), wait_for_all=wait_for_all)


@pytest.fixture
def watched(tmp_path: Path) -> OpenWitness:
    return OpenWitness(tmp_path / "a")


def test_a_head_comes_back_with_the_witnesss_line(watched: OpenWitness) -> None:
    with serving(answer_of(watched)) as url:
        for size in (5, 5, 9, 300):  # each with a client that does not know the size yet
            found = submit(policy_text("all", ("a", watched.vkey, url)), size)
            assert found.reached
            assert not found.problems
            assert cosigned_at(parse_note(found.note), watched.vkey) == int(watched.clock.now_s)


def test_a_client_remembers_the_size_and_asks_once(watched: OpenWitness) -> None:
    asked: list[str] = []

    def answer(path: str, body: bytes) -> WitnessReply:
        asked.append(path)
        return answer_of(watched)(path, body)

    with serving(answer) as url:
        policy = parse_policy(policy_text("all", ("a", watched.vkey, url)))
        with closing(WitnessClient(policy, LOG.vkey, timeout_s=CEILING_S)) as client:
            for size in (3, 4, 8):
                prove = {s: LOG.proof(s, size) for s in range(size + 1)}
                assert client.submit(LOG.note(size), prove.__getitem__).reached
    assert len(asked) == 3


def test_two_of_three_are_enough_and_the_dead_one_is_named(tmp_path: Path, watched: OpenWitness) -> None:
    second = OpenWitness(tmp_path / "b")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with serving(answer_of(watched)) as one, serving(answer_of(second)) as two:
        members = ("a", watched.vkey, one), ("b", second.vkey, two), ("c", _stranger(), dead)
        found = submit(policy_text("2", *members), 5)
        assert found.reached
        assert [answer.witness for answer in found.answers if answer.line] == ["a", "b"]
        assert found.problems[0].startswith("c: cannot be reached")
        assert not submit(policy_text("all", *members), 5).reached


def _stranger() -> VerifierKey:
    key = Ed25519PrivateKey.generate().public_key()
    return VerifierKey("witness.example/x", KeyType.WITNESS, raw_public_key(key))


def test_a_silent_witness_holds_up_nobody_beyond_the_time_out(watched: OpenWitness) -> None:
    with socket.socket() as silent, serving(answer_of(watched)) as url:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        members = (
            ("a", watched.vkey, url),
            ("b", _stranger(), f"http://127.0.0.1:{silent.getsockname()[1]}"),
        )
        found = submit(policy_text("any", *members), 5, wait_for_all=False)
        assert found.reached  # it returned, though the other one never answers
        found = submit(policy_text("all", *members), 5, timeout_s=0.5)
        assert not found.reached
        assert any("b: " in problem for problem in found.problems)


def test_an_answer_in_drops_ends_with_the_time_out(watched: OpenWitness) -> None:
    with serving(lambda *_: WitnessReply(200, b"x" * 1_000_000), drip_s=0.05) as url:
        found = submit(policy_text("all", ("a", watched.vkey, url)), 5, timeout_s=0.5)
        assert not found.reached
        for thread in threading.enumerate():
            if thread.name == "witness a":
                thread.join()  # the whole answer would take half a day


@pytest.mark.parametrize(
    "reply",
    [
        WitnessReply(200, b""),
        WitnessReply(200, b"hello"),
        WitnessReply(200, b"\xff" * 1000),
        WitnessReply(200, "— witness.example/x AAAAAAAAAAA=\n".encode()),
        WitnessReply(200, b"\n" + LOG.note(5)),
        WitnessReply(200, b"x" * 1_000_000),
        WitnessReply(409, b"5\n"),
        WitnessReply(409, b"-1\n", "text/x.tlog.size"),
        WitnessReply(409, b"9" * 100, "text/x.tlog.size"),
        WitnessReply(301, b""),
        WitnessReply(404, b""),
        WitnessReply(422, b""),
        WitnessReply(500, b""),
    ],
)
def test_nonsense_is_no_cosignature_and_no_traceback(watched: OpenWitness, reply: WitnessReply) -> None:
    with serving(lambda *_: reply) as url:
        found = submit(policy_text("all", ("a", watched.vkey, url)), 5)
    assert not found.reached
    assert len(found.problems) == 1
    assert found.note == LOG.note(5)


def test_a_log_that_cannot_prove_its_past_says_so(watched: OpenWitness) -> None:
    def broken(_: int) -> list[bytes]:
        raise StateTamperedError("log/tile/0/000 is missing.")

    watched.add(LOG.submission(0, 5))
    with serving(answer_of(watched)) as url:
        policy = parse_policy(policy_text("all", ("a", watched.vkey, url)))
        with closing(WitnessClient(policy, LOG.vkey, timeout_s=CEILING_S)) as client:
            found = client.submit(LOG.note(9), broken)
    assert "nothing could be proven: log/tile/0/000 is missing" in found.problems[0]


def test_an_answer_without_end_is_not_read_to_its_end(watched: OpenWitness) -> None:
    with serving(lambda *_: WitnessReply(200, b"x" * 1_000_000)) as url:
        found = submit(policy_text("all", ("a", watched.vkey, url)), 5)
    assert found.problems == ("a: answers without end",)


def test_a_cosignature_by_another_key_does_not_count(watched: OpenWitness) -> None:
    thief = Ed25519PrivateKey.generate()
    for name in (watched.vkey.name, "witness.example/thief"):
        line = cosign(LOG.head(5).checkpoint, name, thief, 1).line
        with serving(lambda *_, line=line: WitnessReply(200, line)) as url:
            assert not submit(policy_text("all", ("a", watched.vkey, url)), 5).reached


def test_a_cosignature_over_another_head_does_not_count(watched: OpenWitness) -> None:
    other = watched.add(LOG.submission(0, 4)).body
    with serving(lambda *_: WitnessReply(200, other)) as url:
        assert not submit(policy_text("all", ("a", watched.vkey, url)), 5).reached


@pytest.mark.parametrize(("seen", "shown"), [(9, 5), (5, 5), (5, 9)])
def test_a_witness_that_knows_another_history_is_heard(watched: OpenWitness, seen: int, shown: int) -> None:
    watched.add(LOG.submission(0, seen))
    fork = SignedLog("b", forked_at=2)
    with serving(answer_of(watched)) as url:
        found = submit(policy_text("all", ("a", watched.vkey, url)), shown, fork)
    assert found.disputed
    assert not found.reached


def test_a_log_that_was_cut_is_heard_of(watched: OpenWitness) -> None:
    watched.add(LOG.submission(0, 9))
    with serving(answer_of(watched)) as url:
        found = submit(policy_text("all", ("a", watched.vkey, url)), 5)
    assert found.disputed
    assert "9 entries of this log, which has 5 here" in found.problems[0]


def test_a_witness_that_accepts_new_logs_is_told_the_key(tmp_path: Path, watched: OpenWitness) -> None:
    other = SignedLog(origin="log.example/2")
    welcoming = OpenWitness(tmp_path / "b", accept_new=True)
    with serving(answer_of(watched)) as one, serving(answer_of(welcoming)) as two:
        members = ("a", watched.vkey, one), ("b", welcoming.vkey, two)
        found = submit(policy_text("any", *members), 5, other)
    assert [answer.witness for answer in found.answers if answer.line] == ["b"]
    assert found.problems == (f"a: does not know this log, or its key: ask for {other.vkey} to be added",)


def test_an_address_that_is_none_is_a_problem_and_not_a_traceback(watched: OpenWitness) -> None:
    for url in ("nonsense", "ftp://127.0.0.1/", "http://[", "http://127.0.0.1:99999"):
        assert not submit(policy_text("all", ("a", watched.vkey, url)), 5).reached


def test_a_witness_without_an_address_is_not_asked(watched: OpenWitness) -> None:
    found = submit(policy_text("all", ("a", watched.vkey, "")), 5)
    assert not found.reached
    assert found.answers == ()

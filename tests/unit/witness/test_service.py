from __future__ import annotations

import base64
import hashlib
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cryoflux.errors import StateError, StorageError, VerificationError
from cryoflux.receipts.checkpoint import (
    Checkpoint,
    Note,
    NoteSignature,
    cosigned_at,
    parse_note,
    parse_verifier_key,
    sign_checkpoint,
    with_signatures,
)
from cryoflux.witness import service
from cryoflux.witness.evidence import check_equivocation, parse_equivocation
from cryoflux.witness.submission import Submission
from signed_log import OpenWitness, SignedLog

LOG = SignedLog()
FORK = SignedLog("b", forked_at=3)


@pytest.fixture
def watched(tmp_path: Path) -> OpenWitness:
    return OpenWitness(tmp_path / "witness")


def time_of(watched: OpenWitness, note: bytes, body: bytes) -> int | None:
    return cosigned_at(parse_note(note + body), watched.vkey)


def test_heads_that_continue_one_another_are_cosigned(watched: OpenWitness) -> None:
    for old, new in [(0, 1), (1, 5), (5, 5), (5, 300), (300, 301)]:
        watched.clock.now_s += 10
        reply = watched.add(LOG.submission(old, new))
        assert reply.status == 200, reply.body
        assert time_of(watched, LOG.note(new), reply.body) == int(watched.clock.now_s)


def test_a_submission_of_another_implementation_is_cosigned(tmp_path: Path) -> None:
    # Notes and proof from the tests of transparency-dev/witness.
    vkey = parse_verifier_key("monkeys+db4d9f7e+AULaJMvTtDLHPUcUrjdDad9vDlh/PTfC2VV60JUtCfWT")
    watched = OpenWitness(tmp_path, logs=[vkey])
    first = (
        "monkeys\n5\n41smjBUiAU70EtKlT6lIOIYtRTYxYXsDB+XHfcvu/BE=\n\n"
        "— monkeys 202fftzGl3LVoqjXfwCFZZXs8I+5G22+"
        "Ek2K0AOyBuSJ/8/CZawNF+6fNlTKOCd622pbzJNkkJFWuw9DbicZCkEx9AY=\n"
    ).encode()
    second = (
        "monkeys\n8\nV8K9aklZ4EPB+RMOk1/8VsJUdFZR77GDtZUQq84vSbo=\n\n"
        "— monkeys 202ffoUEboiQYpHzICeaFmoy3RNviHTp"
        "AxYrq/eO4QQVQMvu9UebKBMX2MJC76NLthZaKsnKbCA8GxrjePZhvDCH7Ag=\n"
    ).encode()
    proof = [
        "b9e1d62618f7fee8034e4c5010f727ab24d8e4705cb296c374bf2025a87a10d2",
        "aac66cd7a79ce4012d80762fe8eec3a77f22d1ca4145c3f4cee022e7efcd599d",
        "89d0f753f66a290c483b39cd5e9eafb12021293395fad3d4a2ad053cfbcfdc9e",
        "29e40bb79c966f4c6fe96aff6f30acfce5f3e8d84c02215175d6e018a5dee833",
    ]
    lines = "".join(base64.b64encode(bytes.fromhex(line)).decode() + "\n" for line in proof)
    assert watched.add(b"old 0\n\n" + first).status == 200
    assert watched.add(b"old 5\n\n" + second).status == 422
    assert watched.add(f"old 5\n{lines}\n".encode() + second).status == 200


def test_a_conflict_names_the_size_that_is_known(watched: OpenWitness) -> None:
    watched.add(LOG.submission(0, 5))
    for old, new in [(0, 7), (4, 7), (6, 7), (0, 5), (0, 3), (3, 4)]:
        reply = watched.add(LOG.submission(old, new))
        assert (reply.status, reply.body, reply.kind) == (409, b"5\n", "text/x.tlog.size")


def test_a_log_that_is_not_known_is_not_found(watched: OpenWitness) -> None:
    assert watched.add(SignedLog(origin="log.example/2").submission(0, 5)).status == 404


def test_a_key_that_is_not_the_logs_is_forbidden(watched: OpenWitness) -> None:
    assert watched.add(SignedLog(key=Ed25519PrivateKey.generate()).submission(0, 5)).status == 403


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"old 0\n\n",
        LOG.note(3),
        b"old 0\n" + LOG.note(3),
        b"old 00\n\n" + LOG.note(3),
        b"old -1\n\n" + LOG.note(3),
        b"old 9\n\n" + LOG.note(3),
        b"old 0\nAAAA\n\n" + LOG.note(3),
        b"old 0\n" + b"%s\n" % base64.b64encode(bytes(32)) * 64 + b"\n" + LOG.note(3),
        b"old 0\n\n" + LOG.note(3) + b"\n",
        b"old 0\r\n\r\n" + LOG.note(3),
        b"old 0\n\n" + b"\xff" * 1000,
        b"old 0\n\n" + LOG.note(3) + b"x" * 100_000,
    ],
)
def test_a_malformed_submission_is_a_bad_request(watched: OpenWitness, body: bytes) -> None:
    assert watched.add(body).status == 400


def test_a_proof_that_fails_is_not_cosigned(watched: OpenWitness) -> None:
    watched.add(LOG.submission(0, 5))
    assert watched.add(LOG.submission(5, 9, [])).status == 422
    assert watched.add(LOG.submission(5, 9, LOG.proof(6, 9))).status == 422
    assert watched.add(LOG.submission(5, 9)).status == 200


def test_a_first_head_takes_no_proof(watched: OpenWitness) -> None:
    assert watched.add(LOG.submission(0, 5, LOG.proof(3, 5))).status == 422


def test_a_head_of_nothing_has_the_root_of_nothing(watched: OpenWitness) -> None:
    forged = sign_checkpoint(Checkpoint(LOG.origin, 0, bytes(32)), LOG.key)
    assert watched.add(Submission(0, (), parse_note(forged)).body).status == 422
    assert watched.add(LOG.submission(0, 0)).status == 200


def test_a_fork_is_refused_and_convicts_its_log(watched: OpenWitness) -> None:
    watched.add(LOG.submission(0, 5))
    assert watched.add(FORK.submission(5, 5)).status == 422  # a conflict would say that it can be mended
    assert watched.add(FORK.submission(5, 9)).status == 422
    kept = sorted((watched.folder / "evidence").iterdir())
    assert len(kept) == 2
    for path in kept:
        assert "log.example/1 signed" in check_equivocation(parse_equivocation(path.read_bytes()))


def test_a_fork_of_the_same_size_is_kept_whatever_old_size_it_names(watched: OpenWitness) -> None:
    watched.add(LOG.submission(0, 5))
    assert watched.add(FORK.submission(0, 5)).status == 409
    assert len(list((watched.folder / "evidence").iterdir())) == 1


def hash_of(origin: str) -> str:
    return hashlib.sha256(origin.encode()).hexdigest()


def heads_in(body: bytes) -> list[Note]:
    parts = body.decode().split("\n\n")
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return [parse_note(f"{text}\n\n{lines.rstrip()}\n".encode()) for text, lines in pairs]


def test_a_monitor_is_given_the_head_that_was_cosigned_last_with_both_signatures(
    watched: OpenWitness,
) -> None:
    assert watched.witness.checkpoint(hash_of(LOG.origin)).status == 404
    for old, new in ((0, 5), (5, 9)):
        watched.clock.now_s += 10
        line = watched.add(LOG.submission(old, new)).body
    watched.add(FORK.submission(9, 12))
    watched.reopen()
    reply = watched.witness.checkpoint(hash_of(LOG.origin))
    assert (reply.status, reply.body, reply.kind) == (200, LOG.note(9) + line, service.TEXT)
    for other in (hash_of(LOG.origin).upper(), hash_of(f"{LOG.origin}\n"), LOG.origin, ""):
        assert watched.witness.checkpoint(other).status == 404


def test_all_heads_are_given_at_once_and_then_only_what_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = [SignedLog(origin=f"log.example/{number}") for number in range(5)]
    watched = OpenWitness(tmp_path, logs=[log.vkey for log in logs])
    assert watched.witness.heads("").body == b""
    for size, log in enumerate(logs, start=1):
        watched.add(log.submission(0, size))
    watched.add(logs[1].submission(2, 9))
    monkeypatch.setattr(service, "_MOST_HEADS", 2)
    found, place, asked = [], "", 0
    while found[-1:] != [[]]:
        reply = watched.witness.heads(place)
        found.append(heads_in(reply.body) if reply.body else [])
        link = dict(reply.headers)[b"link"].decode()
        place, asked = link.partition("after=")[2].partition(">")[0], asked + 1
        assert link == f'<heads?after={place}>; rel="next"'
    heads = [note for page in found for note in page]
    assert asked == 4
    assert [note.checkpoint.size for note in heads] == [1, 3, 4, 5, 9]
    assert all(cosigned_at(note, watched.vkey) == int(watched.clock.now_s) for note in heads)
    watched.add(logs[0].submission(1, 2))
    (newest,) = heads_in(watched.witness.heads(place).body)
    assert newest.checkpoint.size == 2
    for bad in ("x", "-1", "1" * 19, "٣"):
        assert watched.witness.heads(bad).status == 400


def test_an_answer_with_all_heads_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logs = [SignedLog(origin=f"log.example/{number}") for number in range(3)]
    watched = OpenWitness(tmp_path, logs=[log.vkey for log in logs])
    for log in logs:
        watched.add(log.submission(0, 3))
    monkeypatch.setattr(service, "_MOST_HEADS_BYTES", 1)
    reply = watched.witness.heads("")
    assert len(heads_in(reply.body)) == 1
    assert dict(reply.headers)[b"link"] == b'<heads?after=1>; rel="next"'


def test_extension_lines_are_cosigned_with_the_rest(watched: OpenWitness) -> None:
    point = Checkpoint(LOG.origin, 5, LOG.head(5).checkpoint.root, ("Timestamp: 1679315147", "— a line"))
    note = sign_checkpoint(point, LOG.key)
    reply = watched.add(Submission(0, (), parse_note(note)).body)
    assert (reply.status, time_of(watched, note, reply.body)) == (200, int(watched.clock.now_s))
    with pytest.raises(VerificationError):
        time_of(watched, LOG.note(5), reply.body)
    assert watched.witness.checkpoint(hash_of(LOG.origin)).body == note + reply.body
    # The log may say something else in them without telling another story.
    assert watched.add(LOG.submission(5, 5)).status == 200


def test_what_else_hangs_on_a_note_is_not_kept(watched: OpenWitness) -> None:
    junk = NoteSignature("other.example", b"abcd", bytes(20_000))
    note = parse_note(with_signatures(LOG.note(5), [junk]))
    assert watched.add(Submission(0, (), note).body).status == 200
    with watched.heads.turn() as turn:
        known = watched.heads.head(turn, LOG.origin)
    assert known is not None
    assert known[0].content == LOG.note(5)


def test_a_stranger_cannot_make_evidence(watched: OpenWitness) -> None:
    watched.add(LOG.submission(0, 5))
    watched.add(LOG.submission(5, 9, [bytes(32)] * 4))
    watched.add(SignedLog("b", key=Ed25519PrivateKey.generate()).submission(5, 5))
    assert not (watched.folder / "evidence").exists()


def test_nothing_is_cosigned_that_could_not_be_remembered(
    watched: OpenWitness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(watched.heads, "put", full)
    with pytest.raises(StorageError):
        watched.add(LOG.submission(0, 5))
    monkeypatch.undo()
    assert watched.add(LOG.submission(0, 4)).status == 200


def test_the_memory_itself_refuses_to_go_back(watched: OpenWitness) -> None:
    watched.add(LOG.submission(0, 5))
    with pytest.raises(Exception, match="never goes back"), watched.heads.turn() as turn:
        watched.heads.put(turn, LOG.head(4), LOG.vkey, 0)
    with pytest.raises(Exception, match="never goes back"), watched.heads.turn() as turn:
        watched.heads.put(turn, FORK.head(5), LOG.vkey, 0)
    with pytest.raises(Exception, match="never forgotten"), watched.heads.turn() as turn:
        turn.execute("DELETE FROM heads")


def test_the_turn_decides_when_two_stories_come_at_once(watched: OpenWitness) -> None:
    bodies = [story.submission(0, size) for size in range(4, 24) for story in (LOG, FORK)]
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda body: watched.add(body).status, bodies))
    assert statuses.count(200) == 1


def test_a_key_without_its_memory_is_never_used_again(watched: OpenWitness) -> None:
    watched.add(LOG.submission(0, 5))
    watched.heads.close()
    for path in watched.folder.glob("witness.db*"):
        path.unlink()
    with pytest.raises(StateError, match="not its memory"):
        service.open_witness(watched.folder, logs=watched.logs)


def test_a_memory_without_its_key_gets_no_new_one(watched: OpenWitness) -> None:
    watched.add(LOG.submission(0, 5))
    (watched.folder / "keys" / "witness.pem").unlink()
    with pytest.raises(StateError, match="missing"):
        watched.reopen()


def test_new_logs_are_accepted_only_where_that_is_asked_for(tmp_path: Path) -> None:
    other = SignedLog(origin="log.example/2")
    closed, open_ = OpenWitness(tmp_path / "a"), OpenWitness(tmp_path / "b", accept_new=True)
    introduction = f"{other.vkey}\n".encode()
    assert closed.witness.add_log(introduction).status == 403
    assert closed.add(other.submission(0, 5)).status == 404
    assert open_.witness.add_log(introduction).status == 200
    assert open_.witness.add_log(introduction).status == 200
    assert open_.add(other.submission(0, 5)).status == 200


def test_the_first_key_of_a_new_log_stays_its_key(tmp_path: Path) -> None:
    watched = OpenWitness(tmp_path, accept_new=True)
    mine = SignedLog(origin="log.example/2")
    thief = SignedLog(origin="log.example/2", key=Ed25519PrivateKey.generate())
    assert watched.witness.add_log(f"{mine.vkey}\n".encode()).status == 200
    assert watched.witness.add_log(f"{thief.vkey}\n".encode()).status == 403
    assert watched.witness.add_log(f"{SignedLog(key=thief.key).vkey}".encode()).status == 403
    watched.reopen()
    assert watched.add(thief.submission(0, 5)).status == 403
    assert watched.add(mine.submission(0, 5)).status == 200


@pytest.mark.parametrize("body", [b"", b"\xff", b"nonsense", b"a+00000000+AAAA"])
def test_what_is_no_key_is_not_watched(tmp_path: Path, body: bytes) -> None:
    assert OpenWitness(tmp_path, accept_new=True).witness.add_log(body).status == 400


def test_a_log_with_two_keys_is_known_by_either(tmp_path: Path) -> None:
    second = SignedLog(key=Ed25519PrivateKey.generate())
    watched = OpenWitness(tmp_path, logs=[LOG.vkey, second.vkey])
    assert watched.add(LOG.submission(0, 5)).status == 200
    assert watched.add(second.submission(5, 9)).status == 200

"""A log that lies about its past: each attack succeeds where its defence is missing, and fails where it is.

The defence of each is taken out by hand (`without`), which shows that it is this one that holds.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cryoflux.receipts.checkpoint import (
    KeyType,
    NoteSignature,
    VerifierKey,
    cosign,
    parse_note,
    verifier_key,
    with_signatures,
)
from cryoflux.receipts.tile_reader import TileReader
from cryoflux.verification import known_heads as memory
from cryoflux.verification import witnessing
from cryoflux.verification.growing_tree import GrowingTree
from cryoflux.verification.result import Report
from cryoflux.verification.witnessing import Demand
from cryoflux.witness import service
from cryoflux.witness.cosigned import keep_cosigned, log_key_of
from cryoflux.witness.evidence import check_equivocation, parse_equivocation
from cryoflux.witness.policy import Policy, parse_policy
from cryoflux.witness.submission import Submission
from signed_log import Clock, OpenWitness, SignedLog
from synthetic_state import SyntheticState, open_state
from verifying import verify_target

Without = Callable[..., None]


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Without:
    """Take a defence out."""
    return monkeypatch.setattr


@dataclass
class Liar:
    """A state whose owner has all its keys, and the witnesses that it has to get past."""

    made: SyntheticState
    folder: Path
    clock: Clock = field(default_factory=Clock)
    witnesses: list[OpenWitness] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in "abc":
            self.witnesses.append(OpenWitness(self.folder / name, logs=[self.vkey], clock=self.clock))

    @property
    def vkey(self) -> VerifierKey:
        return log_key_of(self.made.path)

    def policy(self, needed: int = 2) -> Policy:
        lines = [f"log {self.vkey}"]
        lines += [f"witness {name} {w.vkey}" for name, w in zip("abc", self.witnesses, strict=True)]
        return parse_policy("\n".join([*lines, f"group g {needed} a b c", "quorum g"]).encode())

    def show(self, state: Path, *places: int) -> list[int]:
        """Have the head of a state cosigned by some witnesses; what each answers."""
        log, statuses = state / "log", []
        note = parse_note((log / "checkpoint").read_bytes())
        for place in places:
            watched = self.witnesses[place]
            reply = watched.add(Submission(0, (), note).body)
            if reply.status == 409 and int(reply.body) <= note.checkpoint.size:
                proof = tuple(TileReader(log, note.checkpoint.size).consistency(int(reply.body)))
                reply = watched.add(Submission(int(reply.body), proof, note).body)
            if reply.status == 200:
                keep_cosigned(log, note.content + reply.body)
            statuses.append(reply.status)
        return statuses

    def fork(self, place: str) -> SyntheticState:
        """A copy of the state that goes on by itself, with the same keys."""
        return self.made.fork(self.folder / place)

    def verdict(
        self, state: Path, *, needed: int = 2, max_age_s: int | None = None, heads: str = ""
    ) -> Report:
        demand = Demand(self.policy(needed), int(self.clock.now_s), max_age_s)
        return verify_target(state, demand=demand, heads=self.folder / heads if heads else None)


@pytest.fixture
def liar(tmp_path: Path) -> Liar:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    return Liar(made, tmp_path)


def test_a_truncated_log_cannot_have_the_quorum_of_the_whole_one(liar: Liar) -> None:
    short = shutil.copytree(liar.made.path, liar.folder / "short", symlinks=True)
    liar.made.attempt(0.02)
    assert liar.show(liar.made.path, 0, 1, 2) == [200, 200, 200]
    assert liar.verdict(liar.made.finish()).ok
    assert verify_target(short).ok  # nothing in itself betrays it
    assert liar.show(short, 0, 1, 2) == [409, 409, 409]
    assert not liar.verdict(short).ok


def test_a_truncated_log_with_its_old_quorum_is_too_old(liar: Liar, without: Without) -> None:
    liar.show(liar.made.path, 0, 1, 2)
    short = shutil.copytree(liar.made.path, liar.folder / "short", symlinks=True)
    liar.clock.now_s += 3600
    liar.made.attempt(0.02)
    liar.show(liar.made.path, 0, 1, 2)
    assert liar.verdict(liar.made.finish(), max_age_s=60).ok
    assert not liar.verdict(short, max_age_s=60).ok
    without(witnessing, "_too_old", lambda *_: iter(()))
    assert liar.verdict(short, max_age_s=60).ok


def test_a_truncated_log_beside_its_cosigned_head_is_named(liar: Liar) -> None:
    short = shutil.copytree(liar.made.path, liar.folder / "short", symlinks=True)
    liar.made.attempt(0.02)
    liar.show(liar.made.path, 0, 1, 2)
    shutil.copy(liar.made.finish() / "log" / "witnessed", short / "log" / "witnessed")
    details = [c.detail for c in liar.verdict(short).checks if c.number == 12]
    assert any("entries 2 to 3 are missing" in detail for detail in details)


def test_two_verifiers_are_not_shown_two_histories(liar: Liar) -> None:
    other = liar.fork("other")
    liar.made.attempt(0.02)
    other.attempt(0.03)
    here, there = liar.made.finish(), other.finish()
    assert verify_target(here).ok
    assert verify_target(there).ok  # each is perfect in itself
    assert liar.show(here, 0, 1, 2) == [200, 200, 200]
    assert liar.show(there, 0, 1, 2) == [422, 422, 422]
    assert liar.verdict(here).ok
    assert not liar.verdict(there).ok


def test_a_history_cannot_borrow_the_quorum_of_another(liar: Liar, without: Without) -> None:
    other = liar.fork("other")
    liar.made.attempt(0.02)
    other.attempt(0.03)
    here, there = liar.made.finish(), other.finish()
    liar.show(here, 0, 1, 2)
    shutil.copy(here / "log" / "witnessed", there / "log" / "witnessed")
    borrowed = parse_note((there / "log" / "witnessed").read_bytes())

    def complaints() -> set[str]:
        return {check.subject for check in liar.verdict(there).checks if check.number == 12}

    assert "quorum" in complaints()
    known = {borrowed.checkpoint.size: borrowed.checkpoint.root}
    without(GrowingTree, "_note_root", lambda tree: tree.roots.update(known))
    assert "quorum" not in complaints()


def test_witnesses_that_check_no_proof_let_a_fork_pass(liar: Liar, without: Without) -> None:
    other = liar.fork("other")
    liar.made.attempt(0.02)
    liar.show(liar.made.finish(), 0, 1, 2)
    for gain in (0.03, 0.03):
        other.attempt(gain)
    there = other.finish()
    assert liar.show(there, 0, 1, 2) == [422, 422, 422]
    without(service, "verify_consistency", lambda *_: True)
    assert liar.show(there, 0, 1, 2) == [200, 200, 200]
    assert liar.verdict(there).ok


def test_one_who_verified_before_needs_no_witness_to_see_a_fork(liar: Liar, without: Without) -> None:
    other = liar.fork("other")
    liar.made.attempt(0.02)
    other.attempt(0.03)
    here, there = liar.made.finish(), other.finish()
    heads = liar.folder / "heads"
    assert verify_target(here, heads=heads).ok
    assert not verify_target(there, heads=heads).ok
    assert any(heads.glob("*.equivocation"))
    without(memory, "recall", lambda *_: None)
    assert verify_target(there, heads=heads).ok


def test_one_who_verified_before_needs_no_witness_to_see_a_rollback(liar: Liar, without: Without) -> None:
    short = shutil.copytree(liar.made.path, liar.folder / "short", symlinks=True)
    liar.made.attempt(0.02)
    heads = liar.folder / "heads"
    assert verify_target(liar.made.finish(), heads=heads).ok
    assert not verify_target(short, heads=heads).ok
    without(memory, "recall", lambda *_: None)
    assert verify_target(short, heads=heads).ok


def test_a_split_view_finds_no_second_quorum(liar: Liar) -> None:
    # n = 3, k = 2: two quorums share a witness, and that one has seen the first history.
    other = liar.fork("other")
    liar.made.attempt(0.02)
    other.attempt(0.03)
    here, there = liar.made.finish(), other.finish()
    assert liar.show(here, 0, 1) == [200, 200]
    assert liar.show(there, 2, 1, 0) == [200, 422, 422]
    assert liar.verdict(here).ok
    assert not liar.verdict(there).ok
    # With k = 1 there is no such witness, and both histories pass.
    assert liar.verdict(here, needed=1).ok
    assert liar.verdict(there, needed=1).ok


def test_the_attempt_convicts_the_log(liar: Liar) -> None:
    other = liar.fork("other")
    liar.made.attempt(0.02)
    other.attempt(0.03)
    liar.show(liar.made.finish(), 0, 1)
    liar.show(other.finish(), 0, 1)
    (file,) = (liar.folder / "a" / "evidence").iterdir()
    found = parse_equivocation(file.read_bytes())
    assert found.log == liar.vkey
    assert "signed two heads of 4 entries" in check_equivocation(found)


def test_a_witness_that_was_restarted_still_knows_what_it_saw(liar: Liar, tmp_path: Path) -> None:
    short = shutil.copytree(liar.made.path, liar.folder / "short", symlinks=True)
    other = liar.fork("other")
    liar.made.attempt(0.02)
    other.attempt(0.03)
    liar.show(liar.made.finish(), 0, 1, 2)
    for watched in liar.witnesses:
        watched.reopen()
    assert liar.show(short, 0, 1, 2) == [409, 409, 409]
    assert liar.show(other.finish(), 0, 1, 2) == [422, 422, 422]


def test_a_witness_without_its_memory_would_sign_anything_so_it_does_not_start(
    liar: Liar, without: Without
) -> None:
    other = liar.fork("other")
    liar.made.attempt(0.02)
    other.attempt(0.03)
    liar.show(liar.made.finish(), 0)
    watched = liar.witnesses[0]
    watched.heads.close()
    for path in watched.folder.glob("witness.db*"):
        path.unlink()
    with pytest.raises(service.StateError, match="not its memory"):
        watched.reopen()
    # What it would have done: a new memory with the old key signs the second history.
    key = watched.folder / "keys" / "witness.pem"
    kept = key.read_bytes()
    key.unlink()
    fresh = service.Heads(watched.folder)
    key.write_bytes(kept)
    key.chmod(0o600)
    fresh.close()
    watched.reopen()
    assert liar.show(other.finish(), 0) == [200]


def test_a_cosignature_cannot_be_given_another_date(liar: Liar, without: Without) -> None:
    liar.show(liar.made.path, 0, 1)
    state = liar.made.finish()
    liar.clock.now_s += 86_400
    assert not liar.verdict(state, max_age_s=3600).ok
    path = state / "log" / "checkpoint"
    note = parse_note(path.read_bytes())
    renewed = [
        NoteSignature(line.name, line.key_id, int(liar.clock.now_s).to_bytes(8, "big") + line.signature[8:])
        for line in note.signatures[1:]
    ]
    (state / "log" / "witnessed").unlink()
    path.write_bytes(with_signatures(note.content, renewed))
    assert not liar.verdict(state, max_age_s=3600).ok
    without(VerifierKey, "verifies", lambda *_: True)
    assert liar.verdict(state, max_age_s=3600).ok


def test_a_cosignature_from_the_future_is_not_fresh_for_ever(liar: Liar, without: Without) -> None:
    liar.clock.now_s += 10 * 86_400
    liar.show(liar.made.path, 0, 1)
    state = liar.made.finish()
    liar.clock.now_s -= 10 * 86_400
    assert not liar.verdict(state, max_age_s=3600).ok
    without(witnessing, "MAX_CLOCK_SKEW_S", 10**9)
    assert liar.verdict(state, max_age_s=3600).ok


def test_a_cosignature_of_another_log_is_not_one_of_this(liar: Liar, without: Without) -> None:
    elsewhere = SignedLog(origin="log.example/2")
    for watched in liar.witnesses[:2]:
        watched.logs.append(elsewhere.vkey)
        watched.reopen()
    replies = [w.add(elsewhere.submission(0, 2)) for w in liar.witnesses[:2]]
    lines = [parse_note(elsewhere.note(2) + reply.body).signatures[-1] for reply in replies]
    state = liar.made.finish()
    path = state / "log" / "checkpoint"
    path.write_bytes(with_signatures(path.read_bytes(), lines))
    assert not liar.verdict(state).ok
    without(VerifierKey, "verifies", lambda *_: True)
    assert liar.verdict(state).ok


def test_a_cosignature_of_an_older_head_is_not_one_of_this(liar: Liar) -> None:
    liar.show(liar.made.path, 0, 1, 2)
    old = parse_note((liar.made.path / "log" / "checkpoint").read_bytes()).signatures[1:]
    liar.made.attempt(0.02)
    state = liar.made.finish()
    path = state / "log" / "checkpoint"
    path.write_bytes(with_signatures(path.read_bytes(), old))
    assert not liar.verdict(state).ok


def test_witnesses_that_the_policy_does_not_name_do_not_count(liar: Liar) -> None:
    state = liar.made.finish()
    path = state / "log" / "checkpoint"
    point = parse_note(path.read_bytes()).checkpoint
    own = [Ed25519PrivateKey.generate() for _ in range(3)]
    now_s = int(liar.clock.now_s)
    # Under names of its own, and under the names of the witnesses.
    names = [watched.vkey.name for watched in liar.witnesses]
    lines = [cosign(point, name, key, now_s) for name, key in zip(names, own, strict=True)]
    lines += [cosign(point, f"witness.example/{n}", key, now_s) for n, key in enumerate(own)]
    path.write_bytes(with_signatures(path.read_bytes(), lines))
    assert verify_target(state).ok
    assert not liar.verdict(state).ok


def test_a_witness_cannot_count_twice(liar: Liar) -> None:
    state = liar.made.finish()
    watched = liar.witnesses[0]
    path = state / "log" / "checkpoint"
    for _ in range(3):
        liar.clock.now_s += 1
        note = parse_note(path.read_bytes())
        known = 0 if watched.heads.empty() else note.checkpoint.size
        path.write_bytes(note.content + watched.add(Submission(known, (), note).body).body)
    assert len(parse_note(path.read_bytes()).signatures) == 4
    assert not liar.verdict(state).ok
    assert liar.verdict(state, needed=1).ok


def test_a_policy_for_another_log_says_nothing_about_this(liar: Liar) -> None:
    liar.show(liar.made.path, 0, 1)
    state = liar.made.finish()
    other = verifier_key(liar.vkey.name, Ed25519PrivateKey.generate().public_key(), KeyType.LOG)
    lines = [f"log {other}", f"witness a {liar.witnesses[0].vkey}", "quorum a"]
    demand = Demand(parse_policy("\n".join(lines).encode()), int(liar.clock.now_s))
    assert not verify_target(state, demand=demand).ok

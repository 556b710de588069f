"""The commitment is the earliest time at which a quorum had seen a head that covers an entry."""

from __future__ import annotations

from random import Random

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoflux.receipts.checkpoint import (
    Checkpoint,
    KeyType,
    Note,
    NoteSignature,
    cosign,
    parse_note,
    sign_checkpoint,
    verifier_key,
    with_signatures,
)
from cryoflux.witness.commitment import commitment_of, committed_at
from cryoflux.witness.policy import parse_policy

LOG = Ed25519PrivateKey.from_private_bytes(b"\x01" * 32)
OTHER = Ed25519PrivateKey.from_private_bytes(b"\x02" * 32)
KEY = verifier_key("log.example/1", LOG.public_key())
WITNESSES = [Ed25519PrivateKey.from_private_bytes(bytes([10 + n]) * 32) for n in range(3)]
LINES = [
    f"witness w{n} {verifier_key(f'w.example/{n}', key.public_key(), KeyType.WITNESS)}"
    for n, key in enumerate(WITNESSES)
]
POLICY = parse_policy("\n".join([*LINES, "group g 2 w0 w1 w2", "quorum g"]).encode())
SAID = st.dictionaries(st.integers(0, 2), st.integers(1, 60), max_size=3)


def head(size: int, said: dict[int, int], key: Ed25519PrivateKey = LOG) -> Note:
    """A head of some size that witnesses cosigned at some times."""
    point = Checkpoint(KEY.name, size, bytes([size]) * 32)
    lines = [cosign(point, f"w.example/{n}", WITNESSES[n], at) for n, at in said.items()]
    return parse_note(with_signatures(sign_checkpoint(point, key), lines))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 6), SAID), max_size=6), st.integers(0, 6), st.randoms())
def test_it_is_the_earliest_quorum_in_any_order(
    heads: list[tuple[int, dict[int, int]]], index: int, shuffling: Random
) -> None:
    due = [sorted(said.values())[1] for size, said in heads if size > index and len(said) > 1]
    notes = [head(size, said) for size, said in heads]
    assert committed_at(index, notes, KEY, POLICY) == min(due, default=None)
    shuffling.shuffle(notes)
    assert committed_at(index, notes, KEY, POLICY) == min(due, default=None)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 6), SAID), min_size=1, max_size=5), st.data())
def test_a_head_that_is_left_out_never_makes_it_earlier(
    heads: list[tuple[int, dict[int, int]]], data: st.DataObject
) -> None:
    notes = [head(size, said) for size, said in heads]
    whole = committed_at(0, notes, KEY, POLICY)
    notes.pop(data.draw(st.integers(0, len(notes) - 1)))
    less = committed_at(0, notes, KEY, POLICY)
    assert less is None or (whole is not None and whole <= less)


def test_false_signatures_count_for_nothing_and_hide_nothing() -> None:
    good = head(3, {0: 50, 1: 40})
    stranger = head(3, {0: 5, 1: 4}, key=OTHER)
    forged = head(3, {0: 5})
    signature = cosign(forged.checkpoint, "w.example/1", WITNESSES[1], 4)
    lie = NoteSignature(signature.name, signature.key_id, bytes(7) + b"\x03" + signature.signature[8:])
    false = parse_note(with_signatures(forged.content, [lie]))
    found = commitment_of(2, [stranger, false, good], KEY, POLICY)
    assert found is not None
    assert (found.note, found.committed_s) == (good, 50)
    assert committed_at(2, [stranger, false], KEY, POLICY) is None


@pytest.mark.parametrize("said", [{}, {0: 30}, {0: 30, 1: 20}])
def test_a_policy_that_needs_nobody_takes_the_first_head_and_knows_no_time(said: dict[int, int]) -> None:
    nobody = parse_policy("\n".join([*LINES, "quorum none"]).encode())
    notes = [head(1, said), head(3, said), head(4, said)]
    found = commitment_of(2, notes, KEY, nobody)
    assert found is not None
    assert (found.note, found.committed_s) == (notes[1], None)


def test_fewer_witnesses_than_a_quorum_date_nothing_back() -> None:
    """A witness that is in league with a copier cosigns the copy at the beginning of time."""
    original, copy = head(3, {0: 50, 1: 51, 2: 49}), head(4, {0: 90, 2: 1})
    assert committed_at(2, [original], KEY, POLICY) == 50
    assert committed_at(3, [copy], KEY, POLICY) == 90

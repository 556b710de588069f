from __future__ import annotations

import lzma
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.claims.evidence import IndexRange, outside, pack, root_over, unpack
from cryoflux.energy.account.settlement import Figure
from cryoflux.errors import VerificationError
from cryoflux.receipts.merkle import leaf_hash, root_hash
from cryoflux.signing.envelope import METER_PAYLOAD, sign_document
from synthetic_parts import figure
from synthetic_state import SyntheticState, open_state

KEY = Ed25519PrivateKey.from_private_bytes(b"m" * 32)


@st.composite
def trees(draw: st.DrawFn) -> tuple[int, list[IndexRange]]:
    size = draw(st.integers(1, 70))
    edges = sorted(draw(st.sets(st.integers(0, size), min_size=2, max_size=6)))
    return size, list(zip(edges[::2], edges[1::2], strict=False))


def leaves_of(size: int) -> list[bytes]:
    return [leaf_hash(b"%d" % index) for index in range(size)]


@given(trees())
def test_any_spans_and_the_hashes_beside_them_lead_to_the_root(tree: tuple[int, list[IndexRange]]) -> None:
    size, spans = tree
    leaves = leaves_of(size)
    beside = [root_hash(leaves[slice(*part)]) for part in outside(spans, 0, size)]
    carried = {index: leaves[index] for first, end in spans for index in range(first, end)}
    assert root_over(carried, spans, size, beside) == root_hash(leaves)
    for index in carried:
        assert root_over({**carried, index: bytes(32)}, spans, size, beside) != root_hash(leaves)
    for number in range(len(beside)):
        swapped = [*beside[:number], bytes(32), *beside[number + 1 :]]
        assert root_over(carried, spans, size, swapped) != root_hash(leaves)
    with pytest.raises(VerificationError, match="more hashes"):
        root_over(carried, spans, size, [*beside, bytes(32)])
    if beside:
        with pytest.raises(VerificationError, match="fewer hashes"):
            root_over(carried, spans, size, beside[:-1])


def test_a_whole_log_needs_no_hashes() -> None:
    assert list(outside([(0, 9)], 0, 9)) == []


def test_envelopes_come_back_byte_for_byte_and_much_smaller(pristine: SyntheticState) -> None:
    envelopes = [entry.envelope for entry in pristine.entries]
    packed = pack(envelopes)
    assert unpack(packed, len(envelopes)) == envelopes
    assert len(packed) * 3 < sum(map(len, envelopes))


@pytest.mark.parametrize(
    "settlement",
    [
        sign_document(Figure(microjoules=1, lo_microjoules=0, hi_microjoules=2), KEY, METER_PAYLOAD).decode(),
        '{"payload":""}',
        '{"payload":"AAAA"}{"payload":"AAAA"}',
        '{"payload":"A"}',
        '{"payload":"AB=="}',
        '{"payload":"AAAA',
        '"payload":"=="',
        "\\" * 9,
    ],
)
def test_whatever_stands_where_the_meter_signs_comes_back(tmp_path: Path, settlement: str) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05, energy=figure(settlement=settlement))
    envelopes = [entry.envelope for entry in made.entries]
    made.finish()
    assert unpack(pack(envelopes), 2) == envelopes


def test_another_count_than_is_there_is_refused(pristine: SyntheticState) -> None:
    packed = pack([entry.envelope for entry in pristine.entries])
    for count, words in ((7, "more than the 7"), (9, "cut short")):
        with pytest.raises(VerificationError, match=words):
            unpack(packed, count)


@given(st.binary(max_size=300))
def test_whatever_is_not_packed_is_refused(content: bytes) -> None:
    for text in (content, lzma.compress(content)):
        with pytest.raises(VerificationError):
            unpack(text, 1)


def test_a_small_file_cannot_fill_the_memory() -> None:
    bomb = lzma.compress(bytes(64 * 1024 * 1024))
    assert len(bomb) < 20_000
    with pytest.raises(VerificationError, match="do not end"):
        unpack(bomb, 1)


def test_two_streams_are_not_one(pristine: SyntheticState) -> None:
    packed = pack([entry.envelope for entry in pristine.entries])
    with pytest.raises(VerificationError, match="do not end"):
        unpack(packed + packed, 8)

"""Lists of updates: one spelling, a digest, and what follows a full one."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.errors import ModelError
from cryoflux.registry.composition import (
    MOST_TERMS,
    Composition,
    Term,
    list_digest,
    parse_list,
)

DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)
WEIGHTS = st.sampled_from(["1", "0.5", "0.25", "-1", "0.375", "1.25", "12"])
TERMS = st.lists(st.builds(Term, weight=WEIGHTS, adapter=DIGESTS, parent=DIGESTS), max_size=MOST_TERMS).map(
    tuple
)
HEX = "a" * 64


@given(TERMS)
def test_a_list_reads_back_and_is_named_by_its_bytes(terms: tuple[Term, ...]) -> None:
    content = "".join(term.line for term in terms).encode()
    assert parse_list(content) == terms
    assert list_digest(terms) == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    "content",
    [
        f"1 {HEX} {HEX}".encode(),
        f"1  {HEX} {HEX}\n".encode(),
        f"1.0 {HEX} {HEX}\n".encode(),
        f"01 {HEX} {HEX}\n".encode(),
        f"+1 {HEX} {HEX}\n".encode(),
        f"-0 {HEX} {HEX}\n".encode(),
        f"1e0 {HEX} {HEX}\n".encode(),
        f"nan {HEX} {HEX}\n".encode(),
        f"1 {HEX.upper()} {HEX}\n".encode(),
        f"1 {HEX} {HEX}\r\n".encode(),
        f"1 {HEX} {HEX}\n\n".encode(),
        f"1 {HEX} {HEX[:-1]}é\n".encode(),
        f"\N{ARABIC-INDIC DIGIT ONE} {HEX} {HEX}\n".encode(),
        f"1 {HEX} {HEX}\n".encode() * (MOST_TERMS + 1),
        b"\n" * 30_000_000,
    ],
)
def test_another_spelling_is_refused(content: bytes) -> None:
    with pytest.raises(ModelError):
        parse_list(content)


def test_a_full_list_is_the_first_term_of_the_next() -> None:
    composed = Composition(genesis="0" * 64)
    for number in range(MOST_TERMS):
        parent = composed.digest
        composed = composed.adopting(f"{number:064x}")
        assert composed.terms[-1].parent == parent
    assert len(composed.terms) == MOST_TERMS
    after = composed.adopting(HEX)
    assert after.genesis == composed.genesis, "peers over it still fit"
    assert [term.line for term in after.terms] == [
        f"1 {composed.digest} {composed.digest}\n",
        f"1 {HEX} {composed.digest}\n",
    ]
    assert [term.is_list for term in after.terms] == [True, False]
    assert parse_list(b"".join(term.line.encode() for term in after.terms)) == after.terms


def test_an_owner_may_begin_a_full_list_anew_as_it_was_done_before_lists_were_folded() -> None:
    composed = Composition(genesis="0" * 64)
    for number in range(MOST_TERMS):
        composed = composed.adopting(f"{number:064x}")
    for due in (composed.adopting(HEX), Composition.rebased("f" * 64, HEX)):
        assert composed.named((due.genesis, due.digest), "f" * 64, HEX) == due
    assert composed.named(("f" * 64, composed.adopting(HEX).digest), "f" * 64, HEX) is None

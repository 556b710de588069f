from __future__ import annotations

import json
import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cryoflux.errors import CryoFluxError, VerificationError
from cryoflux.receipts.decoding import parse_statement
from cryoflux.receipts.entry import parse_entry
from cryoflux.receipts.statement import IntentStatement
from cryoflux.signing.canonical import MAX_ENTRY_BYTES, canonical_bytes
from cryoflux.signing.envelope import parse_envelope
from synthetic_state import SyntheticState


def payloads(pristine: SyntheticState) -> list[bytes]:
    return [entry.signed.payload for entry in pristine.entries]


def test_every_statement_comes_back_from_its_bytes(pristine: SyntheticState) -> None:
    for entry in pristine.entries:
        assert parse_statement(entry.signed.payload) == entry.statement
        assert canonical_bytes(entry.statement) == entry.signed.payload


def test_canonical_bytes_are_sorted_json_without_space(pristine: SyntheticState) -> None:
    # Without floats and with plain keys, the standard library writes the same bytes as RFC 8785.
    for payload in payloads(pristine):
        document = json.loads(payload)
        again = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert again.encode() == payload


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"seed":7', b'"seed":7.0'),
        (b'"seed":7', b'"seed":7e0'),
        (b'"seed":7', b'"seed":"7"'),
        (b'"seed":7', b'"seed":true'),
        (b'"seed":7', b'"seed":NaN'),
        (b'"seed":7', b'"seed":-1'),
        (b'"seed":7', b'"seed":9007199254740992'),
        (b'"seed":7', b'"seed":' + b"9" * 5000),
        (b'"seed":7', b'"seed": 7'),
        (b'"seed":7', b'"seed":7,"seed":7'),
        (b'"seed":7', b'"seed":8,"seed":7'),
        (b'"seed":7', b'"seed":7,"sfed":1'),
        (b'"useIndex":1', b'"use_index":1'),
        (b'"rank":8', b'"rank":8.5'),
        (b'"policy":"prior-eta/v1"', b'"policy":"prior-eta\\/v1"'),
        (b'"policy":"prior-eta/v1"', b'"policy":"\\ud800"'),
        (b'"announcedAt":"2026', b'"announcedAt":"\\u0662026'),
        (b"intent/v1", b"intent/v2"),
        (b'"_type":"https://in-toto.io/Statement/v1",', b""),
        (b'{"_type"', b'\xef\xbb\xbf{"_type"'),
        (b'{"_type"', b' {"_type"'),
    ],
)
def test_a_second_spelling_is_refused(pristine: SyntheticState, old: bytes, new: bytes) -> None:
    payload = payloads(pristine)[0]
    assert payload.count(old) == 1
    with pytest.raises(VerificationError):
        parse_statement(payload.replace(old, new))


def test_an_oversized_entry_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(VerificationError, match="at most 60000"):
        parse_statement(b"[" * (MAX_ENTRY_BYTES + 1))


@given(
    st.one_of(
        st.binary(max_size=300), st.text(max_size=300).map(lambda t: t.encode("utf-8", "surrogatepass"))
    )
)
@example(b"[" * 50_000)
@example(b'{"a":' * 10_000)
@example(b'{"predicateType":[]}')
@example(b'{"predicateType":"https://cryoflux.dev/receipt/v1"}')
@example(b"null")
@example(b'"\\udead"')
@example(b"")
def test_garbage_is_a_verification_error(content: bytes) -> None:
    for parse in (parse_statement, parse_envelope):
        with pytest.raises(CryoFluxError):
            parse(content)


def test_mutated_entries_are_parsed_or_refused_but_never_crash(pristine: SyntheticState) -> None:
    dice = random.Random(1)
    for original in [e.envelope for e in pristine.entries] + payloads(pristine):
        for _ in range(150):
            content = bytearray(original)
            for _ in range(dice.randint(1, 3)):
                place = dice.randrange(len(content))
                content[place : place + dice.randint(0, 2)] = dice.randbytes(dice.randint(0, 2))
            for parse in (parse_statement, lambda b: parse_entry(0, b)):
                try:
                    parse(bytes(content))
                except CryoFluxError:
                    continue


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(st.dictionaries(TEXTS, TEXTS | st.integers(-(2**53) + 1, 2**53 - 1), max_size=8), TEXTS)
@example({"\U0001f600": 1, "\ufb33": 2, "é": 3}, "")
@example({'a\x7f\x00\x1f"\\/\u2028': "\b\f\n\r\t\x0b"}, "\U0001f600")
def test_what_is_written_as_rfc_8785_says_is_read_whatever_it_holds(
    pristine: SyntheticState, recipe: dict[str, str | int], reason: str
) -> None:
    """Reading compares with the bytes of another writer than the one that wrote them."""
    statement = pristine.entries[0].statement
    assert isinstance(statement, IntentStatement)
    schedule = statement.predicate.schedule.model_copy(update={"reason": reason})
    said = statement.predicate.model_copy(update={"recipe": recipe, "schedule": schedule})
    changed = statement.model_copy(update={"predicate": said})
    payload = canonical_bytes(changed)
    assert parse_statement(payload) == changed
    escaped = json.dumps(json.loads(payload), sort_keys=True, separators=(",", ":")).encode()
    if escaped != payload:
        with pytest.raises(VerificationError, match="canonical"):
            parse_statement(escaped)

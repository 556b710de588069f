from __future__ import annotations

import json
import random

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from cryoflux.errors import CryoFluxError, ExitCode, UsageError, VerificationError
from cryoflux.receipts.decoding import parse_statement
from cryoflux.receipts.entry import parse_entry
from cryoflux.receipts.statement import Base, ReceiptStatement
from cryoflux.signing.canonical import MAX_ENTRY_BYTES, canonical_bytes
from cryoflux.signing.envelope import parse_envelope, sign_document
from plain_log import KEY, PlainLog


def payloads(log: PlainLog) -> list[bytes]:
    return [entry.signed.payload for entry in log.entries]


def test_every_statement_comes_back_from_its_bytes(log: PlainLog) -> None:
    for entry in log.entries:
        said, version = parse_statement(entry.signed.payload)
        assert (said, version) == (entry.statement, entry.version)
        assert canonical_bytes(entry.statement) == entry.signed.payload
    assert {entry.version for entry in log.entries} == {1, 2}


def test_canonical_bytes_are_those_of_an_independent_writer(log: PlainLog) -> None:
    for payload in payloads(log):
        document = json.loads(payload)
        assert rfc8785.dumps(document) == payload
        # Without floats and with plain keys, the standard library writes the same bytes too.
        again = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert again.encode() == payload


def second_spellings(old: bytes, *new: bytes) -> list[tuple[bytes, bytes]]:
    return [(old, one) for one in new]


SPELLINGS = [
    *second_spellings(
        b'"seed":7',
        *(b'"seed":7.0', b'"seed":7e0', b'"seed":70e-1', b'"seed":7E0', b'"seed":-7', b'"seed":07'),
        *(b'"seed":"7"', b'"seed":true', b'"seed":null', b'"seed":NaN', b'"seed":[7]', b'"seed":{}'),
        *(b'"seed":9007199254740992', b'"seed":' + b"9" * 5000, b'"seed":7.5'),
        *(b'"seed": 7', b'"seed":7,"seed":7', b'"seed":8,"seed":7', b'"seed":7,"sfed":1', b'"\\u0073eed":7'),
        # a field that says what it says by default
        *(b'"seed":7,"slots":1', b'"seed":7,"slots":0'),
    ),
    *second_spellings(b'"alphaPpm":50000', b'"alphaPpm":1000001', b'"alphaPpm":-1', b'"alphaPpm":0'),
    *second_spellings(b'"useIndex":1', b'"use_index":1', b'"useIndex":0'),
    *second_spellings(b'"rank":8', b'"rank":8.5', b'"rank":null', b'"rank":[8]', b'"rank":8,"rank":8'),
    *second_spellings(
        b'"policy":"uniform/v1"', b'"policy":"uniform\\/v1"', b'"policy":"\\ud800"', b'"policy":"\xff"'
    ),
    *second_spellings(
        b'"announcedAt":"2026-11-23T01:00:00Z"',
        b'"announcedAt":"2026-11-23T01:00:00Z\\n"',
        b'"announcedAt":"\\u0662026-11-23T01:00:00Z"',
        b'"announcedAt":"\xd9\xa2026-11-23T01:00:00Z"',
        b'"announcedAt":"2026-11-23 01:00:00Z"',
        b'"announcedAt":"2026-11-23T01:00:00+00:00"',
    ),
    *second_spellings(
        b'"name":"lora_delta"}', b'"name":"../lora"}', b'"name":"lora_delta\\n"}', b'"name":""}'
    ),
    *second_spellings(b'"code":"drawn"', b'"code":"Drawn"', b'"code":"drawn\\n"', b'"code":""'),
    *second_spellings(b'"numbers":{"arm"', b'"numbers":{"Arm"', b'"numbers":{"arm\\n"'),
    *second_spellings(b"intent/v2", b"intent/v1", b"receipt/v2", b"head/v1"),
    *second_spellings(b'"_type":"https://in-toto.io/Statement/v1",', b""),
    *second_spellings(b'{"_type"', b'\xef\xbb\xbf{"_type"', b' {"_type"', b'[{"_type"'),
]


@pytest.mark.parametrize(("old", "new"), SPELLINGS)
def test_a_second_spelling_of_an_intent_is_refused(log: PlainLog, old: bytes, new: bytes) -> None:
    payload = payloads(log)[0]
    assert payload.count(old) >= 1, old
    with pytest.raises(VerificationError, match=r"^The statement is (malformed|not in canonical form)"):
        parse_statement(payload.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"base":{', b'"cause":"","base":{'),  # moved to its place below
        (b'"losses', b'"lossesRoot":"","losses'),
        (b'"hits":{"base":30,"gained":4,"lost":1,"new":33}', b'"hits":null'),
        (b'"deltaSquaredSum":"', b'"deltaSquaredSum":"0'),
        (b'"deltaSquaredSum":"', b'"deltaSquaredSum":"-'),
        (b'"kind":"lora/v1"', b'"kind":7'),
        (b'"plannedSteps":20', b'"plannedSteps":2e1'),
        (b'"plannedSteps":20', b'"planned_steps":20'),
        (b'"outcome":"accepted"', b'"outcome":"Accepted"'),
        (b'"tier":"modelled"', b'"tier":"guessed"'),
        (b'"accepted":true', b'"accepted":1'),
    ],
)
def test_a_second_spelling_of_a_receipt_is_refused(log: PlainLog, old: bytes, new: bytes) -> None:
    payload = payloads(log)[1]
    if old == b'"losses':
        payload, old, new = payload.replace(b'"metric"', b'"lossesRoot":"","metric"', 1), b"", b""
    if b'"cause":""' in new:
        payload, old, new = payload.replace(b'"decision"', b'"cause":"","decision"', 1), b"", b""
    assert old in payload
    with pytest.raises(VerificationError, match=r"^The statement is (malformed|not in canonical form)"):
        parse_statement(payload.replace(old, new, 1))


def test_a_number_beyond_2_to_the_53_has_one_spelling(log: PlainLog) -> None:
    """Python's ``$`` is also the place before a last line feed, and ``int`` reads what stands before it."""
    payload = payloads(log)[1]
    squared = json.loads(payload)["predicate"]["evaluation"]["deltaSquaredSum"].encode()
    for text in (squared + b"\\n", b"0" + squared, b"+" + squared, b" " + squared, b"", b"1_0"):
        with pytest.raises(VerificationError):
            parse_statement(payload.replace(b'"deltaSquaredSum":"' + squared, b'"deltaSquaredSum":"' + text))


def test_every_field_of_every_entry_counts(log: PlainLog) -> None:
    """Whatever is taken away, of another type or spelt by its default is refused, wherever it stands."""
    for entry in log.entries:
        said = json.loads(entry.signed.payload)
        for path in places(said):
            for change in (remove, unknown, floated, nulled):
                document = json.loads(entry.signed.payload)
                if change(document, path):
                    payload = rfc8785.dumps(document)
                    if payload == entry.signed.payload:
                        continue
                    try:
                        parse_statement(payload)
                    except VerificationError:
                        continue
                    assert change in (remove, nulled), (path, change)  # what is optional may be absent
                    assert path[-1] in OPTIONAL or path[-2] in FREE, path


OPTIONAL = {"arms", "bucketMicrojoules", "seed", "freshCount", "steps", "hits", "numbers", "cause"}
OPTIONAL |= {"alphaPpm", "screen", "training", "evaluation", "decision"}
FREE = {"recipe", "numbers", "fields", "software"}
"""objects whose names are not fixed"""


def places(document: object, before: tuple[str, ...] = ("",)) -> list[tuple[str, ...]]:
    if not isinstance(document, dict):
        return []
    found = [(*before, name) for name in document]
    return found + [deep for name, part in document.items() for deep in places(part, (*before, name))]


def owner(document: dict, path: tuple[str, ...]) -> dict:
    for name in path[1:-1]:
        document = document[name]
    return document


def remove(document: dict, path: tuple[str, ...]) -> bool:
    owner(document, path).pop(path[-1])
    return True


def nulled(document: dict, path: tuple[str, ...]) -> bool:
    owner(document, path)[path[-1]] = None
    return True


def unknown(document: dict, path: tuple[str, ...]) -> bool:
    owner(document, path)["zz"] = 1
    return path[-2] not in FREE


def floated(document: dict, path: tuple[str, ...]) -> bool:
    part = owner(document, path)
    if type(part[path[-1]]) is not int:
        return False
    part[path[-1]] += 0.5
    return True


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
@example(b'{"predicateType":"https://cryoflux.dev/receipt/v2"}')
@example(b'{"predicateType":"https://cryoflux.dev/receipt/v1"}')
@example(b'{"predicateType":"https://cryoflux.dev/receipt/v2","predicate":' + b"[" * 50_000)
@example(b'{"predicateType":"https://cryoflux.dev/intent/v2","predicate":{"recipe":' + b'{"a":' * 9_000)
@example(b"null")
@example(b'"\\udead"')
@example(b"")
def test_garbage_is_a_verification_error(content: bytes) -> None:
    for parse in (parse_statement, parse_envelope):
        with pytest.raises(CryoFluxError):
            parse(content)


def test_mutated_entries_are_parsed_or_refused_but_never_crash(log: PlainLog) -> None:
    dice = random.Random(1)
    for original in [e.envelope for e in log.entries] + payloads(log):
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
@example({"\ue000": 1, "\U00010000": 2}, "\x7f")
@example({'a\x7f\x00\x1f"\\/\u2028': "\b\f\n\r\t\x0b"}, "\U0001f600")
def test_what_is_written_is_rfc_8785_whatever_it_holds(
    log: PlainLog, recipe: dict[str, str | int], policy: str
) -> None:
    said = log.entries[0].intent
    assert said is not None
    changed = log.entries[0].statement.but(
        predicate=said.but(recipe=recipe, schedule=said.schedule.but(policy=policy))
    )
    payload = canonical_bytes(changed)
    document = json.loads(payload)
    assert document["predicate"].get("recipe", {}) == recipe
    assert payload == rfc8785.dumps(document)
    assert parse_statement(payload) == (changed, 2)
    escaped = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    if escaped != payload:
        with pytest.raises(VerificationError, match="canonical"):
            parse_statement(escaped)


def test_keys_in_the_order_of_code_points_are_not_canonical(log: PlainLog) -> None:
    """RFC 8785 orders by UTF-16 units: what is beyond the basic plane comes before U+E000 and up."""
    said = log.entries[0].intent
    assert said is not None
    changed = log.entries[0].statement.but(predicate=said.but(recipe={"\U00010000": 1, "\ue000": 2}))
    payload = canonical_bytes(changed)
    assert payload.index("\U00010000".encode()) < payload.index("\ue000".encode())
    by_code_point = json.dumps(json.loads(payload), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    with pytest.raises(VerificationError, match="canonical"):
        parse_statement(by_code_point.encode())


@pytest.mark.parametrize(
    "changes",
    [
        {"sequence": -1},
        {"sequence": 2**53},
        {"sequence": 1.0},
        {"sequence": True},
        {"finished_at": "yesterday"},
        {"software": {"a": "x" * 2001}},
        {"software": {"a": "\ud800"}},
        {"software": {f"{i}": "" for i in range(65)}},
        {"cause": "bored"},
    ],
)
def test_what_a_reader_would_refuse_is_not_signed(log: PlainLog, changes: dict[str, object]) -> None:
    statement = log.entries[1].statement
    assert isinstance(statement, ReceiptStatement)
    with pytest.raises(UsageError) as error:
        sign_document(statement.but(predicate=statement.predicate.but(**changes)), KEY)
    assert error.value.exit_code is ExitCode.USAGE


def test_a_receipt_that_is_too_long_is_not_signed(log: PlainLog) -> None:
    statement = log.entries[1].statement
    assert isinstance(statement, ReceiptStatement)
    long = {f"{i}": "x" * 2000 for i in range(30)}
    with pytest.raises(UsageError, match="at most 60000"):
        sign_document(statement.but(predicate=statement.predicate.but(software=long)), KEY)


def test_a_field_of_another_form_is_told_without_its_expression() -> None:
    with pytest.raises(UsageError) as error:
        canonical_bytes(Base(digest="North", files="0" * 64))
    assert error.value.what == (
        "A receipt cannot hold this exactly: Expected `str` of another form - at `$.digest`."
    )
    assert error.value.hint

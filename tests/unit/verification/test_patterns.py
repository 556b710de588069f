"""The fast reader accepts nothing that the careful one does not accept, and reads the same."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from cryoflux.errors import VerificationError
from cryoflux.receipts.entry import parse_entry
from cryoflux.receipts.statement import IntentStatement, ReceiptStatement
from cryoflux.signing.envelope import parse_envelope
from cryoflux.verification import patterns
from synthetic_state import SyntheticState

VECTORS = Path(__file__).parents[2] / "vectors"
LINES = (VECTORS / "log-evidence-v1.jsonl").read_bytes().split(b"\n")[:-1]
PAYLOADS = [parse_envelope(line).payload for line in LINES[:2]]


def wrapped(payload: bytes) -> bytes:
    said = json.loads(LINES[0])
    said["payload"] = base64.b64encode(payload).decode()
    return json.dumps(said, sort_keys=True, separators=(",", ":")).encode()


def agrees(envelope: bytes) -> bool:
    """Whether the fast reader read it; if so, the careful one has to read the same."""
    fast = patterns._quickly(0, envelope)
    if fast is not None:
        careful = parse_entry(0, envelope)
        assert fast == careful
        assert fast.statement.model_dump_json(by_alias=True) == careful.statement.model_dump_json(
            by_alias=True
        )
    return fast is not None


def test_every_entry_of_a_real_log_is_read_fast() -> None:
    assert all(agrees(line) for line in LINES)


def test_every_entry_of_a_log_of_today_is_read_fast(pristine: SyntheticState) -> None:
    assert all(agrees(entry.envelope) for entry in pristine.entries)
    kinds = {type(entry.statement) for entry in pristine.entries}
    assert kinds == {IntentStatement, ReceiptStatement}


PIECES = [
    '""',
    "0",
    "-1",
    "1.0",
    "1e3",
    "00",
    "null",
    "true",
    "{}",
    "[]",
    '"\\u0041"',
    '"\\""',
    '"é😀"',
    ",",
    " ",
]


@given(
    which=st.sampled_from(PAYLOADS),
    at=st.floats(0, 1, exclude_max=True),
    length=st.integers(0, 12),
    piece=st.one_of(st.sampled_from(PIECES), st.text(max_size=4), st.integers(-(10**17), 10**17).map(str)),
)
def test_a_changed_payload_is_read_as_the_careful_reader_reads_it(
    which: bytes, at: float, length: int, piece: str
) -> None:
    start = int(at * len(which))
    changed = which[:start] + piece.encode("utf-8", "surrogatepass") + which[start + length :]
    agrees(wrapped(changed))


@given(which=st.sampled_from(PAYLOADS), value=st.sampled_from(PIECES), number=st.integers(0, 200))
def test_another_value_in_a_field_is_read_as_the_careful_reader_reads_it(
    which: bytes, value: str, number: int
) -> None:
    parts = which.split(b":")
    place = 1 + number % (len(parts) - 1)
    rest = parts[place]
    end = min((at for at in (rest.find(b","), rest.find(b"}")) if at >= 0), default=len(rest))
    parts[place] = value.encode() + rest[end:]
    agrees(wrapped(b":".join(parts)))


@given(at=st.integers(0, len(LINES[0]) - 1), byte=st.integers(0, 255))
def test_a_changed_byte_of_an_envelope_is_read_as_the_careful_reader_reads_it(at: int, byte: int) -> None:
    agrees(LINES[0][:at] + bytes([byte]) + LINES[0][at + 1 :])


def test_a_field_that_says_nothing_has_to_be_left_out() -> None:
    empty = PAYLOADS[0].replace(b'"policy":', b'"bucketMicrojoules":0,"policy":')
    full = PAYLOADS[0].replace(b'"policy":', b'"bucketMicrojoules":7,"policy":')
    assert not agrees(wrapped(empty))
    assert agrees(wrapped(full))


def test_what_is_refused_is_refused_in_the_same_words() -> None:
    bad = wrapped(PAYLOADS[0].replace(b'"seed":1', b'"seed":-1'))
    said = []
    for read in (patterns.read_attempt, parse_entry):
        try:
            read(0, bad)
        except VerificationError as error:
            said.append(error.what)
    assert len(said) == 2
    assert len(set(said)) == 1

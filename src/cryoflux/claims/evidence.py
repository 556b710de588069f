"""What carries a claim: whole entries of the log, and the hashes that lead from them to the signed root.

A figure of a receipt proves itself only inside the envelope that was signed and hashed, and a sum over a
range is only as good as the range is complete. So a claim carries every envelope of its range, without a
gap, and the roots of the subtrees beside it. The envelopes are packed: base64 is undone, and what remains
is compressed (xz) in one stream, because receipts of one log repeat each other. Nothing has to trust the
packing: what comes out of it has to hash to the root.
"""

from __future__ import annotations

__all__ = ["IndexRange", "outside", "pack", "root_over", "unpack"]

import base64
import binascii
import lzma
import re
from collections.abc import Iterator, Mapping, Sequence

from cryoflux.errors import VerificationError
from cryoflux.receipts.merkle import node_hash, root_hash
from cryoflux.signing.canonical import MAX_ENTRY_BYTES, canonical_bytes
from cryoflux.signing.envelope import (
    STATEMENT_PAYLOAD,
    EnvelopeDocument,
    EnvelopeSignature,
    parse_envelope,
)

IndexRange = tuple[int, int]
"""first index, and the first one after it"""

_MOST_UNPACKED = 16 * 1024 * 1024
_MOST_MEMORY = 64 * 1024 * 1024
_PRESET = 6 | lzma.PRESET_EXTREME
_KEYID, _SIGNATURE = 32, 64
_LENGTH = 4
# The meter's statement is an envelope within a text: its payload is base64 of JSON, which no compressor sees.
_INNER = re.compile(rb'(\\"payload\\":\\")([A-Za-z0-9+/]*={0,2})(\\")')


def outside(spans: Sequence[IndexRange], start: int, end: int) -> Iterator[IndexRange]:
    """The largest subtrees between ``start`` and ``end`` that hold nothing of the spans, left to right."""
    touching = [span for span in spans if span[0] < end and start < span[1]]
    if not touching:
        yield start, end
    elif not _covered(touching, start, end):
        middle = _middle(start, end)
        yield from outside(touching, start, middle)
        yield from outside(touching, middle, end)


def root_over(
    leaves: Mapping[int, bytes], spans: Sequence[IndexRange], size: int, beside: Sequence[bytes]
) -> bytes:
    """The root of the tree that some leaves and the roots beside them make.

    Args:
        leaves: leaf hash of every index in the spans.
        spans: what is carried, in order, without overlap.
        size: leaves in the tree.
        beside: the roots that `outside` asks for.

    Raises:
        VerificationError: there are too few or too many of those.
    """
    rest = iter(beside)
    root = _root(leaves, spans, 0, size, rest)
    if next(rest, None) is not None:
        raise VerificationError("The claim brings more hashes than its tree has.")
    return root


def _root(
    leaves: Mapping[int, bytes], spans: Sequence[IndexRange], start: int, end: int, rest: Iterator[bytes]
) -> bytes:
    touching = [span for span in spans if span[0] < end and start < span[1]]
    if not touching:
        if (found := next(rest, None)) is None:
            raise VerificationError("The claim brings fewer hashes than its tree has.")
        return found
    if _covered(touching, start, end):
        return root_hash(leaves[index] for index in range(start, end))
    middle = _middle(start, end)
    left = _root(leaves, touching, start, middle, rest)
    return node_hash(left, _root(leaves, touching, middle, end, rest))


def _covered(touching: Sequence[IndexRange], start: int, end: int) -> bool:
    return any(first <= start and end <= last for first, last in touching)


def _middle(start: int, end: int) -> int:
    return start + (1 << ((end - start - 1).bit_length() - 1))


def pack(envelopes: Sequence[bytes]) -> bytes:
    """Compress envelopes; `unpack` gives back the same bytes.

    Raises:
        VerificationError: one of them is not an envelope of the log.
    """
    content = b"".join(_frame(envelope) for envelope in envelopes)
    return lzma.compress(content, preset=_PRESET)


def _frame(envelope: bytes) -> bytes:
    signed = parse_envelope(envelope)
    outer, inner = _without_inner(signed.payload)
    lengths = len(outer).to_bytes(_LENGTH, "big") + len(inner).to_bytes(_LENGTH, "big")
    return lengths + bytes.fromhex(signed.keyid) + signed.signature + outer + inner


def _without_inner(payload: bytes) -> tuple[bytes, bytes]:
    found = _INNER.search(payload)
    if found is None:
        return payload, b""
    try:
        inner = base64.b64decode(found[2], validate=True)
    except binascii.Error:
        return payload, b""
    outer = payload[: found.start(2)] + payload[found.end(2) :]
    return (outer, inner) if _with_inner(outer, inner) == payload else (payload, b"")


def _with_inner(outer: bytes, inner: bytes) -> bytes:
    if not inner:
        return outer
    encoded = base64.b64encode(inner)
    return _INNER.sub(lambda found: found[1] + encoded + found[3], outer, count=1)


def unpack(content: bytes, count: int) -> list[bytes]:
    """The envelopes of a packed text.

    Raises:
        VerificationError: it does not hold so many entries, or would unpack to more than is read.
    """
    frames = _inflate(content)
    envelopes, at = [], 0
    for _ in range(count):
        envelope, at = _read_frame(frames, at)
        envelopes.append(envelope)
    if at != len(frames):
        raise VerificationError(f"The claim brings more than the {count} entries that it names.")
    return envelopes


def _inflate(content: bytes) -> bytes:
    reader = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MOST_MEMORY)
    try:
        frames = reader.decompress(content, _MOST_UNPACKED)
    except (lzma.LZMAError, EOFError, MemoryError) as error:
        raise VerificationError(f"The entries of the claim cannot be unpacked: {error}.") from error
    if not reader.eof or reader.unused_data:
        raise VerificationError(
            "The entries of the claim do not end where they should.",
            why=f"At most {_MOST_UNPACKED} bytes are unpacked, so that a small file cannot fill a memory.",
        )
    return frames


def _read_frame(frames: bytes, at: int) -> tuple[bytes, int]:
    lengths = frames[at : at + 2 * _LENGTH]
    outer, inner = int.from_bytes(lengths[:_LENGTH], "big"), int.from_bytes(lengths[_LENGTH:], "big")
    start = at + 2 * _LENGTH + _KEYID + _SIGNATURE
    end = start + outer + inner
    if end > len(frames) or outer + inner > MAX_ENTRY_BYTES:
        raise VerificationError("The entries of the claim are cut short.")
    keyid = frames[at + 2 * _LENGTH : start - _SIGNATURE].hex()
    payload = _with_inner(frames[start : start + outer], frames[start + outer : end])
    document = EnvelopeDocument(
        payload=base64.b64encode(payload).decode(),
        payload_type=STATEMENT_PAYLOAD,
        signatures=[
            EnvelopeSignature(keyid=keyid, sig=base64.b64encode(frames[start - _SIGNATURE : start]).decode())
        ],
    )
    return canonical_bytes(document), end

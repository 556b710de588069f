"""The table by which a SentencePiece tokenizer writes characters in another way.

It is a double array of 32-bit units, a tree of byte strings, and after it the texts that they become. The
library that reads it trusts every number in it: one that leads out of the table ends the process with a
stack of Rust, one that leads to a long text multiplies what is read, and any other may make two different
words the same. So the whole tree is walked here, and each text has to be what Unicode makes of its key.
"""

from __future__ import annotations

__all__ = ["charsmap_complaint"]

import base64
import struct
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

_MOST_BYTES = 2_000_000
_MOST_KEYS = 500_000
_LONGEST_KEY = 48
_SPACES = ("", " ")
_BLANK = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})
_BLANK_TOO = ("\ufffd", "\u2581")
_LABEL = 0x800000FF
_VALUE = 0x7FFFFFFF

_Edge = tuple[int, int, int | None]
"""byte, where its children begin, and where its text begins in the table, if it has one"""


@lru_cache(maxsize=4)
def charsmap_complaint(found: str) -> str:
    """Why a table, in Base64, is not one of Unicode's compatibility forms; empty where it is.

    Those are NFKC with and without case folding, of any version of Unicode, and the same with blanks.
    """
    if len(found) > _MOST_BYTES:
        return "is larger than any that Unicode makes"
    try:
        content = base64.b64decode(found, validate=True)
        (size,) = struct.unpack_from("<I", content)
        units = struct.unpack_from(f"<{size // 4}I", content, 4)
        texts = content[4 + size :]
        texts.decode()
        if size % 4 or not units:
            return "is cut short"
        for key, text in _walk(units, texts):
            if not _is_written_so(key.decode(), text.decode()):
                return "has a text that is not what Unicode makes of its characters"
    except (ValueError, struct.error, IndexError) as error:
        return f"is malformed ({error})"
    return ""


def _children_at(unit: int) -> int:
    return (unit >> 10) << ((unit & 512) >> 6)


def _edges(units: tuple[int, ...], base: int) -> list[_Edge]:
    """What follows a place in the tree; whatever byte comes next, the library looks it up there.

    Raises:
        IndexError: one of them lies outside of the table.
    """
    found: list[_Edge] = []
    for byte in range(1, 256):
        unit = units[base ^ byte]
        if unit & _LABEL == byte:
            child = base ^ byte ^ _children_at(unit)
            found.append((byte, child, units[child] & _VALUE if unit >> 8 & 1 else None))
    return found


def _walk(units: tuple[int, ...], texts: bytes) -> Iterator[tuple[bytes, bytes]]:
    """All keys and their texts.

    Raises:
        ValueError: there are too many, or one has no end.
        IndexError: a number leads out of the table.
    """
    known: dict[int, list[_Edge]] = {}
    waiting, passed = [(_children_at(units[0]), b"")], 0
    while waiting:
        base, key = waiting.pop()
        passed += 1
        if passed > _MOST_KEYS or len(key) > _LONGEST_KEY:
            raise ValueError("more keys, or longer ones, than Unicode has")
        if base not in known:
            known[base] = _edges(units, base)
        for byte, child, start in known[base]:
            longer = key + bytes([byte])
            if start is not None:
                yield longer, texts[start : texts.index(0, start)]
            waiting.append((child, longer))


def _is_written_so(key: str, text: str) -> bool:
    if text in _SPACES and len(key) == 1:
        return unicodedata.category(key) in _BLANK or key in _BLANK_TOO or text == key
    if any(unicodedata.category(char) == "Cn" for char in key):
        return len(text) <= len(key)  # younger than this Python's Unicode
    return _form(key) == _form(text)


def _form(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())

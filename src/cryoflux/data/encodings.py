"""In what encoding a text is written: said by its first bytes, by being UTF-8, or guessed.

UTF-8 is not guessed: other text is hardly ever valid UTF-8 by chance. A guess is charset-normalizer's, among
the encodings that such files have; one that decodes to nonsense is refused, and so is a file that is written
in two.
"""

from __future__ import annotations

__all__ = ["Encoding", "find_encoding"]

import codecs
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from cryoflux.errors import DataError

_CHUNK = 2**20
_SAMPLE = 2**17
"""bytes of lines that are not ASCII, of which an encoding is guessed"""
_GUESSED = (
    "cp1252",
    "cp1250",
    "cp1251",
    "cp1253",
    "cp1254",
    "cp1255",
    "cp1256",
    "koi8_r",
    "shift_jis",
    "gb18030",
    "big5",
    "euc_kr",
    "euc_jp",
)
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WEST, _NEIGHBOURS = "cp1252", {"cp1250", "cp1252", "cp1254"}
"""the one that most such files have, and others that have the most letters in the same places"""
_AS_GOOD = 0.01
"""by which languages are told apart: a smaller difference says nothing"""
_S_AND_Z = (0x8A, 0x8E, 0x9A, 0x9E)
_MOST_CHAOS = 0.2
"""from which on charset-normalizer takes a decoding for nonsense"""
_CONVERT = "Convert the file, for example: iconv -f latin1 -t utf-8 FILE > NEW."


@dataclass(frozen=True, slots=True)
class Encoding:
    """An encoding, by the name that Python has for it."""

    name: str
    how: str
    """``valid``, ``marked``, ``asked for`` or ``guessed``"""


def find_encoding(where: str, opened: Callable[[], BinaryIO], asked: str) -> Encoding:
    """The encoding of a file; all of it is read once, a piece at a time.

    Args:
        where: the file, for errors.
        opened: gives its bytes from the beginning.
        asked: the encoding that somebody says it has; empty to find it.

    Raises:
        DataError: it is binary, or written in no encoding or in two.
    """
    with opened() as stream:
        head = stream.read(4096)
    found = Encoding(_known(where, asked), "asked for") if asked else _marked(head)
    wrong = _first_wrong(opened, found.name)
    if wrong is None:
        return found
    if wrong.nul:
        raise DataError(
            f"{where} is a binary file.",
            why="Examples are read from text files.",
            hint="Give CSV, TSV, JSON, JSONL or parquet.",
        )
    if asked or found.how == "marked":
        raise DataError(
            f"{where}, line {wrong.line}: this is not {found.name} text.",
            why="A text decoded wrongly would be learned wrongly.",
            hint="Leave --encoding out to have it found." if asked else _CONVERT,
        )
    guess = _guess(where, opened, wrong.line)
    if _first_wrong(opened, guess) is not None:
        raise _no_text(where, wrong.line)
    return Encoding(guess, "guessed")


def _known(where: str, asked: str) -> str:
    try:
        found = codecs.lookup(asked)
        if not found._is_text_encoding:  # noqa: SLF001
            raise LookupError
    except LookupError as error:
        raise DataError(
            f"{where}: there is no encoding {asked!r}.",
            why="Its text is to be read in it.",
            hint="Name one that Python knows, such as utf-8, cp1252 or shift_jis, or leave --encoding out.",
        ) from error
    return "utf-8-sig" if found.name == "utf-8" else asked


def _marked(head: bytes) -> Encoding:
    for mark, name in _MARKS:
        if head.startswith(mark):
            return Encoding(name, "marked" if name != "utf-8-sig" else "valid")
    even, odd = head[::2].count(0), head[1::2].count(0)
    half = len(head) // 2
    if half >= 4 and max(even, odd) > half * 0.4 and min(even, odd) < half * 0.1:
        return Encoding("utf-16-le" if odd > even else "utf-16-be", "guessed")
    return Encoding("utf-8-sig", "valid")


@dataclass(frozen=True, slots=True)
class _Wrong:
    line: int
    nul: bool


def _first_wrong(opened: Callable[[], BinaryIO], name: str) -> _Wrong | None:
    """Where a file stops being text in an encoding; none where it is all through."""
    decoder = codecs.getincrementaldecoder(name)()
    lines = 1
    with opened() as stream:
        while True:
            chunk = stream.read(_CHUNK)
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeError as error:
                before = error.object[: error.start] if isinstance(error, UnicodeDecodeError) else b""
                return _Wrong(
                    lines + before.count(b"\n"), nul=b"\0" in chunk and not name.startswith("utf-16")
                )
            if "\0" in text:
                return _Wrong(lines + text[: text.index("\0")].count("\n"), nul=True)
            lines += text.count("\n")
            if not chunk:
                return None


def _high_lines(opened: Callable[[], BinaryIO]) -> Iterator[bytes]:
    with opened() as stream:
        while line := stream.readline(_SAMPLE):
            if not line.isascii():
                yield line


def _guess(where: str, opened: Callable[[], BinaryIO], wrong: int) -> str:
    from charset_normalizer import from_bytes

    sample, valid, count = bytearray(), 0, 0
    for line in _high_lines(opened):
        count += 1
        valid += _is_utf8(line)
        sample += line
        if len(sample) > _SAMPLE:
            break
    if valid * 10 > count:
        raise DataError(
            f"{where}, line {wrong}: this is not UTF-8 text, though {valid} other lines are.",
            why="It is written in two encodings, and a text decoded wrongly would be learned wrongly.",
            hint="Mend those lines, or write the file anew in UTF-8.",
        )
    best = from_bytes(bytes(sample), cp_isolation=[*_GUESSED]).best()
    if best is None or best.chaos > _MOST_CHAOS:
        raise _no_text(where, wrong)
    west = from_bytes(bytes(sample), cp_isolation=[_WEST]).best()
    as_good = west is not None and west.coherence >= best.coherence - _AS_GOOD
    return _WEST if best.encoding in _NEIGHBOURS and as_good and not _of_the_east(sample) else best.encoding


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _of_the_east(sample: bytes | bytearray) -> bool:
    """Whether š and ž are frequent, which both encodings have in the same places."""
    high = sum(byte >= 0x80 for byte in sample)
    return sum(sample.count(byte) for byte in _S_AND_Z) * 20 > high


def _no_text(where: str, line: int) -> DataError:
    return DataError(
        f"{where}, line {line}: this is not UTF-8 text, nor text in any other encoding that is tried.",
        why="A text decoded wrongly would be learned wrongly.",
        hint=f"Say what it is: --encoding NAME. {_CONVERT}",
    )

"""When two texts are a copy of each other to whoever reads them: ``fold/v1``.

`normalise` is the rule that the split draws by, and must stay what it is. A copy that differs from a
holdout text in an invisible character passes it, and trains a model on that text all the same. The fold
also takes out:

- characters that show nothing: of zero width, controls, marks of direction, variation selectors;
- marks that any letter may carry, such as accents; not those that are vowels of their script;
- the difference between an ASCII letter and a character that looks like it (``look_alikes.txt``);
- white space wherever it is, and punctuation at either end.

A text that is left with fewer than 12 characters is only relieved of what shows nothing: ``ok?`` and
``ok!``, or one word of two languages, may well be two examples. Characters of ASCII differ from each other,
so texts that differ in a number are no copies.
"""

from __future__ import annotations

__all__ = ["FOLD", "bare_words", "fold", "hides_something"]

import re
import unicodedata
from functools import cache
from pathlib import Path

from cryoflux.data.examples import normalise

FOLD = "fold/v1"
"""the name of the rule; another outcome for any text needs another name"""

_TABLE = Path(__file__).with_name("look_alikes.txt")
_FEWEST = 12
"""characters of a text of which more is folded than what shows nothing"""
_ENDS = (
    ".,;:!?'\"()[]{}<>-_*~\u00a1\u00bf"
    "\u060c\u061b\u061f\u06d4\u0964\u3001\u3002\u300c\u300d\u300e\u300f\u30fb"
)
"""punctuation at either end of a text that says as much without it"""
_BY_HAND = str.maketrans(dict.fromkeys("“”„‟″«»", '"') | dict.fromkeys("—―−", "-"))
_NO_GRAPHIC = re.compile(r"[\x00-\x08\x0e-\x1b\x7f]")
"""of ASCII"""
_LATIN_WORD = re.compile(r"[^\W\d_]*[A-Za-z][^\W\d_]*")
_OWN_MARKS = (
    (0x0900, 0x1AAF),
    (0x1B00, 0x1CCF),
    (0x3099, 0x309A),
    (0xA800, 0xABFF),
    (0x10A00, 0x16FFF),
)
"""code points whose marks are vowels or consonants of their script"""
_BLANK = (
    *((0x00AD, 0x00AD), (0x034F, 0x034F), (0x061C, 0x061C), (0x115F, 0x1160), (0x17B4, 0x17B5)),
    *((0x180B, 0x180F), (0x200B, 0x200F), (0x2064, 0x206F), (0x2800, 0x2800), (0x3164, 0x3164)),
    *((0xFE00, 0xFE0F), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0xE0000, 0xE0FFF)),
)
"""code points that show nothing, beside those whose category says so"""
_EMOJI = "\u00a9\u00ae\u203c-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"
_JOINING = "\u0590-\u08ff\u0900-\u0dff\u0e00-\u109f\u1780-\u18af\ufb1d-\ufdff\ufe70-\ufefc"
"""letters of scripts whose spelling needs joiners, marks of direction or places where a line may end"""
_USUAL = re.compile(
    f"(?<=[{_EMOJI}])[\ufe0e\ufe0f]|(?<=[#*0-9])\ufe0f(?=\u20e3)|(?<=[{_EMOJI}\ufe0f])\u200d(?=[{_EMOJI}])"
    "|(?<=\U0001f3f4)[\U000e0020-\U000e007f]{1,7}"
    f"|(?<=[{_JOINING}])[\u200b-\u200d]|(?<=[{_JOINING}])[\u200e\u200f]|[\u200e\u200f](?=[{_JOINING}])"
    "|(?<=[\u1820-\u18aa])[\u180b-\u180f]"
    "|(?<=[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])[\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)
"""characters that show nothing of themselves, in a place where people or their programs write them"""
_NEWER_MARKS = ((0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0xFE20, 0xFE2F))
"""marks that any letter may carry, beside those whose category says so"""
_WORD = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
                   r"\U00020000-\U0003ffff]|[^\W_]+")  # fmt: skip
"""a word; in scripts that put no space between words, a character"""
_ALIKE = str.maketrans({"0": "o", "1": "l", "i": "l", "|": "l"})


def fold(text: str) -> str:
    """What is left of a text once everything is gone in which copies of it may differ."""
    if text.isascii():
        plain = _NO_GRAPHIC.sub("", text).casefold()
        shown = normalise(plain)
    else:
        shown = normalise(_translated(normalise(text), _seen()))
        plain = _translated(_plain(text), _marked())
    joined = "".join(plain.split()).strip(_ENDS)
    return joined if len(joined) >= _FEWEST else shown


def hides_something(text: str) -> bool:
    """Whether a text has characters that show nothing, where no spelling needs them.

    A private character is shown by some font, and is none.
    """
    if text.isascii():
        return _NO_GRAPHIC.search(text) is not None
    shown, seen = _USUAL.sub("", text), _seen()
    return any(seen[ord(c)] is None and _category(ord(c)) != "Co" for c in set(shown))


def bare_words(text: str) -> list[str]:
    """The words of a text for a search by likeness: folded further, without marks and punctuation."""
    if text.isascii():
        return _WORD.findall(_NO_GRAPHIC.sub("", text).casefold().translate(_ALIKE))
    return _WORD.findall(_plain(text).translate(_bare()).translate(_ALIKE))


def _translated(text: str, table: _Seen) -> str:
    """The text by a table; as it is where each of its few different characters stands for itself."""
    if all(table[code] == code for code in map(ord, {*text})):
        return text
    return text.translate(table)


def _plain(text: str) -> str:
    """A text that is not ASCII, decomposed and in small letters, capitals in Latin words as they look."""
    text = _translated(unicodedata.normalize("NFKC", text), _seen())
    capitals = _look_alikes()[0]
    if any(ord(character) in capitals for character in {*text}):
        text = _LATIN_WORD.sub(lambda word: word[0].translate(capitals), text)
    return unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text.casefold()).translate(_BY_HAND))


class _Seen(dict[int, int | str | None]):
    """What of each character is seen; looked up when it is met first."""

    def __missing__(self, code: int) -> int | str | None:
        found = self[code] = None if self.hides(code) else self.instead(code)
        return found

    def hides(self, code: int) -> bool:
        """Whether a character shows nothing."""
        return not chr(code).isspace() and (
            _category(code) in {"Cf", "Cc", "Co", "Cs"} or _within(code, _BLANK)
        )

    def instead(self, code: int) -> int | str:
        """What stands for a character that shows something."""
        return code


class _Marked(_Seen):
    """The same without marks that any letter may carry, and with ASCII for what looks like it."""

    def hides(self, code: int) -> bool:
        mark = _category(code) in {"Mn", "Me"} and not _within(code, _OWN_MARKS)
        return mark or _within(code, _NEWER_MARKS) or super().hides(code)

    def instead(self, code: int) -> int | str:
        return _look_alikes()[1].get(code, code)


class _Bare(_Marked):
    """The same without any mark."""

    def hides(self, code: int) -> bool:
        return _category(code) in {"Mn", "Me"} or super().hides(code)


def _category(code: int) -> str:
    # Of one version of Unicode, whatever Python this is, so that the fold does not depend on it.
    return unicodedata.ucd_3_2_0.category(chr(code))


def _within(code: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(first <= code <= last for first, last in ranges)


@cache
def _seen() -> _Seen:
    return _Seen()


@cache
def _marked() -> _Seen:
    return _Marked()


@cache
def _bare() -> _Seen:
    return _Bare()


@cache
def _look_alikes() -> tuple[dict[int, str], dict[int, str]]:
    """What stands for a capital in a Latin word, and for a small letter or a sign anywhere."""
    rows = [line.split() for line in _TABLE.read_text("utf-8").splitlines() if not line.startswith("# ")]
    alike = {one: row[0].casefold() for row in rows if row and row[0] != "#" for one in row[1:]}
    capitals: dict[int, str] = {}
    small = {ord(one): like for one, like in alike.items() if one.casefold() == one}
    for one, like in alike.items():
        below = one.casefold()
        # A capital that looks like a small l is an I, and its small letter says so.
        if below != one and len(below) == 1 and like != "l":
            capitals[ord(one)] = like
            small.setdefault(ord(below), like)
    return capitals, small

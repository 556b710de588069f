"""How much of a text a model reads: its first tokens, or its first and its last ones.

A loss depends on it, so recipes, receipts and caches name it, in one word that they need not understand: a
*cut* is 64 for the first 64 tokens of a text, and ``"64 head-tail"`` for its first 48 and its last 16. A text
that is no longer than that is read whole either way. Special tokens are counted.
"""

from __future__ import annotations

__all__ = [
    "HEAD",
    "HEAD_TAIL",
    "READINGS",
    "Cut",
    "cut_words",
    "cut_words_of",
    "make_cut",
    "reading_of",
    "shortened",
    "tokens_of",
]

from collections.abc import Sequence

HEAD = "head"
HEAD_TAIL = "head-tail"
READINGS = (HEAD, HEAD_TAIL)
"""what is read of a text that is too long: its first tokens; its first three quarters and its last quarter"""
_TAIL = 4
"""one token of so many is read at the end"""

Cut = int | str


def make_cut(tokens: int, reading: str = HEAD) -> Cut:
    """The cut of so many tokens.

    Raises:
        ValueError: the reading is not known.
    """
    if reading not in READINGS:
        raise ValueError(f"a text is read {reading!r}, which is none of {', '.join(READINGS)}")
    return tokens if reading == HEAD else f"{tokens} {reading}"


def tokens_of(cut: object) -> int:
    """Most tokens of a text.

    Raises:
        ValueError: it is no cut that is known here.
    """
    return _parts(cut)[0]


def reading_of(cut: object) -> str:
    """What is read of a text that is longer.

    Raises:
        ValueError: it is no cut that is known here.
    """
    return _parts(cut)[1]


def cut_words(cut: object) -> str:
    """The same for people: ``64 tokens``, or ``64 tokens (48 from the beginning, 16 from the end)``.

    Raises:
        ValueError: it is no cut that is known here.
    """
    tokens, tail = _parts(cut)[0], _tail_of(cut)
    words = f"{tokens} token" if tokens == 1 else f"{tokens} tokens"
    return f"{words} ({tokens - tail} from the beginning, {tail} from the end)" if tail else words


def cut_words_of(said: object) -> str:
    """The same of what a stranger says, which may be no cut that is known here."""
    try:
        return cut_words(said)
    except (ValueError, OverflowError):
        return f"what is not known here ({str(said)[:40]!r})"


def shortened(row: Sequence[int], cut: Cut) -> list[int]:
    """Token ids of a whole text, special tokens included, cut.

    Of its first and last tokens those at the very ends are kept, which are the special ones.
    """
    tokens, tail = _parts(cut)[0], _tail_of(cut)
    if len(row) <= tokens:
        return list(row)
    return [*row[: tokens - tail], *row[len(row) - tail :]]


def _tail_of(cut: object) -> int:
    """How many of its tokens are read at the end of a longer text."""
    tokens, reading = _parts(cut)
    return tokens // _TAIL if reading == HEAD_TAIL else 0


def _parts(cut: object) -> tuple[int, str]:
    if isinstance(cut, int) and not isinstance(cut, bool) and cut >= 0:
        return cut, HEAD
    if isinstance(cut, str):
        number, _, reading = cut.partition(" ")
        if number.isascii() and number.isdigit() and reading == HEAD_TAIL and number == str(int(number)):
            return int(number), reading
    raise ValueError(f"texts are cut to {str(cut)[:40]!r}, which is not known here")

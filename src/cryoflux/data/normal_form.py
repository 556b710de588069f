"""Unicode NFKC in time that is linear in the text.

Python sorts the marks of one character by insertion, so the time goes with the square of their number: a
character with a million marks would take days. As in the Stream-Safe Text Format (UAX 15, section 13), marks
beyond the thirtieth in a row are taken for those of another character. No text of any language is changed
by it.
"""

from __future__ import annotations

__all__ = ["nfkc"]

import unicodedata

_MOST_MARKS = 30


def nfkc(text: str) -> str:
    """The text in NFKC, but that marks are only put in order thirty at a time."""
    if text.isascii():
        return text
    if not any(map(unicodedata.combining, {*text})):  # it has no marks to put in order
        return unicodedata.normalize("NFKC", text)
    return "".join(unicodedata.normalize("NFKC", part) for part in _parts(text))


def _parts(text: str) -> list[str]:
    parts, start, marks = [], 0, 0
    for at, character in enumerate(text):
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks > _MOST_MARKS:
            parts.append(text[start:at])
            start, marks = at, 1
    return [*parts, text[start:]]

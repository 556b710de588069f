"""Text for a screen: wrapped between words, tables that fit, plain letters where a terminal has no others.

Pieces of a line that belong together are two spaces apart, and a line is broken there first. A number stays
beside its unit, and so do words with a no-break space between them, such as a command to type.
"""

from __future__ import annotations

__all__ = ["Cells", "plain", "table", "unbroken", "visible", "wrap"]

import re
import unicodedata
from collections.abc import Sequence

Cells = Sequence[str]
_TIE = "\N{NO-BREAK SPACE}"
_UNITS = "J kJ MJ µJ W kW s ms h m % GB MB kB points nats nats/kJ bits looks CPU-s of"
_BESIDE_ITS_UNIT = re.compile(rf"(?<=[\d\])]) (?=(?:{'|'.join(map(re.escape, _UNITS.split()))})(?![\w/]))")
_BEFORE_A_SIGN = re.compile(r"(?<=\w) (?=[<>=≥≤] [+\-\d])")
_AFTER_ITS_SIGN = re.compile(r"(?<![\w])([Δη±×≥≤<>=]) (?=[+\-\d\[])")
_PLAIN = {
    "✓": "ok",
    "✗": "FAIL",
    "→": "->",
    "…": "...",
    "·": "-",
    "–": "-",
    "—": "-",
    "−": "-",
    "Δ": "delta",
    "η": "eta",
    "α": "alpha",
    "Σ": "sum",
    "√": "sqrt",
    "×": "x",
    "±": "+/-",
    "≥": ">=",
    "≤": "<=",
    "µ": "u",
    "ᵢ": "_i",
    "∞": "inf",
    "’": "'",
    "“": '"',
    "”": '"',
}


def visible(text: str) -> str:
    """The same text with whatever a terminal would obey, and nobody would see, spelt out by its number."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == _TIE else f"\\x{ord(c):02x}" for c in text)


def plain(text: str, encoding: str) -> str:
    """The same in characters that an encoding has: ``ok`` and ``FAIL`` where it lacks the signs."""
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return "".join(_spelt(character, encoding) for character in text)
    return text


def _spelt(character: str, encoding: str) -> str:
    if character == _TIE or character.isascii():
        return character
    try:
        character.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        letters = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
        return _PLAIN.get(character, letters or "?")
    return character


def unbroken(text: str) -> str:
    """The same text, which no line is broken in."""
    return text.replace(" ", _TIE)


def wrap(text: str, width: int, indent: int) -> list[str]:
    """The lines of a text, none longer than ``width`` unless one word of it is.

    Args:
        text: with two spaces or more between pieces that are rather kept whole.
        width: columns.
        indent: columns before every line but the first.
    """
    tied = _BEFORE_A_SIGN.sub(_TIE, _BESIDE_ITS_UNIT.sub(_TIE, text))
    tied = _AFTER_ITS_SIGN.sub(rf"\1{_TIE}", tied)
    lead = tied[: len(tied) - len(tied.lstrip(" "))]
    lines: list[str] = []
    line = lead
    for gap, piece in _pieces(tied.strip(" ")):
        lines, line = _place(lines, line, gap, piece, width, indent)
    return [one.replace(_TIE, " ").rstrip() for one in [*lines, line]]


def _pieces(text: str) -> list[tuple[str, str]]:
    found = re.split(r"( {2,})", text)
    return list(zip(["", *found[1::2]], found[::2], strict=True))


def _place(
    lines: list[str], line: str, gap: str, piece: str, width: int, indent: int
) -> tuple[list[str], str]:
    """Go on by one piece: on this line, on the next one, or over several."""
    if len(line) + len(gap) + len(piece) <= width:
        return lines, line + gap + piece
    if line.strip() and len(line) + len(gap) > indent and indent + len(piece) <= width:
        return [*lines, line], " " * indent + piece
    lines, start = list(lines), True
    for word in piece.split(" "):
        space = gap if start else " "
        if len(line) + len(space) + len(word) > width and len(line) + len(space) > indent:
            lines.append(line)
            line = " " * indent + word
        else:
            line += (space if line.strip() else "") + word
        start = False
    return lines, line


def table(rows: Sequence[Cells], right: Sequence[bool]) -> list[str]:
    """Rows of cells as lines in columns, two spaces apart; a column that is empty everywhere is left out.

    Args:
        rows: the heading first.
        right: by column, whether it is set to the right.
    """
    filled = [i for i in range(len(right)) if any(row[i] for row in rows[1:])]
    widths = {i: max(len(row[i]) for row in rows) for i in filled}
    return [
        "  ".join(row[i].rjust(widths[i]) if right[i] else row[i].ljust(widths[i]) for i in filled).rstrip()
        for row in rows
    ]

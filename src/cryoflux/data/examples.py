"""One example, and what makes two examples the same."""

from __future__ import annotations

__all__ = ["Example", "normalise"]

from dataclasses import dataclass

from cryoflux.data.normal_form import nfkc


@dataclass(frozen=True, slots=True)
class Example:
    """A text and its class."""

    text: str
    label: str


def normalise(text: str) -> str:
    """What two copies of a text share: Unicode NFKC, white space collapsed, case folded."""
    return " ".join(nfkc(text).split()).casefold()

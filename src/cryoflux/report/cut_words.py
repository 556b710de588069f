"""How much of a text a run reads, and what that leaves out: the same words in a plan, a run and a report."""

from __future__ import annotations

__all__ = ["cut_document", "cut_line"]

from typing import Any

from cryoflux.quantities import MICRO
from cryoflux.registry.cuts import HEAD, Cut, cut_words, reading_of, tokens_of

_PERCENT = MICRO // 100


def cut_line(cut: Cut, longer_ppm: int | None, *, ends: bool = True) -> str:
    """How much of a text is read, of how many texts that leaves something out, and how to change it.

    Args:
        cut: of the state.
        longer_ppm: share of the training texts that are longer, in millionths; none where nobody counted.
        ends: whether the ends of longer texts could be read in place of what comes before them.
    """
    said = f"texts are cut to {cut_words(cut)}"
    if longer_ppm is None:
        return said
    if longer_ppm < _PERCENT:
        return f"{said}: less than 1 % of the training texts are longer"
    keeps = ", --reading head-tail keeps their ends" if ends and reading_of(cut) == HEAD else ""
    more = f"in a new state --max-tokens {2 * tokens_of(cut)} reads more{keeps}"
    return f"{said}: about {longer_ppm / _PERCENT:.0f} % of the training texts are longer; {more}"


def cut_document(cut: Cut, longer_ppm: int | None) -> dict[str, Any]:
    """The same for a program."""
    return {
        "max_tokens": tokens_of(cut),
        "reading": reading_of(cut),
        "longer_share": longer_ppm / MICRO if longer_ppm is not None else None,
    }

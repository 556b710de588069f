"""Texts as the token ids that a model reads, whatever its tokenizer does."""

from __future__ import annotations

__all__ = ["read_tokenizer", "some_at_once", "token_rows"]

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cryoflux.errors import ModelError
from cryoflux.registry.cuts import HEAD, Cut, reading_of, shortened, tokens_of

_AT_ONCE = 256
_CHARACTERS_AT_ONCE = 250_000
"""texts, and characters of them, whose tokens are in memory together in full, before they are cut"""


def read_tokenizer(copy: Path) -> Any:
    """The tokenizer in a harmless copy of a model folder.

    Raises:
        ModelError: transformers cannot read it.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(copy, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # the tokenizers library raises bare ones
        raise _unusable("cannot be read", error) from error


def token_rows(tokenizer: Any, texts: Sequence[str], cut: Cut, known: int | None = None) -> list[list[int]]:
    """The ids of texts, special tokens included.

    Args:
        tokenizer: of transformers.
        texts: any.
        cut: how much of a text is read; ids beyond it are left out.
        known: ids that the model has an embedding for, if that is known.

    Raises:
        ModelError: a text cannot be read, or its ids are more, or others, than the model takes.
        ValueError: it is no cut that is known here.
    """
    most, reading = tokens_of(cut), reading_of(cut)
    how: dict[str, Any] = {"truncation": False}
    if reading == HEAD:
        how = {"truncation": True, "max_length": most}
    rows: list[list[int]] = []
    for some in some_at_once(texts):
        try:
            found = tokenizer(some, **how)["input_ids"]
        except Exception as error:  # the same
            raise _unusable("cannot read a text", error) from error
        rows += found if reading == HEAD else [shortened(row, cut) for row in found]
    if any(len(row) > most for row in rows):
        raise _unusable("does not cut texts", f"one has more than {most} tokens")
    if known is not None and any(not 0 <= number < known for row in rows for number in row):
        raise _unusable("fits another model", f"it gives ids of {known} and more, which have no embedding")
    return rows


def some_at_once(texts: Sequence[str]) -> Iterator[list[str]]:
    """The texts in their order, a few at a time, and a long one alone."""
    some: list[str] = []
    characters = 0
    for text in texts:
        if some and (len(some) == _AT_ONCE or characters + len(text) > _CHARACTERS_AT_ONCE):
            yield some
            some, characters = [], 0
        some.append(text)
        characters += len(text)
    if some:
        yield some


def _unusable(what: str, why: object) -> ModelError:
    return ModelError(
        f"The tokenizer {what}: {str(why).strip()[:200]}.",
        why="A model reads numbers, and only its own tokenizer says which.",
        hint="Restore it from where it came, or name another model with --model.",
    )

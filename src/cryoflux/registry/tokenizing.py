"""Texts as the token ids that a model reads, whatever its tokenizer does."""

from __future__ import annotations

__all__ = ["read_tokenizer", "token_rows"]

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryoflux.errors import ModelError

_AT_ONCE = 256
"""texts whose tokens are in memory together in full, before they are cut"""


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


def token_rows(tokenizer: Any, texts: Sequence[str], most: int, known: int | None = None) -> list[list[int]]:
    """The ids of texts, special tokens included.

    Args:
        tokenizer: of transformers.
        texts: any.
        most: ids of a text; what goes beyond is cut off.
        known: ids that the model has an embedding for, if that is known.

    Raises:
        ModelError: a text cannot be read, or its ids are more, or others, than the model takes.
    """
    rows: list[list[int]] = []
    for start in range(0, len(texts), _AT_ONCE):
        try:
            found = tokenizer(list(texts[start : start + _AT_ONCE]), truncation=True, max_length=most)
        except Exception as error:  # the same
            raise _unusable("cannot read a text", error) from error
        rows += found["input_ids"]
    if any(len(row) > most for row in rows):
        raise _unusable("does not cut texts", f"one has more than {most} tokens")
    if known is not None and any(not 0 <= number < known for row in rows for number in row):
        raise _unusable("fits another model", f"it gives ids of {known} and more, which have no embedding")
    return rows


def _unusable(what: str, why: object) -> ModelError:
    return ModelError(
        f"The tokenizer {what}: {str(why).strip()[:200]}.",
        why="A model reads numbers, and only its own tokenizer says which.",
        hint="Restore it from where it came, or name another model with --model.",
    )

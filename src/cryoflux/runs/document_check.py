"""What a file of documents for a language model is, worked out before a joule is spent, by no model."""

from __future__ import annotations

__all__ = ["DocumentCheck", "check_documents", "is_of_documents"]

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryoflux.config import Sourced
from cryoflux.data.columns import Wishes, columns_named
from cryoflux.data.documents import TextDocument, read_documents, shape_of
from cryoflux.errors import CryoFluxError, DataError
from cryoflux.files import read_beginning
from cryoflux.runs.data_check import TextLengths
from cryoflux.tasks.causal.inputs import DEFAULT_HOLDOUT, MOST_TOKENS
from cryoflux.tasks.causal.sets import StoredDocument, make_sets
from cryoflux.tasks.causal.tokens import COMPLETION, Rendered

CHARACTERS_A_TOKEN = 4
"""of English text, about; other languages and code have fewer"""
_HEAD_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class DocumentCheck:
    """What was found, and what a run would make of it."""

    file: str
    shape: str
    """``messages``, ``prompt+completion`` or ``text``"""
    documents: int
    groups: int
    """how many documents they are chunks of; 0 where none says so"""
    lengths: TextLengths
    target_share: float
    """of the characters, those that a model learns to say"""
    token_limit: int
    """tokens of a document that are read, at most, unless the model reads fewer"""
    cut: int
    """documents that are probably longer, by `CHARACTERS_A_TOKEN`: without a model nobody counts tokens"""
    sets: Mapping[str, int]
    """set → documents; empty where a run would refuse"""
    dropped: Mapping[str, int]
    """set → copies"""
    refusal: CryoFluxError | None


def is_of_documents(path: Path) -> bool:
    """Whether the first line of a file is a document of a language model, and no labelled text."""
    try:
        row = json.loads(read_beginning(path, _HEAD_BYTES).lstrip().partition(b"\n")[0])
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(row, dict) and bool(shape_of(row)) and columns_named([*row], Wishes()) is None


def check_documents(sourced: Sourced) -> DocumentCheck:
    """Read the files that the settings name, and split them as a run of ``causal-lm`` would.

    Raises:
        DataError: the training file cannot be read at all.
    """
    data, path = sourced.settings.data, Path(sourced.settings.data.train)
    documents = read_documents(path)
    default = sourced.origins["data.holdout_size"] == "default"
    sets, dropped, refusal = dict[str, int](), dict[str, int](), None
    try:
        given = [_stored(read_documents(Path(name))) if name else None for name in (data.holdout, data.audit)]
        found = make_sets(
            _stored(documents),
            *given,
            size=DEFAULT_HOLDOUT if default else data.holdout_size,
            spares=data.spare_holdouts,
        )
        sets = {"train": 0, **{name: len(some) for name, some in found.sets.items()}}
        dropped = dict(found.dropped)
    except DataError as error:
        refusal = error
    whole = [len(one.plain) for one in documents]
    limit = sourced.settings.model.max_tokens or MOST_TOKENS
    return DocumentCheck(
        file=str(path),
        shape="+".join(shape_of(documents[0].said)),
        documents=len(documents),
        groups=len({one.group for one in documents if one.group}),
        lengths=TextLengths.of(one.plain for one in documents),
        target_share=sum(len(one.target) for one in documents) / max(1, sum(whole)),
        token_limit=limit,
        cut=sum(length > limit * CHARACTERS_A_TOKEN for length in whole),
        sets=sets,
        dropped=dropped,
        refusal=refusal,
    )


def _stored(documents: Sequence[TextDocument]) -> list[StoredDocument]:
    """Documents as sets have them; which is drawn follows from their texts, and not from a template."""
    return [StoredDocument(one.plain, Rendered(COMPLETION, "", one.target), one.group) for one in documents]

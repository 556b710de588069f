"""The documents and the base model of ``causal-lm``, checked before anything is written."""

from __future__ import annotations

__all__ = ["check_same_inputs", "make_beginning", "model_folder", "rows_of"]

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from cryoflux.config import Settings, Sourced
from cryoflux.data.fold import hides_something
from cryoflux.data.near import find_near
from cryoflux.data.prepared import render_sets
from cryoflux.digests import read_tensor_entries, tensors_digest
from cryoflux.errors import DataError, ModelError, StateError, UsageError
from cryoflux.registry.cuts import tokens_of
from cryoflux.state import StateFolder
from cryoflux.tasks.causal.documents import TextDocument, read_documents
from cryoflux.tasks.causal.embedded import EMBEDDED_CAUSAL, embedded_causal, is_embedded_causal
from cryoflux.tasks.causal.network import open_network, open_tokenizer
from cryoflux.tasks.causal.scoring import MOST_SAID
from cryoflux.tasks.causal.sets import CausalSets, StoredDocument, make_sets, read_stored
from cryoflux.tasks.causal.targets import find_targets
from cryoflux.tasks.causal.tokens import TokenRow, encoded, rendered
from cryoflux.tasks.interface import Beginning, Origin
from cryoflux.tasks.lora.base_model import most_tokens, resolve
from cryoflux.tasks.lora.libraries import quieten_transformers

_Progress = Callable[[str, int, int], None]
DEFAULT_HOLDOUT = 512
"""documents; of classified texts it takes twice as many"""
_MOST_TOKENS = 1024
"""of a document that are read where nobody says it"""
_FEWEST_TOKENS = 16
_LONG = 0.995
"""share of the documents that are read whole where nobody says how much is"""
UNSAID = "unsaid"
"""among what was dropped: documents of which nothing is left to say once they are cut"""


def model_folder(settings: Settings, origins: Sourced | None = None) -> tuple[str, Path]:
    """The name and the folder of the base model.

    Raises:
        ModelError: there is none of that name.
    """
    name = settings.model.model
    if origins is not None and origins.origins["model.model"] == "default":
        name = EMBEDDED_CAUSAL
    return name, embedded_causal() if is_embedded_causal(name) else resolve(name)


def make_beginning(sourced: Sourced, progress: _Progress) -> Beginning:
    """What a new state starts from.

    Raises:
        DataError: the documents cannot be trained or judged on.
        ModelError: the model cannot be loaded, or has nothing that LoRA could go on.
        UsageError: documents are to have more tokens than the model reads.
    """
    quieten_transformers()
    settings = sourced.settings
    name, folder = model_folder(settings, sourced)
    tokenizer = open_tokenizer(folder, name)
    network = open_network(folder, name)
    find_targets(network, "all")  # else it would be refused by each attempt
    given = {one: _stored(settings, one, tokenizer, name) for one in ("train", "holdout", "audit")}
    lengths = _lengths(tokenizer, given["train"] or [], progress)
    cut = _cut(settings, lengths, most_tokens(network.config.to_dict()) or _MOST_TOKENS)
    found, unsaid = _sets(sourced, given, tokenizer, cut)
    files, digest = render_sets(found.lines())
    judging = [document.text for document in found.sets["holdout"]]
    texts = [document.text for documents in found.sets.values() for document in documents]

    def save(into: Path) -> None:
        network.save_pretrained(into)
        tokenizer.save_pretrained(into)

    return Beginning(
        data_name=Path(settings.data.train).name,
        data_digest=digest,
        files=files,
        save=save,
        model_name=name,
        model_source=_source(folder, name),
        dropped={**found.dropped, UNSAID: unsaid},
        rules=found.rules,
        near=len(find_near(judging, [one.text for one in found.sets["train"]]).near),
        hiding=sum(map(hides_something, texts)),
        cut=cut,
        longer_ppm=round(1e6 * sum(length > cut for length in lengths) / max(1, len(lengths))),
    )


def _source(folder: Path, name: str) -> str:
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise ModelError(
            f"The model {name!r} has no safetensors weights.",
            why="Pickled weights can run code when they are loaded, so they are refused.",
            hint="Convert it, for example with model.save_pretrained(DIR), and give that folder.",
        )
    return tensors_digest(entry for path in weights for entry in read_tensor_entries(path))


def _stored(settings: Settings, which: str, tokenizer: Any, name: str) -> list[StoredDocument] | None:
    """The documents of a file that the settings name; none where they name none."""
    path = getattr(settings.data, which)
    if not path:
        if which == "train":
            raise UsageError(
                "No training file is named.",
                why="A language model learns from documents: there are none that would suit everybody.",
                hint='Name one: --train FILE.jsonl, with {"prompt": "…", "completion": "…"}, '
                '{"messages": […]} or {"text": "…"} on each line.',
            )
        return None
    return [_kept(document, tokenizer, name) for document in read_documents(Path(path))]


def _kept(document: TextDocument, tokenizer: Any, name: str) -> StoredDocument:
    return StoredDocument(document.plain, rendered(tokenizer, document, name), document.group)


def _lengths(tokenizer: Any, documents: Sequence[StoredDocument], progress: _Progress) -> list[int]:
    found = []
    for done, document in enumerate(documents):
        if done % 500 == 0:
            progress("reading the documents", done, len(documents))
        found.append(len(encoded(tokenizer, document.rendered)[0]))
    return found


def _cut(settings: Settings, lengths: Sequence[int], positions: int) -> int:
    """Tokens of a document that are read: as the settings say, or as almost all documents need."""
    if settings.model.reading != "head":
        raise UsageError(
            "The ends of long documents cannot be read alone.",
            why="A language model reads on from the beginning.",
            hint="Leave --reading out.",
        )
    asked = settings.model.max_tokens
    if asked > positions:
        raise UsageError(
            f"The model reads at most {positions} tokens of a document, not {asked}.",
            why="It has no embedding for a position beyond that.",
            hint=f"Lower --max-tokens to {positions} or less.",
        )
    if asked:
        return asked
    longest = sorted(lengths)[math.ceil(_LONG * len(lengths)) - 1]
    return max(min(_FEWEST_TOKENS, positions), min(-(-longest // 8) * 8, positions, _MOST_TOKENS))


def _sets(
    sourced: Sourced, given: dict[str, list[StoredDocument] | None], tokenizer: Any, cut: int
) -> tuple[CausalSets, int]:
    """The sets, and how many documents were left out because nothing of them would be said."""
    data, unsaid = sourced.settings.data, 0
    files: dict[str, list[StoredDocument] | None] = {}
    for name, documents in given.items():
        if documents is None:
            files[name] = None
            continue
        rows = rows_of(tokenizer, documents, cut)
        files[name] = [one for one, (ids, first) in zip(documents, rows, strict=True) if len(ids) > first]
        unsaid += len(documents) - len(files[name] or ())
    default = sourced.origins["data.holdout_size"] == "default"
    found = make_sets(
        files["train"] or [],
        files["holdout"],
        files["audit"],
        size=DEFAULT_HOLDOUT if default else data.holdout_size,
        spares=data.spare_holdouts,
    )
    for name, some in found.sets.items():
        said = sum(len(ids) - first for ids, first in rows_of(tokenizer, some, cut)) if name != "train" else 0
        if said > MOST_SAID:
            raise DataError(
                f"The {name} set has {said} tokens to say, more than {MOST_SAID}.",
                why="The sum of their losses could not be written down exactly.",
                hint="Make it smaller: --holdout-size, or fewer tokens of each: --max-tokens.",
            )
    return found, unsaid


def rows_of(tokenizer: Any, documents: Iterable[StoredDocument], cut: int) -> list[TokenRow]:
    """The tokens of documents, as far as they are read."""
    found = []
    for document in documents:
        ids, first = encoded(tokenizer, document.rendered)
        found.append((ids[:cut], first))
    return found


def check_same_inputs(sourced: Sourced, origin: Origin) -> None:
    """Make sure that the settings name no other documents or model than a state was begun with.

    Raises:
        DataError, ModelError: what they name cannot be used at all.
        StateError: they name another, or another limit of tokens.
    """
    settings, state = sourced.settings, StateFolder(Path(sourced.settings.run.state))
    cut = tokens_of(origin.cut)
    if settings.model.max_tokens not in {0, cut}:
        raise _other(state, f"{cut} tokens of a document", f"{settings.model.max_tokens}")
    if sourced.origins["model.model"] != "default":
        name, folder = model_folder(settings, sourced)
        if _source(folder, name) != origin.model_source:
            raise _other(state, f"the model {origin.model_name}", name)
    if any(sourced.origins[f"data.{key}"] != "default" for key in ("train", "holdout", "audit")):
        first = state.model(origin.version)
        quieten_transformers()
        tokenizer = open_tokenizer(first, origin.model_name)
        read = partial(_stored, settings, tokenizer=tokenizer, name=origin.model_name)
        given = {one: read(one) for one in ("train", "holdout", "audit")}
        found, _ = _sets(sourced, given, tokenizer, cut)
        if render_sets(found.lines())[1] != origin.data_digest:
            raise _other(state, f"the documents of {origin.data_name}", Path(settings.data.train).name)


def _other(state: StateFolder, had: str, asked: str) -> StateError:
    return StateError(
        f"{state.path} was begun with {had}, not with {asked}.",
        why="Δ measured on one cannot be added to Δ measured on another.",
        hint="Give this one its own folder with --state DIR, or leave the option out to continue.",
    )


def stored_rows(lines: Iterable[bytes], tokenizer: Any, cut: int) -> list[TokenRow]:
    """The tokens of a set's lines, as far as they are read."""
    return rows_of(tokenizer, map(read_stored, lines), cut)

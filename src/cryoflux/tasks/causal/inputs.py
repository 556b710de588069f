"""The documents and the base model of ``causal-lm``, checked before anything is written."""

from __future__ import annotations

__all__ = [
    "DEFAULT_HOLDOUT",
    "MOST_TOKENS",
    "CausalInputs",
    "check_same_inputs",
    "make_beginning",
    "model_folder",
    "read_inputs",
    "stored_rows",
]

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from cryoflux.config import Settings, Sourced
from cryoflux.data.documents import TextDocument, read_documents
from cryoflux.data.fold import hides_something
from cryoflux.data.near_answers import Answered, find_near_documents
from cryoflux.data.prepared import render_sets
from cryoflux.digests import read_tensor_entries, tensors_digest
from cryoflux.errors import DataError, ModelError, StateError, UsageError
from cryoflux.registry.cuts import tokens_of
from cryoflux.state import StateFolder
from cryoflux.tasks.causal.embedded import EMBEDDED_CAUSAL, embedded_causal, is_embedded_causal
from cryoflux.tasks.causal.network import open_network, open_outline, open_tokenizer
from cryoflux.tasks.causal.scoring import MOST_SAID
from cryoflux.tasks.causal.sets import CausalSets, StoredDocument, make_sets, read_stored
from cryoflux.tasks.causal.stdlib_pairs import PAIRS, signature_pairs
from cryoflux.tasks.causal.targets import find_targets
from cryoflux.tasks.causal.tokens import Rendered, TokenRow, encoded, rendered
from cryoflux.tasks.interface import Beginning, Origin
from cryoflux.tasks.lora.base_model import most_tokens, resolve
from cryoflux.tasks.lora.libraries import quieten_transformers

_Progress = Callable[[str, int, int], None]
DEFAULT_HOLDOUT = 512
"""documents; of classified texts it takes twice as many"""
MOST_TOKENS = 1024
"""of a document that are read where nobody says it"""
_FEWEST_TOKENS = 16
_LONG = 0.995
"""share of the documents that are read whole where nobody says how much is"""
UNSAID = "unsaid"
"""among what was dropped: documents of which nothing is left to say once they are cut"""
NEAR = "near"
"""among what was dropped: training documents that answer as one that judges"""
UNSEARCHED = "unsearched"
"""beside what was dropped: documents that are trained on, of which nobody knows whether they do"""


def model_folder(sourced: Sourced) -> tuple[str, Path]:
    """The name and the folder of the base model; the embedded one where none is named.

    Raises:
        ModelError: there is none of that name.
    """
    named = sourced.origins["model.model"] != "default"
    name = sourced.settings.model.model if named else EMBEDDED_CAUSAL
    return name, embedded_causal() if is_embedded_causal(name) else resolve(name)


@dataclass(frozen=True, slots=True)
class CausalInputs:
    """Documents and model that a new state would start from; the model's weights are still on the disk."""

    data_name: str
    found: CausalSets
    tokenizer: Any
    model_name: str
    folder: Path
    """where the model lies"""
    cut: int
    """tokens of a document that are read"""
    longer_ppm: int
    """share of the training documents that are longer, in millionths"""
    unsaid: int
    """documents that were left out, because nothing of them would be said"""

    @property
    def dropped(self) -> dict[str, int]:
        """Documents that were left out, by why; and those that could not be looked at, where there are."""
        unsearched = {UNSEARCHED: self.found.unsearched} if self.found.unsearched else {}
        return {**self.found.dropped, UNSAID: self.unsaid, NEAR: len(self.found.similar), **unsearched}


def read_inputs(sourced: Sourced, progress: _Progress) -> CausalInputs:
    """The documents and the model that the settings name, checked as far as needs no weights.

    Raises:
        DataError: the documents cannot be trained or judged on.
        ModelError: the model cannot be read, or has nothing that LoRA could go on.
        UsageError: documents are to have more tokens than the model reads.
    """
    quieten_transformers()
    settings = sourced.settings
    name, folder = model_folder(sourced)
    tokenizer = open_tokenizer(folder, name)
    outline = open_outline(folder, name)
    find_targets(outline, "all")  # else it would be refused by each attempt
    data_name, given = _given(settings, tokenizer, name, progress)
    lengths = [one.tokens for one in given["train"] or ()]
    cut = _cut(settings, lengths, most_tokens(outline.config.to_dict()) or MOST_TOKENS)
    found, unsaid = _sets(sourced, given, cut)
    longer = sum(length > cut for length in lengths)
    longer_ppm = round(1e6 * longer / max(1, len(lengths)))
    return CausalInputs(data_name, found, tokenizer, name, folder, cut, longer_ppm, unsaid)


def make_beginning(sourced: Sourced, progress: _Progress) -> Beginning:
    """What a new state starts from.

    Raises:
        DataError: the documents cannot be trained or judged on.
        ModelError: the model cannot be loaded, or has nothing that LoRA could go on.
        UsageError: documents are to have more tokens than the model reads.
    """
    inputs = read_inputs(sourced, progress)
    network = open_network(inputs.folder, inputs.model_name)
    found = inputs.found
    files, digest = render_sets(found.lines())
    texts = [document.text for documents in found.sets.values() for document in documents]

    def save(into: Path) -> None:
        network.save_pretrained(into)
        inputs.tokenizer.save_pretrained(into)

    return Beginning(
        data_name=inputs.data_name,
        data_digest=digest,
        files=files,
        save=save,
        model_name=inputs.model_name,
        model_source=_source(inputs.folder, inputs.model_name),
        dropped=inputs.dropped,
        rules=found.rules,
        near=_near(found),
        hiding=sum(map(hides_something, texts)),
        cut=inputs.cut,
        longer_ppm=inputs.longer_ppm,
    )


def _near(found: CausalSets) -> int:
    """Holdout documents that have one like them among those that are trained on."""
    compared = {
        name: [Answered(one.text, one.rendered.answer) for one in found.sets[name]]
        for name in ("holdout", "train")
    }
    return len(find_near_documents(compared["holdout"], compared["train"]).near)


def _source(folder: Path, name: str) -> str:
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise ModelError(
            f"The model {name!r} has no safetensors weights.",
            why="Pickled weights can run code when they are loaded, so they are refused.",
            hint="Convert it, for example with model.save_pretrained(DIR), and give that folder.",
        )
    return tensors_digest(entry for path in weights for entry in read_tensor_entries(path))


def _given(
    settings: Settings, tokenizer: Any, name: str, progress: _Progress
) -> tuple[str, dict[str, list[_Measured] | None]]:
    """The name of the training documents, and those of each file; none where the settings name no file."""
    data = settings.data
    if not data.train and (data.holdout or data.audit):
        raise DataError(
            "A holdout or audit file was given without a training file.",
            why=f"The embedded documents {PAIRS} bring their own.",
            hint="Give the training file as well: --train FILE.jsonl.",
        )
    files: dict[str, list[TextDocument] | None] = {
        one: read_documents(Path(path)) if path else None
        for one in ("train", "holdout", "audit")
        for path in (getattr(data, one),)
    }
    if files["train"] is None:
        files["train"] = signature_pairs(partial(progress, "reading the library's docstrings"))
    found: dict[str, list[_Measured] | None] = {}
    for which, documents in files.items():
        told = partial(progress, f"reading the documents of {which}")
        found[which] = _measured(documents, tokenizer, name, told) if documents is not None else None
    return Path(data.train).name if data.train else PAIRS, found


@dataclass(frozen=True, slots=True)
class _Measured:
    """A document, rendered, with its tokens counted."""

    document: StoredDocument
    tokens: int
    first: int
    """place of the first target"""


def _measured(
    documents: Sequence[TextDocument], tokenizer: Any, name: str, progress: Callable[[int, int], None]
) -> list[_Measured]:
    found = []
    for done, document in enumerate(documents):
        if done % 500 == 0:
            progress(done, len(documents))
        stored = StoredDocument(document.plain, rendered(tokenizer, document, name), document.group)
        ids, first = encoded(tokenizer, stored.rendered)
        found.append(_Measured(stored, len(ids), first))
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
    return max(min(_FEWEST_TOKENS, positions), min(-(-longest // 8) * 8, positions, MOST_TOKENS))


def _sets(
    sourced: Sourced,
    given: Mapping[str, list[_Measured] | None],
    cut: int,
    rules: Mapping[str, Any] | None = None,
) -> tuple[CausalSets, int]:
    """The sets, and how many documents were left out because nothing of them would be said."""
    data, unsaid = sourced.settings.data, 0
    said: dict[Rendered, int] = {}
    """document → its target tokens"""
    files: dict[str, list[StoredDocument] | None] = {}
    for name, documents in given.items():
        files[name] = None
        if documents is not None:
            kept = [one for one in documents if min(one.tokens, cut) > one.first]
            said |= {one.document.rendered: min(one.tokens, cut) - one.first for one in kept}
            files[name] = [one.document for one in kept]
            unsaid += len(documents) - len(kept)
    default = sourced.origins["data.holdout_size"] == "default"
    found = make_sets(
        files["train"] or [],
        files["holdout"],
        files["audit"],
        size=DEFAULT_HOLDOUT if default else data.holdout_size,
        spares=data.spare_holdouts,
        rules=rules,
    )
    for name, some in found.sets.items():
        if name != "train" and (total := sum(said[one.rendered] for one in some)) > MOST_SAID:
            raise DataError(
                f"The {name} set has {total} tokens to say, more than {MOST_SAID}.",
                why="The sum of their losses could not be written down exactly.",
                hint="Make it smaller: --holdout-size, or fewer tokens of each: --max-tokens.",
            )
    return found, unsaid


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
        name, folder = model_folder(sourced)
        if _source(folder, name) != origin.model_source:
            raise _other(state, f"the model {origin.model_name}", name)
    if any(sourced.origins[f"data.{key}"] != "default" for key in ("train", "holdout", "audit")):
        first = state.model(origin.version)
        quieten_transformers()
        tokenizer = open_tokenizer(first, origin.model_name)
        _, given = _given(settings, tokenizer, origin.model_name, lambda *_: None)
        found, _ = _sets(sourced, given, cut, origin.rules)
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
    found = []
    for line in lines:
        ids, first = encoded(tokenizer, read_stored(line).rendered)
        found.append((ids[:cut], first))
    return found

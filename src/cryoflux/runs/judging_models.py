"""Judging two models that others made: both are evaluated here, on a holdout.

Whether the new one learned from the holdout, only who trained it knows. Where its training examples are
handed over, a holdout that shares one with them is refused (`cryoflux.data.fold`).
"""

from __future__ import annotations

__all__ = ["ModelsToJudge", "judge", "judge_models"]

import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cryoflux.config import Settings, load_settings
from cryoflux.data.columns import Wishes
from cryoflux.data.fold import fold
from cryoflux.data.formats import read_examples
from cryoflux.digests import file_digest
from cryoflux.errors import ModelError, UsageError
from cryoflux.evaluation.given_losses import PairedLosses, require_sum
from cryoflux.files import read_regular
from cryoflux.receipts.judgement_parts import HeldApart, JudgedKind
from cryoflux.receipts.profiles import DOCUMENT_F32, F32
from cryoflux.receipts.statement import CROSS_ENTROPY, Metric
from cryoflux.registry.plain_json import read_object
from cryoflux.runs.judgements import Judged, Terms
from cryoflux.runs.judging import judge_paired, with_settings
from cryoflux.runs.stated_energy import StatedJoules, stated_energy
from cryoflux.state import StateFolder
from cryoflux.tasks.causal.documents import read_documents
from cryoflux.tasks.causal.section import METRIC
from cryoflux.tasks.judged.causal import CausalScores, causal_losses
from cryoflux.tasks.judged.classifying import classifier_losses
from cryoflux.tasks.judged.holdout import classified_lines
from cryoflux.tasks.judged.sides import JudgedModel, model_side
from cryoflux.tasks.lora.libraries import (
    LIBRARIES,
    libraries_as_before,
    quieten_transformers,
    require_training,
)

_Place = str | os.PathLike[str]
_MOST_CONFIG = 4_000_000
_MOST_HOLDOUT = 1 << 30
_EVERY_ROW = Wishes(most_dropped=0.0)
"""none is left out, since nobody would be told"""
TASKS = ("classification", "causal-lm")


def _silent(_what: str, _done: int, _count: int) -> None:
    pass


@dataclass(frozen=True, slots=True)
class ModelsToJudge:
    """Two models and the holdout that tells them apart, as somebody names them."""

    base: str
    new: str
    holdout: Path
    task: str = ""
    """``classification`` or ``causal-lm``; empty to go by what kind of model the base is"""
    train: Path | None = None
    """examples that the new one learned from"""
    name: str = ""


def judge(
    base: _Place,
    new: _Place,
    holdout: _Place,
    *,
    state: _Place | None = None,
    task: str = "",
    train: _Place | None = None,
    name: str = "",
    energy: StatedJoules = None,
    min_delta: float | None = None,
    progress: Callable[[str, int, int], None] = _silent,
) -> Judged:
    """Say which of two models is better on a holdout, and sign a receipt.

    Args:
        base: what is there: a model folder, or an id of the Hugging Face hub.
        new: what was made from it: the same, or the folder of a LoRA adapter that is added to ``base``.
        holdout: CSV or JSONL of text and label; for language models JSONL of text, prompt with completion, or
            messages.
        state: the state whose log it goes into, made where it is not there; ``state`` by default.
        task: ``classification`` or ``causal-lm``; found by the base where it is not said.
        train: what the new one learned from, in the same form; refused where it shares an example.
        name: of what is judged.
        energy: what making the new one has cost: a measurement, its file, joules as a number or text.
        min_delta: smallest mean Δ that counts, nats an example; of language models, nats a token.
        progress: is told what is evaluated, how many examples of how many are done.

    Raises:
        ModelError: a model cannot be loaded, or would not be safe to load.
        DataError: the holdout cannot be judged on.
        UsageError: the holdout is in the training file, or the state cannot be written to.
        StateError: something is at work in the state, or it cannot be continued.
    """
    settings = load_settings({"state": state if state is None else str(state)}).settings
    place = None if train is None else Path(train)
    asked = ModelsToJudge(str(base), str(new), Path(holdout), task, place, name)
    with libraries_as_before():
        return judge_models(asked, settings, energy, min_delta, progress)


def judge_models(
    asked: ModelsToJudge,
    settings: Settings,
    energy: StatedJoules,
    min_delta: float | None,
    progress: Callable[[str, int, int], None],
) -> Judged:
    """The same by the settings of a command; the arguments are those of `judge`."""
    require_training()
    stated = stated_energy(energy)  # a slip of the pen is refused before minutes of work
    quieten_transformers()
    base = model_side(asked.base)
    new = model_side(asked.new, base)
    kind = asked.task or _kind_of(base)
    if kind not in TASKS:
        raise UsageError(
            f"There is no task {kind!r} to judge models by.",
            why="It says how a model is evaluated.",
            hint=f"Choose one of: {', '.join(TASKS)}.",
        )
    measure = _classified if kind == "classification" else _said
    evaluated = measure(asked, (base, new), StateFolder(Path(settings.run.state)), progress)
    side = new.side()  # hashes every file of it
    terms = Terms(
        name=asked.name or side.name,
        base=base.side(),
        new=side,
        kind=JudgedKind.MODELS,
        profile=evaluated.profile,
        metric=evaluated.metric,
        apart=evaluated.apart,
        energy=stated,
        libraries=LIBRARIES,
    )
    least = settings.decision.min_delta if min_delta is None else min_delta
    terms = with_settings(terms, settings, least * evaluated.weight)
    return judge_paired(evaluated.paired, terms, settings)


def _refuse_deciding(texts: Sequence[str], state: StateFolder) -> None:
    """Refuse examples that decide on updates in the same state: nobody would count the look there."""
    deciding = set()
    for path in sorted((state.path / "data").glob("*/holdout*.jsonl")):
        for line in read_regular(path, _MOST_HOLDOUT).splitlines():
            row = json.loads(line)
            if isinstance(row, dict) and isinstance(row.get("text"), str):
                deciding.add(fold(row["text"]))
    if shared := sum(text in deciding for text in texts):
        raise UsageError(
            f"{shared:,} of the {len(texts):,} examples decide on updates in {state.path}.",
            why="A verdict on anything else would spend their error budget, and nobody would count it there.",
            hint="Judge in a state of its own: --state judged.",
        )


@dataclass(frozen=True, slots=True)
class _Evaluated:
    """Losses of two models, paired."""

    paired: PairedLosses
    metric: Metric
    apart: HeldApart | None
    profile: str = F32
    weight: float = 1.0
    """tokens of an example that count in its loss, where that is a sum over them"""


def _kind_of(model: JudgedModel) -> str:
    """By the architectures that a model names: what it was saved as."""

    def refused(why: str) -> ModelError:
        return ModelError(
            f"{model.name} is no model folder: its config.json {why}.",
            why="Which kind of model it is could not be told.",
            hint="Say which: --task classification or --task causal-lm.",
        )

    found = read_object(model.folder / "config.json", _MOST_CONFIG, refused).get("architectures") or [""]
    name = str(found[0]) if isinstance(found, list) else str(found)
    if name.endswith("ForSequenceClassification"):
        return "classification"
    if name.endswith(("ForCausalLM", "LMHeadModel")):
        return "causal-lm"
    raise refused(f"says that it is a {name[:80] or 'model of no kind'}")


def _classified(
    asked: ModelsToJudge,
    sides: Iterable[JudgedModel],
    state: StateFolder,
    progress: Callable[[str, int, int], None],
) -> _Evaluated:
    # In one order, whatever the file's: what the holdout is called by, and how often it was looked at.
    examples = sorted(read_examples(asked.holdout, _EVERY_ROW), key=lambda e: (fold(e.text), e.label, e.text))
    texts = [fold(example.text) for example in examples]
    _refuse_copies(asked.holdout, texts)
    _refuse_deciding(texts, state)
    apart = None
    if asked.train is not None:
        learned = read_examples(asked.train, _EVERY_ROW)
        _refuse_shared(asked, {fold(e.text) for e in learned}, texts)
        apart = HeldApart(sha256=file_digest(asked.train), count=len(learned))
    found = []
    for side in sides:
        losses = classifier_losses(side, examples, partial(progress, side.name))
        require_sum(side.name, losses)
        found.append(losses)
    paired = PairedLosses(found[0], found[1], hits=True, holdout=classified_lines(examples))
    return _Evaluated(paired, CROSS_ENTROPY, apart)


def _said(
    asked: ModelsToJudge,
    sides: Iterable[JudgedModel],
    state: StateFolder,
    progress: Callable[[str, int, int], None],
) -> _Evaluated:
    documents = sorted(read_documents(asked.holdout), key=lambda d: (fold(d.plain), d.written()))
    texts = [fold(document.plain) for document in documents]
    _refuse_copies(asked.holdout, texts)
    _refuse_deciding(texts, state)
    apart = None
    if asked.train is not None:
        learned = read_documents(asked.train)
        _refuse_shared(asked, {fold(d.plain) for d in learned}, texts)
        _refuse_shared(asked, {d.group for d in learned} - {""}, [d.group for d in documents])
        apart = HeldApart(sha256=file_digest(asked.train), count=len(learned))
    found: list[CausalScores] = []
    for side in sides:
        scores = causal_losses(side, documents, partial(progress, side.name))
        require_sum(side.name, scores.losses)
        found.append(scores)
    _require_same_tokens(*found)
    lines = b"".join(document.written() for document in documents)
    paired = PairedLosses(found[0].losses, found[1].losses, hits=False, holdout=lines)
    weight = found[0].targets / len(documents)
    return _Evaluated(paired, METRIC, apart, DOCUMENT_F32, weight)


def _require_same_tokens(base: CausalScores, new: CausalScores) -> None:
    if base.read_as != new.read_as:
        raise ModelError(
            "The two models read the holdout as different tokens.",
            why="A loss over other tokens measures something else; Δ would mix both.",
            hint="Judge models with one tokenizer and one template, or losses of your own: --losses.",
        )


def _refuse_copies(holdout: Path, texts: Sequence[str]) -> None:
    """Refuse copies: each would count as evidence once more, and say nothing that is new."""
    if copies := len(texts) - len(set(texts)):
        raise UsageError(
            f"{copies:,} of the {len(texts):,} examples of {holdout} are copies of others.",
            why="What is judged twice counts twice, and chance would pass for an improvement.",
            hint="Leave one of each in the holdout.",
        )


def _refuse_shared(asked: ModelsToJudge, learned: set[str], judged: list[str]) -> None:
    if shared := sum(text in learned for text in judged):
        raise UsageError(
            f"{shared:,} of the {len(judged):,} examples of {asked.holdout} are in {asked.train} too.",
            why="A model that has learned an example by heart is no better at others.",
            hint="Judge on examples that it never learned from; take those out of the holdout.",
        )

"""Judging two models that others made: both are evaluated here, on a holdout.

Whether the new one learned from the holdout, only who trained it knows. Where its training examples are
handed over, a holdout that shares one with them is refused (`cryoflux.data.fold`).
"""

from __future__ import annotations

__all__ = ["ModelsToJudge", "judge", "judge_models"]

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from cryoflux.config import Settings, load_settings
from cryoflux.data.columns import Wishes
from cryoflux.data.documents import read_documents
from cryoflux.data.fold import fold
from cryoflux.data.formats import read_examples
from cryoflux.digests import file_digest
from cryoflux.errors import ModelError, UsageError
from cryoflux.evaluation.given_losses import PairedLosses, require_sum
from cryoflux.files import open_regular
from cryoflux.receipts.judgement_parts import HeldApart, JudgedKind, JudgedTokens
from cryoflux.receipts.profiles import DOCUMENT_F32, F32
from cryoflux.receipts.statement import CROSS_ENTROPY, Metric
from cryoflux.registry.plain_json import read_object
from cryoflux.runs.judged_holdouts import refuse_deciding
from cryoflux.runs.judgements import Judged, Terms
from cryoflux.runs.judging import judge_paired, with_settings
from cryoflux.runs.stated_energy import StatedJoules, stated_energy
from cryoflux.state import StateFolder
from cryoflux.tasks.causal.section import METRIC
from cryoflux.tasks.judged.causal import causal_losses
from cryoflux.tasks.judged.classifying import classifier_losses
from cryoflux.tasks.judged.holdout import classified_line
from cryoflux.tasks.judged.scores import SideScores
from cryoflux.tasks.judged.sides import JudgedModel, model_side
from cryoflux.tasks.lora.libraries import (
    LIBRARIES,
    libraries_as_before,
    quieten_transformers,
    require_training,
)

_Place = str | os.PathLike[str]
_MOST_CONFIG = 4_000_000
_EVERY_ROW = Wishes(most_dropped=0.0)
"""none is left out, since nobody would be told"""


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
    _require_files(asked)
    stated = stated_energy(energy)  # a slip of the pen is refused before minutes of work
    quieten_transformers()
    base = model_side(asked.base)
    new = model_side(asked.new, base)
    kind = asked.task or _kind_of(base)
    if kind not in _WAYS:
        raise UsageError(
            f"There is no task {kind!r} to judge models by.",
            why="It says how a model is evaluated.",
            hint=f"Choose one of: {', '.join(_WAYS)}.",
        )
    way = _WAYS[kind]
    evaluated = _evaluated(way, asked, (base, new), StateFolder(Path(settings.run.state)), progress)
    side = new.side()  # hashes every file of it
    terms = Terms(
        name=asked.name or side.name,
        base=base.side(),
        new=side,
        kind=JudgedKind.MODELS,
        profile=way.profile,
        metric=way.metric,
        apart=evaluated.apart,
        energy=stated,
        tokens=evaluated.tokens,
        libraries=LIBRARIES,
    )
    least = settings.decision.min_delta if min_delta is None else min_delta
    terms = with_settings(terms, settings, least * evaluated.weight)
    return judge_paired(evaluated.paired, terms, settings)


@dataclass(frozen=True, slots=True)
class _Way:
    """How examples of one kind are read, and models evaluated on them."""

    read: Callable[[Path], Sequence[Any]]
    text: Callable[[Any], str]
    group: Callable[[Any], str]
    """what an example is a part of; empty where it is one by itself"""
    line: Callable[[Any], bytes]
    """an example as it stands in the holdout that is signed"""
    score: Callable[[JudgedModel, Sequence[Any], Callable[[int, int], None]], SideScores]
    metric: Metric
    profile: str
    hits: bool
    """whether an example is right or wrong"""


_WAYS = {
    "classification": _Way(
        read=lambda path: read_examples(path, _EVERY_ROW),
        text=lambda example: str(example.text),
        group=lambda _: "",
        line=classified_line,
        score=classifier_losses,
        metric=CROSS_ENTROPY,
        profile=F32,
        hits=True,
    ),
    "causal-lm": _Way(
        read=read_documents,
        text=lambda document: str(document.plain),
        group=lambda document: str(document.group),
        line=lambda document: bytes(document.written()),
        score=causal_losses,
        metric=METRIC,
        profile=DOCUMENT_F32,
        hits=False,
    ),
}


@dataclass(frozen=True, slots=True)
class _Evaluated:
    """Losses of two models, paired."""

    paired: PairedLosses
    apart: HeldApart | None
    tokens: JudgedTokens

    @property
    def weight(self) -> float:
        """Tokens of an example that count in its loss, where that is a sum over them."""
        return self.tokens.targets / len(self.paired.base.nano_nats) if self.tokens.targets else 1.0


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


def _evaluated(
    way: _Way,
    asked: ModelsToJudge,
    sides: Sequence[JudgedModel],
    state: StateFolder,
    progress: Callable[[str, int, int], None],
) -> _Evaluated:
    # In one order, whatever the file's: what the holdout is called by, and how often it was looked at.
    examples = sorted(way.read(asked.holdout), key=lambda one: (fold(way.text(one)), way.line(one)))
    texts = [fold(way.text(example)) for example in examples]
    _refuse_copies(asked.holdout, texts)
    refuse_deciding(texts, state)
    apart = None
    if asked.train is not None:
        learned = way.read(asked.train)
        _refuse_shared(asked, {fold(way.text(one)) for one in learned}, texts)
        _refuse_shared(asked, {way.group(one) for one in learned} - {""}, list(map(way.group, examples)))
        apart = HeldApart(sha256=file_digest(asked.train), count=len(learned))
    found = []
    for side in sides:
        scores = way.score(side, examples, partial(progress, side.name))
        require_sum(side.name, scores.losses)
        found.append(scores)
    base, new = found
    _require_same_tokens(base, new)
    lines = b"".join(map(way.line, examples))
    tokens = JudgedTokens(
        most=min(base.most_tokens, new.most_tokens),
        cut=sum(one or other for one, other in zip(base.cut, new.cut, strict=True)),
        targets=base.targets,
    )
    return _Evaluated(PairedLosses(base.losses, new.losses, way.hits, lines), apart, tokens)


def _require_files(asked: ModelsToJudge) -> None:
    """Make sure, before minutes of work, that what is read more than once can be."""
    for option, path in (("--holdout", asked.holdout), ("--train", asked.train)):
        if path is None:
            continue
        try:
            open_regular(path).close()
        except (OSError, ValueError) as error:
            raise UsageError(
                f"{option} {str(path)!r} cannot be read: {getattr(error, 'strerror', None) or error}.",
                why="It has to be one file of examples: its digest is signed.",
                hint="Write a pipe, or a folder of datasets (Dataset.to_json), into a file, and name that.",
            ) from error


def _require_same_tokens(base: SideScores, new: SideScores) -> None:
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

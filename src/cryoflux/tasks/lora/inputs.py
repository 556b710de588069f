"""The examples and the base model of ``lora_delta``, checked before anything is written."""

from __future__ import annotations

__all__ = [
    "FirstInputs",
    "check_same",
    "first_inputs",
    "kept_cut",
    "make_beginning",
    "read_splits",
    "said_cut",
]

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryoflux.config import Settings, Sourced
from cryoflux.data import stdlib_docs
from cryoflux.data.frequencies import log_frequencies
from cryoflux.data.lowest_hash import LOWEST_HASH
from cryoflux.data.prepared import SIMILAR_FILE, load_examples, render
from cryoflux.data.sources import read_sets
from cryoflux.data.split import Splits, hiding_texts, near_train, rules_of, split
from cryoflux.errors import DataError, StateError
from cryoflux.quantities import parse_energy
from cryoflux.registry.cuts import Cut, cut_words, make_cut, reading_of, tokens_of
from cryoflux.state import StateFolder
from cryoflux.tasks.interface import Beginning, Origin
from cryoflux.tasks.lora.base_model import (
    BaseModel,
    check_tokens,
    is_embedded,
    load_base,
    most_tokens,
    source_digest,
)
from cryoflux.tasks.lora.embedded import EmbeddedBase, load_embedded
from cryoflux.tasks.lora.libraries import quieten, quieten_transformers
from cryoflux.tasks.lora.recipe import ALL_LAYERS, USED_TO_BE
from cryoflux.tasks.lora.targets import attention_projections
from cryoflux.tasks.lora.token_limit import Preparing, choose_limit, measure_lengths, parameters_of

if TYPE_CHECKING:
    from cryoflux.tasks.index.guard import LeakGuard

_Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class FirstInputs:
    """What a new state is made from; nothing is written yet."""

    name: str
    """of the data set"""
    splits: Splits
    base: BaseModel | EmbeddedBase
    config: Mapping[str, Any]
    """of version 0"""
    cut: Cut
    longer_ppm: int
    """share of the training texts that are longer, in millionths"""
    guard: LeakGuard | None = None
    """by which training texts were left out"""
    found: tuple[str, ...] = ()
    """what was found in files that are not exactly text,label, in words"""


def first_inputs(settings: Settings, progress: _Progress | None = None) -> FirstInputs:
    """Examples, model and cut of a new state, as far as they may refuse one.

    Raises:
        DataError: the examples cannot be trained or judged on.
        ModelError: the model cannot be loaded, or has nothing that LoRA could go on.
        UsageError: texts are to have more tokens than the model reads.
    """
    quieten()
    found = list[str]()
    name, splits = read_splits(settings, progress, said=found.append)
    guard = None
    if settings.data.leak_guard:
        guard, splits = _guarded(settings, splits, progress)
    base, config = _load(settings, splits)
    cut, longer_ppm = _first_cut(settings, splits, base.folder, config)
    return FirstInputs(name, splits, base, config, cut, longer_ppm, guard, tuple(found))


def _guarded(settings: Settings, splits: Splits, progress: _Progress | None) -> tuple[LeakGuard, Splits]:
    """The leak guard, and the sets without training texts that are like one that judges.

    Raises:
        DataError: nothing is left to train a class on.
    """
    import torch

    from cryoflux.encoder.threads import torch_as_before
    from cryoflux.tasks.index.guard import LeakGuard, TextVectors

    def told(done: int, count: int) -> None:
        if progress is not None:
            progress("embedding the texts for the leak guard", done, count)

    guard = LeakGuard(_milli(settings), TextVectors())
    judging = {name: [example.text for example in those] for name, those in splits.judging.items()}
    with torch_as_before():
        torch.set_num_threads(settings.model.threads or 1)
        near = guard.near([example.text for example in splits.train], judging, told)
    return guard, splits.without(near)


def _milli(settings: Settings) -> int:
    return round(settings.data.leak_guard * 1000)


def make_beginning(settings: Settings, progress: _Progress) -> Beginning:
    """What a new state starts from.

    Raises:
        CryoFluxError: as `first_inputs`.
    """
    found = first_inputs(settings, progress)
    splits, base = found.splits, found.base
    files, digest = render(splits)
    guard = found.guard
    similar = {"similar": guard.rule(len(splits.similar))} if guard is not None else {}
    given = {"holdout_given": bool(settings.data.holdout), "audit_given": bool(settings.data.audit)}
    return Beginning(
        data_name=found.name,
        data_digest=digest,
        files=files,
        save=base.save,
        model_name=base.name,
        model_source=base.source_digest,
        dropped=splits.dropped,
        rules=rules_of(**given) | similar,
        similar=splits.similar_to,
        keep=guard.vectors.keep_in if guard is not None else lambda _cache: None,
        near=near_train(splits),
        hiding=hiding_texts(splits),
        cut=found.cut,
        longer_ppm=found.longer_ppm,
        found=found.found,
    )


def _first_cut(
    settings: Settings, splits: Splits, folder: Path, config: Mapping[str, Any]
) -> tuple[Cut, int]:
    """How much of a text a new state reads, and the share of the training texts that are longer, ppm.

    Args:
        settings: say it, or leave it to the lengths.
        splits: the examples.
        folder: of the model that version 0 is made from.
        config: of the model.

    Raises:
        ModelError: its tokenizer cannot read the texts.
        UsageError: texts are to have more tokens than the model reads.
    """
    limit = settings.model.max_tokens
    check_tokens(config, limit)
    texts = [example.text for example in splits.train]
    lengths = measure_lengths(folder, texts, embedded=is_embedded(settings.model.model))
    if not limit:
        limit = choose_limit(
            lengths,
            Preparing(parameters_of(folder), len(texts), len(splits.holdout)),
            reserve_uj=parse_energy(settings.attempt.reserve),
            positions=most_tokens(config),
        )
    return make_cut(limit, settings.model.reading), lengths.longer_ppm(limit)


def said_cut(settings: Settings) -> Cut:
    """How much of a text is read where a state does not say it."""
    return make_cut(settings.model.max_tokens or USED_TO_BE, settings.model.reading)


def kept_cut(sourced: Sourced, origin: Origin) -> Cut:
    """How much of a text a state reads.

    Raises:
        StateError: the settings ask for another limit or another reading than it was begun with.
    """
    model, state = sourced.settings.model, Path(sourced.settings.run.state)
    if not origin.cut:  # begun before states said it: what its settings say is what they always said
        return said_cut(sourced.settings)
    asked = model.reading if sourced.origins["model.reading"] != "default" else reading_of(origin.cut)
    wanted = make_cut(model.max_tokens or tokens_of(origin.cut), asked)
    if wanted != origin.cut:
        raise StateError(
            f"{state} reads {cut_words(origin.cut)} of a text, not {cut_words(wanted)}.",
            why="A model has another loss on the same texts then, so Δ under one limit cannot be added to Δ "
            "under the other.",
            hint="Give this limit its own folder with --state DIR, or leave the option out to continue.",
        )
    return origin.cut


def _load(settings: Settings, splits: Splits) -> tuple[BaseModel | EmbeddedBase, dict[str, Any]]:
    """What version 0 is made from, and its configuration."""
    name, labels = settings.model.model, splits.labels
    frequencies = settings.model.new_head == "frequencies"
    prior = log_frequencies(example.label for example in splits.train) if frequencies else {}
    if is_embedded(name):
        embedded = load_embedded(name, labels, prior=prior)
        return embedded, embedded.config
    quieten_transformers()
    base = load_base(name, labels, seed=settings.run.seed, prior=prior)
    attention_projections(base.model, layers=ALL_LAYERS)  # else it would be refused by each attempt
    return base, base.model.config.to_dict()


def check_same(sourced: Sourced, origin: Origin) -> None:
    """Make sure that the settings name no other data set or model than a state was begun with.

    Raises:
        DataError, ModelError: what they name cannot be used at all.
        StateError: they name another, or another limit of tokens.
    """
    kept_cut(sourced, origin)
    _kept_guard(sourced, origin)
    settings, state = sourced.settings, Path(sourced.settings.run.state)
    if any(sourced.origins[f"data.{key}"] != "default" for key in ("train", "holdout", "audit")):
        name, splits = read_splits(settings, rules=origin.rules)
        digest = _digest_here(splits, StateFolder(state), origin)
        if digest != origin.data_digest:
            raise _mismatch(state, "data set", origin.data_name, origin.data_digest, name, digest)
    if sourced.origins["model.model"] != "default":
        wanted = settings.model.model
        if (found := source_digest(wanted)) != origin.model_source:
            raise _mismatch(state, "model", origin.model_name, origin.model_source, wanted, found)


def _kept_guard(sourced: Sourced, origin: Origin) -> None:
    had, asked = origin.rules.get("similar", {}).get("least_milli", 0), _milli(sourced.settings)
    if sourced.origins["data.leak_guard"] != "default" and asked != had:
        words = [f"a leak guard of {milli / 1000:g}" if milli else "no leak guard" for milli in (had, asked)]
        raise StateError(
            f"{sourced.settings.run.state} has {words[0]}, not {words[1]}.",
            why="It was made with it: what is trained on was settled then, and the log names it.",
            hint="Give this one its own folder with --state DIR, or leave the option out to continue.",
        )


def _digest_here(splits: Splits, state: StateFolder, origin: Origin) -> str:
    """The digest of sets made again, less what the state's guard left out, which need not be embedded again.

    A folder of a grown set has what was left out as well; only what gives the state's digest counts.
    """
    _, digest = render(splits)
    if "similar" not in origin.rules:
        return digest
    for path in sorted(state.data(origin.data_digest).parent.glob(f"*/{SIMILAR_FILE}")):
        left_out = set(load_examples(path))
        near = {place: "" for place, example in enumerate(splits.train) if example in left_out}
        _, found = render(splits.without(near))
        if found == origin.data_digest:
            return found
    return digest


def read_splits(
    settings: Settings,
    progress: _Progress | None = None,
    *,
    rules: Mapping[str, str] | None = None,
    said: Callable[[str], None] = lambda _line: None,
) -> tuple[str, Splits]:
    """The name of the data set and its disjoint sets.

    Args:
        settings: which files they are made from.
        progress: called with what is done, how much of it, and how much there is.
        rules: that a state was begun by, to make its sets again; those of a new one where it is none.
        said: called with what was found in files that are not exactly text,label.

    Raises:
        DataError: the examples cannot be trained or judged on.
    """
    data = settings.data
    folded = rules is None or "copies" in rules
    if not data.train and (data.holdout or data.audit):
        raise DataError(
            "A holdout or audit file was given without a training file.",
            why=f"The embedded data set {stdlib_docs.NAME} brings its own.",
            hint="Give the training file as well: --train FILE.",
        )
    if data.train:
        sets = read_sets(data)
        for line in sets.lines():
            said(line)
        name, train, held, audited = Path(data.train).name, sets.train, sets.holdout, sets.audit
    else:

        def told(done: int, count: int) -> None:
            if progress is not None:
                progress("reading the library's docstrings", done, count)

        name, train, held, audited = stdlib_docs.NAME, stdlib_docs.build(told), None, None
    splits = split(
        train,
        held,
        audited,
        holdout_size=data.holdout_size,
        # a holdout of one's own is not followed by one of another kind
        spare_holdouts=0 if data.holdout else data.spare_holdouts,
        monitor_size=settings.monitor.monitor_size,
        folded=folded,
        by_class=folded and (rules is None or LOWEST_HASH not in rules.values()),
    )
    return name, splits


def _mismatch(state: Path, what: str, name: str, digest: str, other: str, other_digest: str) -> StateError:
    return StateError(
        f"{state} belongs to the {what} {name} ({digest[:16]}…), not to {other} ({other_digest[:16]}…).",
        why="Δ measured on one cannot be added to Δ measured on another.",
        hint="Give this one its own folder with --state DIR, or leave the option out to continue.",
    )

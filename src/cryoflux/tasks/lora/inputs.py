"""The examples and the base model of ``lora_delta``, checked before anything is written."""

from __future__ import annotations

__all__ = ["check_same", "make_beginning", "read_splits"]

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cryoflux.config import Settings, Sourced
from cryoflux.data import stdlib_docs
from cryoflux.data.formats import read_examples
from cryoflux.data.frequencies import log_frequencies
from cryoflux.data.lowest_hash import LOWEST_HASH
from cryoflux.data.prepared import render
from cryoflux.data.split import Splits, hiding_texts, near_train, rules_of, split
from cryoflux.errors import DataError, StateError
from cryoflux.tasks.interface import Beginning, Origin
from cryoflux.tasks.lora.base_model import BaseModel, check_tokens, is_embedded, load_base, source_digest
from cryoflux.tasks.lora.embedded import EmbeddedBase, load_embedded
from cryoflux.tasks.lora.libraries import quieten_transformers
from cryoflux.tasks.lora.recipe import ALL_LAYERS
from cryoflux.tasks.lora.targets import attention_projections

_Progress = Callable[[str, int, int], None]


def make_beginning(settings: Settings, progress: _Progress) -> Beginning:
    """What a new state starts from.

    Raises:
        DataError: the examples cannot be trained or judged on.
        ModelError: the model cannot be loaded, or has nothing that LoRA could go on.
        UsageError: texts are to have more tokens than the model reads.
    """
    name, splits = read_splits(settings, progress)
    files, digest = render(splits)
    base, config = _load(settings, splits)
    check_tokens(config, settings.model.max_tokens)
    return Beginning(
        data_name=name,
        data_digest=digest,
        files=files,
        save=base.save,
        model_name=base.name,
        model_source=base.source_digest,
        dropped=splits.dropped,
        rules=rules_of(holdout_given=bool(settings.data.holdout), audit_given=bool(settings.data.audit)),
        near=near_train(splits),
        hiding=hiding_texts(splits),
    )


def _load(settings: Settings, splits: Splits) -> tuple[BaseModel | EmbeddedBase, dict[str, Any]]:
    """What version 0 is made from, and its configuration."""
    name, labels = settings.model.model, splits.labels
    prior = log_frequencies(example.label for example in splits.train)
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
        StateError: they name another.
    """
    settings, state = sourced.settings, Path(sourced.settings.run.state)
    if any(sourced.origins[f"data.{key}"] != "default" for key in ("train", "holdout", "audit")):
        name, splits = read_splits(settings, rules=origin.rules)
        _, digest = render(splits)
        if digest != origin.data_digest:
            raise _mismatch(state, "data set", origin.data_name, origin.data_digest, name, digest)
    if sourced.origins["model.model"] != "default":
        wanted = settings.model.model
        if (found := source_digest(wanted)) != origin.model_source:
            raise _mismatch(state, "model", origin.model_name, origin.model_source, wanted, found)


def read_splits(
    settings: Settings, progress: _Progress | None = None, *, rules: Mapping[str, str] | None = None
) -> tuple[str, Splits]:
    """The name of the data set and its disjoint sets.

    Args:
        settings: which files they are made from.
        progress: called with what is done, how much of it, and how much there is.
        rules: that a state was begun by, to make its sets again; those of a new one where it is none.

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
        name, train = Path(data.train).name, read_examples(Path(data.train))
    else:

        def told(done: int, count: int) -> None:
            if progress is not None:
                progress("reading the library's docstrings", done, count)

        name, train = stdlib_docs.NAME, stdlib_docs.build(told)
    splits = split(
        train,
        read_examples(Path(data.holdout)) if data.holdout else None,
        read_examples(Path(data.audit)) if data.audit else None,
        holdout_size=data.holdout_size,
        # a holdout of one's own is not followed by one of another kind
        spare_holdouts=0 if data.holdout else data.spare_holdouts,
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

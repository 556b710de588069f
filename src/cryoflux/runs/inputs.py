"""What a run is given, checked before anything is written: the examples and the base model.

A state belongs to one data set and one base model for good; ``origin.json`` names both. A later run
that names others is refused, with the digests of either; one that names none continues with them.
"""

from __future__ import annotations

__all__ = ["Inputs", "Origin", "check_origin", "read_splits", "ready_inputs", "stored_origin", "too_small"]

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from cryoflux.config import Settings, Sourced
from cryoflux.data import stdlib_docs
from cryoflux.data.formats import read_examples
from cryoflux.data.prepared import render, store
from cryoflux.data.split import Splits, split
from cryoflux.errors import DataError, StateError, StateTamperedError, UsageError
from cryoflux.files import write_atomic
from cryoflux.quantities import format_energy
from cryoflux.receipts.entry import Entry, intent_of
from cryoflux.registry.versions import Versions
from cryoflux.tasks.lora.base_model import BaseModel, check_tokens, load_base, source_digest

_ORIGIN = "origin.json"


@dataclass(frozen=True, slots=True)
class Origin:
    """What a state was begun with."""

    data_name: str
    data_digest: str
    model_name: str
    model_source: str
    """``tensors/v1`` digest of the weights that version 0 was made from"""
    version: str
    """digest of version 0"""
    dropped: dict[str, int]
    """set → examples dropped as duplicates"""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Checked inputs of a state that is about to be begun; nothing of it is on the disk yet."""

    data_name: str
    data_digest: str
    files: dict[str, bytes]
    dropped: dict[str, int]
    base: BaseModel

    def begin(self, state: Path) -> Origin:
        """Write data set, version 0 and origin; the origin comes last, so that half is none."""
        store(self.files, self.data_digest, state / "data")
        versions = Versions(state)
        first = versions.keep(versions.draft(self.base.save))
        versions.point_head(first.digest)
        origin = Origin(
            self.data_name,
            self.data_digest,
            self.base.name,
            self.base.source_digest,
            first.digest,
            self.dropped,
        )
        write_atomic(state / _ORIGIN, json.dumps(asdict(origin), indent=1, ensure_ascii=False).encode())
        return origin


def stored_origin(state: Path) -> Origin | None:
    """What the state was begun with; none if it is new.

    Raises:
        StateTamperedError: the file is damaged.
    """
    path = state / _ORIGIN
    if not path.is_file():
        return None
    try:
        return Origin(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise StateTamperedError(
            f"{path} is damaged.",
            why="It says which data set and model this state belongs to.",
            hint="Restore it from a backup, or start afresh with --state DIR.",
        ) from error


_OURS = {
    *("account.db", "baseline.json", "base_model", "cache", "capsules", "data", "evidence", "keys", "lock"),
    *("log", "meter.lock", "models", "receipts.db"),
}


def _check_folder(state: Path) -> None:
    """Refuse to begin a state among files that are not ours, or where the origin of one was lost."""
    if state.exists() and not state.is_dir():
        raise StateError(
            f"{state} is a file, not a folder.",
            why="A state is a folder of several files.",
            hint="Choose another name with --state DIR.",
        )
    names = {path.name for path in state.iterdir()} if state.is_dir() else set()
    if "receipts.db" in names:
        raise StateTamperedError(
            f"{state / _ORIGIN} is missing, but {state / 'receipts.db'} is there.",
            why="Without it a run could go on with other data than the receipts name.",
            hint="Restore it from a backup, or start afresh with --state DIR.",
        )
    strange = {name for name in names if name.partition("-")[0] not in _OURS and not name.startswith(".")}
    if strange:
        raise StateError(
            f"{state} holds other files, such as {min(strange)}.",
            why="A state keeps to itself, so that it can be copied, checked and thrown away as one.",
            hint="Give it an empty or a new folder with --state DIR.",
        )


def too_small(budget_uj: int, reserve_uj: int, held_uj: int = 0) -> UsageError:
    """What is said of a budget that does not pay for one attempt."""
    held = f"The bucket holds {format_energy(held_uj)} besides; an" if held_uj else "An"
    return UsageError(
        f"A budget of {format_energy(budget_uj)} is smaller than one attempt.",
        why=f"{held} attempt reserves {format_energy(reserve_uj)} before it starts.",
        hint="Raise --budget, or lower --reserve.",
    )


def check_origin(state: Path, origin: Origin, entries: Iterable[Entry]) -> None:
    """Make sure that the log was begun with the data set and model that the origin names.

    Raises:
        StateTamperedError: it was not.
    """
    first = next((intent for entry in entries if (intent := intent_of(entry))), None)
    if first and (first.data.digest, first.base.digest) != (origin.data_digest, origin.version):
        raise StateTamperedError(
            f"{state / _ORIGIN} names another data set or model than the first entry of the log.",
            why="Δ measured on one cannot be added to Δ measured on another.",
            hint="Restore it from a backup, or start afresh with --state DIR.",
        )


def ready_inputs(
    sourced: Sourced, state: Path, *, progress: Callable[[int, int], None] | None = None
) -> Inputs | None:
    """Inputs for a new state, or none for one that can be continued.

    Raises:
        DataError: the examples cannot be trained or judged on.
        ModelError: the model cannot be loaded.
        StateError: the state belongs to other examples or another model.
        UsageError: texts are to have more tokens than the model reads.
    """
    settings = sourced.settings
    origin = stored_origin(state)
    if origin is None:
        _check_folder(state)
    named_data = any(sourced.origins[f"data.{key}"] != "default" for key in ("train", "holdout", "audit"))
    if origin is None or named_data:
        name, splits = read_splits(settings, progress)
        files, digest = render(splits)
    if origin is None:
        base = load_base(settings.model.model, splits.labels, seed=settings.run.seed)
        check_tokens(base.model.config.to_dict(), settings.model.max_tokens)
        return Inputs(name, digest, files, splits.dropped, base)
    if named_data and digest != origin.data_digest:
        raise _mismatch(state, "data set", origin.data_name, origin.data_digest, name, digest)
    if sourced.origins["model.model"] != "default":
        found = source_digest(settings.model.model)
        if found != origin.model_source:
            wanted = settings.model.model
            raise _mismatch(state, "model", origin.model_name, origin.model_source, wanted, found)
    return None


def read_splits(settings: Settings, progress: Callable[[int, int], None] | None = None) -> tuple[str, Splits]:
    """The name of the data set and its three disjoint sets.

    Raises:
        DataError: the examples cannot be trained or judged on.
    """
    data = settings.data
    if not data.train and (data.holdout or data.audit):
        raise DataError(
            "A holdout or audit file was given without a training file.",
            why=f"The embedded data set {stdlib_docs.NAME} brings its own.",
            hint="Give the training file as well: --train FILE.",
        )
    if data.train:
        name, train = Path(data.train).name, read_examples(Path(data.train))
    else:
        name, train = stdlib_docs.NAME, stdlib_docs.build(progress)
    splits = split(
        train,
        read_examples(Path(data.holdout)) if data.holdout else None,
        read_examples(Path(data.audit)) if data.audit else None,
        holdout_size=data.holdout_size,
        # a holdout of one's own is not followed by one of another kind
        spare_holdouts=0 if data.holdout else data.spare_holdouts,
    )
    return name, splits


def _mismatch(state: Path, what: str, name: str, digest: str, other: str, other_digest: str) -> StateError:
    return StateError(
        f"{state} belongs to the {what} {name} ({digest[:16]}…), not to {other} ({other_digest[:16]}…).",
        why="Δ measured on one cannot be added to Δ measured on another.",
        hint="Give this one its own folder with --state DIR, or leave the option out to continue.",
    )

"""Losses that somebody else computed, one an example, as they are handed over to be judged.

A file has one example a line, as JSON: ``{"id": "a-1", "loss": 0.731}``, and ``"correct": true`` beside it
where an example can be right or wrong. The ids say which example is which, so the order of lines means
nothing. Each loss is rounded once to a billionth of its unit; from there on everything is exact.
"""

from __future__ import annotations

__all__ = ["GivenLosses", "PairedLosses", "given_losses", "pair_given", "read_given_losses", "require_sum"]

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from pathlib import Path
from typing import Any

from cryoflux.digests import sha256_hex
from cryoflux.errors import DataError, UsageError
from cryoflux.evaluation.losses import Losses
from cryoflux.files import read_regular
from cryoflux.quantities import NANO
from cryoflux.signing.fields import SAFE

_MOST_BYTES = 1 << 30
_MOST_EXAMPLES = 1_000_000
_LONGEST_ID = 1000
_LONGEST_SHOWN = 80
_MOST_NAMED = 3
_LINE = '{"id": "a-1", "loss": 0.731}'


@dataclass(frozen=True, slots=True)
class GivenLosses:
    """Losses by example, as somebody handed them over."""

    name: str
    """of the file, or what whoever calls has named it"""
    sha256: str
    """of the file; of losses that came without one, of their lines as a file would have them"""
    nano: Mapping[str, int]
    """id → loss, billionths of its unit"""
    correct: Mapping[str, bool] | None
    """id → whether it was right; none where that is not said of every example"""


@dataclass(frozen=True, slots=True)
class PairedLosses:
    """Losses of two on the same examples, in one order."""

    base: Losses
    new: Losses
    hits: bool
    """whether both say of every example whether it was right"""
    holdout: bytes
    """the examples, one a line, as JSON; where losses were handed over, their ids"""

    @property
    def sha256(self) -> str:
        """What the holdout is called by: the digest of its lines."""
        return sha256_hex(self.holdout)


def read_given_losses(path: Path) -> GivenLosses:
    """The losses of a file.

    Raises:
        DataError: a line is no loss of an example, or an example stands there twice.
        UsageError: there is no such file, or it is too large.
    """
    try:
        content = read_regular(path, _MOST_BYTES)
    except (OSError, ValueError) as error:  # a path can be none at all
        raise UsageError(
            f"{str(path)!r} cannot be read: {getattr(error, 'strerror', None) or error}.",
            why="It should hold a loss for each example.",
            hint=f"Name a file with lines such as {_LINE}.",
        ) from error
    rows = []
    for number, line in enumerate(content.split(b"\n"), 1):
        if line.strip():
            rows.append((f"{path}, line {number}", _parsed(path, number, line)))
    return _collected(path.name, sha256_hex(content), rows)


def given_losses(name: str, losses: Mapping[Any, Any] | Iterable[Any], correct: Any = None) -> GivenLosses:
    """The same of losses that are in memory.

    Args:
        name: what they are of.
        losses: id → loss; or losses in the order of the holdout: a list, an array, a tensor.
        correct: whether it was right, in the same form; none where that is not said.

    Raises:
        DataError: a loss is none, or they come in no form that is read.
    """
    found = {str(key): loss for key, loss in _by_id(name, losses).items()}
    right = {} if correct is None else {str(key): hit for key, hit in _by_id(name, correct).items()}
    rows = []
    for key in sorted(found):
        where = f"{name}, example {key[:_LONGEST_SHOWN]!r}"
        said: dict[str, Any] = {"id": key, "loss": _plain(found[key])}
        _id_of(where, said), _loss_of(where, said)
        said["loss"] = float(said["loss"])
        if key in right:
            said["correct"] = _hit(where, _plain(right[key]))
        rows.append((where, said))
    lines = "".join(json.dumps(said, ensure_ascii=False, sort_keys=True) + "\n" for _, said in rows)
    return _collected(name, sha256_hex(lines.encode()), rows)


def _by_id(name: str, given: Mapping[Any, Any] | Iterable[Any]) -> Mapping[Any, Any]:
    """What was given, by id; by its place where it has none."""
    if isinstance(given, Mapping):
        if len({str(key) for key in given}) < len(given):
            raise _no_loss(name, "has two examples whose ids are written alike")
        return given
    # numpy's arrays and torch's tensors, whose elements are none of Python's numbers
    listed = given.tolist() if hasattr(given, "tolist") else given
    if isinstance(listed, str | bytes) or not isinstance(listed, Iterable):
        raise DataError(
            f"{name} is {type(given).__name__}, and no losses by example.",
            why="Δ is measured example by example.",
            hint="Hand over a file, id → loss, or losses in the order of the holdout.",
        )
    return dict(enumerate(listed))


def _plain(value: Any) -> Any:
    """A number as Python's own, where it is numpy's, torch's or a fraction; else what it is."""
    if isinstance(value, bool | int | float):
        return value
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return value.item()
    return float(value) if isinstance(value, Real | Decimal) else value


def _hit(where: str, value: Any) -> bool:
    if not isinstance(value, bool | int | float) or value not in {0, 1}:
        raise _no_loss(where, 'says "correct" and neither true nor false')
    return bool(value)


def pair_given(base: GivenLosses, new: GivenLosses) -> PairedLosses:
    """Both on the same examples, in the order of their ids.

    Raises:
        DataError: they are not of the same examples, or add up to more than a receipt can hold.
    """
    _require_same(base, new)
    ids = sorted(base.nano)
    hits = base.correct is not None and new.correct is not None
    losses = [
        Losses(
            tuple(side.nano[key] for key in ids),
            tuple(bool(hits and side.correct is not None and side.correct[key]) for key in ids),
        )
        for side in (base, new)
    ]
    for side, found in zip((base, new), losses, strict=True):
        require_sum(side.name, found)
    lines = "".join(json.dumps(key, ensure_ascii=False) + "\n" for key in ids)
    return PairedLosses(losses[0], losses[1], hits, lines.encode())


def require_sum(name: str, losses: Losses) -> None:
    """Make sure that losses add up to what a receipt can hold.

    Raises:
        DataError: they do not.
    """
    if (total := sum(losses.nano_nats)) > SAFE:
        raise DataError(
            f"The losses of {name} add up to {total / NANO:,.0f}.",
            why=f"A receipt holds sums of up to {SAFE / NANO:,.0f}.",
            hint="Judge on fewer examples, or hand over losses in a larger unit.",
        )


def _require_same(base: GivenLosses, new: GivenLosses) -> None:
    for have, lack in ((base, new), (new, base)):
        if missing := sorted(have.nano.keys() - lack.nano.keys()):
            shown = ", ".join(repr(key[:_LONGEST_SHOWN]) for key in missing[:_MOST_NAMED])
            more = f" and {len(missing) - _MOST_NAMED:,} more" if len(missing) > _MOST_NAMED else ""
            raise DataError(
                f"{lack.name} has no loss for {shown}{more}, which {have.name} has.",
                why="Δ is measured on the same examples, one by one; nothing is left out silently.",
                hint="Evaluate both on the whole holdout, with the same ids.",
            )


def _parsed(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _no_loss(f"{path}, line {number}", "is not JSON") from error
    if not isinstance(found, dict):
        raise _no_loss(f"{path}, line {number}", "is no JSON object")
    return found


def _no_loss(where: str, what: str) -> DataError:
    return DataError(
        f"{where} {what}.",
        why="Every line has to say which example it is of, and its loss.",
        hint=f"Write it as {_LINE}.",
    )


def _collected(name: str, sha256: str, rows: Iterable[tuple[str, dict[str, Any]]]) -> GivenLosses:
    nano: dict[str, int] = {}
    correct: dict[str, bool] = {}
    for where, said in rows:
        key = _id_of(where, said)
        if key in nano:
            raise _no_loss(where, f"is of the example {key!r}, which stands there before")
        if len(nano) >= _MOST_EXAMPLES:
            raise _no_loss(where, f"is one more than the {_MOST_EXAMPLES:,} examples that are judged on")
        nano[key] = _loss_of(where, said)
        if isinstance(said.get("correct"), bool):
            correct[key] = said["correct"]
        elif "correct" in said:
            raise _no_loss(where, 'says "correct" and neither true nor false')
    if len(nano) < 2:
        raise DataError(
            f"{name} holds {len(nano)} losses.",
            why="From fewer than two examples nothing follows.",
            hint="Evaluate both on a holdout of some hundred examples.",
        )
    return GivenLosses(name, sha256, nano, correct if len(correct) == len(nano) else None)


def _id_of(where: str, said: Mapping[str, Any]) -> str:
    key = said.get("id")
    if isinstance(key, bool) or not isinstance(key, str | int) or key == "":
        raise _no_loss(where, 'has no "id" that is a text or a whole number')
    text = str(key)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _no_loss(where, 'has an "id" that is no Unicode text') from error
    if len(text) > _LONGEST_ID:
        raise _no_loss(where, f'has an "id" of more than {_LONGEST_ID} characters')
    return text


def _loss_of(where: str, said: Mapping[str, Any]) -> int:
    loss = said.get("loss")
    if isinstance(loss, bool) or not isinstance(loss, int | float):
        raise _no_loss(where, 'has no "loss" that is a number')
    if not (isinstance(loss, int) or math.isfinite(loss)) or not 0 <= loss <= SAFE / NANO:
        shown = "a number of many digits" if isinstance(loss, int) and abs(loss) > SAFE else loss
        raise DataError(
            f"{where} has a loss of {shown}.",
            why=f"A loss lies between 0 and {SAFE / NANO:,.0f}; the lower, the better.",
            hint="Hand over losses, such as cross-entropies in nats: for scores, 1 − score.",
        )
    return round(loss * NANO)

"""Joules that somebody states, for a receipt that says so: a number, a text, a measurement or its file."""

from __future__ import annotations

__all__ = ["StatedJoules", "stated_energy"]

import os
import shlex
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from cryoflux.digests import sha256_hex
from cryoflux.energy.measured import Measured
from cryoflux.energy.of_work import EnergyMeasurement
from cryoflux.errors import UsageError
from cryoflux.files import read_regular
from cryoflux.quantities import MICRO, Energy, Tier, parse_energy
from cryoflux.receipts.judgement_parts import StatedEnergy
from cryoflux.signing.fields import SAFE

StatedJoules = EnergyMeasurement | Measured | Energy | str | os.PathLike[str] | float | None
_MOST_MEASUREMENT_BYTES = 1 << 20
_MOST_JOULES = SAFE / MICRO
_LONGEST_TEXT = 100
_NO_NUMBERS = (ValueError, ArithmeticError, RecursionError)


def stated_energy(joules: StatedJoules) -> StatedEnergy | None:
    """What somebody states that something has cost.

    Args:
        joules: a measurement, its file, a number of joules or a text such as ``12kJ``; none for nothing.

    Raises:
        UsageError: it is none of these, or less than nothing.
    """
    if joules is None:
        return None
    if isinstance(joules, EnergyMeasurement):
        joules = joules.result
    if isinstance(joules, Measured):
        joules = joules.energy
    if isinstance(joules, Energy):
        return _as_stated(joules.uj, joules.lo_uj, joules.hi_uj, joules.tier)
    if isinstance(joules, str | os.PathLike):
        return _of_text(joules)
    return _of_number(joules)


def _of_number(joules: Any) -> StatedEnergy:
    if isinstance(joules, Decimal) or getattr(joules, "shape", None) == ():  # numpy's numbers, and torch's
        joules = float(joules)
    if isinstance(joules, bool) or not isinstance(joules, int | float):
        raise _no_energy(f"What was handed over ({type(joules).__name__})")
    if not 0 <= joules <= _MOST_JOULES:  # nor is NaN
        raise _no_energy("A number below zero, or of too many joules,")
    uj = round(joules * MICRO)
    return _as_stated(uj, uj, uj, None)


def _of_text(joules: str | os.PathLike[str]) -> StatedEnergy:
    path = Path(joules)
    with suppress(OSError):  # a text may be no path at all
        if path.exists():
            return _of_file(path)
    if isinstance(joules, os.PathLike):
        raise _no_energy(f"There is no file {path}, which")
    if len(joules) > _LONGEST_TEXT:
        raise _no_energy(f"A text of {len(joules):,} characters")
    uj = parse_energy(joules)
    return _as_stated(uj, uj, uj, None)


def _no_energy(said: object) -> UsageError:
    return UsageError(
        f"{said} is no energy.",
        why="It is what making the new one has cost, and stands in the receipt.",
        hint="Give joules (--joules 12kJ) or the file of a measurement (cryoflux energy measure --json).",
    )


def _as_stated(uj: int, lo_uj: int, hi_uj: int, tier: Tier | None, measurement: str = "") -> StatedEnergy:
    if not (lo_uj <= uj <= hi_uj and 0 <= hi_uj <= SAFE):
        raise _no_energy(f"{uj / MICRO:g} J")
    # Signed net energy may well lie below zero on a quiet machine; what something cost does not.
    return StatedEnergy(
        microjoules=max(0, uj),
        lo_microjoules=max(0, lo_uj),
        hi_microjoules=max(0, hi_uj),
        tier=tier,
        measurement=measurement,
    )


def _of_file(path: Path) -> StatedEnergy:
    try:
        content = read_regular(path, _MOST_MEASUREMENT_BYTES)
        found = msgspec.json.decode(content)["energy"]
        uj, lo_uj, hi_uj = (int(found[name]) for name in ("uj", "lo_uj", "hi_uj"))
        tier = Tier(found["tier"])
    except (OSError, msgspec.DecodeError, LookupError, TypeError, *_NO_NUMBERS) as error:
        raise UsageError(
            f"{path} is no measurement.",
            why="It should say its energy in µJ with both ends, and its tier.",
            hint=f"Make one: cryoflux energy measure --json -- python train.py > {shlex.quote(path.name)}",
        ) from error
    return _as_stated(uj, lo_uj, hi_uj, tier, sha256_hex(content))

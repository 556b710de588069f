"""Joules that somebody states, for a receipt that says so: a number, a text, a measurement or its file."""

from __future__ import annotations

__all__ = ["StatedJoules", "stated_energy"]

import math
import os
from pathlib import Path

import msgspec

from cryoflux.digests import sha256_hex
from cryoflux.energy.measured import Measured
from cryoflux.errors import UsageError
from cryoflux.files import read_regular
from cryoflux.quantities import MICRO, Energy, Tier, parse_energy
from cryoflux.receipts.judgement_parts import StatedEnergy

StatedJoules = Measured | Energy | str | os.PathLike[str] | float | None
_MOST_MEASUREMENT_BYTES = 1 << 20


def stated_energy(joules: StatedJoules) -> StatedEnergy | None:
    """What somebody states that something has cost.

    Args:
        joules: a measurement, its file, a number of joules or a text such as ``12kJ``; none for nothing.

    Raises:
        UsageError: it is none of these, or less than nothing.
    """
    if joules is None:
        return None
    if isinstance(joules, Measured):
        joules = joules.energy
    if isinstance(joules, Energy):
        return _as_stated(joules.uj, joules.lo_uj, joules.hi_uj, joules.tier)
    if isinstance(joules, int | float):
        if not (math.isfinite(joules) and joules >= 0):
            raise _no_energy(joules)
        return _as_stated(round(joules * MICRO), round(joules * MICRO), round(joules * MICRO), None)
    if (path := Path(joules)).is_file():
        return _of_file(path)
    uj = parse_energy(str(joules))
    return _as_stated(uj, uj, uj, None)


def _no_energy(said: object) -> UsageError:
    return UsageError(
        f"{said} is no energy.",
        why="It is what making the new one has cost, and stands in the receipt.",
        hint="Give joules (--joules 12kJ) or the file of a measurement (cryoflux energy measure --json).",
    )


def _as_stated(uj: int, lo_uj: int, hi_uj: int, tier: Tier | None, measurement: str = "") -> StatedEnergy:
    if not hi_uj >= uj or hi_uj < 0:
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
    content = read_regular(path, _MOST_MEASUREMENT_BYTES)
    try:
        found = msgspec.json.decode(content)["energy"]
        uj, lo_uj, hi_uj = (int(found[name]) for name in ("uj", "lo_uj", "hi_uj"))
        tier = Tier(found["tier"])
    except (msgspec.DecodeError, LookupError, TypeError, ValueError) as error:
        raise UsageError(
            f"{path} is no measurement.",
            why="It should say its energy in µJ with both ends, and its tier.",
            hint=f"Make one: cryoflux energy measure --json -- python train.py > {path.name}",
        ) from error
    return _as_stated(uj, lo_uj, hi_uj, tier, sha256_hex(content))

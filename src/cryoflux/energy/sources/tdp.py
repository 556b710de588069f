"""Thermal design power of the CPUs that may be used, and how sure that is.

In order: the setting; a model that is named in ``cpuinfo``; the family that ``cpuinfo`` numbers, as the
median of its models; 6 W for each logical CPU. What is found is watts for one hardware thread, so that a
virtual machine answers for its share and not for the whole socket.

The figures are computed from public tables, not measured. *Models*: TDP on which Boavizta's
``cpu_specs.csv`` (boaviztapi 2.5.0, which names a page for each) and codecarbon's ``cpu_power.csv`` (3.3.2)
agree, over the threads in the former. *Families*: median and 10th to 90th percentile of TDP over threads,
over the models of that code name in the former. EPYC 9005 is not in it: TDP from the latter, threads as AMD
states them.
"""

from __future__ import annotations

__all__ = ["GUESSED_W_PER_CPU", "Tdp", "find_tdp", "guessed_tdp", "stated_tdp"]

import math
import re
from dataclasses import dataclass

GUESSED_W_PER_CPU = 6.0
"""A rough guess for a server's or a laptop's logical CPU; set ``tdp_w`` to do better."""
_STATED_ERROR = (0.7, 1.3)
"""of the power curve, with the TDP known"""
_GUESSED_ERROR = (0.33, 2.5)
_BRAND_NOISE = re.compile(r"\((?:R|TM)\)|\bCPU\b|@.*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Tdp:
    """Thermal design power of the allowed CPUs together."""

    watts: float
    source: str
    """``setting``, ``model …``, ``family …``, ``fit …`` or ``guess``"""
    error: tuple[float, float]
    """95 % range of true over modelled energy with it, as factors"""


# Model → (TDP, hardware threads)
_MODELS: dict[str, tuple[float, int]] = {
    "EPYC 7302": (155, 32),
    "EPYC 7402": (180, 48),
    "EPYC 7502": (180, 64),
    "EPYC 7702": (200, 128),
    "EPYC 7742": (225, 128),
    "EPYC 7B12": (240, 128),
    "EPYC 7R13": (225, 96),
    "EPYC 7313": (155, 32),
    "EPYC 7543": (225, 64),
    "EPYC 7713": (225, 128),
    "EPYC 7763": (280, 128),
    "EPYC 9354": (280, 64),
    "EPYC 9554": (360, 128),
    "EPYC 9654": (360, 192),
    "Ryzen 5 5600X": (65, 12),
    "Ryzen 7 5800X": (105, 16),
    "Ryzen 9 5900X": (105, 24),
    "Ryzen 9 5950X": (105, 32),
    "Ryzen 9 7950X": (170, 32),
    "Ryzen Threadripper 3990X": (280, 128),
    "Ryzen Threadripper PRO 5995WX": (280, 128),
    "Xeon E5-2686 v4": (145, 36),
    "Xeon E5-2690 v4": (135, 28),
    "Xeon Platinum 8124M": (240, 36),
    "Xeon Platinum 8175M": (240, 48),
    "Xeon Platinum 8259CL": (210, 48),
    "Xeon Platinum 8280": (205, 56),
    "Xeon Platinum 8375C": (300, 64),
    "Xeon Platinum 8380": (270, 80),
    "Xeon Platinum 8480+": (350, 112),
    "Core i7-8550U": (15, 8),
    "Core i7-8700K": (95, 12),
    "Core i7-1165G7": (28, 8),
    "Core i7-1185G7": (28, 8),
    "Core i9-13900K": (125, 32),
}


@dataclass(frozen=True, slots=True)
class _Family:
    name: str
    vendor: str
    family: int
    models: tuple[int, ...]
    models_known: int
    """how many models the figures are of"""
    low_w: float
    """10th percentile, W a thread"""
    median_w: float
    high_w: float
    """90th percentile, W a thread"""
    words: tuple[str, ...] = ()
    """one of these has to be in the brand name"""


_AMD, _INTEL = "AuthenticAMD", "GenuineIntel"
_FAMILIES = (
    _Family("EPYC 7001 (Naples)", _AMD, 23, (1,), 5, 2.81, 3.12, 5.31, ("EPYC",)),
    _Family("Ryzen 1000", _AMD, 23, (1,), 18, 5.42, 7.71, 16.25),
    _Family("Ryzen 2000", _AMD, 23, (8,), 17, 4.06, 5.42, 7.92),
    _Family("Ryzen APU (Raven Ridge, Picasso)", _AMD, 23, (17, 24), 39, 1.88, 4.38, 8.75),
    _Family("EPYC 7002 (Rome)", _AMD, 23, (49,), 25, 1.76, 3.52, 7.5, ("EPYC",)),
    _Family("Threadripper 3000", _AMD, 23, (49,), 7, 2.19, 4.38, 8.75),
    _Family("Ryzen 4000 (Renoir)", _AMD, 23, (96,), 32, 1.25, 3.02, 6.25),
    _Family("Ryzen 3000 (Matisse)", _AMD, 23, (113,), 12, 4.06, 6.56, 8.12),
    _Family("EPYC 7003 (Milan)", _AMD, 25, (1,), 24, 2.14, 4.09, 7.5),
    _Family("Threadripper PRO 5000", _AMD, 25, (8,), 5, 2.19, 5.83, 11.67),
    _Family("EPYC 9004 (Genoa)", _AMD, 25, (17,), 29, 1.88, 3.02, 6.25),
    _Family("Ryzen 5000 (Vermeer)", _AMD, 25, (33,), 9, 3.28, 4.38, 6.56),
    _Family("Ryzen 6000 (Rembrandt)", _AMD, 25, (68,), 26, 0.94, 2.57, 2.92),
    _Family("Ryzen 5000 APU (Cezanne)", _AMD, 25, (80,), 33, 0.94, 1.88, 5.42),
    _Family("Ryzen 7000 (Raphael)", _AMD, 25, (97,), 14, 2.29, 4.53, 7.5),
    _Family("Ryzen 7040 (Phoenix)", _AMD, 25, (116,), 4, 1.25, 2.19, 2.92),
    _Family("EPYC 9005 (Turin)", _AMD, 26, (2, 17), 23, 1.35, 3.12, 6.67),
    _Family("Xeon E5 v4 (Broadwell)", _INTEL, 6, (79,), 4, 3.38, 3.72, 4.82),
    _Family("Xeon E5 v3 (Haswell)", _INTEL, 6, (63,), 4, 4.38, 5.31, 6.75),
    _Family("Core X and Xeon W (Skylake)", _INTEL, 6, (85,), 34, 4.58, 6.94, 15.0, ("Core", "Xeon W-")),
    _Family("Xeon Scalable 1 to 3 (Skylake, Cascade Lake)", _INTEL, 6, (85,), 46, 3.44, 3.92, 6.67),
    _Family("Xeon Scalable 3 (Ice Lake)", _INTEL, 6, (106,), 36, 3.12, 3.75, 6.41),
    _Family("Xeon Scalable 4 (Sapphire Rapids)", _INTEL, 6, (143,), 56, 3.12, 3.88, 8.44),
    _Family("Core 7000U to 10000U", _INTEL, 6, (142,), 19, 1.88, 3.5, 7.0),
    _Family("Core 7000 to 9000", _INTEL, 6, (158,), 117, 3.75, 10.83, 16.25),
    _Family("Core 10000 (Comet Lake)", _INTEL, 6, (165,), 47, 3.25, 6.25, 14.5),
    _Family("Core 10000 (Ice Lake)", _INTEL, 6, (126,), 7, 1.88, 1.88, 3.5),
    _Family("Core 11000 (Tiger Lake)", _INTEL, 6, (140,), 12, 1.88, 3.5, 3.75),
    _Family("Core 11000H (Tiger Lake)", _INTEL, 6, (141,), 17, 2.19, 2.92, 3.5),
    _Family("Core 11000 (Rocket Lake)", _INTEL, 6, (167,), 29, 2.92, 5.42, 10.42),
    _Family("Core 12000 (Alder Lake)", _INTEL, 6, (151,), 42, 2.71, 5.42, 11.5),
    _Family("Core 12000 mobile (Alder Lake)", _INTEL, 6, (154,), 34, 0.75, 1.81, 2.81),
    _Family("Core 13000 (Raptor Lake)", _INTEL, 6, (183,), 43, 1.72, 2.75, 6.25),
    _Family("Core 13000 mobile (Raptor Lake)", _INTEL, 6, (186,), 28, 1.25, 2.06, 2.81),
    _Family("Processor N (Gracemont)", _INTEL, 6, (190,), 10, 1.5, 3.0, 3.0),
)


def stated_tdp(watts: float) -> Tdp:
    """What the setting says."""
    return Tdp(watts, "setting", _STATED_ERROR)


def guessed_tdp(cpus: int) -> Tdp:
    """For so many logical CPUs of which nothing is known."""
    return Tdp(GUESSED_W_PER_CPU * cpus, "guess", _GUESSED_ERROR)


def find_tdp(cpuinfo: str, cpus: int) -> Tdp:
    """The TDP of so many logical CPUs.

    Args:
        cpuinfo: what the kernel says of the CPUs (``/proc/cpuinfo``).
        cpus: how many of them may be used.
    """
    fields = _first_cpu(cpuinfo)
    return _of_model(fields, cpus) or _of_family(fields, cpus) or guessed_tdp(cpus)


def _first_cpu(cpuinfo: str) -> dict[str, str]:
    lines = (line.partition(":") for line in cpuinfo.partition("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in lines}


def _brand(fields: dict[str, str]) -> str:
    return " ".join(_BRAND_NOISE.sub(" ", fields.get("model name", "")).split())


def _number(fields: dict[str, str], key: str) -> int:
    text = fields.get(key, "")
    return int(text) if text.isdigit() else -1


def _of_model(fields: dict[str, str], cpus: int) -> Tdp | None:
    brand = f" {_brand(fields)} "
    for name, (watts, threads) in _MODELS.items():
        if f" {name} " not in brand:
            continue
        siblings = _number(fields, "siblings")
        virtual = "hypervisor" in fields.get("flags", "").split()
        # With hyper-threading switched off, each logical CPU has more of the same power.
        shared_by = siblings if not virtual and 0 < siblings < threads else threads
        source = f"model {name}: {watts:g} W over {shared_by} threads"
        return Tdp(watts / shared_by * cpus, source, _STATED_ERROR)
    return None


def _of_family(fields: dict[str, str], cpus: int) -> Tdp | None:
    brand, vendor = _brand(fields), fields.get("vendor_id")
    numbers = _number(fields, "cpu family"), _number(fields, "model")
    for row in _FAMILIES:
        same = vendor == row.vendor and numbers[0] == row.family and numbers[1] in row.models
        if same and (not row.words or any(word in brand for word in row.words)):
            source = f"family {row.name}: median of {row.models_known} models, {row.median_w:g} W a thread"
            return Tdp(row.median_w * cpus, source, _spread(row))
    return None


def _spread(row: _Family) -> tuple[float, float]:
    # The curve's error and the spread of the models are independent: their logarithms add in squares.
    low = math.hypot(math.log(_STATED_ERROR[0]), math.log(row.low_w / row.median_w))
    high = math.hypot(math.log(_STATED_ERROR[1]), math.log(row.high_w / row.median_w))
    return round(math.exp(-low), 2), round(math.exp(high), 2)

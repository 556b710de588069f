"""Thermal design power of the CPUs that may be used, and what is plausible around it.

In order: the setting; a model that is named in ``cpuinfo``; the family that ``cpuinfo`` numbers, as the
median of its models; 6 W for each logical CPU. What is found is watts for one hardware thread, so that a
virtual machine answers for its share and not for the whole socket.

The figures come from tables (`energy.sources.cpu_power`), not from measurements. The range around them is
what is plausible, and no 95 % interval: nobody has drawn processors at random and measured them. Its upper
end is the power limit (PPT, PL2), which a processor may draw for long where its board lets it.
"""

from __future__ import annotations

__all__ = ["GUESSED_W_PER_CPU", "Tdp", "find_tdp", "guessed_tdp", "possible_tdps", "stated_tdp"]

import math
import re
from dataclasses import dataclass, replace

from cryoflux.energy.sources.cpu_power import FamilyRow, ModelRow, find_family, find_model

GUESSED_W_PER_CPU = 6.0
"""A rough guess for a server's or a laptop's logical CPU; set ``tdp_w`` to do better."""
_CURVE_ERROR = (0.7, 1.3)
"""of the power curve, with the TDP known"""
_NET_AT_FULL_LOAD = 0.9
"""share of TDP that the curve puts between rest and full load"""
_USUAL_LIMIT = 1.35
"""Power limit over TDP where the processor is not known: AMD's rule for its sockets."""
_GUESSED_ERROR = (0.15, 3.0)
"""0.9 to 18 W a thread: 97 of 100 models since 2015 in Boavizta's list."""
_MOST_W_PER_THREAD = 30.0
"""No processor has more; what seems to is a slice of one."""
_CORES = re.compile(r"\b(\d+)-Core")


@dataclass(frozen=True, slots=True)
class Tdp:
    """Thermal design power of the allowed CPUs together."""

    watts: float
    source: str
    """``setting``, ``model …``, ``family …``, ``fit …`` or ``guess``"""
    error: tuple[float, float]
    """plausible range of true over modelled energy with it, as factors"""
    limit: float = _USUAL_LIMIT
    """power limit of the processor over its TDP"""

    def seen_from(self, other: Tdp) -> Tdp:
        """What is known here, as a range around another figure that has to be gone on with."""
        scale = self.watts / other.watts
        low, high = (factor * scale for factor in self.error)
        return replace(other, error=(min(1.0, round(low, 2)), max(1.0, round(high, 2))))


def stated_tdp(watts: float, known: Tdp | None = None) -> Tdp:
    """What the setting says; ``known`` is what the tables say of the processor, for its power limit."""
    limit = known.limit if known else _USUAL_LIMIT
    return Tdp(watts, "setting", _model_error(limit), limit)


def guessed_tdp(cpus: int) -> Tdp:
    """For so many logical CPUs of which nothing is known."""
    return Tdp(GUESSED_W_PER_CPU * cpus, "guess", _GUESSED_ERROR)


def find_tdp(cpuinfo: str, cpus: int) -> Tdp:
    """The TDP of so many logical CPUs.

    Args:
        cpuinfo: what the kernel says of the CPUs (``/proc/cpuinfo``).
        cpus: how many of them may be used.
    """
    return possible_tdps(cpuinfo, cpus)[0]


def possible_tdps(cpuinfo: str, cpus: int) -> tuple[Tdp, ...]:
    """All that can be said of so many logical CPUs, the best first; the last is the guess."""
    if "CPU implementer" in cpuinfo:
        found = [_of_arm(cpuinfo, cpus)]
    else:
        fields = _fields(cpuinfo.partition("\n\n")[0])
        name = fields.get("model name", "")
        vendor, number, model = (fields.get(key, "") for key in ("vendor_id", "cpu family", "model"))
        family = find_family(vendor, number, model, name)
        found = [_of_model(fields, cpus, family), _of_family(family, cpus) if family else None]
    return (*(tdp for tdp in found if tdp), guessed_tdp(cpus))


def _fields(block: str) -> dict[str, str]:
    lines = (line.partition(":") for line in block.splitlines())
    return {key.strip(): value.strip() for key, _, value in lines}


def _model_error(limit: float) -> tuple[float, float]:
    return _CURVE_ERROR[0], max(_CURVE_ERROR[1], math.ceil(100 * limit / _NET_AT_FULL_LOAD) / 100)


def _of_model(fields: dict[str, str], cpus: int, family: FamilyRow | None) -> Tdp | None:
    name = fields.get("model name", "")
    row = find_model(name)
    shared_by = _threads(fields, row, family) if row else 0
    if row is None or not shared_by:
        return None
    limit = row.limit_w / row.tdp_w
    source = f"model {row.key}: {row.tdp_w:g} W, at most {row.limit_w:.0f} W, over {shared_by} threads"
    return Tdp(row.tdp_w / shared_by * cpus, source, _model_error(limit), limit)


def _threads(fields: dict[str, str], row: ModelRow, family: FamilyRow | None) -> int:
    """By how many logical CPUs the model's power is shared; 0 where that cannot be told."""
    text = fields.get("siblings", "")
    seen = int(text) if text.isdigit() else 0
    virtual = "hypervisor" in fields.get("flags", "").split()
    cores = _CORES.search(fields.get("model name", ""))
    threads = row.threads or (2 * int(cores[1]) if cores else 0)
    if threads:
        # With hyper-threading switched off each logical CPU has more of the same power. Fewer than half of
        # the threads are a slice of the socket, whether or not a hypervisor owns up to it.
        return seen if not virtual and threads <= 2 * seen < 2 * threads else threads
    most_w = 2 * family.high_w if family else _MOST_W_PER_THREAD
    return seen if seen and not virtual and row.tdp_w <= most_w * seen else 0


def _of_family(row: FamilyRow, cpus: int) -> Tdp:
    source = f"family {row.name}: median of {row.models_known} models, {row.median_w:g} W a thread"
    return Tdp(row.median_w * cpus, source, _spread(row), row.limit)


def _of_arm(cpuinfo: str, cpus: int) -> Tdp | None:
    """Of ARM, whose processors name no model: the mean of the rows of all cores."""
    blocks = [_fields(block) for block in cpuinfo.split("\n\n") if "CPU part" in block]
    kinds = [(block.get("CPU implementer", ""), block.get("CPU part", "")) for block in blocks]
    rows = {kind: find_family("arm", *kind) for kind in {*kinds}}
    known = [row for kind in kinds if (row := rows[kind])]
    if len(known) < len(kinds) or not known:
        return None
    low_w, median_w, high_w = (
        sum(each) / len(known) for each in zip(*((r.low_w, r.median_w, r.high_w) for r in known), strict=True)
    )
    limit = max(row.limit for row in known)
    names = " and ".join(sorted({row.name for row in known}))
    row = FamilyRow(
        names, sum(row.models_known for row in rows.values() if row), low_w, median_w, high_w, limit
    )
    return replace(_of_family(row, cpus), source=f"family {names}: about {median_w:.2g} W a core")


def _spread(row: FamilyRow) -> tuple[float, float]:
    # The curve's error and the spread of the models are independent: their logarithms add in squares.
    low, high = _model_error(row.limit)
    below = math.hypot(math.log(low), math.log(row.low_w / row.median_w))
    above = math.hypot(math.log(high), math.log(row.high_w / row.median_w))
    return round(math.exp(-below), 2), round(math.exp(above), 2)

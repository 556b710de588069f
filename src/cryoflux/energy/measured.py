"""What a measurement says: of a piece of work, and of the machine while it was done.

Every figure of one measurement is between the same two readings of the sources, so rows add up to totals,
and a recorded trace adds up to what was said when it was recorded.
"""

from __future__ import annotations

__all__ = ["MachineUse", "Measured", "SourceUse", "machine_use", "measured_between"]

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from cryoflux.energy.attribution import Attribution
from cryoflux.energy.baseline import BaselineState
from cryoflux.energy.channels import Channel, Snapshot, gross_of, net_of, pairs
from cryoflux.energy.derived import Rates, derived_fields
from cryoflux.energy.interface import SourceKind
from cryoflux.energy.jobs import Job
from cryoflux.energy.meter import Meter
from cryoflux.html_table import html_table
from cryoflux.quantities import NANO, Energy, RangeKind, Tier, named_ranges

CountedBy = Literal["cgroup", "process tree"]
"""How it is known whose CPU time it was."""


@dataclass(frozen=True, slots=True)
class SourceUse:
    """What one source gave while the work was done."""

    name: str
    kind: SourceKind
    tier: Tier
    energy: Energy
    """net energy that the work caused, signed"""
    machine_net: Energy
    """net energy of the whole machine, signed"""
    gross: Energy
    idle_w: float


@dataclass(frozen=True, slots=True)
class Measured:
    """What a piece of work cost."""

    energy: Energy
    """net energy that the work caused, signed"""
    machine_net: Energy
    gross: Energy
    sources: tuple[SourceUse, ...]
    seconds: float
    cpu_seconds: float
    """CPU time of the work, with everything that it started"""
    baseline_digest: str
    baseline_state: BaselineState
    counted_by: CountedBy
    """how it is known whose CPU time it was"""
    job: Job | None = None
    """the batch job that it is part of; none where there is none"""
    rates: Rates = field(default=Rates(), repr=False)
    """what a kilowatt-hour emits and costs, as far as it was set"""

    @property
    def cpu_s(self) -> float:
        """``cpu_seconds`` by its older name."""
        return self.cpu_seconds

    def to_dict(self) -> dict[str, Any]:
        """The same in plain values, for JSON: energies in µJ with both ends, their kind, tier and flags.

        What follows from them by settings (CO₂e, cost) stands under ``derived``, where it was set.
        """
        said = asdict(self)
        del said["rates"]
        if self.job is None:
            del said["job"]
        if derived := derived_fields(self.energy, self.rates):
            said["derived"] = derived
        return named_ranges(json.loads(json.dumps(said)))  # type: ignore[no-any-return]

    def __str__(self) -> str:
        e = self.energy
        interval = f"[{e.lo_uj / 1e6:.1f}, {e.hi_uj / 1e6:.1f}]"
        how = e.tier if e.range_kind is RangeKind.INTERVAL_95 else f"{e.tier}, {e.range_kind.words}"
        return f"{e.joules:.1f} J {interval} ({how}) in {self.seconds:.1f} s"

    def _repr_html_(self) -> str:
        """The same as a table, for a notebook."""
        rows = [
            ("this work, net", self.energy.text),
            ("the machine, net", self.machine_net.text),
            ("the machine, gross", self.gross.text),
            ("time", f"{self.seconds:.1f} s, {self.cpu_seconds:.1f} s of processors"),
            ("sources", ", ".join(f"{one.name} ({one.tier})" for one in self.sources)),
        ]
        if self.energy.flags:
            rows.append(("flags", ", ".join(self.energy.flags)))
        return html_table("Energy", rows)


@dataclass(frozen=True, slots=True)
class MachineUse:
    """What the whole machine used between two snapshots."""

    rows: tuple[tuple[Channel, Energy, Energy], ...]
    """each source with its net and its gross energy"""
    net: Energy
    gross: Energy
    seconds: float


def machine_use(meter: Meter, then: Snapshot, now: Snapshot) -> MachineUse:
    """What the whole machine used between two snapshots of its meter."""
    marks = pairs(meter.channels, then, now)
    return MachineUse(
        rows=tuple((channel, net_of(channel, a, b), gross_of(channel, a, b)) for channel, a, b in marks),
        net=meter.net(then, now),
        gross=meter.gross(then, now),
        seconds=(now.monotonic_ns - then.monotonic_ns) / NANO,
    )


def measured_between(
    meter: Meter,
    attribution: Attribution,
    then: Snapshot,
    now: Snapshot,
    *,
    counted_by: CountedBy,
    unseen: Sequence[tuple[Snapshot, Snapshot]] = (),
    rates: Rates = Rates(),  # noqa: B008 - it is frozen
    job: Job | None = None,
) -> Measured:
    """What the work of an attribution cost between two snapshots.

    Args:
        meter: what was read.
        attribution: whose work it is; it began at ``then``.
        then: the beginning.
        now: the end.
        counted_by: how it is known whose CPU time it was.
        unseen: between these a part of the work ended, and what it did nobody knows.
        rates: what a kilowatt-hour emits and costs.
        job: the batch job that it is part of.
    """
    machine, caused = machine_use(meter, then, now), attribution.by_source()
    gaps = [machine_use(meter, *gap).rows for gap in unseen]
    # All that anybody can have caused meanwhile, source by source.
    more_uj = [sum(max(0, rows[n][1].hi_uj) for rows in gaps if n < len(rows)) for n in range(len(caused))]
    figures = [_widened(energy, uj) for energy, uj in zip(caused, more_uj, strict=True)]
    elapsed_ns = now.monotonic_ns - then.monotonic_ns
    return Measured(
        energy=_widened(meter.qualified(attribution.net(), elapsed_ns, now.monotonic_ns), sum(more_uj)),
        machine_net=machine.net,
        gross=machine.gross,
        sources=_sources(machine, figures),
        seconds=machine.seconds,
        cpu_seconds=attribution.cpu_us / 1e6,
        baseline_digest=meter.baseline.digest,
        baseline_state=meter.baseline.state([channel.source for channel in meter.channels]),
        counted_by=counted_by,
        job=job,
        rates=rates,
    )


def _sources(machine: MachineUse, caused: Sequence[Energy]) -> tuple[SourceUse, ...]:
    return tuple(
        SourceUse(
            name=channel.source.name,
            kind=channel.source.kind,
            tier=channel.source.tier,
            energy=energy,
            machine_net=net,
            gross=gross,
            idle_w=channel.idle.idle_uw / 1e6,
        )
        for (channel, net, gross), energy in zip(machine.rows, caused, strict=True)
    )


def _widened(energy: Energy, more_uj: int) -> Energy:
    """The figure when so much more may belong to it."""
    if not more_uj:
        return energy
    flags = tuple(sorted({*energy.flags, "process-gone"}))
    return Energy(energy.uj, energy.lo_uj, energy.hi_uj + more_uj, energy.tier, flags)

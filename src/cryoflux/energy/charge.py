"""What a reservation cost, as one value that can be written down and read back."""

from __future__ import annotations

__all__ = ["Charge"]

import json
from dataclasses import asdict, dataclass, replace

from cryoflux.quantities import Energy, Tier


def _energy(fields: dict[str, object]) -> Energy:
    return Energy(**{**fields, "tier": Tier(str(fields["tier"])), "flags": tuple(fields["flags"])})  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Charge:
    """Energy of a process in a window, with how it is known."""

    energy: Energy
    """net energy that the process caused, signed"""
    machine_net: Energy
    sources: tuple[str, ...]
    baseline_digest: str
    curve: str
    cpu_us: int

    def settled(self) -> Charge:
        """The charge as it is settled: nobody is paid for having run."""
        e = self.energy
        clipped = Energy(max(0, e.uj), max(0, e.lo_uj), max(0, e.hi_uj), e.tier, e.flags)
        return replace(self, energy=clipped)

    def widened(self, uj: int, flag: str) -> Charge:
        """The charge when up to so much more may have been spent."""
        e = self.energy
        flags = tuple(sorted({*e.flags, flag}))
        return replace(self, energy=Energy(e.uj, e.lo_uj, e.hi_uj + uj, e.tier, flags))

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self), separators=(",", ":"), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Charge:
        """What `to_json` wrote."""
        fields = json.loads(text)
        return cls(
            energy=_energy(fields["energy"]),
            machine_net=_energy(fields["machine_net"]),
            sources=tuple(fields["sources"]),
            baseline_digest=fields["baseline_digest"],
            curve=fields["curve"],
            cpu_us=fields["cpu_us"],
        )

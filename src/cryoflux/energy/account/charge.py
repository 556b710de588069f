"""What a reservation cost, as one value that can be written down and read back."""

from __future__ import annotations

__all__ = ["FACE_VALUE", "LENT", "Charge"]

import json
from dataclasses import asdict, dataclass, replace

from cryoflux.energy.interface import Counter
from cryoflux.quantities import SO_FAR, Energy, Tier

FACE_VALUE = "face-value"
"""flag: decided, not measured: what was asked for was withdrawn, whatever was done with it"""
LENT = "lent"
"""flag: joules were lent to another meter, which charged so much; nobody here metered it"""


def _energy(fields: dict[str, object]) -> Energy:
    return Energy(**{**fields, "tier": Tier(str(fields["tier"])), "flags": tuple(fields["flags"])})  # type: ignore[arg-type]


def _document(energy: Energy) -> dict[str, object]:
    return {
        "flags": energy.flags,
        "hi_uj": energy.hi_uj,
        "lo_uj": energy.lo_uj,
        "tier": energy.tier.value,
        "uj": energy.uj,
    }


def _flagged(energy: Energy, flag: str) -> Energy:
    return replace(energy, flags=tuple(sorted({*energy.flags, flag})))


# Written once a second for each reservation: dataclasses.asdict and a new encoder a call cost most of it.
_ENCODE = json.JSONEncoder(separators=(",", ":")).encode


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
    window_ns: int = 0
    """how long it was metered"""
    counters: tuple[Counter, ...] = ()
    """what the sources showed at both ends"""

    @classmethod
    def at_face_value(cls, uj: int) -> Charge:
        """What a withdrawal is charged: the amount itself, of no source."""
        nothing = Energy(0, 0, 0, Tier.MODELLED)
        return cls(Energy(uj, uj, uj, Tier.MODELLED, (FACE_VALUE,)), nothing, (), "", "", 0)

    @classmethod
    def of_lent(cls, energy: Energy) -> Charge:
        """What was lent is charged: what another meter charged, of no source of this one."""
        nothing = Energy(0, 0, 0, Tier.MODELLED)
        return cls(_flagged(energy, LENT), nothing, (), "", "", 0)

    @classmethod
    def unrepaid(cls, uj: int) -> Charge:
        """What is known here of so much that was lent: perhaps nothing was spent, perhaps all of it."""
        return cls.of_lent(Energy(0, 0, uj, Tier.MODELLED))

    @property
    def lent(self) -> bool:
        """Whether another meter charges it."""
        return LENT in self.energy.flags

    @property
    def decided(self) -> bool:
        """Whether nobody measured it."""
        return FACE_VALUE in self.energy.flags

    def settled(self) -> Charge:
        """The charge as it is settled: nobody is paid for having run."""
        e = self.energy
        clipped = Energy(max(0, e.uj), max(0, e.lo_uj), max(0, e.hi_uj), e.tier, e.flags)
        return replace(self, energy=clipped)

    def so_far(self) -> Charge:
        """The charge as a meter gives its word on it before it is settled."""
        return replace(self.settled(), energy=_flagged(self.settled().energy, SO_FAR))

    def widened(self, uj: int, flag: str) -> Charge:
        """The charge when up to so much more may have been spent."""
        e = _flagged(self.energy, flag)
        return replace(self, energy=Energy(e.uj, e.lo_uj, e.hi_uj + uj, e.tier, e.flags))

    def continuing(self, earlier: Charge) -> Charge:
        """This charge of a meter that took over, with the window of the one before it in front."""
        began = {counter.source: counter for counter in earlier.counters}
        counters = (
            replace(last, first_uj=first.first_uj, first_epoch=first.first_epoch) if first else last
            for last in self.counters
            for first in (began.get(last.source),)
        )
        return replace(
            self,
            cpu_us=earlier.cpu_us + self.cpu_us,
            window_ns=earlier.window_ns + self.window_ns,
            counters=tuple(counters),
        )

    def to_json(self) -> str:
        """One line of JSON."""
        return _ENCODE(
            {
                "baseline_digest": self.baseline_digest,
                "counters": [asdict(counter) for counter in self.counters],
                "cpu_us": self.cpu_us,
                "curve": self.curve,
                "energy": _document(self.energy),
                "machine_net": _document(self.machine_net),
                "sources": self.sources,
                "window_ns": self.window_ns,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Charge:
        """What `to_json` wrote, or an older version of it, which knew nothing of windows and counters."""
        fields = json.loads(text)
        return cls(
            energy=_energy(fields["energy"]),
            machine_net=_energy(fields["machine_net"]),
            sources=tuple(fields["sources"]),
            baseline_digest=fields["baseline_digest"],
            curve=fields["curve"],
            cpu_us=fields["cpu_us"],
            window_ns=fields.get("window_ns", 0),
            counters=tuple(Counter(**counter) for counter in fields.get("counters", ())),
        )

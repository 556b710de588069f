"""A worker of a crew: what is known of it, and what its meter's words have to be about."""

from __future__ import annotations

__all__ = ["CrewMember"]

from dataclasses import dataclass

from cryoflux.energy.interface import worker_request
from cryoflux.fleet.believed import Due
from cryoflux.fleet.documents import Lease, SessionTerms, WorkerFacts, WorkerState
from cryoflux.fleet.stations import Station


@dataclass(slots=True)
class CrewMember:
    """A worker at the coordinator."""

    station: Station
    facts: WorkerFacts
    terms: SessionTerms
    lease: Lease | None = None
    state: WorkerState | None = None
    heard_ns: int = 0
    asked_ns: int = 0
    written_ns: int = 0
    beside: str = ""
    """its meter's last word on its session"""
    trouble: str = ""
    """why it could not begin"""
    own_key: str = ""
    """of the coordinator's meter"""

    @property
    def lease_due(self) -> Due:
        """What its meter's word on its lease has to be about."""
        if self.lease is None:
            raise ValueError(f"{self.station.name} is at nothing")
        lease = self.lease
        reserved_uj = max(1, lease.lent_microjoules)
        named = self.station.name, self.key, lease.id
        return Due(*named, reserved_uj, lease.log, lease.intent, self.own_key)

    @property
    def session_due(self) -> Due:
        """What its meter's word on its session has to be about."""
        terms, name = self.terms, self.station.name
        lent_uj = max(1, terms.lent_microjoules)
        taken = worker_request(terms.id, name)
        return Due(name, self.key, taken, lent_uj, terms.log, own_key=self.own_key)

    @property
    def key(self) -> str:
        """Of its meter."""
        return self.facts.meter_key

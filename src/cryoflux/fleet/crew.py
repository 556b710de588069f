"""The workers of a run: which are free, how it goes, and which are lost.

A worker is lost where its process has died, or nothing was heard of it for so long that it has ended by
itself. Then its process is ended for certain, and another one in its folder settles what it was at. Where
even that is not possible, what its meter signed last is what is known.
"""

from __future__ import annotations

__all__ = ["Crew", "LeaseEnd"]

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from functools import partial, reduce
from operator import add
from pathlib import Path
from typing import TypeVar

from cryoflux.attempt.metered_parts import never_begun
from cryoflux.energy.clock import BILLION
from cryoflux.energy.interface import lent_request
from cryoflux.errors import CryoFluxError, VerificationError
from cryoflux.fleet.believed import believed, believed_phases, is_believed
from cryoflux.fleet.documents import Delivery, Lease, SessionTerms, WorkerFacts, WorkerState
from cryoflux.fleet.failing import FleetError
from cryoflux.fleet.member import CrewMember
from cryoflux.fleet.parts import last_part, most_workers, signed_energy
from cryoflux.fleet.stations import Dispatcher, Station
from cryoflux.fleet.words import LOCAL, LastWord, LastWords
from cryoflux.quantities import Energy
from cryoflux.receipts.charged import MeteredPart

_WORD_NS = 2 * BILLION
"""a word is written down so often"""
_ASKED = 0.25
"""of the silence after which a worker ends by itself: after so much it is asked, whatever else is done"""
_GLANCE_S = 0.1
_MARGIN = 1.5
"""of the silence after which a worker ends by itself: after so much more it surely has"""
_IDLE_S = 20.0
"""a worker without a lease is asked so often, or a little more: else its process ends in the end"""
_Result = TypeVar("_Result")
_MOST_LOST = 3
"""times as many as there are workers, with nothing delivered between: what ends them would go on doing so"""


@dataclass(frozen=True, slots=True)
class LeaseEnd:
    """What came of a lease."""

    lease: Lease
    part: MeteredPart
    """what the worker's meter charged"""
    station: Station | None
    """that has the files of the delivery"""
    delivery: Delivery | None
    """none where the worker was lost"""
    why: str = ""
    """it was lost"""


class Crew:
    """Workers.

    Args:
        dispatcher: starts them.
        words: keeps their last words.
        terms: what the session of a worker of a name is called, once joules were lent for it.
        tasks: what is trained.
        baseline: digest of the coordinator's idle baseline.
        own_key: of the coordinator's meter, raw in base64; no worker may meter by it.
        fleet: where they are.
        monotonic_ns: the time.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        words: LastWords,
        terms: Callable[[str], SessionTerms],
        tasks: Sequence[str],
        baseline: str,
        *,
        own_key: str = "",
        fleet: str = LOCAL,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._dispatcher, self._words, self._terms, self.fleet = dispatcher, words, terms, fleet
        self._tasks, self._baseline, self._own_key = tuple(tasks), baseline, own_key
        self._now_ns = monotonic_ns
        self._members: dict[str, CrewMember] = {}
        self._gone: list[MeteredPart] = []
        """sessions of workers that are lost"""
        self.restarts = 0
        self._begun_with = self._lost_in_a_row = 0
        self.troubles: list[str] = []
        """why no other worker came in the place of one that was lost"""
        self.hint = ""
        """what to type about the last of them; empty where nobody knows"""
        self.sent_bytes = 0
        """of inputs that machines did not have"""

    def start(self) -> list[WorkerFacts]:
        """Start all workers, and have what they spend from now on charged to the session."""
        stations = self._dispatcher.start()
        self._begun_with = len(stations)
        for station in stations:
            self._enlist(station)
        return self.facts()

    def _require_room(self) -> None:
        sources = max((len(member.facts.sources) for member in self._members.values()), default=1)
        most = most_workers(sources)
        if len(self._members) + len(self._gone) >= most:
            raise FleetError(
                f"A run can have {most} workers at most, those that were lost included.",
                why="The entry of its session tells what each of their meters charged, and has no more room.",
                hint="Ask for fewer: --workers; a run after this one may have as many again.",
            )

    def _enlist(self, station: Station) -> None:
        self._require_room()
        terms = self._terms(station.name)
        facts = self._beside(partial(self._greet, station, terms))
        if self._own_key and facts.meter_key == self._own_key:
            raise FleetError(
                f"{station.name} meters by the key of the coordinator's meter.",
                why="Then nobody could tell from a receipt which of the two has metered what.",
                hint="Move keys/meter.key of one of the two states away: a meter makes itself a new one.",
            )
        now_ns = self._now_ns()
        member = CrewMember(station, facts, terms, heard_ns=now_ns, asked_ns=now_ns, own_key=self._own_key)
        self._members[station.name] = member
        self._heard(member)  # what starting it has cost is spent before an attempt is announced

    def _beside(self, does: Callable[[], _Result]) -> _Result:
        """Do what takes a while; others are at work, and wait for a word meanwhile."""
        with ThreadPoolExecutor(1) as beside:
            doing = beside.submit(does)
            while wait([doing], _GLANCE_S).not_done:
                self.keep_alive()
        return doing.result()

    def _greet(self, station: Station, terms: SessionTerms) -> WorkerFacts:
        """Have a worker get ready; it takes the seconds that loading libraries takes."""
        station.open_session(terms)
        for task in self._tasks:
            station.warm_up(task)
        return station.facts()

    def facts(self) -> list[WorkerFacts]:
        """What the workers are."""
        return [member.facts for member in self._members.values()]

    @property
    def states(self) -> Mapping[str, WorkerState | None]:
        """Worker → what it said last."""
        return {name: member.state for name, member in self._members.items()}

    def free(self, thrift: Callable[[str], float | None]) -> list[Station]:
        """Workers without a lease: those that nothing is known of first, then the most frugal.

        Args:
            thrift: by a meter's key what it takes there to train on an example, µJ; none where unknown.
        """
        idle = [member for member in self._members.values() if member.lease is None]
        known = {member.station.name: thrift(member.facts.meter_key) for member in idle}
        idle.sort(key=lambda member: known[member.station.name] or 0.0)
        return [member.station for member in idle]

    @property
    def busy(self) -> int:
        """Workers with a lease."""
        return sum(member.lease is not None for member in self._members.values())

    def begin(self, station: Station, lease: Lease, state: Path) -> None:
        """Send a free worker what it lacks, and have it begin; where it is lost by that, `ended` says so.

        Args:
            station: the worker.
            lease: what it may do.
            state: the state directory that the inputs lie in.
        """
        member = self._members[station.name]
        member.lease, member.state, member.trouble = lease, None, ""
        try:
            self.sent_bytes += self._beside(partial(station.give, lease.inputs, state))
            station.begin(lease)
        except FleetError as error:
            member.trouble = _why(station.name, error.what)
        except OSError as error:  # a file of the state that cannot be read
            member.trouble = f"what it needs cannot be sent: {error}"
        member.heard_ns = member.asked_ns = self._now_ns()

    def forget(self, station: Station, lease: str) -> None:
        """Tell a worker that its delivery was taken over."""
        with suppress(FleetError):  # one that is lost is found out when it is needed
            station.forget(lease)

    def spent(self) -> Energy | None:
        """What the workers' processes have spent beside attempts, as far as it was heard."""
        known = [part.energy for part in self._gone]
        known += [
            said for member in self._members.values() if (said := signed_energy(member.beside)) is not None
        ]
        return reduce(add, known) if known else None

    def ended(self) -> LeaseEnd | None:
        """Ask each worker that has a lease how it goes, once; what came of the first that is at its end."""
        self.keep_alive()
        for name in list(self._members):
            member = self._members[name]
            if member.lease is None:
                continue
            try:
                found = self._heard(member) if not member.trouble else None
            except FleetError as error:
                return self._lost(member, _why(name, error.what))
            if found is not None and found.doing == "done" and found.delivery is not None:
                return self._done(member, found.delivery)
            if trouble := member.trouble or (found.trouble if found is not None else ""):
                return self._lost(member, trouble)
            silence_ns = self._now_ns() - member.heard_ns
            if silence_ns > member.lease.silence_seconds * BILLION * _MARGIN:
                return self._lost(member, f"nothing was heard of it for {silence_ns / BILLION:.0f} s")
        return None

    def _heard(self, member: CrewMember) -> WorkerState | None:
        found = member.station.state()
        if found is None:
            return None
        now_ns = member.heard_ns = member.asked_ns = self._now_ns()
        member.state = found
        if now_ns - member.written_ns >= _WORD_NS:
            member.written_ns = now_ns
            if found.beside and is_believed(found.beside, member.session_due):
                member.beside = found.beside
                session = lent_request(member.terms.id, member.station.name)
                self._words.put(LastWord(fleet=self.fleet, lent=session, word=member.beside))
            if member.lease is not None and found.word and is_believed(found.word, member.lease_due):
                lent = lent_request(member.lease.id, member.station.name)
                self._words.put(LastWord(fleet=self.fleet, lent=lent, word=found.word))
        return found

    def _done(self, member: CrewMember, delivery: Delivery) -> LeaseEnd:
        lease = member.lease
        if lease is None or delivery.id != lease.id:
            return self._lost(member, "it delivered what it was not asked for")
        lent = lent_request(lease.id, member.station.name)
        try:
            part = believed(delivery.settlement, member.lease_due)
        except VerificationError as error:
            return self._lost(member, error.what)
        phases = believed_phases(delivery.phases, part)
        self._words.put(LastWord(fleet=self.fleet, lent=lent, part=part, phases=phases))
        member.lease, self._lost_in_a_row = None, 0
        return LeaseEnd(lease, part, member.station, delivery.but(phases=phases))

    def _lost(self, member: CrewMember, why: str) -> LeaseEnd:
        name, lease = member.station.name, member.lease
        if lease is None:
            raise ValueError(f"{name} was at nothing")
        del self._members[name]
        self._lost_in_a_row += 1
        try:
            settled = self._beside(partial(self._dispatcher.settle, name, lease.id))
            if not settled and not self._last_word(member):
                part = self._never_begun(lease)
            else:
                part = believed(settled, member.lease_due)
        except CryoFluxError as error:
            beyond = _why(name, error.what)
            why = why if beyond in why else f"{why}; {beyond}"
            self._note_trouble(error)  # where its account is out of reach, no other takes its place
            part = last_part(name, self._last_word(member), lease.lent_microjoules, self._baseline)
            self._settle_session(member, "")
        else:
            self._settle_lost_session(member)
            if (other := self._replace(name)) is not None:
                why = f"{why}; {other} takes its place"
        self._words.put(LastWord(fleet=self.fleet, lent=lent_request(lease.id, name), part=part))
        return LeaseEnd(lease, part, None, None, why)

    def _last_word(self, member: CrewMember) -> str:
        """The last that its meter signed about its lease."""
        due = member.lease_due
        heard = member.state.word if member.state is not None else ""
        written = self._words.get(lent_request(due.request, due.worker)).word
        return next((word for word in (heard, written) if word and is_believed(word, due)), "")

    def _settle_lost_session(self, member: CrewMember) -> None:
        try:
            due = member.session_due
            settled = self._beside(partial(self._dispatcher.settle, due.worker, due.request))
        except CryoFluxError as error:  # what its lease cost is known all the same
            settled = ""
            self._note_trouble(error)
        self._settle_session(member, settled)

    def _note_trouble(self, error: CryoFluxError | OSError) -> None:
        if isinstance(error, CryoFluxError):
            self.troubles.append(error.what)
            self.hint = error.hint
        else:
            self.troubles.append(str(error))

    def _replace(self, name: str) -> str | None:
        """Go on with another worker in the place of one that is lost, where the bucket pays for that: who."""
        if self._lost_in_a_row >= _MOST_LOST * self._begun_with:
            self.troubles.append(f"{self._lost_in_a_row} workers in a row were lost.")
            return None
        self.restarts += 1
        try:
            self._require_room()
            station = self._dispatcher.replace(name)
        except (CryoFluxError, OSError) as error:
            self._note_trouble(error)
            return None
        try:
            self._enlist(station)
        except CryoFluxError as error:
            self._note_trouble(error)
            station.close()  # nobody pays for it
            return None
        return station.name

    def _never_begun(self, lease: Lease) -> MeteredPart:
        return never_begun(lease.worker, lease.lent_microjoules, baseline=self._baseline)

    def _settle_session(self, member: CrewMember, settled: str) -> None:
        """Note what a worker spent beside attempts, as its meter has settled it, or signed it last."""
        name, terms = member.station.name, member.terms
        try:
            part = believed(settled, member.session_due)
        except VerificationError:
            part = last_part(name, member.beside, terms.lent_microjoules, self._baseline)
        self._words.put(LastWord(fleet=self.fleet, lent=lent_request(terms.id, name), part=part))
        self._gone.append(part)

    def keep_alive(self) -> None:
        """Ask workers how it goes that were not asked for a while: else they end by themselves."""
        for member in self._members.values():
            after_s = member.lease.silence_seconds * _ASKED if member.lease is not None else _IDLE_S
            if self._now_ns() - member.asked_ns > after_s * BILLION:
                member.asked_ns = self._now_ns()
                with suppress(CryoFluxError):  # `ended` finds it out
                    self._heard(member)

    def stop(self) -> None:
        """Ask all that are at work to end."""
        for member in self._members.values():
            if member.lease is not None:
                try:
                    member.station.stop()
                except FleetError:
                    continue  # `ended` says so

    def close(self) -> None:
        """End all workers; what each of their sessions was charged is among the words."""
        for member in self._members.values():
            try:
                settled = member.station.close_session(member.session_due.request)
            except FleetError:  # then its account is asked, or what its meter signed last is what is known
                self._settle_lost_session(member)
                continue
            if settled:
                self._settle_session(member, settled)
        self._members = {}
        self._dispatcher.close()


def _why(worker: str, what: str) -> str:
    """Why a worker is lost, as it is said behind its name."""
    return what.removeprefix(f"The worker {worker} is lost: ").removeprefix(f"{worker}: ").rstrip(".")

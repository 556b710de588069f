"""Step 10: energy figures are possible, and the account of the state was charged the same.

Nothing here proves a joule. The account is written by the same machine as the receipts, so the two agreeing
shows that neither was rolled back or edited alone. What the meter signed binds whoever only signs receipts.
What no machine could have done so cheaply, or have drawn in that time, is said by `plausible`, and what the
meter's own counters do not bear out by `counters`. Who metered is known where whoever verifies knows the
meter's key, and not by anything that a receipt says of itself.
"""

from __future__ import annotations

__all__ = ["ENERGY", "Joules"]

from collections.abc import Iterator
from functools import lru_cache
from typing import ClassVar

from msgspec import field

from cryoflux.energy.account.audit import Held
from cryoflux.energy.interface import SESSION, is_lent, lent_for
from cryoflux.errors import CryoFluxError
from cryoflux.log_state import LogState
from cryoflux.quantities import counted, format_energy
from cryoflux.receipts.charged import (
    NEVER_RESERVED,
    PHASES,
    SETTLED_ELSEWHERE,
    UNTOLD,
    MeteredPart,
)
from cryoflux.receipts.checkpoint import origin_of
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.network_parts import RoundOutcome
from cryoflux.receipts.network_statement import RoundResult
from cryoflux.receipts.session import Session, sessions_of
from cryoflux.receipts.statement import Base, Outcome, Receipt
from cryoflux.state import StateFolder
from cryoflux.verification.locating import tensor_spans
from cryoflux.verification.material import ACCOUNT, Material
from cryoflux.verification.metered import (
    Metered,
    ShownPart,
    metered,
    of_round,
    of_session,
    shown_parts,
)
from cryoflux.verification.plausible import (
    beyond_sources,
    implausible,
    trained_weights,
    unmetered_time,
)
from cryoflux.verification.possible import impossible
from cryoflux.verification.result import Check, Finding, Knowledge, NumberedStep, failed, unknown
from cryoflux.verification.sections import Sections
from cryoflux.verification.settlements import Settlements, SignedStatements
from cryoflux.verification.signature_pool import SignaturePool
from cryoflux.verification.strangers import Strangers, spelt
from cryoflux.verification.walk import Fold, Paired, Seen, Tally

ENERGY = NumberedStep(10, "energy figures", Knowledge.ATTESTED)

_OVERDRAFT_PERCENT = 105
_LEAST_WATTS_PER_CPU = 0.01
_EDITED = "one of the two was rolled back or edited"


class _Spent(Tally):
    receipts: int = 0
    rounds: int = 0
    total_uj: int = 0
    sessions: int = 0
    beside_uj: int = 0
    """what sessions were charged beside their attempts"""
    recorded: int = 0
    """entries up to the last one of a session"""
    skipped: int = 0
    """attempts that no session has, before one that was told"""
    tiers: dict[str, int] = field(default_factory=dict)
    """tier → receipts"""
    embedded: bool = False
    """whether a receipt was paid by the account of the state"""
    compared: int = 0
    """receipts and sessions that were compared with that account"""
    by_workers: int = 0
    """parts that the meters of workers charged"""
    by_workers_uj: int = 0
    shared: bool = False
    """whether an attempt was paid by a daemon, whose account serves others too"""
    signed: SignedStatements = field(default_factory=SignedStatements)
    strange: Strangers = field(default_factory=Strangers)
    """names of phases that are not known here → figures"""


class Joules(Fold):
    """Step 10: figures lie in their intervals; how many joules there were stays attested.

    Args:
        material: what there is to verify.
        sections: what checks the sections of tasks, and knows how much was trained.
        pool: checks the meters' signatures meanwhile.
    """

    step: ClassVar = ENERGY
    tally: _Spent

    def __init__(self, material: Material, sections: Sections, pool: SignaturePool) -> None:
        super().__init__()
        self._material, self._sections, self._pool = material, sections, pool
        self.tally = _Spent()
        self._settlements = Settlements(material, self.findings, pool)
        self._account = material.account
        if self._account is not None:
            self._account.start_again()
        self._origin = origin_of(material.key) if material.key is not None else ""
        self._weights: tuple[Base, dict[str, int]] | None = None
        self._trained = lru_cache(maxsize=16)(self._trained_weights)

    def take(self, seen: Seen, memory: LogState) -> None:
        """Look at the joules of the next receipt."""
        if seen.entry is None:
            return
        if (intent := seen.entry.intent) is not None:
            self.tally.shared |= intent.meter == "daemon"
        elif (paired := seen.paired) is not None:
            self._take_receipt(paired)
        elif (record := seen.entry.round) is not None:
            self._take_round(seen.entry, record, memory)
        elif (session := seen.entry.session) is not None:
            self.tally.skipped += max(0, session.first_attempt - memory.accounted - 1)
            self._take_session(seen.entry, session)

    def _take_session(self, entry: Entry, session: Session) -> None:
        """Look at what a run spent beside its attempts."""
        said, figure, tally = of_session(entry, session), session.energy, self.tally
        tally.sessions += 1
        tally.beside_uj += figure.microjoules
        tally.recorded = entry.index + 1
        tally.shared |= session.meter == "daemon"
        self._ask_sums(said)
        self.findings.ask(entry, _more_than_all(session))
        windows_ns = self._settlements.take(said, tally.signed)
        self.findings.extend(beyond_sources(said.name, figure, windows_ns=windows_ns))
        for shown in said.parts:
            if not shown.part.unmetered and UNTOLD.isdisjoint(shown.part.flags):
                self.findings.ask(entry, shown.told(_too_cheap(shown.part, shown.part.hi_microjoules)))
        self._compare(said)

    def _take_round(self, entry: Entry, record: RoundResult, memory: LogState) -> None:
        """Look at what a round was charged: checking what others offer is paid like training."""
        node, tally, figure = memory.nodes.get(record.task), self.tally, record.energy
        opened = node.open.get(record.intent) if node is not None else None
        said = of_round(entry, record, opened.intent.meter if opened is not None else "")
        tally.rounds += 1
        tally.total_uj += figure.microjoules
        tally.tiers[figure.tier.value] = tally.tiers.get(figure.tier.value, 0) + 1
        tally.shared |= said.meter == "daemon"
        self._ask_sums(said)
        windows_ns = self._settlements.take(said, tally.signed)
        self.findings.extend(beyond_sources(said.name, figure, windows_ns=windows_ns))
        if record.outcome is not RoundOutcome.ABORTED:
            for shown in said.parts:
                self.findings.ask(entry, shown.told(_too_cheap(shown.part, shown.part.microjoules)))
        self._compare(said)

    def _take_receipt(self, paired: Paired) -> None:
        receipt, figure, tally = paired.receipt, paired.receipt.energy, self.tally
        said = metered(paired)
        tally.receipts += 1
        tally.total_uj += figure.microjoules
        tally.tiers[figure.tier.value] = tally.tiers.get(figure.tier.value, 0) + 1
        self._ask_sums(said)
        self.findings.ask(paired, _odd(paired.name, receipt))
        windows_ns = self._settlements.take(said, tally.signed)
        parameters, weights = self._work(receipt)
        box = implausible(paired.name, receipt, parameters=parameters, weights=weights, windows_ns=windows_ns)
        self.findings.extend(box)
        self.findings.ask(paired, unmetered_time(receipt, windows_ns))
        self._compare(said)

    def _ask_sums(self, said: Metered) -> None:
        """Look at whether a figure is possible by itself, and at what it is the sum of."""
        figure, tally = said.figure, self.tally
        self.findings.fail(said, impossible(said))
        tally.by_workers += sum(bool(part.worker) for part in figure.parts)
        tally.by_workers_uj += sum(part.microjoules for part in figure.parts if part.worker)
        for name in {phase.name for phase in figure.phases}.difference(PHASES):
            tally.strange.add(spelt("phase", name))

    def _work(self, receipt: Receipt) -> tuple[int, int]:
        """Trained parameters, and weights of the modules that were trained."""
        if receipt.training is None:
            return 0, 0
        check = self._sections.get(receipt.training.section.kind)
        if check is None:
            return 0, 0
        parameters, modules = check.trained(receipt.training.section)
        return parameters, self._trained(receipt.base, modules) if modules else 0

    def _trained_weights(self, base: Base, modules: tuple[str, ...]) -> int:
        return trained_weights(modules, self._sizes(base))

    def _sizes(self, base: Base) -> dict[str, int]:
        """Elements of each tensor of a version; nothing where it is not here."""
        state = self._material.state
        if state is None:
            return {}
        if self._weights is None or self._weights[0] != base:  # attempts on one base follow one another
            try:
                files = sorted(StateFolder(state).model(base.digest).rglob("*.safetensors"))
                spans = [span for path in files if path.is_file() for span in tensor_spans(path)]
            except (CryoFluxError, OSError, OverflowError):
                spans = []  # step 9 names what is wrong with it
            self._weights = base, {span.name: span.elements for span in spans}
        return self._weights[1]

    def _compare(self, said: Metered) -> None:
        """Look up what the account of the state says of a figure that it should have paid."""
        here = said.meter == "embedded"
        self.tally.embedded |= here
        if self._account is None:
            return
        paid = [(shown, self._account.explain(shown.request(said.request))) for shown in said.parts]
        if not here or (said.cut_short and SETTLED_ELSEWHERE in said.figure.own.flags):
            return  # another meter closed it, and this account settles what it holds of it later, or never
        self.tally.compared += 1
        for shown, held in paid:
            self.findings.fail(said, shown.told(self._charged(said, shown, held)))

    def _charged(self, said: Metered, shown: ShownPart, held: Held | None) -> Iterator[str]:
        """Where the account says another thing than an entry of the log."""
        task, part = shown.request(said.request), shown.part
        if NEVER_RESERVED in part.flags:
            yield from self._never_reserved(held)
        elif held is None:
            yield f"{ACCOUNT} knows no reservation of {task}; {_EDITED}"
        elif held.log not in {"", self._origin}:
            yield f"{ACCOUNT} reserved {task} for an attempt of another log, {held.log}"
        elif held.uj is None:
            yield f"{ACCOUNT} has not settled {task}; {_EDITED}"
        elif held.uj != part.microjoules:
            found = f"says {part.microjoules} µJ, but {ACCOUNT} settled {task} at {held.uj} µJ"
            yield f"{found}; {_EDITED}"

    def _never_reserved(self, held: Held | None) -> Iterator[str]:
        if held is not None:
            yield f"says that nothing was reserved, but {ACCOUNT} did; {_EDITED}"
        elif self._account is not None and not self._account.whole:
            # What was settled for another log is not in the mark, so that all of it is gone through.
            yield f"says that nothing was reserved: the end of {ACCOUNT} does not show that"

    def conclude(self, memory: LogState) -> list[Check]:
        """The lines of the step."""
        self._pool.finish()
        tally = self.tally
        figures = tally.receipts + tally.rounds + tally.sessions
        self.findings.extend(self._settlements.conclude(tally.signed))
        self.findings.extend(self._unexplained(memory))
        self.findings.extend(self._without_session(memory))
        for name, count in tally.strange.counted():
            of = "one attempt" if count == 1 else f"{count} attempts"
            self.findings.add(unknown(name, f"is not known here: what {of} spent on it is open"))
        total = format_energy(tally.total_uj)
        measured = ", ".join(f"{count} {tier}" for tier, count in sorted(tally.tiers.items()))
        if tally.sessions:
            beside, all_in = format_energy(tally.beside_uj), format_energy(tally.total_uj + tally.beside_uj)
            what = "attempts and rounds" if tally.rounds else "attempts"
            total = f"{total} in {what} and {beside} beside them in {sessions_of(tally.sessions)}, {all_in}"
        parts = [f"{total} in all, {self.metering()}", f"tiers: {measured or 'no receipts'}"]
        if tally.compared:
            some = f" for {tally.compared} of {figures}" if tally.compared < figures else ""
            parts.append(f"the account was charged the same{some}")
        if tally.by_workers:
            lent = f"{format_energy(tally.by_workers_uj)} of it in {counted(tally.by_workers, 'part')}"
            parts.append(f"{lent} that the meters of workers charged")
        parts += [*self._settlements.signers(tally.signed)]
        nothing = "" if figures else "no entry says that anything was charged"
        return self.findings.conclude(ENERGY, "; ".join(parts), nothing=nothing)

    def _without_session(self, memory: LogState) -> Iterator[Finding]:
        """What runs spent beside attempts that no session has, where sessions are to be expected."""
        missing = self.tally.skipped + memory.attempts - memory.accounted
        if missing and (self.tally.sessions or self._material.pinned_meters):
            detail = (
                f"spent beside {counted(missing, 'attempt')} is in no session: a run goes on or has died, "
                "or hides it"
            )
            yield unknown("what runs", detail)

    def metering(self) -> str:
        """What is known of who metered: ``self-reported``, unless whoever verifies named the meter's key."""
        return self._settlements.metered(self.tally.signed)

    def _unexplained(self, memory: LogState) -> Iterator[Finding]:
        """What the account charged, and no receipt says."""
        if self._material.account_problem:
            yield failed(ACCOUNT, self._material.account_problem)
        elif self._account is None:
            if self._material.state is not None and self.tally.embedded:
                yield unknown(ACCOUNT, "is not here, so what was charged cannot be compared")
        else:
            waiting = {opened.intent.task.id for opened in memory.open.values()}
            waiting |= {one.intent.id for node in memory.nodes.values() for one in node.open.values()}
            for held in self._account.unexplained():
                yield from self._left(held, waiting)

    def _left(self, held: Held, waiting: set[str]) -> Iterator[Finding]:
        """What is to be said of a reservation that no entry explains."""
        request = lent_for(held.request_id)
        lent, session = request != held.request_id, request.startswith(SESSION)
        if request in waiting:
            return  # its attempt goes on, and what was lent for it
        if held.uj is not None:
            yield from self._charged_for_nothing(held)
        elif held.log != self._origin:
            return
        elif session and (not lent or self._unrecorded(request)):
            detail = "a run goes on or has died, and what it spends is not told yet"
            yield unknown(ACCOUNT, f"has {held.request_id} open: {detail}")
        elif lent:
            detail = "what became of that its entry does not say"
            yield failed(ACCOUNT, f"has joules lent as {held.request_id}: {detail}")

    def _charged_for_nothing(self, held: Held) -> Iterator[Finding]:
        request = lent_for(held.request_id)
        if request.startswith(SESSION) and self._unrecorded(request):
            detail = f"charged {held.request_id}, which is not in the log yet: the next run adds it"
            yield unknown(ACCOUNT, detail)
            return
        # An account that a daemon kept has served others too; it says which log an attempt was of.
        without = "no part of a receipt" if is_lent(held.request_id) else "no receipt"
        charged = f"charged {held.request_id}, which has {without}"
        if not self.tally.shared or held.log == self._origin:
            yield failed(ACCOUNT, f"{charged}: {_EDITED}")
        elif not held.log:
            yield unknown(ACCOUNT, f"{charged} here; maybe it is another's")

    def _unrecorded(self, session: str) -> bool:
        """Whether a run may have died between its last charge and its last entry."""
        opened_at = session.rpartition("_")[2]
        return opened_at.isascii() and opened_at.isdigit() and int(opened_at) >= self.tally.recorded


def _more_than_all(session: Session) -> Iterator[str]:
    """Whether what a session names one by one costs more than all of it."""
    own = session.energy.own  # it is the coordinator that reads holdouts
    cost = sum(one.microjoules for one in session.bases) + sum(one.microjoules for one in session.checks)
    if cost > own.hi_microjoules and not own.unmetered:
        yield f"names {cost} µJ of measurements and looks, though it was charged {own.microjoules} in all"


def _odd(name: str, receipt: Receipt) -> Iterator[str]:
    figure = receipt.energy  # what was announced is one amount, however it was shared out
    if figure.microjoules * 100 > figure.reserved_microjoules * _OVERDRAFT_PERCENT:
        reserved = format_energy(figure.reserved_microjoules)
        yield f"spent {format_energy(figure.microjoules)} of {reserved} reserved: over by > 5 %"
    if receipt.outcome is Outcome.ABORTED:
        return
    if figure.microjoules == 0:
        yield "was trained and judged, but says that it cost no energy"
        return
    for shown in shown_parts(name, figure):
        if shown.part.worker and shown.part.microjoules == 0:
            yield from shown.told(["had a part in it, and says that this cost no energy"])
        else:
            yield from shown.told(_too_cheap(shown.part, shown.part.microjoules))


def _too_cheap(part: MeteredPart, uj: int) -> Iterator[str]:
    if uj < _LEAST_WATTS_PER_CPU * part.cpu_microseconds:
        spent = format_energy(uj)
        yield f"says {spent} for {part.cpu_microseconds / 1e6:.1f} s of CPU time: less than any processor"

"""What a contract has come to: a pure function of its terms and of what both parties' logs say.

Window by window, in the time of witnesses:

- *result*: the list that the seller offered last before the window ended; *base*: that of the last window
  whose bits were all set, or the start. So a gain that was taken back is not sold twice.
- *joules*: upper ends of all that the seller announced since the base, kept or not. An announcement without a
  record leaves them unknown, and so does an update that no attempt since the contract made, or an entry of a
  form that is not known here.
- *look*: the buyer's first one at the window, of that base and result, until one window later. Another one
  counts nothing; where there is none, the terms say what that means.
- A bit is the buyer's word (*attested*) until its guest holdout is opened; then sums decide (*verified*).

Who told two histories can claim nothing: the contract is void. Integers throughout, so that both parties and
anybody else come to the same. What is computed depends on which logs are here, and says how far they go.
"""

from __future__ import annotations

__all__ = ["ClauseVerdict", "ContractVerdict", "WindowVerdict", "evaluate", "first_difference"]

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cryoflux.decision.promised import asked_delta, keeps, needed_of_windows
from cryoflux.expression import Clause, Quantity
from cryoflux.network.contracts.document import clauses_of, policy_of
from cryoflux.network.contracts.due import ContractLogs, DueLook, PaidJoules
from cryoflux.network.contracts.told import ContractTold, LookTold
from cryoflux.quantities import worst_tier
from cryoflux.receipts.contract_parts import (
    AgreedTerms,
    ClauseResult,
    ContractEvidence,
    ContractStanding,
    HowKnown,
    OnMissing,
    ReadLog,
)
from cryoflux.receipts.network_parts import SealedSums

_ORDER = (
    ContractStanding.VOID,
    ContractStanding.BREACHED,
    ContractStanding.UNVERIFIABLE,
    ContractStanding.PENDING,
    ContractStanding.FULFILLED,
)
"""a window is what the first of these is that one of its clauses is"""
_MOST_EVIDENCE = 32
"""of a window: what it says has to fit into an entry"""


@dataclass(frozen=True, slots=True)
class ClauseVerdict:
    """What a clause comes to in a window."""

    clause: str
    standing: ContractStanding
    known: HowKnown
    evidence: tuple[ContractEvidence, ...]

    @property
    def result(self) -> ClauseResult:
        """As an entry says it."""
        return ClauseResult(clause=self.clause, standing=self.standing, known=self.known)


@dataclass(frozen=True, slots=True)
class WindowVerdict:
    """What a window comes to."""

    window: int
    standing: ContractStanding
    clauses: tuple[ClauseVerdict, ...]
    shown: tuple[ContractEvidence, ...]
    """of the window as a whole"""

    @property
    def evidence(self) -> tuple[ContractEvidence, ...]:
        """All of it, in the order in which it was found."""
        every = [*self.shown, *(one for clause in self.clauses for one in clause.evidence)]
        return tuple(every[:_MOST_EVIDENCE])


@dataclass(frozen=True, slots=True)
class ContractVerdict:
    """What a contract comes to."""

    digest: str
    standing: ContractStanding
    windows: tuple[WindowVerdict, ...]
    logs: tuple[ReadLog, ...]
    """that were read, by origin"""


def evaluate(terms: AgreedTerms, logs: Iterable[ContractTold]) -> ContractVerdict:
    """What a contract has come to.

    Args:
        terms: of the contract.
        logs: of both parties, of others or of nobody, in any order; of several copies of a log the longest
            one counts.

    Raises:
        UsageError: a clause is none.
    """
    found = ContractLogs(terms, logs)
    windows = tuple(_Evaluation(terms, found).windows())
    read = tuple(
        ReadLog(origin=log.origin, size=log.size, root=log.root)
        for log in sorted(found.by_origin.values(), key=lambda log: log.origin)
        if log.root
    )
    return ContractVerdict(terms.digest, _worst(one.standing for one in windows), windows, read)


def first_difference(
    mine: Iterable[ContractEvidence], theirs: Iterable[ContractEvidence]
) -> tuple[ContractEvidence | None, ContractEvidence | None] | None:
    """The first evidence in which two results differ; none where they do not."""
    ours, others = list(mine), list(theirs)
    for at in range(max(len(ours), len(others))):
        one, other = ours[at] if at < len(ours) else None, others[at] if at < len(others) else None
        if one != other:
            return one, other
    return None


def _worst(standings: Iterable[ContractStanding]) -> ContractStanding:
    return min(standings, key=_ORDER.index)


class _Evaluation:
    """One evaluation."""

    def __init__(self, terms: AgreedTerms, logs: ContractLogs) -> None:
        self._terms, self._logs, self._clauses = terms, logs, clauses_of(terms)
        self._seller, self._buyer = logs.seller, logs.buyer
        self._named = {line.key.name for line in policy_of(terms).logs}
        self._needed = needed_of_windows(terms.alpha_ppm, terms.windows.count)

    def windows(self) -> Iterator[WindowVerdict]:
        """What each window comes to, in order."""
        for window, due in self._logs.windows():
            yield self._window(window, due)

    def _window(self, window: int, at: DueLook | None) -> WindowVerdict:
        whole = self._not_in_force() or self._not_over(window)
        if whole is None and at is None:
            nothing = self._shows("nothing-offered", self._seller, value=str(self._seller.size))
            unread = self._unread(self._seller, window)
            standing = ContractStanding.BREACHED if unread is None else ContractStanding.UNVERIFIABLE
            whole = standing, (nothing, *filter(None, [unread]))
        if whole is None and at is not None:
            return self._measured(at)
        assert whole is not None  # noqa: S101 - one of the two is
        standing, shown = whole
        clauses = tuple(ClauseVerdict(text, standing, HowKnown.LOGS, ()) for text in self._terms.clauses)
        return WindowVerdict(window, standing, clauses, shown)

    def _not_in_force(self) -> tuple[ContractStanding, tuple[ContractEvidence, ...]] | None:
        """Why nothing is owed by the contract, or not yet; none where it is in force."""
        parties = self._seller, self._buyer
        if convicted := [one for one in parties if one.convicted]:
            return ContractStanding.VOID, tuple(self._shows("two-histories", one) for one in convicted)
        first = self._terms.windows.first
        if late := [one for one in parties if one.agreed_s is not None and one.agreed_s >= first]:
            shown = tuple(self._shows("agreed-late", one, value=str(one.agreed_s)) for one in late)
            return ContractStanding.VOID, shown
        if missing := [one for one in parties if one.agreed_s is None]:
            over = all(one.seen_s >= first for one in missing)
            shown = tuple(self._shows("not-agreed", one, value=str(one.seen_s)) for one in missing)
            return (ContractStanding.VOID if over else ContractStanding.PENDING), shown
        return None

    def _not_over(self, window: int) -> tuple[ContractStanding, tuple[ContractEvidence, ...]] | None:
        """Whether a window has not ended, by the logs that are here; none where it has."""
        end_s = self._terms.windows.end_s(window)
        if max(self._seller.seen_s, self._buyer.seen_s) < end_s:
            open_ = ContractEvidence(code="window-open", value=str(end_s))
            return ContractStanding.PENDING, (open_,)
        if self._seller.seen_s >= end_s:
            return None
        shown = (self._shows("log-ends", self._seller, value=str(self._seller.seen_s)),)
        patient_s = self._terms.windows.due_s(window) + self._terms.windows.length_s
        withheld = self._buyer.seen_s >= patient_s
        return (ContractStanding.BREACHED if withheld else ContractStanding.PENDING), shown

    def _measured(self, at: DueLook) -> WindowVerdict:
        """A window that is over, and in which something was offered."""
        look = self._logs.valid_look(at)
        shown = [
            self._shows("offer", self._seller, at.offer.leaf, value=at.offer.result),
            ContractEvidence(code="base", value=at.base),
            *self._spent(at.paid),
        ]
        if (first := self._logs.first_looks.get(at.window)) is not None:
            code = "look" if look is not None else "look-of-another"
            if look is None and first.committed_s > self._terms.windows.due_s(at.window):
                code = "look-too-late"
            shown.append(self._shows(code, self._buyer, first.leaf, value=first.said.sealed))
        shown += [
            self._shows("second-look", self._buyer, one.leaf)
            for one in self._buyer.looks
            if one.said.window == at.window and one is not first
        ]
        if look is not None and self._buyer.opened is not None:
            shown.append(self._shows("opening", self._buyer, self._buyer.opened_leaf))
        clauses = tuple(self._clause(at, look, number) for number in range(len(self._clauses)))
        return WindowVerdict(at.window, _worst(one.standing for one in clauses), clauses, tuple(shown))

    def _spent(self, paid: PaidJoules) -> Iterator[ContractEvidence]:
        yield self._shows("joules", self._seller, value=str(paid.upper_uj))
        yield self._shows("tier", self._seller, value=paid.tier.value)
        for attempt in paid.unrecorded[:3]:
            yield self._shows("no-record", self._seller, attempt.leaf)
        for adapter in paid.unmade[:3]:
            yield self._shows("made-elsewhere", self._seller, value=adapter)
        for entry in paid.unread[:3]:
            yield self._shows("not-read", self._seller, entry.leaf)

    def _clause(self, at: DueLook, look: LookTold | None, number: int) -> ClauseVerdict:
        clause, text = self._clauses[number], self._terms.clauses[number]
        trial = self._trial(at) if clause is None else None
        if clause is None and trial is not None:
            return ClauseVerdict(text, ContractStanding.FULFILLED, HowKnown.LOGS, (trial,))
        opened = self._buyer.opened
        sums = opened.get(at.window) if opened is not None else None
        unshown = opened is not None and look is not None and look.said.available and sums is None
        if look is None or (unshown and clause is not None):
            return self._missing(at, text, "not-opened" if unshown else "no-look")
        if clause is None or not look.said.available:
            standing = ContractStanding.FULFILLED if look.said.available else ContractStanding.BREACHED
            return self._by_word(at, text, standing)
        if (doubt := self._doubt(at, clause, text)) is not None:
            return doubt
        if sums is not None:
            return self._by_sums(at, clause, text, sums, bit=look.said.kept[number])
        return self._by_bit(at, clause, text, look, number)

    def _missing(self, at: DueLook, text: str, code: str) -> ClauseVerdict:
        """A clause that the buyer has not measured, or not shown as it was sealed."""
        due_s, length_s = self._terms.windows.due_s(at.window), self._terms.windows.length_s
        over = self._buyer.seen_s > due_s or self._seller.seen_s >= due_s + length_s
        if not over and at.window not in self._logs.first_looks:
            wait = ContractEvidence(code="look-due", clause=text, value=str(due_s))
            return ClauseVerdict(text, ContractStanding.PENDING, HowKnown.LOGS, (wait,))
        if code == "no-look" and (unread := self._unread(self._buyer, at.window)) is not None:
            return ClauseVerdict(text, ContractStanding.UNVERIFIABLE, HowKnown.LOGS, (unread,))
        breach = self._terms.on_missing is OnMissing.BREACH
        standing = ContractStanding.BREACHED if breach else ContractStanding.VOID
        shown = self._shows(code, self._buyer, clause=text, value=self._terms.on_missing.value)
        return ClauseVerdict(text, standing, HowKnown.LOGS, (shown,))

    def _unread(self, log: ContractTold, window: int) -> ContractEvidence | None:
        """An entry of a window, or of the time in which its look was due, that may say what is missing."""
        due_s = self._terms.windows.due_s(window)
        found = next((one for one in log.unread if one.seen_s <= due_s), None)
        return self._shows("not-read", log, found.leaf) if found is not None else None

    def _by_word(self, at: DueLook, text: str, standing: ContractStanding) -> ClauseVerdict:
        """A clause that the buyer's word decides: its bytes could be had, or could not."""
        if standing is ContractStanding.BREACHED and self._trial(at) is not None:
            return self._missing(at, text, "was-available")
        shown = self._shows("available", self._buyer, clause=text, value=standing.value)
        return ClauseVerdict(text, standing, HowKnown.ATTESTED, (shown,))

    def _trial(self, at: DueLook) -> ContractEvidence | None:
        """A round of somebody else whose log the policy names, who had what was offered in time."""
        due_s, parties = self._terms.windows.due_s(at.window), set(self._terms.parties)
        for log in sorted(self._logs.by_origin.values(), key=lambda one: one.origin):
            if log.origin in parties or log.convicted or log.origin not in self._named:
                continue
            for trial in log.trials:
                if trial.capsule == at.offer.adapter and trial.committed_s <= due_s:
                    return self._shows("had-by-another", log, trial.leaf, value=trial.capsule)
        return None

    def _doubt(self, at: DueLook, clause: Clause, text: str) -> ClauseVerdict | None:
        """Why a clause on η cannot be decided; none where it can."""
        paid = at.paid
        if clause.quantity is not Quantity.ETA:
            return None
        shown = []
        if paid.known_uj is None:
            shown.append(self._shows("joules-unknown", self._seller, clause=text))
        if worst_tier((paid.tier, self._terms.joules.tier_min)) is not self._terms.joules.tier_min:
            least = self._terms.joules.tier_min.value
            shown.append(
                self._shows("tier-too-low", self._seller, clause=text, value=f"{paid.tier} < {least}")
            )
        if not shown:
            return None
        return ClauseVerdict(text, ContractStanding.UNVERIFIABLE, HowKnown.LOGS, tuple(shown))

    def _by_sums(
        self, at: DueLook, clause: Clause, text: str, sums: SealedSums, *, bit: bool
    ) -> ClauseVerdict:
        """A clause that opened sums decide."""
        kept = keeps(clause, sums.evidence(self._terms.count), self._needed, at.paid.upper_uj)
        gain = sums.base_loss_sum - sums.new_loss_sum
        shown = [
            ContractEvidence(code="delta-sum", clause=text, value=str(gain)),
            ContractEvidence(code="asked", clause=text, value=str(asked_delta(clause, at.paid.upper_uj))),
            ContractEvidence(code="needed-milli", clause=text, value=str(self._needed)),
        ]
        if kept is not bit:
            shown.append(self._shows("bit-contradicted", self._buyer, clause=text, value=str(bit).lower()))
        return ClauseVerdict(text, _kept(kept), HowKnown.VERIFIED, tuple(shown))

    def _by_bit(self, at: DueLook, clause: Clause, text: str, look: LookTold, number: int) -> ClauseVerdict:
        """A clause that the buyer's bit decides: what is kept at some joules is kept at fewer."""
        bit, tested_uj, due_uj = look.said.kept[number], look.said.upper_microjoules, at.paid.upper_uj
        says = self._shows("bit", self._buyer, look.leaf, clause=text, value=str(bit).lower())
        if clause.quantity is Quantity.ETA:
            covers = tested_uj is not None and (tested_uj >= due_uj if bit else tested_uj <= due_uj)
            if not covers:
                tested = self._shows("tested-at", self._buyer, clause=text, value=str(tested_uj))
                return ClauseVerdict(text, ContractStanding.UNVERIFIABLE, HowKnown.ATTESTED, (says, tested))
        return ClauseVerdict(text, _kept(bit), HowKnown.ATTESTED, (says,))

    @staticmethod
    def _shows(
        code: str, log: ContractTold, leaf: str = "", *, clause: str = "", value: str = ""
    ) -> ContractEvidence:
        return ContractEvidence(code=code, clause=clause, origin=log.origin, leaf=leaf, value=value)


def _kept(kept: bool) -> ContractStanding:  # noqa: FBT001 - it is all that there is
    return ContractStanding.FULFILLED if kept else ContractStanding.BREACHED

"""What a range of receipts comes to, and whether a claim about it holds: exact integers and fractions.

Joules are summed over every attempt and every round, whatever became of it: what a rejected or aborted one
cost was spent as well. What was gained is summed over the updates that the head at the end of the range
rests on: what a move of the head took back is in no model, and was paid for all the same. Two tasks have
two heads, and no model gained what both did, so their gains are not added. An update of a chain was paid
for by all of its attempts since one was kept: where some of these lie before the range, its gain has no
value in it. What a round brought is sealed, and counts for nothing but the level that it certifies; after
a recall nobody has measured what the head lost by it, so that gains have no sum. All-in, what runs spent
beside attempts and rounds is added, where the range holds whole sessions. An interval is judged at the end
that is worse for whoever claims: at most is compared with the upper end, at least with the lower one.
Where joules are modelled, the ends are what is plausible.
"""

from __future__ import annotations

__all__ = [
    "ON_GAINS",
    "ON_LOSSES",
    "EvaluatedClause",
    "Figures",
    "Told",
    "add_up",
    "judge",
    "told_by",
    "values_of",
]

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TypeAlias

from cryoflux.claims.backing import certified_in
from cryoflux.claims.readings import broken_line, count_readings, room_for_hits
from cryoflux.errors import VerificationError
from cryoflux.expression import (
    INTERVALS,
    ON_JOULES,
    Clause,
    Expression,
    Operator,
    Quantity,
)
from cryoflux.quantities import NATS, Energy, RangeKind, Tier, worst_tier
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.lines import Lines
from cryoflux.receipts.network_statement import Recall, RoundIntent, RoundResult
from cryoflux.receipts.session import Session
from cryoflux.receipts.statement import Evaluation, HeadMove, Outcome, Receipt

Told: TypeAlias = Receipt | Session | HeadMove | RoundIntent | RoundResult | Recall
"""what of a range says anything about gains or joules"""
Value = Fraction | Tier
_ALL_IN = frozenset(quantity for quantity in Quantity if quantity.startswith("all_in_"))
_PAID_BEFORE = (
    "An update that was kept was paid for by attempts of its chain before the range too: a range that begins "
    "with its chain has all of them."
)
_RECALLED = (
    "A recall took an update out of the head, and nobody has measured what the head lost or gained by it."
)
ON_GAINS = {Quantity.DELTA, Quantity.ACCURACY_GAIN} | {q for q in Quantity if "eta" in q.split("_")}
"""rest on what updates gained"""
ON_LOSSES = ON_GAINS | {Quantity.LOSS_FIRST, Quantity.LOSS_LAST}
"""rest on losses or hits"""
_BY_AN_END = INTERVALS | {Quantity.JOULES_LO, Quantity.JOULES_HI}


@dataclass(frozen=True, slots=True)
class Figures:
    """What some receipts come to."""

    attempts: int
    kept: int
    aborted: int
    delta: Fraction | None
    """nano-nats, of the updates that the head rests on; none where one was measured in another unit, several
    tasks gained something, or a head went back behind the range"""
    accuracy_gain: Fraction | None
    """share of the holdout, of the same; none where one has no right and wrong, and as for ``delta``"""
    lo_uj: int
    estimate_uj: int
    hi_uj: int
    all_in: Energy | None
    """the same with what sessions cost besides; none where one is not whole"""
    tier: Tier
    loss_first: Fraction | None
    """nano-nats; none where no attempt read a whole holdout, or attempts are of several tasks"""
    loss_last: Fraction | None
    """nano-nats; none too where nothing of the range says what the head at its end has lost"""
    taken_back: int = 0
    """of the kept updates, those that the heads at the end do not rest on"""
    tasks: int = 1
    """that the attempts are of"""
    no_gain: str = ""
    """why several gains cannot be added; empty where they can"""
    readings: int = 1
    """holdouts, or ways to compute a loss on them, that the losses are of"""
    room: Fraction = Fraction()
    """share of the holdout that ``accuracy_gain`` may be off by, because its profile tolerates it"""
    rounds: int = 0
    """with a record"""
    certified: Mapping[int, int] = field(default_factory=dict)
    """place of a round's record → its level, nano-nats, of those that the head rests on"""
    withdrawn: int = 0
    """accepted rounds whose level counts no more"""
    no_sum: str = ""
    """why these levels cannot be added; empty where they can"""

    @property
    def in_words(self) -> str:
        """How many there are."""
        return f"{self.attempts} attempts" + (f" and {self.rounds} rounds" if self.rounds else "")


@dataclass(frozen=True, slots=True)
class EvaluatedClause:
    """One comparison, with the value that it was judged by."""

    clause: Clause
    value: Value
    holds: bool
    tier: Tier | None = None
    """of the joules that it rests on; none where it rests on none"""
    room: Fraction = Fraction()
    """how far the worse end is from what the receipts say, where their profile tolerates that"""

    @property
    def range_kind(self) -> RangeKind | None:
        """Of what kind the end of the joules is that it was judged by; none where it was by no end."""
        by_an_end = self.clause.quantity in _BY_AN_END
        return self.tier.range_kind if self.tier is not None and by_an_end else None


def told_by(entry: Entry) -> Told | None:
    """What an entry says about gains or joules; none where it is about something else."""
    attempt = entry.receipt or entry.session or entry.move
    return attempt or entry.round_intent or entry.round or entry.recall


def add_up(told: Iterable[Told], *, taken_back: bool = False) -> Figures:
    """Add up a range.

    Args:
        told: its receipts, sessions and moves of heads, in the order of the log.
        taken_back: whether to add what moves took back as well, as programs did that knew no better.
    """
    in_order = list(told)
    found = [said for said in in_order if isinstance(said, Receipt)]
    judged = [(r, r.evaluation) for r in found if r.evaluation is not None]
    kept = [(r, said) for r, said in judged if r.outcome is Outcome.ACCEPTED]
    lines = _lines(in_order)
    standing, tasks = lines.standing(), {r.task.name for r in found}
    stand = [(r, said) for r, said in kept if taken_back or r.sequence in standing]
    rounds = [said for said in in_order if isinstance(said, RoundResult)]
    levels, withdrawn, no_sum = certified_in(
        (said for said in in_order if isinstance(said, RoundResult | Recall)), standing
    )
    no_gain = "" if taken_back else _no_gain({r.task.name for r, _ in stand}, lines) or broken_line(stand)
    if any(isinstance(said, Recall) for said in in_order):
        no_gain = no_gain or _RECALLED
    if not taken_back and not no_gain and _paid_before(found) & {r.sequence for r, _ in stand}:
        no_gain = _PAID_BEFORE
    gained = [said for _, said in stand]
    whole = [(r, said) for r, said in judged if said.read >= r.holdout.count]
    # Two tasks have two losses, and a sum over two units is none.
    charged: list[Receipt | RoundResult] = [*found, *rounds]
    one = len(tasks) == 1 and all(said.metric.unit == NATS for _, said in whole)
    first = Fraction(whole[0][1].base_loss_sum, whole[0][1].read) if whole and one else None
    last = _loss_after(*whole[-1]) if whole and one else None
    if last is not None and not taken_back:
        last = _loss_of_head(in_order, whole)
    return Figures(
        attempts=len(found),
        kept=len(kept),
        aborted=sum(r.outcome is Outcome.ABORTED for r in found),
        delta=None if no_gain else _delta(gained),
        accuracy_gain=None if no_gain else _accuracy_gain(gained),
        lo_uj=sum(r.energy.lo_microjoules for r in charged),
        estimate_uj=sum(r.energy.microjoules for r in charged),
        hi_uj=sum(r.energy.hi_microjoules for r in charged),
        all_in=_all_in(in_order),
        tier=worst_tier(said.energy.known_tier for said in charged),
        loss_first=first,
        loss_last=last,
        taken_back=sum(r.sequence not in standing for r, _ in kept),
        tasks=len(tasks),
        no_gain=no_gain,
        readings=count_readings(judged),
        room=Fraction() if taken_back else room_for_hits(stand),
        rounds=len(rounds),
        certified=levels,
        withdrawn=withdrawn,
        no_sum=no_sum or _from_before(lines),
    )


def _lines(told: Sequence[Told]) -> Lines:
    lines = Lines()
    for said in told:
        if not isinstance(said, Session | RoundIntent):
            lines.take(said)
    return lines


def _from_before(lines: Lines) -> str:
    if before := lines.from_before():
        return f"The head of {before[0]} went back behind the range, and what that took back is not in it."
    return ""


def _no_gain(gained: set[str], lines: Lines) -> str:
    if before := _from_before(lines):
        return before
    if len(gained) > 1:
        return f"{len(gained)} tasks have {len(gained)} heads, and no model gained what all of them did."
    return ""


def _paid_before(found: Sequence[Receipt]) -> set[int]:
    """Kept updates of chains that attempts before the range paid for, too: by their place."""
    paid: set[int] = set()
    whole: set[tuple[str, str]] = set()
    """chains, by task and arm, of which all is in the range since they began or one was kept"""
    for r in found:
        if r.training is None:
            continue
        chain = (r.task.name, r.task.arm)
        if not r.training.before:
            whole.add(chain)
        elif chain not in whole and r.outcome is Outcome.ACCEPTED:
            paid.add(r.sequence)
        if r.outcome is Outcome.ACCEPTED:
            whole.add(chain)
    return paid


def _loss_of_head(told: Sequence[Told], whole: Sequence[tuple[Receipt, Evaluation]]) -> Fraction | None:
    """The loss of the head at the end, on the holdout that was read last; none where nothing says it."""
    task, holdout = whole[-1][0].task.name, whole[-1][0].holdout.sha256
    losses: dict[str, Fraction] = {}
    for r, said in whole:
        if r.holdout.sha256 == holdout:
            losses[r.base.digest] = Fraction(said.base_loss_sum, said.read)
            losses[said.candidate.digest] = Fraction(said.new_loss_sum, said.read)
    head = ""
    for told_of in told:
        match told_of:
            case Receipt():
                head = told_of.result.digest
            case HeadMove() | RoundResult() | Recall() if told_of.task == task:
                head = told_of.result.digest
    return losses.get(head)


def _all_in(told: Sequence[Told]) -> Energy | None:
    waiting = sessions = rounds = 0
    charged = [said for said in told if isinstance(said, Receipt | Session | RoundResult)]
    for said in charged:
        if isinstance(said, Receipt):
            waiting += 1
        elif isinstance(said, RoundResult):
            rounds += 1
        elif said.attempts != waiting:
            return None  # some of its attempts lie outside of the range
        else:
            waiting, sessions = 0, sessions + 1
    open_rounds = sum(isinstance(said, RoundIntent) for said in told) - rounds
    if waiting or not sessions or open_rounds:
        return None
    return Energy.total(replace(said.energy.energy, tier=said.energy.known_tier) for said in charged)


def _delta(kept: list[Evaluation]) -> Fraction | None:
    if any(said.metric.unit != NATS for said in kept):
        return None
    return sum((Fraction(said.delta_sum, said.read) for said in kept), Fraction())


def _accuracy_gain(kept: list[Evaluation]) -> Fraction | None:
    total = Fraction()
    for said in kept:
        if said.hits is None:
            return None
        total += Fraction(said.hits.new - said.hits.base, said.read)
    return total


def _loss_after(receipt: Receipt, said: Evaluation) -> Fraction:
    kept = receipt.outcome is Outcome.ACCEPTED
    return Fraction(said.new_loss_sum if kept else said.base_loss_sum, said.read)


def values_of(figures: Figures) -> dict[Quantity, Value | None]:
    """Every quantity that is a single figure, in its integer unit; none where it has no value."""
    return {
        Quantity.DELTA: figures.delta,
        Quantity.JOULES_LO: Fraction(figures.lo_uj),
        Quantity.JOULES_ESTIMATE: Fraction(figures.estimate_uj),
        Quantity.JOULES_HI: Fraction(figures.hi_uj),
        Quantity.ETA_ESTIMATE: _over(figures.delta, figures.estimate_uj),
        Quantity.ALL_IN_JOULES_ESTIMATE: Fraction(figures.all_in.uj) if figures.all_in else None,
        Quantity.ALL_IN_ETA_ESTIMATE: _over(figures.delta, figures.all_in.uj) if figures.all_in else None,
        Quantity.ATTEMPTS: Fraction(figures.attempts),
        Quantity.KEPT: Fraction(figures.kept),
        Quantity.ROUNDS: Fraction(figures.rounds),
        Quantity.CERTIFIED: None if figures.no_sum else Fraction(sum(figures.certified.values())),
        Quantity.ABORTED: Fraction(figures.aborted),
        Quantity.ACCURACY_GAIN: figures.accuracy_gain,
        Quantity.LOSS_FIRST: figures.loss_first,
        Quantity.LOSS_LAST: figures.loss_last,
        Quantity.TIER: figures.tier if figures.attempts or figures.rounds else None,
    }


def judge(figures: Figures, expression: Expression) -> list[EvaluatedClause]:
    """Judge every comparison.

    Raises:
        VerificationError: a quantity has no value here.
    """
    return [_judge(figures, clause) for clause in expression.clauses]


def _judge(figures: Figures, clause: Clause) -> EvaluatedClause:
    over, tier, ends = figures.all_in, figures.tier, (figures.lo_uj, figures.hi_uj)
    if clause.quantity in _ALL_IN and over is not None:
        tier, ends = over.tier, (over.lo_uj, over.hi_uj)
    elif clause.quantity in _ALL_IN:
        raise VerificationError(
            f"{clause.quantity} has no value over this range.",
            why="It does not hold whole sessions: what their runs cost beside these attempts is not in it.",
            hint="Claim over the whole log, or over the attempts alone: joules, eta.",
        )
    value: Value | None
    if clause.quantity in {Quantity.JOULES, Quantity.ALL_IN_JOULES}:
        value = Fraction(ends[clause.operator.wants_little])
    elif clause.quantity in {Quantity.ETA, Quantity.ALL_IN_ETA}:
        value = _eta(figures.delta, ends, clause.operator)
    else:
        value = values_of(figures)[clause.quantity]
    room = figures.room if clause.quantity is Quantity.ACCURACY_GAIN else Fraction()
    if room and isinstance(value, Fraction):
        value += room if clause.operator.wants_little else -room
    if value is None:
        raise VerificationError(
            f"{clause.quantity} has no value over {figures.in_words}.",
            why=_why_none(figures, clause.quantity),
            hint="Claim something else, or another range.",
        )
    return EvaluatedClause(
        clause, value, _holds(value, clause), tier if clause.quantity in ON_JOULES else None, room
    )


def _why_none(figures: Figures, quantity: Quantity) -> str:
    if quantity is Quantity.CERTIFIED:
        return figures.no_sum
    if figures.no_gain and quantity in ON_GAINS:
        return figures.no_gain
    return "No receipt of the range says anything that it could be computed from."


def _eta(delta: Fraction | None, ends: tuple[int, int], operator: Operator) -> Fraction | None:
    if delta is None:
        return None
    # Little is worst at the high end of the ratio, and a positive Δ is worst over many joules.
    at_lo = operator.wants_little == (delta >= 0)
    return _over(delta, ends[0] if at_lo else ends[1])


def _over(delta: Fraction | None, uj: int) -> Fraction | None:
    return delta / uj if delta is not None and uj > 0 else None


def _holds(value: Value, clause: Clause) -> bool:
    bound = clause.bound
    if isinstance(value, Tier) or isinstance(bound, Tier):
        return value == bound
    match clause.operator:
        case Operator.AT_LEAST:
            return value >= bound
        case Operator.MORE:
            return value > bound
        case Operator.AT_MOST:
            return value <= bound
        case Operator.LESS:
            return value < bound
        case Operator.EQUAL:
            return value == bound

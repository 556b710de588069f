"""The budget of the run that goes on, or of the last one: what it went into, and when it may end.

While a run goes on it says itself what it has spent; afterwards its session is in the log. When it ends is a
projection: what is left, by what its attempts have cost so far. Nothing is projected where nothing is known.
"""

from __future__ import annotations

__all__ = ["BudgetPart", "BudgetView", "Lasting", "PartKind", "Projection", "budget_of", "lasting", "project"]

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from cryoflux.quantities import MICRO
from cryoflux.queries.activity import Activity, BudgetNow
from cryoflux.queries.followed import Followed
from cryoflux.receipts.attempts import Attempt
from cryoflux.receipts.session import Session

PartKind = Literal["beside", "rounds", "earlier", "attempt", "under way", "reserved", "closing", "left"]
_SHOWN = 10
"""attempts with a part of their own; the ones before them share one"""
_LATELY = 10
"""attempts that a projection goes by"""
_LONGEST_S = 10 * 365 * 86_400.0
"""beyond ten years nothing is projected: attempts that were charged next to nothing say nothing"""
_SAME_RUN_S = 2.0
"""the clock of the activity and that of the session's entry are read one after the other"""


@dataclass(frozen=True, slots=True)
class BudgetPart:
    """Some of a budget."""

    kind: PartKind
    uj: int
    attempt: Attempt | None = None
    count: int = 1
    """attempts that it stands for"""


@dataclass(frozen=True, slots=True)
class Projection:
    """When a run ends, if its attempts go on as they did."""

    attempts: int
    """that still fit, the one that goes on included"""
    ends_at: float
    """seconds since 1970"""
    each_uj: float
    each_s: float
    seen: int
    """attempts that it goes by"""
    by_deadline: bool
    """whether the time that was given ends it before the joules do"""


@dataclass(frozen=True, slots=True)
class Lasting:
    """How long what is left lasts at the power of now."""

    left_uj: int
    net_w: float
    ends_at: float
    """seconds since 1970"""


@dataclass(frozen=True, slots=True)
class BudgetView:
    """A budget and what it went into."""

    spendable_uj: int
    spent_uj: int
    parts: tuple[BudgetPart, ...]
    """from the first joule on; together at least what was spendable"""
    projection: Projection | None
    goes_on: bool

    @property
    def left_uj(self) -> int:
        """What was not spent; never less than nothing."""
        return max(0, self.spendable_uj - self.spent_uj)

    @property
    def whole_uj(self) -> int:
        """What the parts add up to: more than was spendable, where a run has overdrawn."""
        return sum(part.uj for part in self.parts)


def budget_of(followed: Followed, activity: Activity | None, now: float) -> BudgetView | None:
    """The budget of the run that goes on, or of the last one; none where none is known.

    Args:
        followed: the state.
        activity: what its run says of itself.
        now: seconds since 1970.
    """
    last = followed.sessions[-1] if followed.sessions else None
    if activity is not None and activity.budget is not None and not _is_older(activity, followed):
        attempts = _of_run(followed, last, activity)
        return _going(activity, activity.budget, attempts, _rounds_uj(followed, last, attempts), now)
    if activity is not None and activity.alive:
        return None  # it has not been granted yet
    return _recorded(followed, last) if last is not None and last.budget_microjoules else None


def lasting(view: BudgetView, net_w: float | None, now: float) -> Lasting | None:
    """How long what is left of a budget lasts, were all net power charged to it; none where nobody knows.

    Args:
        view: the budget.
        net_w: of the machine now, W; none where it is not known.
        now: seconds since 1970.
    """
    if not view.goes_on or net_w is None or net_w <= 0 or not view.left_uj:
        return None
    lasts_s = view.left_uj / MICRO / net_w
    return Lasting(view.left_uj, net_w, now + lasts_s) if lasts_s <= _LONGEST_S else None


def _is_older(activity: Activity, followed: Followed) -> bool:
    """Whether a run has been recorded that began after this one was last heard of."""
    began = [_seconds(session.began_at) for session in followed.sessions[-1:]]
    return not activity.alive and any(at > activity.written_at + _SAME_RUN_S for at in began)


def _seconds(stamp: str) -> float:
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except ValueError:
        return 0.0


def _of_run(followed: Followed, last: Session | None, activity: Activity) -> list[Attempt]:
    """The finished attempts of a run: those after the last session, or of it where it is recorded by now."""
    first = 1 if last is None else last.first_attempt + last.attempts
    since = [one for one in followed.attempts if one.number >= first]
    if since or last is None:
        return since
    # A run that was charged for none has none, however shortly before it another one ended.
    charged_uj = activity.budget.attempts_uj if activity.budget is not None else 0
    of_it = charged_uj > 0 and _seconds(last.ended_at) >= activity.began_at - _SAME_RUN_S
    return _of_session(followed, last) if of_it else []


def _of_session(followed: Followed, session: Session) -> list[Attempt]:
    end = session.first_attempt + session.attempts
    return [one for one in followed.attempts if session.first_attempt <= one.number < end]


def _rounds_uj(followed: Followed, last: Session | None, attempts: Sequence[Attempt]) -> int:
    """What rounds of the run were charged whose attempts these are: since the last session, or within it."""
    recorded = last is not None and bool(attempts) and attempts[0].number < last.first_attempt + last.attempts
    if last is not None and recorded:
        return _rounds_in(followed, last)
    since = last.sequence if last is not None else -1
    return sum(one.energy.microjoules for one in followed.rounds if one.sequence > since)


def _rounds_in(followed: Followed, session: Session) -> int:
    within = range(session.opened_at, session.sequence)
    return sum(one.energy.microjoules for one in followed.rounds if one.sequence in within)


def _going(
    activity: Activity, budget: BudgetNow, attempts: Sequence[Attempt], rounds_uj: int, now: float
) -> BudgetView:
    under_way_uj = max(0, budget.spent_uj - budget.attempts_uj - budget.session_uj)
    tried_uj = max(0, budget.attempts_uj - rounds_uj)
    parts = [BudgetPart("beside", budget.session_uj), BudgetPart("rounds", rounds_uj)]
    parts += _attempts(attempts, tried_uj)
    attempt = activity.attempt
    going = activity.alive and attempt is not None and not attempt.finished
    parts.append(BudgetPart("under way", under_way_uj))
    if going:
        reserved_uj = min(budget.reserve_uj - under_way_uj, _free(parts, budget))
        parts.append(BudgetPart("reserved", max(0, reserved_uj)))
    if activity.alive:
        parts.append(BudgetPart("closing", max(0, min(budget.closing_uj, _free(parts, budget)))))
    parts.append(BudgetPart("left", max(0, _free(parts, budget))))
    projection = None
    if activity.alive and activity.phase == "attempting":
        began_at = attempt.began_at if going and attempt is not None else None
        projection = project(budget, attempts, now, began_at, activity.deadline_at)
    kept = tuple(part for part in parts if part.uj > 0)
    return BudgetView(budget.spendable_uj, budget.spent_uj, kept, projection, activity.alive)


def _free(parts: Sequence[BudgetPart], budget: BudgetNow) -> int:
    return budget.spendable_uj - sum(part.uj for part in parts)


def _attempts(attempts: Sequence[Attempt], charged_uj: int) -> list[BudgetPart]:
    """The newest ones by themselves; what else was charged to attempts is one part before them."""
    shown = [BudgetPart("attempt", round(one.joules * MICRO), one) for one in attempts[-_SHOWN:]]
    earlier_uj = charged_uj - sum(part.uj for part in shown)
    count = len(attempts) - len(shown)
    return [BudgetPart("earlier", earlier_uj, count=count), *shown] if earlier_uj > MICRO // 100 else shown


def _recorded(followed: Followed, session: Session) -> BudgetView:
    attempts = _of_session(followed, session)
    charged_uj = sum(round(one.joules * MICRO) for one in attempts)
    beside_uj, rounds_uj = session.energy.microjoules, _rounds_in(followed, session)
    spent_uj, spendable_uj = charged_uj + beside_uj + rounds_uj, session.budget_microjoules
    parts = [BudgetPart("beside", beside_uj), BudgetPart("rounds", rounds_uj)]
    parts += _attempts(attempts, charged_uj)
    parts.append(BudgetPart("left", max(0, spendable_uj - spent_uj)))
    return BudgetView(spendable_uj, spent_uj, tuple(part for part in parts if part.uj > 0), None, False)


def project(
    budget: BudgetNow,
    attempts: Sequence[Attempt],
    now: float,
    began_at: float | None,
    deadline_at: float | None,
) -> Projection | None:
    """When a run ends, if its attempts go on as the last ten did; none where none has ended yet.

    An attempt begins while what is left pays for what one reserves and for ending the run.

    Args:
        budget: of the run.
        attempts: its finished ones.
        now: seconds since 1970.
        began_at: when the attempt began that goes on; none where none does.
        deadline_at: none begins after it; none where any may.
    """
    lately = [one for one in attempts[-_LATELY:] if one.started and one.finished]
    if not lately or lately[0].started is None or lately[-1].finished is None:
        return None
    each_uj = sum(one.joules for one in lately) * MICRO / len(lately)
    each_s = (lately[-1].finished - lately[0].started).total_seconds() / len(lately)
    if each_uj <= 0 or each_s <= 0:
        return None
    going = began_at is not None
    left_uj = budget.spendable_uj - budget.closing_uj - budget.attempts_uj - budget.session_uj
    left_uj -= round(max(each_uj, budget.spent_uj - budget.attempts_uj - budget.session_uj)) if going else 0
    more = int((left_uj - budget.reserve_uj) // each_uj) + 1 if left_uj >= budget.reserve_uj else 0
    rest_s = max(0.0, each_s - (now - began_at)) if began_at is not None else 0.0
    fit = more
    if deadline_at is not None:  # the last one begins before it
        fit = min(more, max(0, int((deadline_at - now - rest_s) // each_s) + 1))
    if (lasts_s := rest_s + fit * each_s) > _LONGEST_S:
        return None
    return Projection(fit + going, now + lasts_s, each_uj, each_s, len(lately), fit < more)

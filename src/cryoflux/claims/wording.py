"""A claim and its comparisons in words."""

from __future__ import annotations

__all__ = ["backed_in_words", "in_words", "sentence", "shown", "spelt"]

from collections.abc import Sequence
from decimal import Decimal, localcontext
from fractions import Fraction

from cryoflux.claims.backing import BackedRounds
from cryoflux.claims.evaluation import ON_LOSSES, EvaluatedClause, Value
from cryoflux.expression import ESTIMATES, INTERVALS, Quantity, unit_of
from cryoflux.quantities import RangeKind, Tier, worst_tier
from cryoflux.receipts.profiles import F32


def spelt(value: Value) -> str:
    """A value in its one exact spelling: a tier, or a whole or broken number in lowest terms."""
    return str(value) if isinstance(value, Fraction) else value.value


def shown(quantity: Quantity, value: Value) -> str:
    """A value for people: up to nine decimals, and ``≈`` where that is not all of it."""
    if isinstance(value, Tier):
        return value.value
    unit, scale = unit_of(quantity)
    exact = value / scale
    rounded = round(exact, 9)
    with localcontext() as context:
        context.prec = 60
        digits = f"{Decimal(rounded.numerator) / Decimal(rounded.denominator):f}"
    about = "" if rounded == exact else "≈ "
    return f"{about}{digits} {unit}".rstrip()


def in_words(judged: EvaluatedClause) -> str:
    """The value that a comparison was judged by; of an interval which end that is, of joules which tier."""
    clause = judged.clause
    end = tolerated = ""
    if clause.quantity in INTERVALS or judged.room:
        end = "at most " if clause.operator.wants_little else "at least "
    if judged.room:
        tolerated = f", as {F32} tolerates {shown(clause.quantity, judged.room)}"
    return f"{clause.quantity} is {end}{shown(clause.quantity, judged.value)}{tolerated}{_tier_words(judged)}"


def _tier_words(judged: EvaluatedClause) -> str:
    if judged.tier is None:
        return ""
    plausible = judged.range_kind is RangeKind.PLAUSIBLE
    return f", {judged.tier.value}{' (plausible, not 95 %)' if plausible else ''}"


def sentence(expression: str, judged: Sequence[EvaluatedClause], tasks: int = 1, readings: int = 1) -> str:
    """What is claimed as a person reads it: with the tier of its joules, and whether they are a bound.

    Args:
        expression: the claim.
        judged: its comparisons.
        tasks: that the attempts are of.
        readings: of a holdout that the losses are of.
    """
    if tasks > 1:
        expression = f"{expression}; over {tasks} tasks"
    if readings > 1 and any(found.clause.quantity in ON_LOSSES for found in judged):
        expression = f"{expression}; over {readings} readings of holdouts"
    on_joules = [found for found in judged if found.tier is not None]
    if not on_joules:
        return expression
    tier = worst_tier(found.tier for found in on_joules if found.tier is not None)
    bounds = sum(found.clause.quantity in INTERVALS for found in on_joules)
    estimates = sum(found.clause.quantity in ESTIMATES.values() for found in on_joules)
    how = [", by the end of the interval that is worse for the claim"] if bounds else []
    how += [", as estimated"] if estimates else []
    return f"{expression}; joules: {tier.value}{' and'.join(how)}"


def backed_in_words(backed: BackedRounds) -> str:
    """How nats were certified: by whose holdouts, opened or not, of which lists; and who did it again."""
    said = backed.backing
    guests = f"{len(said.guests)} guest holdout{'' if len(said.guests) == 1 else 's'} of the node's own"
    roots = ", ".join(f"{root[:16]}… ({_opened(backed.opened.get(root))})" for root in said.guests)
    counted = f"{backed.rounds} round{'' if backed.rounds == 1 else 's'}"
    return (
        f"certified by {counted}, each by one sealed look at {guests}: {roots}; from the list "
        f"{said.list_before[:16]}… to {said.list_after[:16]}…; reproduced by nobody in this file"
    )


def _opened(compared: bool | None) -> str:  # noqa: FBT001 - it is all that there is
    if compared is None:
        return "opened: no, the bits are its word"
    if compared:
        return "opened: yes, its sums give the levels"
    return "opened: yes, but entered before this range, so that its sums are not compared"

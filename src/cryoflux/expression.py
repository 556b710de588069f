"""The language of claims: comparisons of named quantities with numbers, joined by ``and``.

    delta >= 0.05 nats and joules_estimate <= 2 kJ and tier == counter

There is nothing else in it: no arithmetic, no ``or``, no names but those of `Quantity`, no exponents. So a
claim reads the same to a person and to two programs. Numbers become exact fractions of the integer units
that receipts carry (nano-nats, microjoules), and no float ever decides.

What a contract promises of each of its windows is written in a part of it: ``delta >= 0.05 nats``,
``eta >= 0.2 nats/kJ``, with the unit written out, or the one word ``available``.
"""

from __future__ import annotations

__all__ = [
    "AVAILABLE",
    "ESTIMATES",
    "INTERVALS",
    "ON_JOULES",
    "Clause",
    "Expression",
    "Operator",
    "Quantity",
    "parse_expression",
    "parse_promise",
    "unit_of",
]

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction

from cryoflux.errors import UsageError
from cryoflux.quantities import MICRO, NANO, Tier

_MOST_CHARACTERS = 500
_MOST_CLAUSES = 16
_CLAUSE = re.compile(r"([a-z_]+) *(>=|<=|==|>|<) *(\S.*)", re.ASCII)
_NUMBER = re.compile(r"(-?[0-9]{1,15}(?:\.[0-9]{1,12})?) ?([A-Za-z/]*)", re.ASCII)
AVAILABLE = "available"
"""a promise that what is offered can be had"""
_HINT = 'Write it as in "delta >= 0.05 and joules_estimate <= 2 kJ"; docs/reference/claims.md has them all.'
_CONTRACT_HINT = (
    'Write it as in "delta >= 0.05 nats" or "eta >= 0.2 nats/kJ", each clause by a --clause of its own; '
    "docs/how-to/agree-on-a-contract.md has them all."
)


class Operator(StrEnum):
    """How a quantity is compared."""

    AT_LEAST = ">="
    MORE = ">"
    AT_MOST = "<="
    LESS = "<"
    EQUAL = "=="

    @property
    def wants_little(self) -> bool:
        """Whether smaller values make the comparison true, so that the upper end is the honest one."""
        return self in {Operator.AT_MOST, Operator.LESS}


class Quantity(StrEnum):
    """What can be claimed about a range of a log."""

    DELTA = "delta"
    """sum of Δ, the mean loss that each kept update took off its holdout, nats"""
    JOULES = "joules"
    """sum over all attempts and rounds, at the end of the interval that is worse for the claim, J"""
    JOULES_LO = "joules_lo"
    JOULES_ESTIMATE = "joules_estimate"
    JOULES_HI = "joules_hi"
    ETA = "eta"
    """delta over joules, at the end of the interval that is worse for the claim, nats/kJ"""
    ETA_ESTIMATE = "eta_estimate"
    """delta over joules_estimate, nats/kJ"""
    ALL_IN_JOULES = "all_in_joules"
    """joules and what the sessions cost beside them, J; only over whole sessions"""
    ALL_IN_ETA = "all_in_eta"
    """delta over all_in_joules, nats/kJ"""
    ALL_IN_JOULES_ESTIMATE = "all_in_joules_estimate"
    ALL_IN_ETA_ESTIMATE = "all_in_eta_estimate"
    ATTEMPTS = "attempts"
    KEPT = "kept"
    ABORTED = "aborted"
    ROUNDS = "rounds"
    """rounds that were recorded, whatever came of them"""
    CERTIFIED = "certified"
    """sum of the mean Δ that accepted rounds certify, less what was recalled since, nats"""
    ACCURACY_GAIN = "accuracy_gain"
    """sum of what each kept update added to the accuracy on its holdout, percentage points"""
    LOSS_FIRST = "loss_first"
    """mean holdout loss before the first attempt that read the whole holdout, nats"""
    LOSS_LAST = "loss_last"
    """mean holdout loss of the model after the last attempt that read the whole holdout, nats"""
    TIER = "tier"
    """worst energy tier of all attempts and rounds"""


INTERVALS = frozenset({Quantity.JOULES, Quantity.ETA, Quantity.ALL_IN_JOULES, Quantity.ALL_IN_ETA})
"""judged at the end that is worse for the claim: a bound, and what is said is sure as far as the meter is"""
ESTIMATES = {
    Quantity.JOULES: Quantity.JOULES_ESTIMATE,
    Quantity.ETA: Quantity.ETA_ESTIMATE,
    Quantity.ALL_IN_JOULES: Quantity.ALL_IN_JOULES_ESTIMATE,
    Quantity.ALL_IN_ETA: Quantity.ALL_IN_ETA_ESTIMATE,
}
"""quantity that is judged at an end → the same as it is estimated, which is the figure that is printed"""
ON_JOULES = INTERVALS | {*ESTIMATES.values(), Quantity.JOULES_LO, Quantity.JOULES_HI}
"""rests on joules, so that their tier belongs to it"""
_PROMISED = (Quantity.DELTA, Quantity.ETA)
_NATS = {"": Fraction(NANO), "nats": Fraction(NANO), "nat": Fraction(NANO)}
_JOULES = {
    "": Fraction(MICRO),
    "J": Fraction(MICRO),
    "kJ": Fraction(1000 * MICRO),
    "MJ": Fraction(MICRO * MICRO),
    "Wh": Fraction(3600 * MICRO),
    "kWh": Fraction(3_600_000 * MICRO),
}
# One nano-nat a microjoule is one nat a kilojoule.
_PER_ENERGY = {"": Fraction(1), "nats/kJ": Fraction(1), "nats/J": Fraction(1000)}
_COUNT = {"": Fraction(1)}
# 5 could be five points or five hundred; so the unit has to be written.
_POINTS = {"points": Fraction(1, 100)}
_UNITS = {
    Quantity.DELTA: _NATS,
    Quantity.CERTIFIED: _NATS,
    Quantity.LOSS_FIRST: _NATS,
    Quantity.LOSS_LAST: _NATS,
    Quantity.JOULES: _JOULES,
    Quantity.JOULES_LO: _JOULES,
    Quantity.JOULES_ESTIMATE: _JOULES,
    Quantity.JOULES_HI: _JOULES,
    Quantity.ALL_IN_JOULES: _JOULES,
    Quantity.ALL_IN_JOULES_ESTIMATE: _JOULES,
    Quantity.ETA: _PER_ENERGY,
    Quantity.ETA_ESTIMATE: _PER_ENERGY,
    Quantity.ALL_IN_ETA: _PER_ENERGY,
    Quantity.ALL_IN_ETA_ESTIMATE: _PER_ENERGY,
    Quantity.ATTEMPTS: _COUNT,
    Quantity.KEPT: _COUNT,
    Quantity.ABORTED: _COUNT,
    Quantity.ROUNDS: _COUNT,
    Quantity.ACCURACY_GAIN: _POINTS,
}
_SHOWN_IN = {id(_NATS): "nats", id(_JOULES): "J", id(_PER_ENERGY): "nats/kJ", id(_POINTS): "points"}


def unit_of(quantity: Quantity) -> tuple[str, Fraction]:
    """The unit that a quantity is shown in, and how much of the integer unit it is."""
    units = _UNITS.get(quantity, _COUNT)
    shown = _SHOWN_IN.get(id(units), "")
    return shown, units[shown]


@dataclass(frozen=True, slots=True)
class Clause:
    """One comparison."""

    quantity: Quantity
    operator: Operator
    bound: Fraction | Tier
    """in the integer unit of the quantity: nano-nats, µJ, nano-nats/µJ, a count, or a share of one"""
    text: str
    """in its one spelling"""

    def as_estimated(self) -> Clause:
        """The same of the estimate, in place of the end of an interval."""
        estimate = ESTIMATES[self.quantity]
        return replace(self, quantity=estimate, text=estimate + self.text.removeprefix(self.quantity))


@dataclass(frozen=True, slots=True)
class Expression:
    """What is claimed: all clauses hold."""

    clauses: tuple[Clause, ...]

    @property
    def text(self) -> str:
        """The expression in its one spelling."""
        return " and ".join(clause.text for clause in self.clauses)

    @property
    def on_certified(self) -> bool:
        """Whether it says anything of what rounds certify."""
        return any(clause.quantity is Quantity.CERTIFIED for clause in self.clauses)


def _refused(what: str, why: str = "") -> UsageError:
    return UsageError(what, why=why, hint=_HINT)


def parse_expression(text: str) -> Expression:
    """Read an expression.

    Raises:
        UsageError: it is none; it says which part, and what is known instead.
    """
    if len(text) > _MOST_CHARACTERS:
        raise _refused(f"The expression has {len(text)} characters; at most {_MOST_CHARACTERS} are read.")
    parts = [part.strip(" ") for part in re.split(r" +and +", text.strip(" "))]
    if len(parts) > _MOST_CLAUSES:
        raise _refused(f"The expression has {len(parts)} comparisons; at most {_MOST_CLAUSES} are read.")
    return Expression(tuple(_clause(part) for part in parts))


def parse_promise(text: str) -> Clause | None:
    """Read one clause of a contract.

    Returns:
        The comparison; none for ``available``.

    Raises:
        UsageError: it is none, in a comparison of something else, or in another spelling.
    """
    try:
        return None if text == AVAILABLE else _promise(text)
    except UsageError as error:  # what claims are written like is no help here
        raise UsageError(error.what, why=error.why, hint=_CONTRACT_HINT) from error


def _promise(text: str) -> Clause:
    clause = _clause(text.strip(" ")) if len(text) <= _MOST_CHARACTERS else None
    if clause is None or clause.quantity not in _PROMISED or clause.operator is not Operator.AT_LEAST:
        raise _refused(
            f"{text[:80]!r} is no clause of a contract.",
            f"One is delta >= X, eta >= X, or {AVAILABLE}: all else is not measured on a guest holdout.",
        )
    if clause.text != text:
        raise _refused(f"{text!r} is not in its one spelling, {clause.text!r}.")
    if " " not in clause.text.partition(">= ")[2]:
        raise _refused(
            f"{text!r} has no unit.", f"{clause.quantity} is promised in one, such as {_units(clause)}."
        )
    if not isinstance(clause.bound, Fraction) or clause.bound < 0:
        raise _refused(f"{text!r} promises less than nothing.")
    return clause


def _units(clause: Clause) -> str:
    return " or ".join(unit for unit in _UNITS[clause.quantity] if unit not in {"", "nat"})


def _clause(text: str) -> Clause:
    found = _CLAUSE.fullmatch(text)
    if found is None:
        raise _refused(
            f"{text!r} is not a comparison.", "One is a quantity, then >=, >, <=, < or ==, then a number."
        )
    name, operator, said = found[1], Operator(found[2]), found[3]
    if name not in set(Quantity):
        raise _refused(f"There is no quantity {name!r}.", f"Known are {', '.join(Quantity)}.")
    quantity = Quantity(name)
    if quantity is Quantity.TIER:
        return _tier(operator, said)
    if operator is Operator.EQUAL and quantity in INTERVALS:
        raise _refused(
            f"{quantity} is known within an interval only, and equals nothing.",
            f"Single figures are joules_lo, joules_hi and {', '.join(ESTIMATES.values())}.",
        )
    bound, spelt = _bound(quantity, said)
    return Clause(quantity, operator, bound, f"{quantity} {operator} {spelt}")


def _tier(operator: Operator, said: str) -> Clause:
    if operator is not Operator.EQUAL or said not in set(Tier):
        raise _refused(
            f"'tier {operator} {said}' is not a comparison.",
            f"A tier is compared with == and is one of {', '.join(Tier)}.",
        )
    return Clause(Quantity.TIER, operator, Tier(said), f"tier == {said}")


def _bound(quantity: Quantity, said: str) -> tuple[Fraction, str]:
    found, units = _NUMBER.fullmatch(said), _UNITS[quantity]
    if found is None:
        raise _refused(
            f"{said!r} is not a number with a unit.",
            "Up to 15 digits, a point and up to 12 digits are read; no exponents, no NaN.",
        )
    number, unit = found[1], found[2]
    if unit not in units:
        known = ", ".join(repr(name) for name in units if name) or "none"
        raise _refused(f"{quantity} cannot be compared with {said!r}.", f"Its units are: {known}.")
    return Fraction(number) * units[unit], f"{number} {unit}".rstrip()

"""The choice of the next arm: a pure function of the log, the arms, the bucket and a seed.

``prior-eta/v1``:

1. What one more attempt of each arm will bring and cost is expected from the log (`efficiency`).
2. Of the arms that the bucket can pay for and that are not spent, the one with the highest expected η.
3. A tie is broken by the seed and the number of attempts.
4. Where every arm that can be paid for is spent, there is a plateau: no choice, and joules are saved.

``uniform/v1`` draws from the arms that the bucket can pay for and never stops: to compare with.

Nothing depends on the order of the arms, on a clock or on a float, so that whoever has the log gets the
same choice and the same sentence (`cryoflux.verification.schedule`).
"""

from __future__ import annotations

__all__ = ["POLICIES", "POLICY", "Arm", "Choice", "Plateau", "Row", "choose", "choose_from"]

from collections.abc import Sequence
from dataclasses import dataclass

from cryoflux.digests import sha256_hex
from cryoflux.errors import ConfigError
from cryoflux.quantities import NANO, format_energy
from cryoflux.scheduling.efficiency import Expectation, Memory, Outcome, State

POLICY = "prior-eta/v1"
_UNIFORM = "uniform/v1"
POLICIES = (POLICY, _UNIFORM)
"""policies that can be chosen, the default first"""


@dataclass(frozen=True, slots=True)
class Arm:
    """One recipe of a task that the scheduler can pull."""

    task: str
    name: str
    reserve_uj: int
    """what the bucket has to hold for it, µJ"""
    prior_uj: int
    """what its next attempt should cost by its FLOPs, µJ"""


@dataclass(frozen=True, slots=True)
class Row:
    """What the policy expected of an arm."""

    arm: Arm
    expected: Expectation
    affordable: bool
    """whether the bucket holds its reservation"""


@dataclass(frozen=True, slots=True)
class Choice:
    """The arm to pull, and why."""

    arm: Arm
    reason: str
    table: tuple[Row, ...]
    """all arms, by task and name"""


@dataclass(frozen=True, slots=True)
class Plateau:
    """No arm is expected to pay; the run stops, or waits for new data or other arms."""

    reason: str
    table: tuple[Row, ...]


def choose(
    arms: Sequence[Arm],
    outcomes: Sequence[Outcome],
    *,
    bucket_uj: int,
    min_delta_nano: int,
    seed: int,
    policy: str = POLICY,
) -> Choice | Plateau | None:
    """The next arm; none where the bucket pays for none.

    Args:
        arms: what can be pulled; their names differ within a task.
        outcomes: all attempts that say something of their arm, oldest first.
        bucket_uj: what the bucket holds, µJ.
        min_delta_nano: smallest Δ that the rule keeps, nano-nats.
        seed: breaks ties.
        policy: one of `POLICIES`.

    Raises:
        ConfigError: there is no such policy.
    """
    memory = Memory(min_delta_nano)
    for outcome in outcomes:
        memory.learn(outcome)
    return choose_from(memory, arms, len(outcomes), bucket_uj=bucket_uj, seed=seed, policy=policy)


def choose_from(
    memory: Memory, arms: Sequence[Arm], number: int, *, bucket_uj: int, seed: int, policy: str = POLICY
) -> Choice | Plateau | None:
    """`choose`, for whoever already remembers the log: ``number`` outcomes of it.

    Raises:
        ConfigError: there is no such policy.
    """
    if policy not in POLICIES:
        raise ConfigError(
            f"There is no policy {policy!r}.", hint=f"The policies are {' and '.join(POLICIES)}."
        )
    table = tuple(
        Row(
            arm,
            memory.expect(arm.task, arm.name, arm.prior_uj, len(arms), arm.reserve_uj),
            arm.reserve_uj <= bucket_uj,
        )
        for arm in sorted(arms, key=lambda arm: (arm.task, arm.name))
    )
    affordable = [row for row in table if row.affordable]
    if not affordable:
        return None
    if policy == _UNIFORM:
        drawn = _draw(affordable, seed, number)
        return Choice(drawn.arm, f"{drawn.arm.name} was drawn from {_count(affordable)}.", table)
    paying = [row for row in affordable if row.expected.state is not State.SPENT]
    if not paying:
        return Plateau(_plateau_reason(table, bucket_uj), table)
    best = max(row.expected.eta for row in paying)
    chosen = _draw([row for row in paying if row.expected.eta == best], seed, number)
    return Choice(chosen.arm, _reason(chosen, len(paying)), table)


def _draw(rows: Sequence[Row], seed: int, number: int) -> Row:
    # Drawn by hash and not by position, so that the order of the arms does not matter.
    return min(rows, key=lambda row: sha256_hex(f"{seed}/{number}/{row.arm.task}/{row.arm.name}".encode()))


def _count(rows: Sequence[Row]) -> str:
    return f"{len(rows)} arms" if len(rows) != 1 else "1 arm"


def _reason(row: Row, rivals: int) -> str:
    expected = row.expected
    place = f"best of {rivals} arms that may pay" if rivals > 1 else "the only arm that may pay"
    news = ", never tried" if expected.state is State.UNTRIED else ""
    return (
        f"{row.arm.name} is {place}{news}: expected Δ {expected.delta_nano / NANO:.4f} nats for "
        f"{format_energy(expected.cost_uj)}, η = {expected.eta / NANO:.4f} nats/kJ."
    )


def _plateau_reason(table: Sequence[Row], bucket_uj: int) -> str:
    spent = [row for row in table if row.expected.state is State.SPENT]
    dear = [row.arm.reserve_uj for row in table if row not in spent and not row.affordable]
    beyond = f", another reserves {format_energy(min(dear))}" if dear else ""
    left = format_energy(bucket_uj)
    return f"No arm is expected to pay: {_count(spent)} spent{beyond}; {left} stay unspent."

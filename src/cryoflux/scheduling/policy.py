"""The choice of the next arm: a pure function of the log, the arms, the bucket and a seed.

``chain-eta/v1``:

1. What one more attempt of each arm will bring and cost is expected from the log (`efficiency`).
2. A task whose chain goes on does nothing else: what is carried is not proven yet, and to begin something
   beside it would pay twice for the same learning.
3. Of what is left, of the arms that the bucket can pay for and that are not spent, the one with the highest
   expected η. An arm whose chain came to its end is spent, and a deeper arm waits for that of the cheaper
   one before it.
4. A tie is broken by the seed and the number of attempts.
5. Where every arm that can be paid for is spent, there is a plateau: no choice, and joules are saved.

``chain-eta/v2`` is the same, but measures Δ in the smallest Δ that the rule of each task speaks of before it
compares: the nats of one task and the reciprocal ranks of another have no sum, and no order. A run of tasks
with different units goes by it.

``prior-eta/v1`` is the same without 2, and for it no chain ends.

``uniform/v1`` draws from the arms that the bucket can pay for and never stops: to compare with.

Nothing depends on the order of the arms, on a clock or on a float, so that whoever has the log gets the
same choice and the same reason (`cryoflux.verification.choices`).
"""

from __future__ import annotations

__all__ = ["ACROSS_UNITS", "POLICIES", "POLICY", "Arm", "ArmRow", "Choice", "Plateau", "choose"]

from collections.abc import Mapping, Sequence

from msgspec import Struct

from cryoflux.decision.reason import Reason
from cryoflux.digests import sha256_hex
from cryoflux.errors import ConfigError
from cryoflux.quantities import NATS
from cryoflux.scheduling.efficiency import ArmState, Expectation, Memory

POLICY = "chain-eta/v1"
ACROSS_UNITS = "chain-eta/v2"
"""the policy that compares tasks with different units"""
_PRIOR = "prior-eta/v1"
_UNIFORM = "uniform/v1"
POLICIES = (POLICY, ACROSS_UNITS, _PRIOR, _UNIFORM)
"""policies that can be chosen, the default first"""
_CHAINED = frozenset({POLICY, ACROSS_UNITS})
_IDLE = frozenset({ArmState.SPENT, ArmState.WAITING})


class Arm(Struct, frozen=True):
    """One recipe of a task that the scheduler can pull."""

    task: str
    name: str
    reserve_uj: int
    """what the bucket has to hold for it, µJ"""
    prior_uj: int
    """what its next attempt should cost by its FLOPs, µJ"""
    unit: str = NATS
    """of its task's losses, for display"""
    after: str = ""
    """the cheaper arm whose chain has to have come to its end first; empty where none has"""


class ArmRow(Struct, frozen=True):
    """What the policy expected of an arm."""

    arm: Arm
    expected: Expectation
    affordable: bool
    """whether the bucket holds its reservation"""


class Choice(Struct, frozen=True):
    """The arm to pull, and why."""

    arm: Arm
    reason: Reason
    table: tuple[ArmRow, ...]
    """all arms, by task and name"""


class Plateau(Struct, frozen=True):
    """No arm is expected to pay; the run stops, or waits for new data or other arms."""

    reason: Reason
    table: tuple[ArmRow, ...]


def choose(
    arms: Sequence[Arm],
    memories: Mapping[str, Memory],
    number: int,
    *,
    bucket_uj: int,
    seed: int,
    policy: str = POLICY,
) -> Choice | Plateau | None:
    """The next arm; none where the bucket pays for none.

    Args:
        arms: what can be pulled; their names differ within a task.
        memories: what is remembered of each task's attempts.
        number: attempts that have taught something, of all tasks.
        bucket_uj: what the bucket holds, µJ.
        seed: breaks ties.
        policy: one of `POLICIES`.

    Raises:
        ConfigError: there is no such policy.
    """
    if policy not in POLICIES:
        raise ConfigError(f"There is no policy {policy!r}.", hint=f"The policies are {', '.join(POLICIES)}.")
    table = tuple(
        ArmRow(
            arm,
            memories[arm.task].expect(
                arm.name, arm.prior_uj, len(arms), arm.reserve_uj, chains=policy in _CHAINED, after=arm.after
            ),
            arm.reserve_uj <= bucket_uj,
        )
        for arm in sorted(arms, key=lambda arm: (arm.task, arm.name))
    )
    affordable = [row for row in table if row.affordable]
    if not arms:  # there is nothing to do, which no joules would change
        return Plateau(_no_arm_pays(table, bucket_uj), table)
    if not affordable:
        return None
    if policy == _UNIFORM:
        drawn = _draw(affordable, seed, number)
        reason = Reason(code="drawn", numbers={"arm": drawn.arm.name, "rivals": len(affordable)})
        return Choice(drawn.arm, reason, table)
    paying = _going_on([row for row in affordable if row.expected.state not in _IDLE])
    if not paying:
        return Plateau(_no_arm_pays(table, bucket_uj), table)
    etas = [row.expected.eta for row in paying]
    if policy == ACROSS_UNITS:
        etas = [_worth(row, memories[row.arm.task]) for row in paying]
    best = max(etas)
    chosen = _draw([row for row, eta in zip(paying, etas, strict=True) if eta == best], seed, number)
    return Choice(chosen.arm, _chosen(chosen, len(paying)), table)


def _worth(row: ArmRow, memory: Memory) -> int:
    """Smallest Δ of its own task that an arm is expected to bring, per 10¹² kJ: a number without a unit."""
    return row.expected.delta_nano * 10**21 // (row.expected.cost_uj * memory.min_delta_nano)


def _going_on(rows: Sequence[ArmRow]) -> list[ArmRow]:
    """Of a task whose chain goes on the arm that carries it, of another all."""
    carried = {row.arm.task for row in rows if row.expected.state is ArmState.CARRIED}
    return [r for r in rows if r.arm.task not in carried or r.expected.state is ArmState.CARRIED]


def _draw(rows: Sequence[ArmRow], seed: int, number: int) -> ArmRow:
    # Drawn by hash and not by position, so that the order of the arms does not matter.
    return min(rows, key=lambda row: sha256_hex(f"{seed}/{number}/{row.arm.task}/{row.arm.name}".encode()))


def _chosen(row: ArmRow, rivals: int) -> Reason:
    expected = row.expected
    numbers: dict[str, int | str] = {
        "arm": row.arm.name,
        "rivals": rivals,
        "delta": expected.delta_nano,
        "cost_uj": expected.cost_uj,
    }
    if expected.state is ArmState.UNTRIED:
        numbers["untried"] = 1
    if expected.state is ArmState.CARRIED:
        numbers["carried"] = 1
    if row.arm.unit != NATS:
        numbers["unit"] = row.arm.unit
    return Reason(code="chosen", numbers=numbers)


def _no_arm_pays(table: Sequence[ArmRow], bucket_uj: int) -> Reason:
    spent = [row for row in table if row.expected.state is ArmState.SPENT]
    dear = [row.arm.reserve_uj for row in table if row not in spent and not row.affordable]
    numbers: dict[str, int | str] = {"spent": len(spent), "bucket_uj": bucket_uj}
    if dear:
        numbers["dear_uj"] = min(dear)
    return Reason(code="plateau", numbers=numbers)

"""Whether a candidate is shown to the holdout, and at which bar: what the rule's own screen says.

- ``screen/v1`` lets a candidate pass that would probably meet the bar as it stands (`decision.screening`).
- ``screen/v2`` belongs to ``evidence/v3``: it stakes a share of the error budget, chosen from the sums of
  the screen alone (`decision.stakes`). While a chain goes on, the look waits until four fifths can be
  staked: what is not ready yet will be better after the next steps. At the end of a chain, or of an
  attempt of its own, less is enough: one fifth on 1,000 examples of the holdout or more, 35 % on 500 or
  more; on fewer it stays four fifths (`decision.stakes.least_stake`).
- ``screen/no-worse`` belongs to ``no-worse/v1``: a candidate that loses more than the least loss that counts
  on the screening examples is not shown.
- Without screening examples every candidate is shown; ``evidence/v3`` then stakes half of its error budget,
  or four fifths where no less may be staked.

Run and verifier call the same function on the same integers: neither a look nor its bar can be chosen later.
"""

from __future__ import annotations

__all__ = [
    "ENDINGS",
    "NO_WORSE_SCREEN",
    "SCREENS",
    "STAKING_SCREEN",
    "Look",
    "due_look",
    "is_at_its_end",
    "judged_before",
    "screen_of",
]

from msgspec import Struct

from cryoflux.decision.evidence import Evidence
from cryoflux.decision.reason import Reason, evidence_numbers
from cryoflux.decision.rules import BARE, NO_WORSE, Thresholds
from cryoflux.decision.screening import SCREEN, screened_out
from cryoflux.decision.stakes import STAKED, StakedBudget, chosen_stake, least_stake
from cryoflux.quantities import NATS

STAKING_SCREEN = "screen/v2"
NO_WORSE_SCREEN = "screen/no-worse"
SCREENS = frozenset({SCREEN, STAKING_SCREEN, NO_WORSE_SCREEN})
_LEAST_ON_THE_WAY = 800
ENDINGS = frozenset({"plateau", "behind", "steps"})
"""what ends a chain, and not only an attempt of it"""
_WITHOUT_SCREEN = 500
"""thousandths"""


class Look(Struct, frozen=True):
    """What is due: a look at the holdout with a bar, or none and why."""

    refused: Reason | None
    stake_milli: int = 0
    """share of the error budget, thousandths; 0 where the rule stakes none"""
    needed_milli: int = 0
    """the bar, thousandths"""


def screen_of(rule: str, *, screens: bool) -> str:
    """The name of the screen that goes with a rule; empty where there is none.

    Args:
        rule: the acceptance rule.
        screens: whether examples were set aside for it.
    """
    if not screens or rule == BARE:
        return ""
    return {STAKED: STAKING_SCREEN, NO_WORSE: NO_WORSE_SCREEN}.get(rule, SCREEN)


def is_at_its_end(stopped_by: str, *, carries: bool) -> bool:
    """Whether there will be no better candidate.

    Args:
        stopped_by: what ended the training.
        carries: whether another attempt can go on from it.
    """
    return not carries or stopped_by in ENDINGS


def judged_before() -> Look:
    """No look: the holdout has seen this very candidate."""
    return Look(Reason(code="judged-before", numbers={}))


def due_look(
    rule: str,
    screen: str,
    screened: Evidence | None,
    thresholds: Thresholds,
    left: int,
    holdout_count: int,
    *,
    ended: bool,
) -> Look:
    """Whether to look, and at which bar.

    Args:
        rule: the acceptance rule.
        screen: of `screen_of`.
        screened: of the screening examples; none where the rule has no screen.
        thresholds: of the rule, with its bar as it stands.
        left: of the error budget under ``evidence/v3``, units of 10⁻¹⁵.
        holdout_count: examples of the holdout.
        ended: whether there will be no better candidate: the chain is at its end, or there is none.

    Raises:
        ValueError: the screen is another rule's, or asks for examples that there are not.
    """
    if screen and screened is None:
        raise ValueError(f"was not screened, as {screen} asks for")
    if rule == STAKED:
        return _staked(screen, screened, thresholds, left, holdout_count, ended=ended)
    if rule == NO_WORSE:
        return _unless_worse(screen, screened, thresholds)
    if screen not in {"", SCREEN}:
        raise ValueError(f"{rule} is not screened by {screen}")
    refused = None
    if screen and screened is not None:
        refused = screened_out(screened, thresholds, holdout_count)
    return Look(refused, 0, thresholds.needed_milli)


def _unless_worse(screen: str, screened: Evidence | None, thresholds: Thresholds) -> Look:
    if screen not in {"", NO_WORSE_SCREEN}:
        raise ValueError(f"{NO_WORSE} is not screened by {screen}")
    if not screen or screened is None or screened.delta + thresholds.min_delta * screened.count >= 0:
        return Look(None, 0, thresholds.needed_milli)
    unit: dict[str, int | str] = {} if thresholds.unit == NATS else {"unit": thresholds.unit}
    numbers = {**evidence_numbers(screened), **unit, "min_delta": thresholds.min_delta}
    return Look(Reason(code="screen.worse", numbers=numbers))


def _staked(
    screen: str,
    screened: Evidence | None,
    thresholds: Thresholds,
    left: int,
    holdout_count: int,
    *,
    ended: bool,
) -> Look:
    budget = StakedBudget(left)
    if screen not in {"", STAKING_SCREEN}:
        raise ValueError(f"{STAKED} is not screened by {screen}")
    if not screen or screened is None:
        least = max(_WITHOUT_SCREEN, least_stake(holdout_count))
        stake = least if budget.level(least, holdout_count) else 0
    else:
        stake = chosen_stake(budget, screened, holdout_count, thresholds.min_delta)
        least = least_stake(holdout_count) if ended else _LEAST_ON_THE_WAY
    if stake >= least:
        return Look(None, stake, budget.needed_milli(stake, holdout_count))
    unit: dict[str, int | str] = {} if thresholds.unit == NATS else {"unit": thresholds.unit}
    numbers = evidence_numbers(screened) if screened is not None else {}
    code = "stake.too-little" if ended else "stake.not-yet"
    return Look(Reason(code=code, numbers={**numbers, **unit, "stake_milli": stake, "least_milli": least}))

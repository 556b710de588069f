"""What the judgements of a log have come to: how many, on how many holdouts, and the last one."""

from __future__ import annotations

__all__ = ["JudgementTotal", "LastJudgement", "with_judgement"]

from dataclasses import dataclass, replace

from cryoflux.quantities import NANO
from cryoflux.receipts.entry import Entry


@dataclass(frozen=True, slots=True)
class LastJudgement:
    """The newest verdict of a log on what others made."""

    entry: int
    """its place in the log, from 0"""
    name: str
    outcome: str
    """``kept``, ``rejected`` or ``undecided``"""
    delta: float
    """an example"""
    unit: str
    look: int
    """which verdict on its holdout it was, from 1"""


@dataclass(frozen=True, slots=True)
class JudgementTotal:
    """What they have come to."""

    last: LastJudgement
    count: int = 0
    kept: int = 0
    holdouts: frozenset[str] = frozenset()
    """by digest; so many as there are, ``count`` verdicts were looks at"""
    stated_uj: int = 0
    """joules that somebody stated, over all of them"""
    unstated: int = 0
    """judgements for which nobody did"""


def with_judgement(before: JudgementTotal | None, entry: Entry) -> JudgementTotal | None:
    """What they have come to after an entry; the same where it is no judgement."""
    if (said := entry.judgement) is None:
        return before
    measured = said.measured
    delta = (measured.base_loss_sum - measured.new_loss_sum) / measured.count / NANO
    unit, look = measured.metric.unit, said.decision.bar.looks + 1
    last = LastJudgement(entry.index, said.name, said.outcome.word, delta, unit, look)
    known = before or JudgementTotal(last)
    return replace(
        known,
        last=last,
        count=known.count + 1,
        kept=known.kept + said.decision.accepted,
        holdouts=known.holdouts | {measured.sha256},
        stated_uj=known.stated_uj + (said.energy.microjoules if said.energy is not None else 0),
        unstated=known.unstated + (said.energy is None),
    )

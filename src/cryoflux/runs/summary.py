"""What a run came to."""

from __future__ import annotations

__all__ = ["Summary", "TaskSummary"]

from dataclasses import dataclass
from pathlib import Path

from cryoflux.errors import ExitCode
from cryoflux.evaluation.recall import ClassRecall
from cryoflux.quantities import Energy, format_nats
from cryoflux.receipts.network_parts import RoundOutcome
from cryoflux.receipts.network_statement import RoundResult
from cryoflux.receipts.per_token import per_token_text
from cryoflux.receipts.statement import Metric
from cryoflux.runs.between import Ended
from cryoflux.runs.scores import Change


@dataclass(frozen=True, slots=True)
class TaskSummary:
    """What a run came to for one task."""

    name: str
    metric: Metric
    total_delta: float
    """Σ Δ of what was kept, in the metric's unit"""
    holdout: Change
    audit: Change
    head: str
    """digest of the head"""
    looks: int
    """verdicts that the holdout in use has given"""
    tokens_per_example: float | None = None
    """target tokens of an example of the holdout, on average; none where examples have none"""
    recalls: tuple[ClassRecall, ...] = ()
    """by class, the worst first; nothing where classes are about as large as one another"""

    @property
    def total_text(self) -> str:
        """Σ Δ in its unit, for each target token too where examples are documents."""
        unit = self.metric.unit
        each = per_token_text(self.total_delta, unit, self.tokens_per_example)
        return ", ".join(filter(None, [f"{format_nats(self.total_delta)} {unit}", each]))


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run came to."""

    attempts: int
    kept: int
    rejected: int
    undecided: int
    carried: int
    aborted: int
    spent: Energy | None
    """charged to this run's attempts"""
    overhead: Energy | None
    """charged to this run beside its attempts: starting up, data, the audit set; none where it never began"""
    spendable_uj: int
    """what the run could spend, everything counted, µJ"""
    remaining_uj: int
    tasks: tuple[TaskSummary, ...]
    state: Path
    ended: Ended
    saved_uj: int
    """what stopping hopeless attempts early saved; modelled, µJ"""
    reason: str
    """why the run ended, as a sentence"""
    audit_cpu_seconds: float
    """CPU-seconds of this process for evaluating the audit set"""
    exhausted: int = 0
    """of the aborted attempts, those whose reservation did not pay for them"""
    rounds: tuple[RoundResult, ...] = ()
    """what came of what others offer"""
    only_rounds: bool = False
    """whether rounds were all that it was to make"""
    waits: bool = False
    """whether it went back from a worse head, and waits for other examples"""

    @property
    def exit_code(self) -> ExitCode:
        """What a command ends with: 4 where no attempt had joules enough, 1 where all were aborted."""
        if self.ended == "interrupted":
            return ExitCode.INTERRUPTED
        if not self.attempts or self.aborted < self.attempts:
            return ExitCode.DONE
        dry = self.exhausted == self.aborted
        return ExitCode.BUDGET_EXHAUSTED if dry else ExitCode.NEGATIVE_VERDICT

    @property
    def rounds_kept(self) -> int:
        """Rounds whose composition is the head."""
        return sum(one.outcome is RoundOutcome.ACCEPTED for one in self.rounds)

    @property
    def all_in(self) -> Energy | None:
        """All that the run was charged: its attempts and everything beside them; none where nothing was."""
        return Energy.total(part for part in (self.spent, self.overhead) if part is not None)

    @property
    def unspent_uj(self) -> int:
        """What is left of what the run could spend, µJ."""
        return max(0, self.spendable_uj - (self.all_in.uj if self.all_in else 0))

    @property
    def first(self) -> TaskSummary:
        """The task that the run is about, where it is about one."""
        return self.tasks[0]

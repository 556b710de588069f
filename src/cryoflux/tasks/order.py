"""An order of work: what an announced attempt asks of whoever trains."""

from __future__ import annotations

__all__ = ["WorkOrder"]

from cryoflux.decision.evidence import Evidence
from cryoflux.decision.looking import Look, due_look
from cryoflux.decision.rules import Thresholds
from cryoflux.quantities import NATS
from cryoflux.receipts.statement import Bar, Base, ChainLink, Rule
from cryoflux.registry.composition import Composition
from cryoflux.signing.fields import Count, Document, Positive, Sha256, Signed, Text
from cryoflux.task_tallies import EVERYTHING, PoolParts


class WorkOrder(Document, frozen=True):
    """All that training takes: by its digests, the same inputs wherever it is carried out."""

    id: Text
    """of the attempt"""
    task: Text
    arm: Text
    base: Base
    """the version to improve"""
    data: Sha256
    """digest of the data set; training sees its ``train`` set alone"""
    recipe: dict[Text, Text | Signed]
    seed: Count
    pool_seed: Count
    """that the training examples were shuffled with, once and for all"""
    drawn: Count
    """training examples that earlier attempts drew as fresh ones"""
    bar: Bar
    """of the holdout, when the attempt was announced: it follows from earlier verdicts alone"""
    holdout_count: Positive
    """examples of the holdout, which training never sees"""
    rule: Rule
    """by which an update is screened and judged"""
    reserve_microjoules: Count
    limit_microjoules: Count
    """training ends when the attempt has used so much; the rest is for what comes after"""
    composed: Composition
    """what the version that the update is added to is composed of, for tasks whose updates add up
    (`cryoflux.registry.composition`): the base, or where its chain began"""
    unit: Text = NATS
    """of the task's losses, for display"""
    chain: ChainLink | None = None
    """what to go on from, where attempts of the arm go on from one another"""
    before: Count = 0
    """steps that earlier attempts of the chain had made"""
    judged: Text = ""
    """digest of what the holdout saw last of the chain; empty where it saw nothing"""
    pool: PoolParts = EVERYTHING
    """training examples to draw from"""

    def look(self, screened: Evidence | None, *, ended: bool) -> Look:
        """Whether a candidate is worth a look at the holdout, by what the screening examples show.

        Args:
            screened: the candidate against the base, on examples that were not trained on.
            ended: whether there will be no better candidate.
        """
        rule, bar = self.rule, self.bar
        least = (rule.min_delta, rule.min_accuracy_gain_ppm, rule.z_milli, bar.needed_milli)
        thresholds = Thresholds(*least, unit=self.unit)
        count = self.holdout_count
        return due_look(rule.name, rule.screen, screened, thresholds, bar.left, count, ended=ended)

    def is_worth(self, screened: Evidence, *, ended: bool) -> bool:
        """Whether a candidate that shows so much on the screen is worth a look (`look`)."""
        return self.look(screened, ended=ended).refused is None

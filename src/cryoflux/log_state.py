"""What a log has come to: one pure fold over its entries, one entry at a time.

The run takes each entry that it writes, the verifier each entry that it reads, and both go on by what stands
here: heads and data by task, how often a holdout was looked at, what the scheduler learned, what was drawn,
which attempts are open. So neither can remember differently, and what one forgets the other finds.

Nothing is judged here. An entry that makes no sense is taken for what it says; whether it may say that is
for the steps of `cryoflux.verification`, which look at it before it is taken.
"""

from __future__ import annotations

__all__ = [
    "HoldoutTally",
    "LogState",
    "OpenIntent",
    "SignedLosses",
    "TaskState",
    "composed_by",
]

from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec import Struct

from cryoflux.decision.budget import ErrorBudget
from cryoflux.decision.rules import BUDGETED
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.fork_parts import ForkedTask, HeadLosses, UsedHoldout
from cryoflux.receipts.statement import (
    ZERO_HASH,
    Bar,
    Base,
    Data,
    HeadMove,
    Intent,
    Metric,
    Outcome,
    Receipt,
    ReceiptStatement,
    Rule,
)
from cryoflux.registry.composition import COMPOSE, Composition, MadeVersion, list_of
from cryoflux.scheduling.efficiency import Memory, least_reckoned
from cryoflux.scheduling.lessons import Lessons, taught

_NOTHING_SPENT = Bar(looks=0, kept=0, needed_milli=0)
_MOST_LOSSES = 16
"""of a head that a fork takes along"""
_MOST_MADE = 256
"""newest versions whose lists are remembered; a move to an older one begins a list anew"""


class OpenIntent(Struct, frozen=True):
    """An attempt that was announced and has no receipt yet."""

    intent: Intent
    leaf_hash: str
    index: int
    """position in the log"""


class HoldoutTally(Struct):
    """What one holdout has been used for."""

    count: int
    """its examples, as was said first"""
    uses: int = 0
    """attempts that were announced on it"""
    looks: int = 0
    """verdicts that it has given"""
    kept: int = 0
    """how many of them were acceptances"""


class SignedLosses(Struct, frozen=True):
    """What receipts have signed of a head on a holdout."""

    loss_sum: int
    """billionths of the metric's unit, over all examples"""
    hits: int
    """examples that were right; 0 where that means nothing"""


@dataclass(slots=True)
class TaskState:
    """What a log has come to for one task."""

    data: Data
    """the data set that the task began with"""
    metric: Metric
    pool_seed: int
    """the seed that the training examples were shuffled with, once and for all"""
    first: Base
    """the version that the task began with"""
    start: Base
    """its head where this log began with it: ``first``, or what a fork goes on from"""
    began_by: str
    """leaf hash of the entry that began with it: its first intent, or the fork"""
    head: Base
    holdout: str
    """digest of the holdout that was used last"""
    min_delta: int
    """smallest mean Δ that its latest rule keeps, billionths of its unit"""
    alpha_ppm: int | None = None
    """smallest error budget that was ever announced, ppm: one may be tightened, never widened"""
    drawn: int = 0
    """training examples that its attempts drew as fresh ones"""
    holdouts: dict[str, HoldoutTally] = field(default_factory=dict)
    """by digest"""
    losses: dict[tuple[str, str, int | str], SignedLosses] = field(default_factory=dict)
    """(holdout, profile, token limit) → what was signed of the present head"""
    composed: Composition | None = None
    """what the present head is composed of; none stands for a list that begins at it"""
    made: dict[str, MadeVersion] = field(default_factory=dict)
    """digest of a version → how it was composed, of the newest ones"""

    def tally(self, holdout: str) -> HoldoutTally:
        """What a holdout has been used for; nothing where it was not."""
        return self.holdouts.get(holdout) or HoldoutTally(0)

    @property
    def composition(self) -> Composition:
        """What the head is composed of."""
        return self.composed or Composition(genesis=self.head.digest)

    def put_head(self, head: Base, composed: Composition | None = None) -> None:
        """Go on from another head.

        Args:
            head: the version.
            composed: what it is composed of, if it was made just now.
        """
        if self.head == head:
            return
        if composed is not None:
            self.made.pop(head.digest, None)
            self.made[head.digest] = MadeVersion(composed.genesis, self.head.digest, composed.terms[-1])
            if len(self.made) > _MOST_MADE:
                del self.made[next(iter(self.made))]
        self.composed = composed or list_of(self.made, head.digest)
        self.head, self.losses = head, {}

    @classmethod
    def begun(cls, intent: Intent, leaf_hash: str) -> TaskState:
        """A task that a log begins with an intent, before that counts."""
        base, holdout = intent.base, intent.data.holdout.sha256
        return cls(
            data=intent.data,
            metric=intent.metric,
            pool_seed=intent.schedule.seed,
            first=base,
            start=base,
            began_by=leaf_hash,
            head=base,
            holdout=holdout,
            min_delta=intent.rule.min_delta,
        )

    @classmethod
    def taken_up(cls, said: ForkedTask, leaf_hash: str) -> TaskState:
        """A task as a fork goes on with it: the opposite of `handed_on`."""
        return cls(
            data=said.data,
            metric=said.metric,
            pool_seed=said.pool_seed,
            first=said.first,
            start=said.head,
            began_by=leaf_hash,
            head=said.head,
            holdout=said.holdouts[-1].sha256,
            min_delta=said.min_delta,
            alpha_ppm=said.alpha_ppm or None,
            drawn=said.drawn,
            holdouts={u.sha256: HoldoutTally(u.count, u.uses, u.looks, u.kept) for u in said.holdouts},
            losses={
                (one.holdout, one.profile, one.max_tokens): SignedLosses(one.loss_sum, one.hits)
                for one in said.losses
            },
        )

    def handed_on(self, task: str) -> ForkedTask:
        """What a fork goes on with of this task."""
        # The one in use stands last, whatever a log did before.
        order = sorted(self.holdouts, key=lambda digest: digest == self.holdout)
        return ForkedTask(
            task=task,
            head=self.head,
            first=self.first,
            metric=self.metric,
            data=self.data,
            pool_seed=self.pool_seed,
            min_delta=self.min_delta,
            alpha_ppm=self.alpha_ppm or 0,
            drawn=self.drawn,
            holdouts=[UsedHoldout(sha256=d, **_fields(self.holdouts[d])) for d in order],
            losses=[
                HeadLosses(
                    holdout=holdout,
                    profile=profile,
                    max_tokens=cut,
                    loss_sum=signed.loss_sum,
                    hits=signed.hits,
                )
                for (holdout, profile, cut), signed in list(self.losses.items())[:_MOST_LOSSES]
            ],
        )


def _fields(tally: HoldoutTally) -> dict[str, int]:
    return {"count": tally.count, "uses": tally.uses, "looks": tally.looks, "kept": tally.kept}


def composed_by(statement: ReceiptStatement, head: Composition, digest: str) -> Composition | None:
    """What the candidate of a receipt is composed of, by what the receipt says and the list of the head.

    Args:
        statement: the receipt.
        head: what its base is composed of.
        digest: of its base.

    Returns:
        None where the receipt names no list (it was merged in float32), or one that does not follow.
    """
    training = statement.predicate.training
    fields = training.section.fields if training is not None else {}
    if fields.get("merge") != COMPOSE:
        return None
    said = (fields.get("genesis"), fields.get("list"))
    return head.named(said, digest, statement.subject[0].digest.sha256)


def _composed(entry: Entry, known: TaskState) -> Composition | None:
    statement = entry.statement
    if type(statement) is not ReceiptStatement or statement.predicate.outcome is not Outcome.ACCEPTED:
        return None
    return composed_by(statement, known.composition, known.head.digest)


@dataclass(slots=True)
class LogState:
    """The state of a log after the entries that were taken; nothing but values, so it can be kept."""

    size: int = 0
    """entries"""
    last: str = ZERO_HASH
    """leaf hash of the last one"""
    attempts: int = 0
    """intents among them"""
    accounted: int = 0
    """how many of these were there when the last session had ended"""
    session_end: int = 0
    """entries up to the last one that a session wrote, that one included; 0 where none did"""
    tasks: dict[str, TaskState] = field(default_factory=dict)
    open: dict[str, OpenIntent] = field(default_factory=dict)
    """leaf hash of the intent → what was announced"""
    lessons: Lessons = field(default_factory=Lessons)
    _memories: dict[str, Memory] = field(default_factory=dict)

    def take(self, entry: Entry) -> None:
        """Go on by one entry."""
        if (intent := entry.intent) is not None:
            self._announce(entry, intent)
        elif (receipt := entry.receipt) is not None:
            self._close(entry, receipt)
        elif (move := entry.move) is not None:
            self._move(move)
        elif entry.session is not None:
            self.accounted, self.session_end = self.attempts, self.size + 1
        elif (fork := entry.fork) is not None:
            self.tasks = {said.task: TaskState.taken_up(said, entry.leaf_hash) for said in fork.tasks}
        self.size += 1
        self.last = entry.leaf_hash

    def skip(self, leaf_hash: str) -> None:
        """Go on by an entry that cannot be read: it only takes its place."""
        self.size += 1
        self.last = leaf_hash

    def handed_on(self) -> list[ForkedTask]:
        """What a fork of this log goes on with, task by task."""
        return [self.tasks[name].handed_on(name) for name in sorted(self.tasks)]

    def lapsing(self, intent: Intent) -> list[OpenIntent]:
        """The open attempts that a new one leaves no room for, oldest first; they get no receipt any more."""
        open_now = list(self.open.values())
        return open_now[: max(0, len(open_now) + 1 - intent.slots)]

    def _announce(self, entry: Entry, intent: Intent) -> None:
        self.attempts += 1
        for lapsed in self.lapsing(intent):
            del self.open[lapsed.leaf_hash]
        self.open[entry.leaf_hash] = OpenIntent(intent, entry.leaf_hash, entry.index)
        holdout, rule = intent.data.holdout, intent.rule
        known = self.tasks.get(intent.task.name)
        if known is None:
            known = TaskState.begun(intent, entry.leaf_hash)
            self.tasks[intent.task.name] = known
        known.holdout, known.min_delta = holdout.sha256, rule.min_delta
        known.holdouts.setdefault(holdout.sha256, HoldoutTally(holdout.count)).uses += 1
        if rule.name == BUDGETED:
            known.alpha_ppm = min(rule.alpha_ppm, known.alpha_ppm or rule.alpha_ppm)

    def _close(self, entry: Entry, receipt: Receipt) -> None:
        opened = self.open.pop(receipt.intent, None)
        known = self.tasks.get(receipt.task.name)
        if known is None:
            return
        if receipt.training is not None:
            known.drawn += receipt.training.fresh_count
        composed = _composed(entry, known)
        if receipt.evaluation is not None:
            tally = known.holdouts.setdefault(receipt.holdout.sha256, HoldoutTally(receipt.holdout.count))
            tally.looks += 1
            tally.kept += receipt.outcome is Outcome.ACCEPTED
            self._sign(known, receipt, opened, composed)
        known.put_head(receipt.result, composed)
        if opened is not None and (lesson := taught(opened.intent, receipt)) is not None:
            self.lessons.append(lesson)
            if lesson.task in self._memories:
                self._memories[lesson.task].learn(lesson)

    def _sign(
        self, known: TaskState, receipt: Receipt, opened: OpenIntent | None, composed: Composition | None
    ) -> None:
        found = receipt.evaluation
        if found is None or found.read != receipt.holdout.count or opened is None:
            return
        place = (receipt.holdout.sha256, found.profile, opened.intent.recipe.get("max_tokens", 0))
        hits = found.hits
        if receipt.base == known.head:
            known.losses[place] = SignedLosses(found.base_loss_sum, hits.base if hits else 0)
        if receipt.outcome is Outcome.ACCEPTED and receipt.result == found.candidate:
            known.put_head(receipt.result, composed)
            known.losses[place] = SignedLosses(found.new_loss_sum, hits.new if hits else 0)

    def _move(self, move: HeadMove) -> None:
        if (known := self.tasks.get(move.task)) is not None:
            known.put_head(move.result)

    def head(self, task: str) -> Base | None:
        """The head of a task; none before its first intent."""
        known = self.tasks.get(task)
        return known.head if known is not None else None

    def bar(self, task: str, holdout: str, rule: Rule) -> Bar:
        """The evidence that the next look at a holdout needs; nothing under a rule without a budget.

        Raises:
            ValueError: the rule's error budget is none.
        """
        if rule.name != BUDGETED:
            return _NOTHING_SPENT
        known = self.tasks.get(task)
        tally = known.tally(holdout) if known is not None else HoldoutTally(0)
        needed = ErrorBudget(rule.alpha_ppm, tally.looks, tally.kept).needed_milli
        return Bar(looks=tally.looks, kept=tally.kept, needed_milli=needed)

    def memories(self, min_deltas: Mapping[str, int]) -> dict[str, Memory]:
        """What the scheduler remembers of each task's attempts.

        Args:
            min_deltas: task → smallest mean Δ that its rule keeps, billionths of its unit.
        """
        return {task: self._memory(task, least) for task, least in min_deltas.items()}

    def _memory(self, task: str, min_delta: int) -> Memory:
        # Fed on, not built anew each time: a log of a million is gone through in one pass.
        known = self._memories.get(task)
        if known is not None and known.min_delta_nano == least_reckoned(min_delta):
            return known
        fresh = Memory(min_delta)
        for lesson in self.lessons:
            if lesson.task == task:
                fresh.learn(lesson)
        self._memories[task] = fresh
        return fresh

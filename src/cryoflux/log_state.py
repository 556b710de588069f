"""What a log has come to: one pure fold over its entries, one entry at a time.

The run takes each entry that it writes, the verifier each entry that it reads, and both go on by what stands
here: heads and data by task, how often a holdout was looked at, what the scheduler learned, what was drawn,
which attempts are open. So neither can remember differently, and what one forgets the other finds.

Nothing is judged here. An entry that makes no sense is taken for what it says; whether it may say that is
for the steps of `cryoflux.verification`, which look at it before it is taken.
"""

from __future__ import annotations

__all__ = ["LogState", "OpenIntent"]

from collections.abc import Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field

from msgspec import Struct

from cryoflux.decision.budget import ErrorBudget
from cryoflux.decision.rules import WITH_BUDGET
from cryoflux.errors import ModelError
from cryoflux.network_state import ChargedTally, NodeState
from cryoflux.receipts.composed_by import composed_by
from cryoflux.receipts.contract_statement import ContractStatement
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.fork_parts import ForkedTask, JudgedHoldout
from cryoflux.receipts.network_parts import RoundOutcome
from cryoflux.receipts.network_statement import NetworkStatement, Recall, RoundResult
from cryoflux.receipts.paid import Paid
from cryoflux.receipts.session import Session
from cryoflux.receipts.statement import (
    ZERO_HASH,
    Bar,
    Base,
    Fork,
    HeadMove,
    Intent,
    Judgement,
    Move,
    Outcome,
    Receipt,
    ReceiptStatement,
    Rule,
)
from cryoflux.registry.composition import Composition
from cryoflux.registry.made import MadeVersion, list_of, made_on
from cryoflux.registry.mixture import ListStep
from cryoflux.scheduling.efficiency import Memory, least_reckoned
from cryoflux.scheduling.lessons import Lessons, taught
from cryoflux.task_state import Chain, TaskState
from cryoflux.task_tallies import HoldoutTally, JudgedTally, SignedLosses

_FRESH = "fresh_size"
"""field of recipes: most examples that an attempt draws which none has drawn yet"""


class OpenIntent(Struct, frozen=True):
    """An attempt that was announced and has no receipt yet."""

    intent: Intent
    leaf_hash: str
    index: int
    """position in the log"""
    drawn: int = 0
    """training examples that attempts announced before it draw, or have drawn, as fresh ones"""
    number: int = 0
    """among the attempts of its log, from 1"""


def _composed(entry: Entry, known: TaskState, chain: Chain | None) -> Composition | None:
    statement = entry.statement
    if type(statement) is not ReceiptStatement or statement.predicate.outcome is not Outcome.ACCEPTED:
        return None
    if chain is not None:
        return composed_by(statement, chain.composed, chain.start.digest)
    return composed_by(statement, known.composition, known.head.digest)


def _adapter(entry: Entry) -> str:
    """Digest of what an attempt made."""
    statement = entry.statement
    return statement.subject[0].digest.sha256 if type(statement) is ReceiptStatement else ""


@dataclass(slots=True)
class LogState:
    """The state of a log after the entries that were taken; nothing but values, so it can be kept."""

    size: int = 0
    """entries"""
    last: str = ZERO_HASH
    """leaf hash of the last one"""
    attempts: int = 0
    """intents among them"""
    rounds: int = 0
    """records of rounds among them"""
    accounted: int = 0
    """how many of these were there when the last session had ended"""
    session_end: int = 0
    """entries up to the last one that a session wrote, that one included; 0 where none did"""
    tasks: dict[str, TaskState] = field(default_factory=dict)
    open: dict[str, OpenIntent] = field(default_factory=dict)
    """leaf hash of the intent → what was announced"""
    lessons: Lessons = field(default_factory=Lessons)
    renewed: dict[str, list[int]] = field(default_factory=dict)
    """task → how many lessons there were each time that training examples joined"""
    judged: dict[str, JudgedTally] = field(default_factory=dict)
    """SHA-256 of a holdout that judges what others made → what it was used for"""
    nodes: dict[str, NodeState] = field(default_factory=dict)
    """task → what it has come to as a node's"""
    charged: ChargedTally = field(default_factory=ChargedTally)
    guests_before: set[str] = field(default_factory=set)
    """roots of guest holdouts that were entered in the logs that this one goes on from"""
    _memories: dict[str, Memory] = field(default_factory=dict)

    def take(self, entry: Entry) -> None:
        """Go on by one entry."""
        self._lapse(entry)
        if (intent := entry.intent) is not None:
            self._announce(entry, intent)
        elif (receipt := entry.receipt) is not None:
            self._close(entry, receipt)
        elif (move := entry.move) is not None:
            self._move(move)
        elif (session := entry.session) is not None:
            self._end(session)
        elif (fork := entry.fork) is not None:
            self._take_up(entry, fork)
        elif (judgement := entry.judgement) is not None:
            self._judge(judgement)
        elif (said := entry.network or entry.contract) is not None:
            self._network(entry, said)
        self.size += 1
        self.last = entry.leaf_hash

    def skip(self, leaf_hash: str) -> None:
        """Go on by an entry that cannot be read: it only takes its place."""
        self.size += 1
        self.last = leaf_hash

    def handed_on(self) -> list[ForkedTask]:
        """What a fork of this log goes on with, task by task."""
        return [self.tasks[name].handed_on(name) for name in sorted(self.tasks)]

    def judged_handed_on(self) -> list[JudgedHoldout]:
        """What a fork of this log goes on with of the holdouts that judged what others made."""
        return [
            JudgedHoldout(sha256=digest, alpha_ppm=tally.alpha_ppm, looks=tally.looks, kept=tally.kept)
            for digest, tally in sorted(self.judged.items())
        ]

    def guests_handed_on(self) -> list[str]:
        """Roots of all guest holdouts that were entered here or before: no fork of this log may enter one.

        Looks at one are sealed under the announcements of this log, and are opened in it. So it stays here,
        and a fork that is to judge what others offer enters one of its own.
        """
        return sorted(self.guests_before.union(*(node.guests for node in self.nodes.values())))

    def list_of(self, digest: str) -> Composition | None:
        """What a version is the sum of; none where that is not remembered, or it is no sum."""
        for known in self.tasks.values():
            made = known.composition if known.head.digest == digest else list_of(known.made, digest)
            if made is not None and made.terms:
                return made
        return None

    def lapsing(self, entry: Entry) -> list[OpenIntent]:
        """The open attempts that get no receipt any more, oldest first.

        Args:
            entry: the next one: an attempt that leaves no room for them, or the session of their run, which
                is told last.
        """
        open_now = list(self.open.values())
        if entry.session is not None:
            return open_now
        intent = entry.intent
        return open_now[: max(0, len(open_now) + 1 - intent.slots)] if intent is not None else []

    def _lapse(self, entry: Entry) -> None:
        for lapsed in self.lapsing(entry):
            del self.open[lapsed.leaf_hash]

    def paid(self, entry: Entry) -> Paid | None:
        """What pays for the Δ of an attempt whose receipt is taken next; none where it is no receipt."""
        if (receipt := entry.receipt) is None:
            return None
        opened, known = self.open.get(receipt.intent), self.tasks.get(receipt.task.name)
        chain = known.begin_chain(opened.intent) if opened is not None and known is not None else None
        return chain.paid(receipt) if chain is not None else Paid.alone(receipt)

    def _take_up(self, entry: Entry, fork: Fork) -> None:
        self.tasks = {said.task: TaskState.taken_up(said, entry.leaf_hash) for said in fork.tasks}
        self.judged = {
            said.sha256: JudgedTally(said.alpha_ppm, said.looks, said.kept) for said in fork.judged
        }
        self.guests_before = set(fork.guests)
        for known in self.tasks.values():
            known.was_made(known.start, entry.index, entry.leaf_hash, known.counts[-1])

    def _end(self, session: Session) -> None:
        self.accounted, self.session_end = self.attempts, self.size + 1
        self.charged.take(session.energy)
        for check in session.checks:
            if (known := self.tasks.get(check.task)) is not None:
                known.promise(check.alpha_ppm)

    def _judge(self, said: Judgement) -> None:
        alpha_ppm = said.decision.rule.alpha_ppm
        tally = self.judged.setdefault(said.measured.sha256, JudgedTally(alpha_ppm))
        tally.alpha_ppm = min(tally.alpha_ppm, alpha_ppm)
        tally.looks += 1
        tally.kept += said.outcome is Outcome.ACCEPTED

    def _network(self, entry: Entry, statement: NetworkStatement | ContractStatement) -> None:
        said = statement.predicate
        node = self.nodes.setdefault(said.task, NodeState())
        if isinstance(said, RoundResult):
            self.rounds += 1
            self.charged.take_round(said.energy, node.open.get(said.intent))
        node.take(said, entry.index, entry.leaf_hash)
        if isinstance(said, Recall):
            self._adopt(entry, said, recalled=said.capsule)
        elif isinstance(said, RoundResult) and said.outcome is RoundOutcome.ACCEPTED:
            self._adopt(entry, said, steps=tuple(said.steps))

    def _adopt(
        self, entry: Entry, said: RoundResult | Recall, steps: tuple[ListStep, ...] = (), recalled: str = ""
    ) -> None:
        """A head goes on with what others offered, or without it."""
        if (known := self.tasks.get(said.task)) is None:
            return
        made = MadeVersion(known.composition.genesis, known.head.digest, steps=steps, recalled=recalled)
        composed = None
        if steps:
            with suppress(ModelError):  # then verification says that they make no list
                composed = made_on(known.composition, made)
        known.put_head(said.result, made, composed)
        known.was_made(said.result, entry.index, entry.leaf_hash, known.counts[-1])
        known.chains.clear()  # they go on from what others had no part in
        known.of_others = True

    def _announce(self, entry: Entry, intent: Intent) -> None:
        self.attempts += 1
        drawn = self._drawn(intent.task.name)
        self.open[entry.leaf_hash] = OpenIntent(intent, entry.leaf_hash, entry.index, drawn, self.attempts)
        holdout, rule = intent.data.holdout, intent.rule
        known = self.tasks.get(intent.task.name)
        if known is None:
            known = TaskState.begun(intent, entry.leaf_hash)
            known.was_made(known.start, entry.index, entry.leaf_hash, known.counts[-1])
            self.tasks[intent.task.name] = known
        if known.take_data(intent.data):
            self._renew(intent.task.name)
        known.holdout, known.min_delta = holdout.sha256, rule.min_delta
        known.holdouts.setdefault(holdout.sha256, HoldoutTally(holdout.count)).uses += 1
        if rule.name in WITH_BUDGET:
            known.alpha_ppm = min(rule.alpha_ppm, known.alpha_ppm or rule.alpha_ppm)

    def _drawn(self, task: str) -> int:
        """What the next attempt of a task draws behind: what was drawn, and what those that are open draw.

        So attempts that go on at once learn from different examples. One of a chain goes by its own order.
        """
        known = self.tasks.get(task)
        drawn = known.drawn if known is not None else 0
        for one in self.open.values():
            draws = one.intent.recipe.get(_FRESH, 0)
            if one.intent.task.name == task and one.intent.chain is None and isinstance(draws, int):
                drawn = max(drawn, one.drawn + draws)
        return drawn

    def _renew(self, task: str) -> None:
        """There are other training examples to learn from: that arms were spent is forgotten."""
        self.renewed.setdefault(task, []).append(len(self.lessons))
        if task in self._memories:
            self._memories[task].renew()

    def _close(self, entry: Entry, receipt: Receipt) -> None:
        self.charged.take(receipt.energy)
        opened = self.open.pop(receipt.intent, None)
        known = self.tasks.get(receipt.task.name)
        if known is None:
            return
        if receipt.training is not None:
            known.drawn += receipt.training.fresh_count
        chain = known.begin_chain(opened.intent) if opened is not None else None
        drawn_from = known.pool_for(opened.intent).count if opened is not None else known.counts[-1]
        composed = _composed(entry, known, chain)
        if receipt.evaluation is not None:
            tally = known.holdouts.setdefault(receipt.holdout.sha256, HoldoutTally(receipt.holdout.count))
            tally.count_look(receipt.decision, accepted=receipt.outcome is Outcome.ACCEPTED)
        if opened is not None:
            known.follow_chain(opened.intent, receipt, entry.leaf_hash, _adapter(entry))
            self._sign(known, receipt, opened.intent, new=False)
        on = chain.start.digest if chain is not None else known.head.digest
        made = MadeVersion(composed.genesis, on, composed.terms[-1]) if composed is not None else None
        known.put_head(receipt.result, made, composed)
        # Nothing new where nothing was kept.
        known.was_made(receipt.result, entry.index, entry.leaf_hash, drawn_from)
        if opened is not None:
            self._sign(known, receipt, opened.intent, new=True)
        if opened is not None and (lesson := taught(opened.intent, receipt)) is not None:
            self.lessons.append(lesson)
            if lesson.task in self._memories:
                self._memories[lesson.task].learn(lesson)

    def _sign(self, known: TaskState, receipt: Receipt, intent: Intent, *, new: bool) -> None:
        """Remember the losses that a receipt signs of the present head: of its base, or of its candidate."""
        found = receipt.evaluation
        if found is None or found.read != receipt.holdout.count:
            return
        place = (receipt.holdout.sha256, found.profile, intent.recipe.get("max_tokens", 0))
        hits = found.hits
        if not new and receipt.base == known.head:
            known.losses[place] = SignedLosses(found.base_loss_sum, hits.base if hits else 0)
        if new and receipt.outcome is Outcome.ACCEPTED and receipt.result == found.candidate == known.head:
            known.losses[place] = SignedLosses(found.new_loss_sum, hits.new if hits else 0)

    def _move(self, move: HeadMove) -> None:
        known = self.tasks.get(move.task)
        if known is not None and move.move is not Move.PRUNE:
            known.put_head(move.result)
            known.quarantined += move.quarantined
            known.gone_back = (
                known.latest.train if move.move is Move.ROLLBACK and not move.quarantined else ""
            )
            if move.quarantined:
                self._renew(move.task)
            if move.test is not None:
                known.promise(move.test.alpha_ppm)
            known.chains.clear()  # whoever goes back does not want to be led to the same place again

    def head(self, task: str) -> Base | None:
        """The head of a task; none before its first intent."""
        known = self.tasks.get(task)
        return known.head if known is not None else None

    def bar(self, task: str, holdout: str, rule: Rule) -> Bar:
        """The evidence that the next look at a task's holdout needs (`HoldoutTally.bar`).

        Raises:
            ValueError: the rule's error budget is none.
        """
        known = self.tasks.get(task)
        return (known.tally(holdout) if known is not None else HoldoutTally(0)).bar(rule)

    def judging_bar(self, holdout: str, rule: Rule) -> Bar:
        """The evidence that the next verdict needs on what others made, by every one that this log has given.

        Raises:
            ValueError: the rule's error budget is none.
        """
        tally = self.judged.get(holdout, JudgedTally(rule.alpha_ppm))
        needed = ErrorBudget(rule.alpha_ppm, tally.looks, tally.kept).needed_milli
        return Bar(looks=tally.looks, kept=tally.kept, needed_milli=needed)

    def memories(
        self, min_deltas: Mapping[str, int], trained_on: Mapping[str, int] | None = None
    ) -> dict[str, Memory]:
        """What the scheduler remembers of each task's attempts.

        Args:
            min_deltas: task → smallest mean Δ that its rule keeps, billionths of its unit.
            trained_on: task → training examples that there are now; as the log says, without.
        """
        found = {task: self._memory(task, least) for task, least in min_deltas.items()}
        for task, count in (trained_on or {}).items():
            known = self.tasks.get(task)
            if known is not None and count > known.counts[-1]:
                found[task] = deepcopy(found[task])  # no intent has said so yet
                found[task].renew()
        return found

    def _memory(self, task: str, min_delta: int) -> Memory:
        # Fed on, not built anew each time: a log of a million is gone through in one pass.
        known = self._memories.get(task)
        if known is not None and known.min_delta_nano == least_reckoned(min_delta):
            return known
        fresh = Memory(min_delta)
        renewals = frozenset(self.renewed.get(task, ()))
        for number, lesson in enumerate(self.lessons):
            if number in renewals:
                fresh.renew()
            if lesson.task == task:
                fresh.learn(lesson)
        if len(self.lessons) in renewals:
            fresh.renew()
        self._memories[task] = fresh
        return fresh

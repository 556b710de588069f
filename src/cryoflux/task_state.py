"""What a log has come to for one task: head, data, holdouts, and the chains of attempts that go on.

Values and how they follow from one another; the fold over a log's entries is `cryoflux.log_state`.
"""

from __future__ import annotations

__all__ = ["Chain", "TaskState", "chain_start", "recipe_digest"]

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec import Struct
from msgspec.structs import replace

from cryoflux.digests import sha256_hex
from cryoflux.receipts.fork_parts import ForkedTask, HeadLosses, UsedHoldout
from cryoflux.receipts.paid import Paid
from cryoflux.receipts.statement import Base, Data, Intent, Metric, Outcome, Receipt
from cryoflux.registry.composition import Composition
from cryoflux.registry.made import MOST_MADE, MadeVersion, list_of
from cryoflux.task_tallies import HoldoutTally, MadeBy, PoolParts, SignedLosses

_MOST_LOSSES = 16
"""of a head that a fork takes along"""
_MOST_MADE = 256
"""newest versions of which it is remembered what made them"""
_MOST_COMPARED = 4
"""newest versions that a monitor compares a head with, beside the one that the log began with"""


def recipe_digest(recipe: Mapping[str, str | int]) -> str:
    """SHA-256 of a recipe as an intent says it, as JSON with its fields in order."""
    return sha256_hex(json.dumps(dict(recipe), sort_keys=True, separators=(",", ":")).encode())


def chain_start(recipe: Mapping[str, str | int], base: Base, known: TaskState | None) -> Base:
    """The version that a new chain begins at: the head, or the one that the log began with.

    A recipe that starts at the first version learns anew what its own updates had taught. It cannot learn
    what others' updates brought, and cannot leave out again what a recall took away. So from the first round
    or recall that moved the head on, ``start: first`` begins at the head, like any recipe.

    Args:
        recipe: of its attempts, as an intent says it.
        base: the head.
        known: what the log has come to for the task; none before its first intent.
    """
    if known is None or known.of_others or recipe.get("start") != "first":
        return base
    return known.start


class Chain(Struct, frozen=True):
    """Attempts of one arm that go on from one another, as far as the log has come."""

    start: Base
    """the version that its updates are added to"""
    composed: Composition
    """what that is composed of"""
    seed: int
    working: str = ""
    """digest of what the next attempt goes on from; empty before the first one has left something"""
    left_by: str = ""
    """leaf hash of the receipt that left it"""
    steps: int = 0
    attempts: int = 0
    """since it began, or since its last update was kept"""
    microjoules: int = 0
    """charged to these; an update that is kept at the end was paid for by all of them"""
    lo_microjoules: int = 0
    hi_microjoules: int = 0
    judged: str = ""
    """digest of the adapter that the holdout saw last"""
    recipe: str = ""
    """digest of the recipe that it began with: another one would go on from what does not fit it"""
    pool: int = 0
    """training examples that there were when it began: it draws from these until it ends"""

    def fits(self, recipe: Mapping[str, str | int]) -> bool:
        """Whether an attempt with a recipe may go on with it."""
        return self.recipe == recipe_digest(recipe)

    def paid(self, receipt: Receipt) -> Paid:
        """What pays for the Δ of its next attempt."""
        charged = self.charged(receipt)
        return Paid(charged.attempts, charged.microjoules, charged.lo_microjoules, charged.hi_microjoules)

    def charged(self, receipt: Receipt) -> Chain:
        """With one more attempt charged."""
        energy = receipt.energy
        return replace(
            self,
            attempts=self.attempts + 1,
            microjoules=self.microjoules + energy.microjoules,
            lo_microjoules=self.lo_microjoules + energy.lo_microjoules,
            hi_microjoules=self.hi_microjoules + energy.hi_microjoules,
        )

    def after(self, receipt: Receipt, leaf_hash: str, adapter: str = "") -> Chain | None:
        """The chain after an attempt; none where there is nothing to go on from."""
        charged, training = self.charged(receipt), receipt.training
        if training is None:  # aborted: what it went on from is still there
            return charged if charged.working else None
        if not training.working:
            return None
        if receipt.outcome is Outcome.ACCEPTED:
            charged = replace(charged, attempts=0, microjoules=0, lo_microjoules=0, hi_microjoules=0)
        return replace(
            charged,
            working=training.working,
            left_by=leaf_hash,
            steps=training.before + training.steps,
            judged=adapter if receipt.evaluation is not None else self.judged,
        )


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
    heads: int = 1
    """heads that the log has given it, the first included: each has its part of what the monitor may err"""
    holdouts: dict[str, HoldoutTally] = field(default_factory=dict)
    """by digest"""
    losses: dict[tuple[str, str, int | str], SignedLosses] = field(default_factory=dict)
    """(holdout, profile, token limit) → what was signed of the present head"""
    composed: Composition | None = None
    """what the present head is composed of; none stands for a list that begins at it"""
    makers: dict[str, MadeBy] = field(default_factory=dict)
    """digest of a version → the entry that made it; of what the log began with, and of the newest ones"""
    gone_back: str = ""
    """digest of the train set that led to a head that was left; empty where none was, or one was chosen"""
    monitor_alpha_ppm: int | None = None
    """smallest error budget under which a head was ever looked at, or left, ppm"""
    made: dict[str, MadeVersion] = field(default_factory=dict)
    """digest of a version → how it was composed, of the newest ones"""
    chains: dict[str, Chain] = field(default_factory=dict)
    """arm → the chain that its next attempt goes on with"""
    of_others: bool = False
    """whether a round or a recall has moved its head since the log began with it"""
    grown: Data | None = None
    """the data set as the latest intent named it, where training examples have joined since the first one"""
    pools: list[int] = field(default_factory=list)
    """training examples after each time that some joined, in order"""
    quarantined: list[int] = field(default_factory=list)
    """those of `pools` that end a batch which is drawn from no more"""

    @property
    def latest(self) -> Data:
        """The data set with all training examples that have joined."""
        return self.grown if self.grown is not None else self.data

    @property
    def counts(self) -> tuple[int, ...]:
        """Training examples at the beginning, and after each time that some joined."""
        return (self.data.train_count, *self.pools)

    def take_data(self, data: Data) -> bool:
        """Go on with the data set of an intent; whether training examples have joined."""
        if data.train_count <= self.counts[-1]:
            return False
        self.grown = data
        self.pools.append(data.train_count)
        return True

    def pool_for(self, intent: Intent) -> PoolParts:
        """What an attempt draws from: a chain keeps the pool that it began with."""
        chain = self.begin_chain(intent)
        most = (chain.pool if chain is not None else 0) or intent.data.train_count
        counts = tuple(count for count in self.counts if count <= most) or (most,)
        return PoolParts(counts, tuple(count for count in self.quarantined if count in counts))

    def since(self, version: str) -> tuple[int, ...]:
        """What may have spoiled the head: batches that it, and not an older version, learned from.

        Args:
            version: digest of the older one.

        Returns:
            those of `pools` that end one which is not quarantined yet; nothing where it cannot be told.
        """
        older, newer = self.makers.get(version), self.makers.get(self.head.digest)
        if older is None or newer is None:
            return ()
        ends = (end for end in self.pools if older.drawn_from < end <= newer.drawn_from)
        return tuple(end for end in ends if end not in self.quarantined)

    def pool_with(self, count: int) -> PoolParts:
        """What there is to draw from once there are so many training examples."""
        return PoolParts(tuple(dict.fromkeys((*self.counts, count))), tuple(self.quarantined))

    @property
    def parts(self) -> PoolParts:
        """All training examples that the log has named, and which of them are drawn from no more."""
        return PoolParts(self.counts, tuple(self.quarantined))

    def pool_of(self, arm: str) -> int:
        """Training examples that the chain of an arm draws from; 0 where none goes on."""
        chain = self.chains.get(arm)
        return chain.pool if chain is not None else 0

    def was_made(self, version: Base, index: int, leaf_hash: str, drawn_from: int) -> None:
        """Remember which entry made a version; one that is there already was made by the entry before.

        Args:
            version: what was made.
            index: position of the entry.
            leaf_hash: of the entry.
            drawn_from: training examples of the pool that it learned from.
        """
        self.makers.setdefault(version.digest, MadeBy(version, index, leaf_hash, drawn_from))
        if len(self.makers) > _MOST_MADE:
            oldest = next(digest for digest in self.makers if digest != self.start.digest)
            del self.makers[oldest]

    def promise(self, alpha_ppm: int) -> None:
        """An error budget of the monitor was named: one may be tightened, never widened; 0 names none."""
        if alpha_ppm:
            self.monitor_alpha_ppm = min(alpha_ppm, self.monitor_alpha_ppm or alpha_ppm)

    def before_head(self) -> list[MadeBy]:
        """Versions that a monitor compares the head with: the newest others, and what the log began with."""
        others = [made for made in self.makers.values() if made.version != self.head]
        newest = sorted(others, key=lambda made: made.index)[-_MOST_COMPARED:]
        return [*(made for made in others if made.version == self.start and made not in newest), *newest]

    def composition_of(self, version: Base) -> Composition:
        """What a version is composed of; a list that begins at it where that is not remembered."""
        if version == self.head:
            return self.composition
        return list_of(self.made, version.digest) or Composition(genesis=version.digest)

    def begin_chain(self, intent: Intent) -> Chain | None:
        """The chain that an attempt goes on with, or begins; none where it is of no chain."""
        link = intent.chain
        if link is None:
            return None
        known = self.chains.get(intent.task.arm)
        if known is not None and link.working and link.working == known.working:
            return known
        return Chain(
            start=link.start,
            composed=self.composition_of(link.start),
            seed=intent.seed,
            recipe=recipe_digest(intent.recipe),
            pool=intent.data.train_count,
        )

    def follow_chain(self, intent: Intent, receipt: Receipt, leaf_hash: str, adapter: str) -> None:
        """Go on by the receipt of an attempt, before its result becomes the head.

        Args:
            intent: that announced it.
            receipt: how it ended.
            leaf_hash: of the receipt.
            adapter: digest of its first subject.
        """
        if (chain := self.begin_chain(intent)) is None:
            return
        after, arm = chain.after(receipt, leaf_hash, adapter), intent.task.arm
        if after is not None:
            self.chains[arm] = after
        elif receipt.training is not None:
            self.chains.pop(arm, None)

    def tally(self, holdout: str) -> HoldoutTally:
        """What a holdout has been used for; nothing where it was not."""
        return self.holdouts.get(holdout) or HoldoutTally(0)

    @property
    def composition(self) -> Composition:
        """What the head is composed of."""
        return self.composed or Composition(genesis=self.head.digest)

    def put_head(
        self, head: Base, made: MadeVersion | None = None, composed: Composition | None = None
    ) -> None:
        """Go on from another head.

        Args:
            head: the version.
            made: how it was made, if it was made just now.
            composed: what it is composed of, where that is known without its history.
        """
        if self.head == head:
            return
        # A version that comes about again keeps its way: the later one may lead back to itself.
        if made is not None and head.digest != made.genesis and list_of(self.made, head.digest) is None:
            self.made.pop(head.digest, None)
            self.made[head.digest] = made
            if len(self.made) > MOST_MADE:
                del self.made[next(iter(self.made))]
        self.composed = composed or list_of(self.made, head.digest)
        self.head, self.losses, self.heads = head, {}, self.heads + 1

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
            grown=said.grown,
            pools=list(said.pools),
            quarantined=list(said.quarantined),
            holdouts={
                u.sha256: HoldoutTally(u.count, u.uses, u.looks, u.kept, u.left) for u in said.holdouts
            },
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
            grown=self.grown,
            pools=list(self.pools),
            quarantined=list(self.quarantined),
            holdouts=[_used(digest, self.holdouts[digest]) for digest in order],
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


def _used(digest: str, tally: HoldoutTally) -> UsedHoldout:
    return UsedHoldout(
        sha256=digest,
        count=tally.count,
        uses=tally.uses,
        looks=tally.looks,
        kept=tally.kept,
        left=tally.left,
    )

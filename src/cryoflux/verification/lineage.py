"""Step 8: versions follow one another, each task on one data set, and each use of a holdout is counted.

A log may go on to the next holdout of its data set, but only when the error budget of the one before is
spent: whoever may choose among holdouts can go on choosing until one of them says what is wanted. A head is
moved by an accepted receipt, or by an entry that says where to and why; anything else is another history.
A prune moves none: it names versions of its task whose files are freed, and what those are is known here.
A receipt that names the list of updates that its candidate is composed of names the one that the log gives.
A fork begins at the head that it names of its parent's log; what its parent says to that is step 16.
"""

from __future__ import annotations

__all__ = ["LINEAGE", "Lineage"]

from collections.abc import Callable, Iterator
from typing import ClassVar

from msgspec import field

from cryoflux.decision.rules import WITH_BUDGET
from cryoflux.errors import CryoFluxError
from cryoflux.log_state import LogState
from cryoflux.quantities import counted
from cryoflux.receipts.entry import Entry, parse_entry
from cryoflux.receipts.statement import Base, Data, Fork, HeadMove, Intent, Move, Outcome, Receipt, Rule
from cryoflux.task_state import TaskState, chain_start
from cryoflux.task_tallies import HoldoutTally
from cryoflux.verification.composed import ListsNamed, list_findings
from cryoflux.verification.forked import fork_complaints, parent_in_words
from cryoflux.verification.freed import KnownVersions, prune_complaints, prune_questions
from cryoflux.verification.looks import Looks
from cryoflux.verification.material import Material
from cryoflux.verification.result import Check, NumberedStep, unknown
from cryoflux.verification.rollbacks import rollback_complaints, rollback_questions
from cryoflux.verification.walk import Fold, Paired, Seen, Tally

LINEAGE = NumberedStep(8, "models and holdout follow one another")
_PER_CENT = 10_000
"""parts per million"""
_MOST_SPELT = 8
"""holdouts whose verdicts are said one by one"""


class _Versions(Tally):
    made: int = 0
    moves: int = 0
    pruned: int = 0
    """versions whose files were freed"""
    known: KnownVersions = field(default_factory=KnownVersions)
    lists: ListsNamed = field(default_factory=ListsNamed)
    looks: Looks = field(default_factory=Looks)
    fork: Fork | None = None
    """the first entry, where the log goes on from another one"""


class Lineage(Fold):
    """Step 8: each base is the head before it, and every use of each holdout is counted.

    Args:
        material: where the entry that made a version is looked up.
        past: whether the log is here from its beginning; else what depends on that is passed over.
        knows: whether an entry that is looked up, by its place and leaf hash, is of this log.
    """

    step: ClassVar = LINEAGE
    tally: _Versions

    def __init__(
        self,
        material: Material,
        *,
        past: bool = True,
        knows: Callable[[int, str], bool] = lambda _index, _leaf: True,
    ) -> None:
        super().__init__()
        self._material, self._past, self._knows = material, past, knows
        self.tally = _Versions()

    def take(self, seen: Seen, memory: LogState) -> None:
        """Look at versions and data of the next entry."""
        if (entry := seen.entry) is None:
            return
        if self._past:
            self._looks(seen, entry, memory)
        if (intent := entry.intent) is not None:
            known = memory.tasks.get(intent.task.name)
            self.tally.made += known is None
            self.findings.fail(seen, _base(intent.base, known))
            if self._past:
                self.findings.fail(seen, _data(intent, known))
                self.findings.fail(seen, _use(intent, known))
                self.findings.fail(seen, _chain(intent, known))
                self.findings.ask(seen, _given_up(intent, known))
                self.findings.ask(seen, _shared(intent, known, memory))
        elif seen.paired is not None:
            self._receipt(seen, seen.paired, memory.tasks.get(seen.paired.receipt.task.name))
        elif (move := entry.move) is not None:
            self._move(seen, move, memory.tasks.get(move.task))
        elif (fork := entry.fork) is not None:
            self.tally.fork = self.tally.fork or fork
            self.findings.fail(seen, fork_complaints(entry, fork, self._material.key))
        self.tally.known.take(entry)

    def _looks(self, seen: Seen, entry: Entry, memory: LogState) -> None:
        """Follow the heads, and ask whether a session tells of looks that they can have had."""
        looks = self.tally.looks
        self.findings.extend(unknown(*question) for question in looks.before(entry, memory))
        if (session := entry.session) is not None:
            self.findings.fail(seen, looks.complaints(session, memory))
            self.findings.ask(seen, looks.questions(seen.name, session))

    def _move(self, seen: Seen, move: HeadMove, known: TaskState | None) -> None:
        self.tally.moves += move.move is not Move.PRUNE
        self.tally.pruned += len(move.pruned)
        self.findings.fail(seen, _base(move.base, known))
        if self._past:
            self.findings.fail(seen, self._moved(move, known))
            self.findings.fail(seen, prune_complaints(move, self.tally.known))
            self.findings.ask(seen, prune_questions(move, known))
        self.findings.fail(seen, rollback_complaints(move, known, past=self._past))
        before = known if self._past else None
        self.findings.ask(seen, rollback_questions(move, before, self.tally.looks.freed))

    def _receipt(self, seen: Seen, paired: Paired, known: TaskState | None) -> None:
        self.tally.made += paired.receipt.outcome is Outcome.ACCEPTED
        self.findings.fail(seen, _base(paired.receipt.base, known))
        self.findings.fail(seen, _result(paired.receipt))
        if self._past:
            self.findings.fail(seen, _steps(paired))
            self.findings.fail(seen, _overtaken(paired, known))
            self.findings.extend(list_findings(paired, known))
            self.findings.ask(seen, self.tally.lists.gone_back(paired.receipt))

    def _moved(self, move: HeadMove, known: TaskState | None) -> Iterator[str]:
        """What is wrong with where a head goes: only to what the log made, or what its task began with."""
        try:
            row = self._material.rows[move.made_at] if move.made_at < move.sequence else None
            entry = parse_entry(move.made_at, row.envelope) if row is not None else None
        except (CryoFluxError, LookupError):
            entry = None
        if entry is None or entry.leaf_hash != move.made_by or not self._knows(entry.index, entry.leaf_hash):
            yield f"goes to a version that entry {move.made_at} did not make: it has another hash"
            return
        made: Base | None = None
        if (receipt := entry.receipt) is not None and receipt.outcome is Outcome.ACCEPTED:
            made = receipt.result if receipt.task.name == move.task else None
        elif (record := entry.round or entry.recall) is not None and record.result != record.base:
            made = record.result if record.task == move.task else None
        elif known is not None and entry.leaf_hash == known.began_by:
            # A later intent only says which head it found: to go by that would skip who made it.
            made = known.start
        if made != move.result:
            yield f"goes to a version that entry {move.made_at} did not make"

    def conclude(self, memory: LogState) -> list[Check]:
        """The lines of the step."""
        tallies = [t for known in memory.tasks.values() for t in known.holdouts.values()]
        which = "one holdout" if len(tallies) < 2 else f"{len(tallies)} holdouts"
        # An attempt that was aborted, or stopped by its screen, was announced on a holdout and never saw it.
        looks = " and ".join(str(tally.looks) for tally in tallies[:_MOST_SPELT]) or "0"
        verdicts = "verdict" if looks == "1" else "verdicts"
        judged = f"{which}, {looks} {verdicts} in {counted(sum(tally.uses for tally in tallies), 'attempt')}"
        moved = f", moved {self.tally.moves} times besides" if self.tally.moves else ""
        moved += f", {self.tally.pruned} freed" if self.tally.pruned else ""
        moved += _monitored(memory)
        self.findings.extend(unknown(*question) for question in self.tally.looks.open())
        line = "one line" if len(memory.tasks) < 2 else f"{len(memory.tasks)} lines"
        summary = f"{counted(self.tally.made, 'model version')} in {line}{moved}; {judged}"
        if self.tally.fork is not None:
            summary = f"goes on from {parent_in_words(self.tally.fork)}: {summary}, there included"
        nothing = "" if memory.tasks or self.tally.fork is not None else "no entry names a version"
        return self.findings.conclude(LINEAGE, summary, nothing=nothing)


def _monitored(memory: LogState) -> str:
    """What part of their error budgets the monitors of a log have given away, in words; empty without any."""
    said = []
    for name, known in memory.tasks.items():
        if (alpha := known.monitor_alpha_ppm) is not None:
            spent = alpha * known.heads / (known.heads + 1) / _PER_CENT
            whose = f" of {name}" if len(memory.tasks) > 1 else ""
            heads = "one head" if known.heads == 1 else f"{known.heads} heads"
            share = f"{alpha / _PER_CENT:g} % over its life, {spent:.3g} % of that went to {heads}"
            said.append(f"; the monitor{whose} may err in {share}")
    return "".join(said[:_MOST_SPELT])


def _base(said: Base, known: TaskState | None) -> Iterator[str]:
    if known is not None and said != known.head:
        yield "its base model is not the result of the attempt before it"


def _result(receipt: Receipt) -> Iterator[str]:
    due = receipt.base
    if receipt.outcome is Outcome.ACCEPTED and receipt.evaluation is not None:
        due = receipt.evaluation.candidate
    if receipt.result != due:
        yield f"{receipt.outcome.value}, but its result is another model"


def _data(intent: Intent, known: TaskState | None) -> Iterator[str]:
    if known is None:
        return
    data, latest = intent.data, known.latest
    holdout = data.holdout
    count = known.holdouts.get(holdout.sha256, HoldoutTally(holdout.count)).count
    if _ungrown(data, latest) != latest or count != holdout.count:
        yield "uses another data set than the first attempt"
    if intent.metric != known.metric:
        yield "is measured by another metric than the first attempt"
    if known.holdout != holdout.sha256:
        if holdout.sha256 in known.holdouts:
            yield "goes back to a holdout that was left"
        alpha = known.alpha_ppm
        if intent.rule.name in WITH_BUDGET:
            alpha = min(intent.rule.alpha_ppm, alpha) if alpha is not None else intent.rule.alpha_ppm
        if not _spent(intent.rule, alpha, known.tally(known.holdout)):
            yield "leaves a holdout whose error budget is not spent"


def _ungrown(data: Data, latest: Data) -> Data:
    """A data set without the training examples that have joined, if it says that there are more.

    That the earlier ones are still there is seen from the bytes (step 9).
    """
    same = data.but(holdout=latest.holdout)
    if data.train_count <= latest.train_count or data.digest == latest.digest or data.train == latest.train:
        return same
    return same.but(digest=latest.digest, train=latest.train, train_count=latest.train_count)


def _use(intent: Intent, known: TaskState | None) -> Iterator[str]:
    holdout = intent.data.holdout
    use = (known.tally(holdout.sha256).uses if known is not None else 0) + 1
    if holdout.use_index != use:
        yield f"is use {use} of the holdout, but says {holdout.use_index}"


def _chain(intent: Intent, known: TaskState | None) -> Iterator[str]:
    """What is wrong with what an attempt goes on from: it is what the last one of its chain left."""
    link = intent.chain
    if link is None:
        return
    chain = known.chains.get(intent.task.arm) if known is not None else None
    if not link.working:
        if link.left_by != (chain.left_by if chain is not None else ""):
            yield "begins a chain without naming the one that it gives up"
        if link.start != chain_start(intent.recipe, intent.base, known):
            yield "begins a chain at another version than its recipe says"
        return
    if chain is None or (link.working, link.left_by) != (chain.working, chain.left_by):
        yield "goes on from a working update that no receipt before it left"
    elif link.start != chain.start or intent.seed != chain.seed:
        yield "goes on with a chain, but from another start or with another seed"
    elif not chain.fits(intent.recipe):
        yield "goes on with a chain, but with another recipe than it began with"


def _given_up(intent: Intent, known: TaskState | None) -> Iterator[str]:
    """Whether an attempt begins anew, though it could have gone on."""
    link = intent.chain
    chain = known.chains.get(intent.task.arm) if known is not None else None
    if link is not None and not link.working and chain is not None:
        why = "its working update is gone" if chain.fits(intent.recipe) else "its recipe is another one"
        yield f"begins a chain anew and gives up one of {chain.steps} steps: {why}"


def _steps(paired: Paired) -> Iterator[str]:
    """Whether a receipt counts the steps of its chain rightly."""
    training = paired.receipt.training
    if training is None:
        return
    before = paired.chain.steps if paired.chain is not None else 0
    if training.before != before:
        yield f"says that its chain had made {training.before} steps before it; by the log {before}"
    if training.working and paired.chain is None:
        yield "leaves a working update, though it is of no chain"


def _overtaken(paired: Paired, known: TaskState | None) -> Iterator[str]:
    """Whether another attempt went on from the same place first, or the head was moved meanwhile.

    Two that were announced from one working update would be two chains: the second one would forget the steps
    and joules of the first, or the better of two beginnings be chosen.
    """
    link = paired.intent.chain if paired.intent is not None else None
    if link is None or known is None or paired.receipt.training is None:
        return
    chain = known.chains.get(paired.receipt.task.arm)
    now = (chain.working, chain.left_by) if chain is not None else ("", "")
    if link.working and now != (link.working, link.left_by):
        yield "goes on from a working update that its chain had left behind by then"
    elif not link.working and chain is not None and link.left_by != chain.left_by:
        yield "begins a chain, though one had begun by then that it does not give up"


def _shared(intent: Intent, known: TaskState | None, memory: LogState) -> Iterator[str]:
    """Whether another task looks at the same examples: each counts its own looks and has an error budget."""
    holdout = intent.data.holdout.sha256
    if known is not None and known.holdout == holdout:
        return  # asked about when the task came to it
    for name, other in memory.tasks.items():
        if name != intent.task.name and holdout in other.holdouts:
            yield f"looks at a holdout that {name} looks at too: their looks are counted apart"


def _spent(rule: Rule, alpha: int | None, tally: HoldoutTally) -> bool:
    # By the smallest α that was ever announced: a larger one, named in order to leave, would be spent sooner.
    try:
        return alpha is not None and tally.exhausted(rule.name, alpha)
    except ValueError:
        return False

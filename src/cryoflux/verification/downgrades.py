"""Where a log goes down to something that says or asks for less than what it used before.

None of it is a lie, so none of it fails: a setting may be changed, a small model be followed by a large one,
an older program be started by mistake. But whoever reads only the verdict has to learn of it, so the first
step down of each kind is a question, and each widening of the error budget. Every task is followed.

- To a weaker rule (``evidence/v1`` after ``evidence/v2``), or to a smaller z: a question. It is legal, but
  fewer doubts stop an update.
- Under ``no-worse/v1`` to a larger loss that is ruled out, or a smaller z: a question. From any other rule to
  it: a question, because it does not ask for a gain.
- From ``evidence/v3`` to ``evidence/v2``, on a holdout that it looked at: a question. Both promise the same,
  but the counts of looks from which v2 takes its bar say nothing of what was staked. (From v2 to v3 what is
  left follows from the counts: `decision.stakes.left_of_counted`.)
- To a larger error budget: a question. After looking, it buys more false acceptances.
- To the first form of statements after the second: a question. It has no screens, bars or choices that could
  be made again.
- To ``f32/v1`` after ``f64-nanonat/v1``: a question, of step 6. It tolerates more; longer texts may need it.
- To another limit of tokens, up or down: a question each time. A model has another loss on the same examples,
  so what was gained under one limit may be lost under the other, and gained again.
- To no screen: nothing. A screen can only reject; each look counts and raises the bar without it too.
- To smaller thresholds of Δ or accuracy: nothing under a rule of evidence, whose bar does not depend on
  them; the summary of the step names each rule with its own. Under ``whitepaper/v1``, which has no other
  bar: a question.
- To no Merkle root of losses: nothing. Their file is signed whole; the root lets single ones be opened.
- To another rule than was announced: a failure, of step 5. An intent binds its receipt.
"""

from __future__ import annotations

__all__ = ["Downgrades"]

from collections.abc import Iterator

from msgspec import Struct, field

from cryoflux.decision.rules import BARE, BUDGETED, NO_WORSE, WITH_BUDGET
from cryoflux.decision.stakes import STAKED
from cryoflux.log_state import LogState
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.statement import Intent, Rule
from cryoflux.registry.cuts import cut_words_of
from cryoflux.task_state import TaskState

_STRENGTH = {NO_WORSE: 0, BARE: 1, "evidence/v1": 2, BUDGETED: 3, STAKED: 3}
"""rule → how much evidence it asks for, as a rank"""


class _Asked(Struct, array_like=True):
    """The strictest that a task was judged by so far."""

    rule: str
    z_milli: int
    min_delta: int = 0
    """where the rule has no other bar"""
    min_accuracy_gain_ppm: int = 0
    told: bool = False
    alpha_ppm: int = 0
    """error budget that was announced last, ppm"""
    unstaked: bool = False
    """whether it was said that what was staked is forgotten"""
    margin: int = -1
    """loss that ``no-worse/v1`` rules out; -1 under another rule"""
    cut: int | str = 0
    """tokens that texts were cut to last; 0 where nothing says so"""

    @classmethod
    def of(cls, rule: Rule) -> _Asked:
        """What a rule asks for."""
        bare = (rule.min_delta, rule.min_accuracy_gain_ppm) if rule.name == BARE else (0, 0)
        margin = rule.min_delta if rule.name == NO_WORSE else -1
        return cls(rule.name, rule.z_milli, *bare, margin=margin)


class Downgrades(Struct):
    """What the entries so far went by, where something less may follow."""

    version: int = 1
    """newest form of a statement about an attempt"""
    told: bool = False
    """whether it was said that the log goes back to an older one"""
    tasks: dict[str, _Asked] = field(default_factory=dict)

    def announced(self, entry: Entry, intent: Intent, memory: LogState) -> Iterator[str]:
        """What the next intent asks less for than those before it; a weaker rule is said once a task.

        Args:
            entry: of the intent.
            intent: the intent.
            memory: the log before it.
        """
        yield from self._older_form(entry)
        if intent.rule.name in _STRENGTH:  # step 7 names any other
            yield from self._weaker(intent, memory)

    def _older_form(self, entry: Entry) -> Iterator[str]:
        if entry.version < self.version and not self.told:
            self.told = True
            yield f"goes back to form {entry.version} of statements after form {self.version}: it says less"
        self.version = max(self.version, entry.version)

    def _weaker(self, intent: Intent, memory: LogState) -> Iterator[str]:
        rule, task = intent.rule, intent.task.name
        before, asked = memory.tasks.get(task), _Asked.of(rule)
        known = self.tasks.get(task)
        if known is None:
            # Before its first intent a log knows a task only by a fork, with its parent's error budget.
            of_parent = before is not None and before.alpha_ppm
            known = self.tasks[task] = _Asked(BUDGETED, 0) if of_parent else asked
            known.cut = _cut_before(before) or cut_of(intent)
        yield from _cut_otherwise(known, cut_of(intent))
        if not known.told and (complaint := _less(asked, known)):
            known.told = True
            yield complaint
        if _STRENGTH[asked.rule] > _STRENGTH[known.rule]:
            known.rule = asked.rule
        known.z_milli = max(known.z_milli, asked.z_milli)
        known.min_delta = max(known.min_delta, asked.min_delta)
        known.margin = min((one for one in (known.margin, asked.margin) if one >= 0), default=-1)
        known.min_accuracy_gain_ppm = max(known.min_accuracy_gain_ppm, asked.min_accuracy_gain_ppm)
        if rule.name == BUDGETED and before is not None:
            left = before.tally(intent.data.holdout.sha256).left
            if left is not None and not known.unstaked:
                known.unstaked = True
                where = "on a holdout of whose error budget that staked a part"
                yield f"goes from {STAKED} back to {BUDGETED} {where}"
        if rule.name in WITH_BUDGET:
            lowest = before.alpha_ppm if before is not None else None
            if lowest is not None and rule.alpha_ppm > lowest and rule.alpha_ppm != known.alpha_ppm:
                yield f"raises the error budget from {lowest} to {rule.alpha_ppm} ppm after looking"
            known.alpha_ppm = rule.alpha_ppm


def cut_of(intent: Intent) -> int | str:
    """Tokens that the texts of an attempt are cut to; 0 where its recipe does not say."""
    return intent.recipe.get("max_tokens", 0)


def _cut_before(before: TaskState | None) -> int | str:
    """What the parent of a fork cut to, as far as it signed a loss of the head; 0 where that says nothing."""
    cuts = {cut for _, _, cut in before.losses} if before is not None else set()
    return cuts.pop() if len(cuts) == 1 else 0


def _cut_otherwise(known: _Asked, cut: int | str) -> Iterator[str]:
    before, known.cut = known.cut, cut or known.cut
    if before and cut and cut != before:
        yield (
            f"cuts texts to {cut_words_of(cut)}, and to {cut_words_of(before)} before: its losses are of "
            "another reading than those before it, and no gain goes on from theirs"
        )


def _less(asked: _Asked, known: _Asked) -> str:
    if _STRENGTH[asked.rule] < _STRENGTH[known.rule]:
        return f"goes down from the rule {known.rule} to {asked.rule}: it asks for less evidence"
    if asked.rule == "evidence/v1" and asked.z_milli < known.z_milli:
        return f"goes down from z > {known.z_milli}/1000 to {asked.z_milli}/1000: it asks for less evidence"
    if asked.rule == known.rule == NO_WORSE and (
        asked.z_milli < known.z_milli or asked.margin > known.margin >= 0
    ):
        return f"allows a larger loss under {NO_WORSE}, or asks for a smaller z: it asks for less evidence"
    if asked.rule == BARE and (
        asked.min_delta < known.min_delta or asked.min_accuracy_gain_ppm < known.min_accuracy_gain_ppm
    ):
        return f"lowers a threshold of {BARE}, which has no other bar: it asks for less"
    return ""

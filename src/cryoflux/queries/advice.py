"""What to do next with a state, and how to check it: short and honest, each with what to type."""

from __future__ import annotations

__all__ = ["END_CLAUSES", "Advice", "LastSession", "advised", "checks_of"]

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from cryoflux.log_view import LogSummary
from cryoflux.quantities import MRR, Tier, format_energy
from cryoflux.receipts.session import Session, SessionEnd
from cryoflux.state import FIRST_TASK, HEAD

if TYPE_CHECKING:
    from cryoflux.queries.results import TaskResults

END_CLAUSES: Mapping[str, str] = {
    SessionEnd.BUDGET: "what was left did not pay for another attempt",
    SessionEnd.ATTEMPTS: "it had made as many attempts as were asked for",
    SessionEnd.TIME: "its time was over",
    SessionEnd.INTERRUPTED: "somebody asked it to stop",
    SessionEnd.PLATEAU: "no recipe was expected to pay any more",
    SessionEnd.FAILED: "an error ended it",
    SessionEnd.CRASHED: "it died, and the next run has recorded it",
}
"""why a run has ended, wherever that is said"""


@dataclass(frozen=True, slots=True)
class LastSession:
    """How the last recorded run of a state ended."""

    ended: SessionEnd
    budget_uj: int
    """what it was allowed to spend, µJ; 0 where nothing was granted"""
    began_at: str
    ended_at: str

    @classmethod
    def of(cls, session: Session) -> Self:
        """What of a session is shown."""
        return cls(session.ended, session.budget_microjoules, session.began_at, session.ended_at)


@dataclass(frozen=True, slots=True)
class Advice:
    """Something that is open, and what to type about it."""

    code: str
    """a word that programs compare: ``budget``"""
    said: str
    command: str
    """what to type; empty where there is nothing"""


def checks_of(state: Path, judged: bool) -> tuple[str, ...]:  # noqa: FBT001 - of our own callers
    """Commands that check a state without trusting whoever made it.

    Args:
        state: the folder.
        judged: whether a holdout gave a verdict, so that losses can be computed again.
    """
    quoted = shlex.quote(str(state))
    again = (f"cryoflux verify {quoted} --recompute 1", f"cryoflux verify {quoted} --spot-check 64")
    bundle = f"cryoflux receipts bundle --state {quoted} -o bundle"
    return (f"cryoflux verify {quoted}", *(again if judged else ()), bundle)


def advised(
    state: Path,
    summary: LogSummary,
    last: LastSession | None,
    tasks: Sequence[TaskResults],
    tier: Tier | None,
) -> tuple[Advice, ...]:
    """What is open, the most pressing first; a state of which nothing is has nothing here.

    Args:
        state: the folder.
        summary: what its log has come to.
        last: how the last recorded run ended.
        tasks: what it has come to for each task.
        tier: the least trustworthy one of the joules; none before the first attempt.
    """
    quoted = shlex.quote(str(state))
    found = _of_runs(quoted, summary, last, [task.unit for task in tasks])
    for task in tasks:
        name = f"{task.name}: " if len(tasks) > 1 else ""
        found += [Advice(one.code, name + one.said, one.command) for one in _of_task(quoted, summary, task)]
    if tier is Tier.MODELLED:
        found.append(
            Advice(
                "modelled",
                "The joules are modelled from CPU time: their range is what is plausible, and nothing "
                "measured the watts. doctor says whether this machine has a counter.",
                "cryoflux doctor",
            )
        )
    return tuple(found)


def _of_runs(
    quoted: str, summary: LogSummary, last: LastSession | None, units: Sequence[str]
) -> list[Advice]:
    budget = format_energy(last.budget_uj).replace(" ", "") if last and last.budget_uj else "2kJ"
    again = f"cryoflux run{_task(summary)} --budget {budget} --state {quoted}"
    if summary.session_open or summary.rounds_open:
        what = "A run" if summary.session_open else "A round"
        said = f"{what} goes on, or has died: the next run closes what a dead one left open."
        return [Advice("open", said, "")]
    if not summary.attempts and summary.judged is not None:
        said = "Nothing was tried here; what others made was judged, entry by entry."
        return [Advice("judged", said, f"cryoflux receipts list --state {quoted}")]
    if not summary.attempts:
        return [Advice("nothing", "No attempt has ended yet.", again)]
    if summary.aborted == summary.attempts:
        said = "Every attempt was aborted: an attempt had too few joules, or could not be made."
        return [Advice("aborted", said, f"{again} --reserve 240J")]
    if last is None:
        return []
    said = f"The last run is over: {END_CLAUSES[last.ended]}. {_THEN[last.ended]}"
    if last.ended is SessionEnd.PLATEAU and all(unit == MRR for unit in units):
        said = "The last run is over: the index was up to date. It goes on when documents come or go."
    command = f"{again} --policy uniform/v1" if last.ended is SessionEnd.PLATEAU else again
    return [Advice(last.ended.value, said, command)]


def _task(summary: LogSummary) -> str:
    """The option that names the task of a log; nothing where it is the one that a run has by itself."""
    names = [task.name for task in summary.tasks]
    return "" if not names or FIRST_TASK in names else f" --task {shlex.quote(names[0])}"


_THEN = {
    SessionEnd.BUDGET: "More joules may gain more.",
    SessionEnd.ATTEMPTS: "More may gain more.",
    SessionEnd.TIME: "More may gain more.",
    SessionEnd.INTERRUPTED: "Another one goes on from there.",
    SessionEnd.PLATEAU: "Other examples or other recipes may, or go on regardless.",
    SessionEnd.FAILED: "Another one goes on from there.",
    SessionEnd.CRASHED: "Another one goes on from there.",
}


def _of_task(quoted: str, summary: LogSummary, task: TaskResults) -> list[Advice]:
    found = []
    if summary.undecided and len(summary.tasks) == 1:
        found.append(_undecided(summary.undecided, task))
    if task.first == task.head:
        return found
    if task.name == FIRST_TASK:
        said = (
            f"The head is a model folder, {quoted}/{HEAD}, that from_pretrained opens. A card for it, with "
            "what it cost and gained:"
        )
        found.append(Advice("use", said, f"cryoflux models card --state {quoted}"))
    return [*found, *_of_audit(quoted, summary, task)]


def _undecided(count: int, task: TaskResults) -> Advice:
    updates = "One update was" if count == 1 else f"{count} updates were"
    larger = f" (--holdout-size {2 * task.holdout.count})" if task.name == FIRST_TASK else ""
    tells = f"a larger holdout{larger}, in a new state, tells more."
    return Advice("undecided", f"{updates} neither shown to help nor ruled out: {tells}", "")


def _of_audit(quoted: str, summary: LogSummary, task: TaskResults) -> list[Advice]:
    audit, holdout = task.audit, task.holdout
    if audit.delta is None:
        if summary.session_open:
            return []
        said = "The head has no losses on the audit set here: a run evaluates it when it ends."
        return [Advice("no-audit", said, f"cryoflux run{_task(summary)} --budget 200J --state {quoted}")]
    if audit.delta_lo_95 is None or audit.delta_hi_95 is None:
        return []
    if audit.delta_lo_95 <= 0:
        said = "On the audit set, which decided nothing, the gain is not told from zero."
        return [Advice("uncertain", said, "")]
    if holdout.delta is not None and audit.delta_hi_95 < holdout.delta:
        said = "The holdout, which is looked at, shows more than the audit set: believe the audit set."
        return [Advice("drift", said, "")]
    return []

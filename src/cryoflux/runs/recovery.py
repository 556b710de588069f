"""What the next run does about a run that died: nothing is left open, lost or counted twice.

1. Every intent without a receipt gets one: ``aborted``, charged with what its reservation had spent. A round
   gets its record, with what its look had shown.
2. Its session is settled and written down.
3. The head links follow the log.
4. Drafts, and versions that no entry names, are thrown away; so is what an entry says is freed, unless it has
   an alias or was named again since.
"""

from __future__ import annotations

__all__ = ["read_log", "recover"]

import shlex

from cryoflux.attempt import recording
from cryoflux.attempt.context import Context
from cryoflux.attempt.recording import Ending
from cryoflux.attempt.watch import AttemptStopped
from cryoflux.errors import StateError
from cryoflux.fleet.left import LeftBehind
from cryoflux.fleet.parts import with_parts
from cryoflux.log_state import LogState, OpenIntent
from cryoflux.network.closing import close_round
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.log import ReceiptLog
from cryoflux.receipts.statement import Cause, Receipt
from cryoflux.registry.aliases import read_aliases
from cryoflux.runs.open_session import close_dead_session


def read_log(log: ReceiptLog) -> tuple[LogState, set[str]]:
    """What a log has come to, and the digests of all versions that its entries name."""
    memory, named = LogState(), set[str]()
    for entry in log.entries():
        memory.take(entry)
        named |= _versions(entry)
        if entry.move is not None:
            named -= {base.digest for base in entry.move.pruned}
    return memory, named


def _versions(entry: Entry) -> set[str]:
    if (intent := entry.intent) is not None:
        return {intent.base.digest}
    if (receipt := entry.receipt) is not None:
        return {receipt.base.digest, receipt.result.digest}
    if (fork := entry.fork) is not None:
        return {version.digest for said in fork.tasks for version in (said.head, said.first)}
    if (planned := entry.round_intent) is not None:
        return {planned.base.digest}
    moved = entry.move or entry.round or entry.recall
    return {moved.base.digest, moved.result.digest} if moved is not None else set()


def recover(context: Context, named: set[str], left: LeftBehind | None = None) -> list[Receipt]:
    """Close what a dead run left open, and return the receipts that this took.

    Args:
        context: the run.
        named: digests of the versions that the log names.
        left: closes what it had lent to workers; none where no state of a fleet is here.

    Raises:
        StateError: an open attempt is of a task that is not at work in this run.
    """
    closed = [_close(context, opened, left) for opened in list(context.memory.open.values())]
    _close_rounds(context)
    close_dead_session(context, left)
    if left is not None:
        left.sweep()
    context.versions.discard_drafts()
    heads = {opened.task.head.digest for opened in context.tasks.values()}
    heads |= {known.head.digest for known in context.memory.tasks.values()}
    for digest in set(context.versions.kept()) - named - heads - _linked(context):
        context.versions.free(digest)
    for name, opened in context.tasks.items():
        context.versions.point_head(opened.task.head.digest, name, context.memory.list_of)
    return closed


def _close_rounds(context: Context) -> None:
    for name, node in context.memory.nodes.items():
        for dead in list(node.open.values()):
            if (task := context.tasks.get(name)) is None:
                raise _needs_task(f"A round of the task {name} has no record", name)
            close_round(context, task, dead)


def _needs_task(what: str, name: str) -> StateError:
    return StateError(
        f"{what} yet.",
        why="Only a run of that task can close it.",
        hint=f"Type cryoflux run --task {shlex.quote(name)} once, and then the same command again.",
    )


def _linked(context: Context) -> set[str]:
    """Heads of tasks that have no entry yet, and what has a name of somebody's own."""
    links = [context.state.head(), *context.state.heads.glob("*")]
    heads = {link.readlink().name for link in links if link.is_symlink()}
    return heads | set(read_aliases(context.state).values())


def _close(context: Context, opened: OpenIntent, left: LeftBehind | None) -> Receipt:
    intent = opened.intent
    task = context.tasks.get(intent.task.name)
    if task is None:
        raise _needs_task(f"An attempt of the task {intent.task.name} has no receipt", intent.task.name)
    reservation = context.reservation(intent.task.id)
    settlement = context.agent.settle(reservation.id) if reservation else None
    parts = left.close(intent.task.id) if left is not None else []
    reserved_uj = intent.reserved_microjoules - sum(part.reserved_microjoules for part in parts)
    figure = recording.figure_of(context, settlement, reserved_uj=reserved_uj, meter=intent.meter)
    ending = Ending(stopped=AttemptStopped(Cause.CRASHED, "crashed"))
    figure = with_parts(figure, parts) if parts else figure
    statement, _ = recording.record(context, task, opened, figure, intent.announced_at, ending)
    if left is not None:
        left.forget(parts, intent.task.id)
    return statement.predicate

"""What the next run does about a round that died: it gets its record, with what its look had shown by then.

Without a look it is ``aborted``. With one its verdict follows from what was kept before anybody learned of
it: so a run that dies cannot look again, nor choose whether to tell.
"""

from __future__ import annotations

__all__ = ["close_round"]

from cryoflux.attempt.context import Context, Opened
from cryoflux.attempt.watch import AttemptStopped
from cryoflux.errors import StateTamperedError, UsageError
from cryoflux.network.folder import NetworkFolder
from cryoflux.network.guest import open_guest
from cryoflux.network.recording import AnnouncedRound, RoundRecord, record_round, shown_end, stopped_end
from cryoflux.network.round_parts import ShownLook
from cryoflux.network_state import OpenRound
from cryoflux.receipts.statement import Cause
from cryoflux.registry.mixture import after
from cryoflux.registry.versions import Version


def close_round(context: Context, opened: Opened, dead: OpenRound) -> RoundRecord:
    """Write the record of a round that has none.

    Args:
        context: the run.
        opened: the task of the round.
        dead: its announcement.

    Raises:
        StateTamperedError: its guest holdout is not here, or what was composed cannot be made again.
    """
    announced = AnnouncedRound(dead.intent, dead.leaf_hash)
    guest = open_guest(NetworkFolder.of(context.state.path), dead.intent.guest.root)
    shown, started_at = guest.look(dead.leaf_hash), dead.intent.announced_at
    if shown is None:
        end = stopped_end(AttemptStopped(Cause.CRASHED, "crashed"))
    else:
        end = shown_end(
            shown, *announced.bar, opened.task.metric.unit, lambda: _made_again(context, opened, shown)
        )
        started_at = shown.started_at
    reservation = context.reservation(dead.intent.id)
    return record_round(context, opened, announced, reservation, started_at, end)


def _made_again(context: Context, opened: Opened, shown: ShownLook) -> Version:
    """What was composed: kept already, or composed again, the same bytes."""
    composing = opened.task.composing()
    if composing is None:
        raise UsageError(
            f"Versions of {opened.task.name} are no lists of updates.",
            why="A round of it has no record yet, and composes its head.",
            hint="Install the version of the task that began the round.",
        )
    made = composing.draft(after(opened.composition, shown.steps))
    if (made.digest, made.files) != (shown.sums.candidate.digest, shown.sums.candidate.files):
        context.versions.discard(made)
        raise StateTamperedError(
            "What a round composed before it died cannot be made again.",
            why="Its updates are not what they were, and its verdict is about them.",
            hint="Restore network/ and capsules/ from a backup; cryoflux verify names what is damaged.",
        )
    return context.versions.keep(made)

"""What a state that was begun says to a run that is only planned: read, and nothing written."""

from __future__ import annotations

__all__ = ["KnownState", "read_known"]

from contextlib import closing
from dataclasses import dataclass

from cryoflux.data.prepared import PreparedData, open_prepared
from cryoflux.database import read_only
from cryoflux.energy.account.audit import require_account
from cryoflux.energy.account.ledger import identity
from cryoflux.log_state import LogState
from cryoflux.receipts.reading import each_entry
from cryoflux.runs.inputs import check_origin, stored_origins
from cryoflux.state import FIRST_TASK, StateFolder
from cryoflux.task_tallies import HoldoutTally
from cryoflux.tasks.interface import Origin


@dataclass(frozen=True, slots=True)
class KnownState:
    """A state that was begun."""

    origin: Origin
    data: PreparedData
    head: str
    """digest of the version that the next attempt starts from"""
    attempts: int
    """announced so far"""
    part: str
    """the holdout that was used last, by its name"""
    tally: HoldoutTally
    """of that one"""
    held_uj: int
    """what the account holds and nobody has reserved, µJ"""


def read_known(state: StateFolder, task: str = FIRST_TASK) -> KnownState | None:
    """What a state says of a task; none where that was not begun.

    Raises:
        CryoFluxError: it cannot be continued.
    """
    origins = stored_origins(state)
    if (origin := origins.get(task)) is None:
        return None
    memory = LogState()
    if state.receipts.is_file():
        for entry in each_entry(state.path):
            memory.take(entry)
    check_origin(state, origins, memory)
    known = memory.tasks.get(task)
    digest = known.latest.digest if known is not None else origin.data_digest
    data = open_prepared(state.data(digest), origin.data_name, origin.rules)
    names = {digest: name for name, digest in data.file_digests.items()}
    part = names.get(known.holdout, "holdout") if known is not None else "holdout"
    return KnownState(
        origin=origin,
        data=data,
        head=known.head.digest if known is not None else origin.version,
        attempts=memory.attempts,
        part=part,
        tally=known.tally(known.holdout) if known is not None else HoldoutTally(0),
        held_uj=_held_uj(state),
    )


def _held_uj(state: StateFolder) -> int:
    if not state.account.is_file():
        return 0
    with closing(read_only(state.account)) as connection:
        require_account(connection, state.account)
        return identity(connection).available_uj

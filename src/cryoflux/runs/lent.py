"""What a dead run had lent to workers, for whoever closes what it left."""

from __future__ import annotations

__all__ = ["left_behind", "own_meter_key"]

import base64
from contextlib import closing, suppress
from functools import partial

from cryoflux.config import Settings
from cryoflux.energy.account.bucket import Bucket
from cryoflux.energy.clock import SystemClock
from cryoflux.energy.interface import JouleAgent
from cryoflux.errors import AgentError, CryoFluxError, UsageError
from cryoflux.fleet.left import LeftBehind
from cryoflux.fleet.local import LocalDispatcher
from cryoflux.fleet.words import LOCAL, LastWords
from cryoflux.runs.known_meters import keep_key_of
from cryoflux.signing.keys import METER_KEY, load_key, raw_public_key
from cryoflux.state import StateFolder


def left_behind(state: StateFolder, agent: JouleAgent, settings: Settings, origin: str) -> LeftBehind | None:
    """What closes it; none where there is nothing of a fleet here.

    Args:
        state: of the run.
        agent: whose bucket it was lent out of.
        settings: where workers are, how they meter, and after how long one ends that nobody asks.
        origin: of the log.

    Raises:
        UsageError: something was lent, and a daemon is to pay, which has not lent it.
    """
    if settings.agent.agent:
        _require_nothing_lent(state)
        return None
    if not state.words.is_dir() and not agent.lent(""):
        return None
    here = LocalDispatcher(state, [], settings, patience_s=settings.fleet.worker_silence)

    def settles(fleet: str, worker: str, request: str) -> str:
        try:
            if fleet == LOCAL:
                return here.settle(worker, request)
            return _on_cluster(state, fleet, origin, worker, request, settings)
        except AgentError as error:
            where = str(state.workers / worker) if fleet == LOCAL else "in its fleet_home"
            raise _unanswered(worker, where, error) from error

    baseline = agent.sample().baseline_digest
    own_key, words = own_meter_key(state), LastWords(state.words)
    return LeftBehind(agent, words, settles, baseline, own_key, partial(keep_key_of, state))


def own_meter_key(state: StateFolder) -> str:
    """The public key of a state's own meter, raw in base64; made where there is none yet."""
    key = load_key(state.keys, METER_KEY, create=True)
    return base64.b64encode(raw_public_key(key.public_key())).decode()


def _require_nothing_lent(state: StateFolder) -> None:
    if any(state.words.glob("*.json")) or _has_lent(state):
        raise UsageError(
            "A run with workers has died here, and what it had lent them is not repaid yet.",
            why="It was lent out of this state's own account, of which a daemon knows nothing.",
            hint="Run once without --agent: that closes it. Then run this again.",
        )


def _has_lent(state: StateFolder) -> bool:
    """Whether something is lent out of the state's own account; not, where that is not whole."""
    with suppress(CryoFluxError):
        if state.account.is_file():
            with closing(Bucket(state.account, SystemClock())) as bucket:
                return any(record.lent for record in bucket.open_records())
    return False


def _unanswered(worker: str, where: str, error: AgentError) -> UsageError:
    return UsageError(
        f"What {worker} had spent when its run died is not known: {error.what}",
        why="A JouleAgent metered it, and its account says what that cost.",
        hint="Start that JouleAgent, and say its token (CRYOFLUX_TOKEN). Where it is gone for good, delete "
        f"the folder of {worker} ({where}): its last word, or else all that was lent, is charged then.",
    )


def _on_cluster(
    state: StateFolder, fleet: str, origin: str, worker: str, request: str, settings: Settings
) -> str:
    """What a worker's account on a machine of a cluster says, once it is settled."""
    from cryoflux.fleet.cluster import LocalCluster
    from cryoflux.fleet.on_ray import RayDispatcher
    from cryoflux.fleet.ray_door import require_listening

    require_listening(fleet)  # of a cluster that is gone nobody has to say how it was guarded
    LocalCluster.open_door(state, fleet)
    log = origin.rpartition("/")[2]
    cluster = RayDispatcher(fleet, log, 0, settings, settings.fleet.worker_silence)
    try:
        return cluster.settle(worker, request)
    finally:
        cluster.close()

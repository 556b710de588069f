"""What a dead run had lent to workers, for whoever closes what it left."""

from __future__ import annotations

__all__ = ["left_behind", "own_meter_key"]

import base64
from contextlib import closing

from cryoflux.config import Settings
from cryoflux.energy.account.bucket import Bucket
from cryoflux.energy.clock import SystemClock
from cryoflux.energy.interface import JouleAgent
from cryoflux.errors import AgentError, UsageError
from cryoflux.fleet.left import LeftBehind
from cryoflux.fleet.local import LocalDispatcher
from cryoflux.fleet.words import LOCAL, LastWords
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
            raise _unanswered(worker, error) from error

    baseline = agent.sample().baseline_digest
    return LeftBehind(agent, LastWords(state.words), settles, baseline, own_meter_key(state))


def own_meter_key(state: StateFolder) -> str:
    """The public key of a state's own meter, raw in base64; made where there is none yet."""
    key = load_key(state.keys, METER_KEY, create=True)
    return base64.b64encode(raw_public_key(key.public_key())).decode()


def _require_nothing_lent(state: StateFolder) -> None:
    if not state.words.is_dir():
        return
    waiting = any(state.words.iterdir())
    if not waiting and state.account.is_file():
        with closing(Bucket(state.account, SystemClock())) as bucket:
            waiting = any(record.lent for record in bucket.open_records())
    if waiting:
        raise UsageError(
            "A run with workers has died here, and what it had lent them is not repaid yet.",
            why="It was lent out of this state's own account, of which a daemon knows nothing.",
            hint="Run once without --agent: that closes it. Then run this again.",
        )


def _unanswered(worker: str, error: AgentError) -> UsageError:
    return UsageError(
        f"What {worker} had spent when its run died is not known: {error.what}",
        why="A JouleAgent metered it, and its account says what that cost.",
        hint="Start that JouleAgent, and say its token (CRYOFLUX_TOKEN). Where it is gone for good, delete "
        f"meter.json in the folder of {worker} (fleet/workers of the state): its last word is charged then.",
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

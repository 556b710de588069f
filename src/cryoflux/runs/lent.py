"""What a dead run had lent to workers, for whoever closes what it left."""

from __future__ import annotations

__all__ = ["left_behind"]

from cryoflux.config import Settings
from cryoflux.energy.interface import JouleAgent
from cryoflux.fleet.left import LeftBehind
from cryoflux.fleet.local import LocalDispatcher
from cryoflux.fleet.words import LOCAL, LastWords
from cryoflux.state import StateFolder


def left_behind(state: StateFolder, agent: JouleAgent, settings: Settings, origin: str) -> LeftBehind | None:
    """What closes it; none where there is nothing of a fleet here.

    Args:
        state: of the run.
        agent: whose bucket it was lent out of.
        settings: where workers are, how they meter, and after how long one ends that nobody asks.
        origin: of the log.
    """
    if not state.words.is_dir() and not agent.lent(""):
        return None
    here = LocalDispatcher(state, [], settings, patience_s=settings.fleet.worker_silence)

    def settles(fleet: str, worker: str, request: str) -> str:
        if fleet == LOCAL:
            return here.settle(worker, request)
        return _on_cluster(state, fleet, origin, worker, request, settings)

    return LeftBehind(agent, LastWords(state.words), settles, agent.sample().baseline_digest)


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

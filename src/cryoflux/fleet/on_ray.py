"""Workers as actors of a Ray cluster: each a detached one on a machine that has a meter, and never run again.

Ray decides neither what is tried nor what it cost. No call is made a second time; a worker of which an answer
is late is only late, and whether it is lost is for `cryoflux.fleet.crew`. Found by trying (Ray 2.60): an
actor that is not detached dies with its driver, too hard to settle; a client over ``ray://`` outlives the
death of the cluster's head, which ends any other driver; and the first try to join fails at times, before
anything has begun.
"""

from __future__ import annotations

__all__ = ["METER", "RayDispatcher", "room_at"]

import importlib
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from cryoflux import __version__
from cryoflux.config import Settings
from cryoflux.errors import AgentError, UsageError
from cryoflux.fleet.failing import FleetError
from cryoflux.fleet.ray_door import require_guarded, require_listening
from cryoflux.fleet.ray_station import GONE, RayStation, last_line
from cryoflux.fleet.ray_worker import ActorWorker, settled_on_machine

METER = "joule_meter"
"""resource of a machine (a node of Ray's): how many workers it may have, each with a meter of its own"""
_SPACE = "cryoflux"
_SURE = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_AUTO_CONNECT": "0",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "1000000000",
    "GRPC_VERBOSITY": "NONE",
}
"""read by Ray when it is imported, and never again: nothing is told to anybody, a lost head ends nobody, and
no cluster is started where that one is gone"""
_PATIENCE = 0.6
"""of the silence after which a worker ends by itself: an answer of another is waited for no longer"""


class RayDispatcher:
    """Has workers on the machines of a cluster that have a meter.

    Args:
        address: ``ray://HOST:PORT``.
        fleet: what the coordinator is called: its log.
        count: workers that are wanted; 0 where only something is to be settled.
        settings: of the run.
        silence_s: after which a worker that nobody asks ends what it is at, s.

    Raises:
        UsageError: the cluster is not guarded, or Ray is not installed.
        FleetError: it cannot be joined.
    """

    def __init__(self, address: str, fleet: str, count: int, settings: Settings, silence_s: int) -> None:
        require_guarded(address, os.environ)
        require_listening(address)
        self._fleet, self._count, self._settings, self._silence_s = fleet, count, settings, silence_s
        self._ray = _library()
        self._join(address)
        self._stations: dict[str, RayStation] = {}
        self._nodes: dict[str, dict[str, Any]] = {}
        """worker → the node of Ray's that it is on"""

    def _join(self, address: str) -> None:
        options = {"log_to_driver": False, "logging_level": "ERROR", "namespace": _SPACE}
        try:
            try:
                self._ray.init(address, **options)
            except ConnectionAbortedError:  # the cluster's own server did not start, as it does at times
                self._ray.init(address, **options)
        except Exception as error:  # Ray raises whatever it likes
            raise FleetError(
                f"The cluster at {address} could not be joined: {last_line(error)}",
                why="It answers, and lets nobody in: another token, Ray or Python, or TLS on one side.",
                hint="See that RAY_AUTH_TOKEN_PATH and the RAY_TLS_ variables are those of the cluster.",
            ) from error

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Have what Ray raises told as an error of the fleet."""
        try:
            yield
        except FleetError:
            raise
        except Exception as error:  # Ray raises whatever it likes
            raise FleetError(
                f"The cluster does not answer: {last_line(error)}",
                why="Its head may be gone.",
                hint="Run the same command again once it is there; what was lent is closed by that.",
            ) from error

    def _metered(self) -> list[dict[str, Any]]:
        with self._errors():
            return self._alive()

    def _alive(self) -> list[dict[str, Any]]:
        nodes = [node for node in self._ray.nodes() if node["Alive"] and node["Resources"].get(METER)]
        return sorted(nodes, key=lambda node: str(node["NodeID"]))

    def _places(self) -> list[dict[str, Any]]:
        """A node of Ray's for each worker that may be, one a machine first."""
        nodes = self._metered()
        most = max((int(node["Resources"][METER]) for node in nodes), default=0)
        return [node for place in range(most) for node in nodes if place < int(node["Resources"][METER])]

    def room(self) -> int:
        """How many workers the cluster has room for.

        Raises:
            FleetError: fewer than are asked for.
        """
        room = len(self._places())
        if room < self._count:
            raise FleetError(
                f"{self._count} workers are asked for, and the cluster has room for {room}.",
                why=f"A machine has as many as its resource {METER} says.",
                hint=f"Start its machines with more of that, or ask for fewer: --workers {max(1, room)}.",
            )
        return room

    def start(self) -> list[RayStation]:
        """All workers; what an earlier coordinator of the same log left running is ended first."""
        with self._errors():
            self._end_left()
        self.room()
        places = self._places()
        return [self._on(f"w{number}", node) for number, node in enumerate(places[: self._count], 1)]

    def _end_left(self) -> None:
        for one in self._ray.util.list_named_actors(all_namespaces=True):
            if one["namespace"] == _SPACE and one["name"].startswith(f"{self._fleet}/"):
                with suppress(ValueError):  # it ended meanwhile
                    self._ray.kill(self._ray.get_actor(one["name"], namespace=_SPACE), no_restart=True)

    def _on(self, name: str, node: dict[str, Any]) -> RayStation:
        slots = int(node["Resources"][METER])
        threads = max(1, int(node["Resources"].get("CPU", 1)) // slots)
        model = self._settings.model.model_copy(update={"threads": self._settings.model.threads or threads})
        settings = self._settings.model_copy(update={"model": model}).model_dump_json().encode()
        remote = self._ray.remote(ActorWorker)
        try:
            actor = remote.options(
                name=f"{self._fleet}/{name}",
                lifetime="detached",
                num_cpus=0,
                num_gpus=float(node["Resources"].get("GPU", 0.0)) / slots,
                resources={METER: 1},
                max_restarts=0,
                max_task_retries=0,
                max_concurrency=2,
                scheduling_strategy=self._at(node),
            ).remote(name, self._fleet, settings, self._silence_s, __version__)
        except Exception as error:  # Ray raises whatever it likes
            raise FleetError(f"{name} cannot be started: {last_line(error)}") from error
        station = RayStation(self._ray, actor, name, self._silence_s * _PATIENCE)
        self._stations[name], self._nodes[name] = station, node
        return station

    def _at(self, node: dict[str, Any]) -> Any:
        strategies = importlib.import_module("ray.util.scheduling_strategies")
        return strategies.NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)

    def settle(self, worker: str, request: str) -> str:
        """Settle on its machine what a worker's meter reserved, once its process is ended."""
        if (station := self._stations.get(worker)) is not None:
            station.kill()
        if not self._ray.is_initialized():
            raise FleetError(f"What {worker} had reserved cannot be settled: {GONE}")
        with suppress(Exception):  # one of a coordinator that died holds its account until it ends by itself
            self._ray.kill(self._ray.get_actor(f"{self._fleet}/{worker}", namespace=_SPACE), no_restart=True)
        nodes, problem = self._metered(), f"{worker} is on no machine of the cluster."
        if (known := self._nodes.get(worker)) is not None:
            nodes = [node for node in nodes if node["NodeID"] == known["NodeID"]]
            problem = "its machine has left the cluster."
        if not nodes:
            raise FleetError(f"What {worker} had reserved cannot be settled: {problem}")
        return self._settled_on_one(nodes, worker, request)

    def _settled_on_one(self, nodes: Sequence[dict[str, Any]], worker: str, request: str) -> str:
        """What one of some machines says: of an earlier run another may have had a worker of that name."""
        failed: list[FleetError | AgentError] = []
        for node in nodes:
            try:
                if statement := self._settled_at(node, worker, request):
                    return statement
            except (FleetError, AgentError) as error:
                failed.append(error)
        failed.sort(key=lambda error: isinstance(error, AgentError))
        if failed and (isinstance(failed[-1], AgentError) or len(failed) == len(nodes)):
            raise failed[-1]
        return ""

    def _settled_at(self, node: dict[str, Any], worker: str, request: str) -> str:
        """What the account of a worker on one machine says.

        Raises:
            FleetError: there is none, or the machine does not answer.
            AgentError: the JouleAgent that metered it does not answer.
        """
        remote, settings = self._ray.remote(settled_on_machine), self._settings.model_dump_json().encode()
        task = remote.options(num_cpus=0, max_retries=0, scheduling_strategy=self._at(node))
        try:
            asked = task.remote(self._fleet, worker, settings, request)
            return str(self._ray.get(asked, timeout=self._silence_s * 2.0))
        except Exception as error:  # Ray raises whatever it likes
            cause = getattr(error, "cause", error)
            if isinstance(cause, AgentError):
                raise cause from error
            why = last_line(error)
            raise FleetError(f"What {worker} had reserved cannot be settled: {why}") from error

    def replace(self, worker: str) -> RayStation:
        """Another worker in its place, or on a machine that has room."""
        if not self._ray.is_initialized():
            raise FleetError(f"{worker} cannot be replaced: {GONE}")
        place, _, generation = worker.partition(".")
        node = self._nodes.get(worker)
        alive = {str(one["NodeID"]) for one in self._metered()}
        if node is None or str(node["NodeID"]) not in alive:
            taken = [str(one["NodeID"]) for name, one in self._nodes.items() if name != worker]
            free = [one for one in self._places() if not _take(taken, str(one["NodeID"]))]
            if not free:
                raise FleetError("No machine of the cluster has room for another worker.")
            node = free[0]
        self._nodes.pop(worker, None)
        return self._on(f"{place}.{int(generation or 1) + 1}", node)

    def close(self) -> None:
        """End the workers, and leave the cluster as it is."""
        for station in self._stations.values():
            station.close()
        self._stations = {}
        with suppress(Exception):  # it may be gone
            self._ray.shutdown()


def room_at(address: str, workers: int, settings: Settings) -> int:
    """How many workers a cluster has room for.

    Args:
        address: ``ray://HOST:PORT``.
        workers: how many are wanted.
        settings: of the run.

    Raises:
        UsageError, FleetError: it cannot be joined, or has not so much room.
    """
    found = RayDispatcher(address, "", workers, settings, settings.fleet.worker_silence)
    try:
        return found.room()
    finally:
        found.close()


def _take(taken: list[str], node: str) -> bool:
    """Whether a place on a machine is taken; each of its workers takes one."""
    if node not in taken:
        return False
    taken.remove(node)
    return True


def _library() -> Any:
    os.environ.update(_SURE)
    try:
        found = importlib.import_module("ray")
        importlib.import_module("ray.util.client")
        importlib.import_module("grpc")
        logging.getLogger("ray").setLevel(logging.CRITICAL)
        warnings.filterwarnings("ignore", module=r"ray\.")  # of files that are sent: they are large
    except ImportError as error:
        raise UsageError(
            "Ray is not installed.",
            why="A fleet at ray://… is spoken to by its client.",
            hint="pip install 'cryoflux[fleet]'",
        ) from error
    return found

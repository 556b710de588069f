"""``cryoflux node pull --follow``: pulls again and again, publishes what follows, and tells peers of it."""

from __future__ import annotations

__all__ = ["follow_peers"]

from collections.abc import Callable, Collection
from dataclasses import replace
from types import FrameType
from typing import TYPE_CHECKING, Protocol

from cryoflux.cli.console import stderr
from cryoflux.stop_request import TO_STOP, StopRequest, handled

if TYPE_CHECKING:
    from cryoflux.network.folder import NetworkFolder
    from cryoflux.network.gathered import Gathered
    from cryoflux.network.peers import Peers
    from cryoflux.network.pulling import PullOutcome


class ShowPull(Protocol):
    """Prints what a pull found."""

    def __call__(self, found: Gathered, *, again: bool) -> None:
        """Print it; ``again`` where others were printed before."""


PullOnce = Callable[[Collection[str] | None, Callable[[], bool]], tuple["Peers", "Gathered"]]


def follow_peers(folder: NetworkFolder, pull: PullOnce, show: ShowPull, every_s: int) -> None:
    """Keep pulling until SIGTERM or SIGINT; a second one ends at once.

    Args:
        folder: of the node's network.
        pull: pulls some logs, or all, until it is to stop.
        show: prints what came, after others what of it is new.
        every_s: between two pulls of all logs, s.
    """
    from cryoflux.network.keeping_up import keep_up

    stop, public = StopRequest(), _Public(folder)
    outcomes: dict[str, PullOutcome] = {}
    again = False

    def ask(_signal: int, _frame: FrameType | None) -> None:
        if stop.asked:
            raise KeyboardInterrupt
        stop.ask()

    def pull_once(only: Collection[str] | None) -> Peers:
        nonlocal again
        peers, found = pull(only, lambda: stop.asked)
        found = _with_known(found if only is None else _of(found, only), outcomes)
        public.bring_up(peers)  # first: by what is shown its log may grow, and peers are told of that
        show(found, again=again)
        again = True
        return peers

    with handled(TO_STOP, ask):
        keep_up(folder, pull_once, every_s, stop)


def _of(found: Gathered, only: Collection[str]) -> Gathered:
    """What was found of those that were asked."""
    return replace(found, peers=tuple(one for one in found.peers if one.origin in only), strangers=())


def _with_known(found: Gathered, outcomes: dict[str, PullOutcome]) -> Gathered:
    """What was found; who does what it did the last time is known for it, and is no news."""
    peers = tuple(
        replace(one, known=one.known or outcomes.get(one.origin) is one.outcome) for one in found.peers
    )
    outcomes |= {one.origin: one.outcome for one in found.peers}
    return replace(found, peers=peers)


class _Public:
    """The node's own public tree, and who is told that it has grown."""

    def __init__(self, folder: NetworkFolder) -> None:
        from cryoflux.network.publishing import Publisher

        self._state, self._publisher = folder.path.parent, Publisher(folder.path.parent)
        self._told: int | None = None

    def bring_up(self, peers: Peers) -> None:
        """Publish; a log that has grown since the last time is a hint for peers."""
        from cryoflux.errors import CryoFluxError, StorageError
        from cryoflux.network.hints import hint_peers
        from cryoflux.network.publishing import publish_all
        from cryoflux.state import StateFolder
        from cryoflux.witness.cosigned import log_key_of

        if not StateFolder(self._state).receipts.is_file():
            return  # whoever only reads has nothing to show
        try:
            size = publish_all(self._publisher).size
        except StorageError:
            raise
        except CryoFluxError as error:  # what was shown before is still right
            stderr.print(f"the public tree stays as it was: {error.what}")
            return
        if self._told is not None and size > self._told:
            hint_peers(peers.nodes, log_key_of(self._state).name, size)
        self._told = size

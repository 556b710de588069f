"""Where a node makes its rounds: its folder, and the guest holdout that judges for it."""

from __future__ import annotations

__all__ = ["NodePlace", "no_guest", "overdue"]

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryoflux.attempt.context import Context, Opened
from cryoflux.errors import BudgetError, CryoFluxError, UsageError
from cryoflux.network.folder import NetworkFolder
from cryoflux.network.guest import GuestFolder, open_guest
from cryoflux.network_state import GuestTally, NodeState
from cryoflux.receipts.parts import Base
from cryoflux.registry.composition import Composition
from cryoflux.registry.mixture import after
from cryoflux.state import StateFolder


@dataclass(frozen=True, slots=True)
class NodePlace:
    """Where a node works."""

    network: NetworkFolder
    tally: GuestTally
    """the guest holdout in use, as its log has it"""
    guest: GuestFolder
    guards: Mapping[str, Path] = field(default_factory=dict)
    """name of a guard set → its file, one example a line"""

    @classmethod
    def of(cls, context: Context, opened: Opened, guards: Mapping[str, Path] | None = None) -> NodePlace:
        """The one of a task in a state.

        Raises:
            UsageError: the log has entered no guest holdout.
            BudgetError: all of them are worn out.
            StateTamperedError: it is not what the log names.
        """
        node = context.memory.nodes.get(opened.task.name) or NodeState()
        network = NetworkFolder.of(context.state.path)
        if (tally := node.guest) is None:
            raise no_guest(context.state, worn=bool(node.guests))
        if tally.is_due(context.timestamp()):
            raise overdue(context.state, tally)
        return cls(network, tally, open_guest(network, tally.said.root), guards or {})

    def refused(self, base: Base, composed: Composition) -> frozenset[str]:
        """Digests of the lists that the guest holdout has refused to put in the place of a head.

        Args:
            base: the head.
            composed: what it is composed of.

        Raises:
            StateTamperedError: what is kept of a look cannot be read.
        """
        missed = [look.intent for look in self.tally.looks if not look.level and look.base == base]
        shown = [look for intent in missed if (look := self.guest.look(intent)) is not None]
        return frozenset(after(composed, look.steps).digest for look in shown)


def overdue(state: StateFolder, tally: GuestTally) -> UsageError:
    """The error of a guest holdout whose day has come.

    Args:
        state: of the node.
        tally: the guest holdout.
    """
    return UsageError(
        f"The guest holdout {tally.said.root[:16]}… was to be opened by {tally.said.open_by}.",
        why="Its node has said so in its log: after that day it judges nothing.",
        hint=f"Open it: cryoflux node retire{state.flag()}; then enter a fresh one.",
    )


def no_guest(state: StateFolder, *, worn: bool) -> CryoFluxError:
    """The error of a node that nothing can judge for.

    Args:
        state: of the node.
        worn: whether it had a guest holdout.
    """
    kind = BudgetError if worn else UsageError
    return kind(
        "Every guest holdout is worn out, or was opened." if worn else "There is no guest holdout.",
        why="One gives as many verdicts as its error budget allows, and none once others can read it."
        if worn
        else "What others offer is judged on examples that nobody has seen.",
        hint=f"Enter a fresh one: cryoflux node init --guest FILE{state.flag()}.",
    )

"""The seed of a node: its own, so that its updates do not begin with the same matrices as everybody's.

Where nobody chose a seed, that of a plain run is 0, so that whoever repeats it gets the same. Nodes that all
did that would begin alike, and two honest updates that begin alike look more like copies. So in the state of
a node it follows from the log's key, which was drawn when the state was begun. Each intent names it all the
same. A model that lacks weights gets them by the seed that was chosen, or 0: nodes have to begin with one
version.
"""

from __future__ import annotations

__all__ = ["node_seed", "with_own_seed"]

from cryoflux.config import Settings, Sourced
from cryoflux.digests import sha256_hex
from cryoflux.log_state import LogState

_DIGITS = 8
"""hexadecimal ones: a seed has 32 bits"""


def node_seed(origin: str) -> int:
    """The seed of a node that chose none.

    Args:
        origin: of its log.
    """
    return int(sha256_hex(f"cryoflux/node-seed/v1\n{origin}".encode())[:_DIGITS], 16)


def with_own_seed(sourced: Sourced, memory: LogState, origin: str) -> Settings:
    """The settings of a run, with a node's own seed where it is one and nobody chose another.

    Args:
        sourced: the settings and where each came from.
        memory: what the log of the state has come to.
        origin: of that log.
    """
    settings = sourced.settings
    chosen = sourced.origins.get("run.seed", "default") != "default"
    if chosen or all(node.node is None for node in memory.nodes.values()):
        return settings
    own = settings.run.model_copy(update={"seed": node_seed(origin)})
    return settings.model_copy(update={"run": own})

"""Of ``cryoflux verify``: the public tree of a node, whose log is verified by a policy that names its key."""

from __future__ import annotations

__all__ = ["tree_report"]

from pathlib import Path
from typing import TYPE_CHECKING

from cryoflux.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from cryoflux.verification.result import Report
    from cryoflux.verification.sections import Sections
    from cryoflux.verification.witnessing import Demand


def tree_report(
    place: Path,
    demand: Demand | None,
    meters: tuple[Ed25519PublicKey, ...],
    sections: Sections,
    of_state: Mapping[str, object],
) -> Report | None:
    """What verifying the log in a public tree finds; none where the folder is none.

    Args:
        place: the folder, or what else is to be verified.
        demand: whom of the witnesses to believe.
        meters: keys of the meters that every charge has to be signed by.
        sections: what checks the sections that only a task knows, by their kind.
        of_state: options that are not for a tree, and what was given.

    Raises:
        UsageError: no policy says whose log it is, an option is not for a tree, or a file of it is missing.
        VerificationError: a file of it is damaged.
    """
    from cryoflux.network.shown_log import is_public_tree, verify_tree

    if not is_public_tree(place):
        return None
    if demand is None:
        raise UsageError(
            f"{place} is the public tree of a node, and no policy says whose.",
            why="A tree brings its keys along, and another tree would bring others.",
            hint="Name a policy or a file of peers that has the key of its log: --policy FILE.",
        )
    if given := [name for name, value in of_state.items() if value is not None]:
        raise UsageError(
            f"{place} is the public tree of a node: {given[0]} cannot be used there.",
            why="A tree has no models, and its keys are those of the log that the policy names.",
            hint="Leave it out. Versions and verdicts are made again by: cryoflux node audit --recompute.",
        )
    return verify_tree(place, demand, meters, sections)

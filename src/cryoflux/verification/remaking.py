"""A version whose weights were freed, made again from its genesis and its updates.

It is held to the digests that an entry names like one that was kept, so a version that comes out as another
model is no evidence of anything but that: whoever says of what it is the sum need not be believed.
"""

from __future__ import annotations

__all__ = ["version_kept_or_made"]

from pathlib import Path

from cryoflux.digests import copy_listed, write_checksums
from cryoflux.errors import VerificationError
from cryoflux.registry.composition import Composition
from cryoflux.registry.kept_lists import can_compose, is_whole
from cryoflux.registry.parent_lists import parent_lists
from cryoflux.state import StateFolder
from cryoflux.verification.open_question import OpenQuestion
from cryoflux.verification.recomputer import Models, Recomputer
from cryoflux.verification.weights import version_digest


def version_kept_or_made(
    state: StateFolder, digest: str, composed: Composition | None, recomputer: Recomputer | None, into: Path
) -> None:
    """A copy of a version in a folder that is not there yet: of its files, or of what its list adds up to.

    Args:
        state: where it lies.
        digest: that it is called by.
        composed: what it is the sum of; none where nothing says so.
        recomputer: adds it up where its weights are not here.
        into: the folder.

    Raises:
        OpenQuestion: it is not kept here, and nothing makes it.
        VerificationError: its genesis is another model than its list says.
    """
    if is_whole(kept := state.model(digest)):
        copy_listed(kept, into)
        return
    if recomputer is None or composed is None or not can_compose(state, composed):
        raise OpenQuestion(f"models/{digest} is not kept here, and cannot be made again")
    genesis = into.with_name(f"genesis-of-{into.name}")
    copy_listed(state.model(composed.genesis), genesis)
    if version_digest(genesis) != composed.genesis:
        raise VerificationError("the genesis of its base here is another model than the one recorded")
    recomputer.compose(composed, Models(genesis, genesis, state.capsule, parent_lists(state.path)), into)
    write_checksums(into)

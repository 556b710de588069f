"""A base whose files were freed, made again from the genesis and the updates that the log gives.

It is held to the digests that the receipt names like one that was kept, so a base that comes out as another
model is no evidence of anything but that.
"""

from __future__ import annotations

__all__ = ["base_again"]

from pathlib import Path

from cryoflux.digests import copy_listed, write_checksums
from cryoflux.errors import VerificationError
from cryoflux.registry.kept_lists import can_compose
from cryoflux.state import StateFolder
from cryoflux.verification.open_question import OpenQuestion
from cryoflux.verification.recomputer import Models, Recomputer
from cryoflux.verification.walk import Paired
from cryoflux.verification.weights import version_digest


def base_again(state: Path, paired: Paired, recomputer: Recomputer | None, into: Path) -> None:
    """Make the base of a receipt again, in a folder that is not there yet.

    Raises:
        OpenQuestion: nothing here makes it.
        VerificationError: its genesis is another model than the log says.
    """
    composed, folder = paired.composed, StateFolder(state)
    if recomputer is None or composed is None or not can_compose(folder, composed):
        raise OpenQuestion("its base is not kept here")
    genesis = into.with_name("genesis-of-base")
    copy_listed(folder.model(composed.genesis), genesis)
    if version_digest(genesis) != composed.genesis:
        raise VerificationError("the genesis of its base here is another model than the one recorded")
    recomputer.compose(composed, Models(genesis, genesis, folder.capsule), into)
    write_checksums(into)

"""What was kept of a monitor and of versions, copied and checked so that it can be evaluated again."""

from __future__ import annotations

__all__ = ["examples_again", "losses_again", "refuse_too_much", "version_again"]

from pathlib import Path

from cryoflux.digests import file_digest, find_listed
from cryoflux.errors import VerificationError
from cryoflux.files import copy_regular
from cryoflux.receipts.profiles import TOLERANCES
from cryoflux.receipts.statement import Base, Data
from cryoflux.registry.cuts import Cut, tokens_of
from cryoflux.registry.kept_lists import said_in
from cryoflux.state import StateFolder
from cryoflux.verification.folders import compare_folder
from cryoflux.verification.loss_comparison import Found
from cryoflux.verification.open_question import OpenQuestion
from cryoflux.verification.pairing import MOST_EXAMPLES
from cryoflux.verification.read_sets import MONITOR
from cryoflux.verification.recompute import MOST_TOKENS
from cryoflux.verification.recomputer import Recomputer
from cryoflux.verification.remaking import version_kept_or_made
from cryoflux.verification.weights import version_digest


def refuse_too_much(cut: Cut, count: int, profile: str) -> None:
    """Make sure that a measurement on a monitor can be made again here.

    Raises:
        OpenQuestion: it is too much, or in an arithmetic that is not known here.
    """
    try:
        tokens = tokens_of(cut)
    except ValueError as error:
        raise OpenQuestion(f"its {error}") from error
    if tokens > MOST_TOKENS or count > MOST_EXAMPLES:
        raise OpenQuestion("it is of more, or longer texts than are read here")
    if profile not in TOLERANCES:
        raise OpenQuestion(f"the profile {profile!r} is not known here")


def examples_again(state: StateFolder, digest: str, begun: Data, folder: Path) -> Path:
    """A copy of a monitor's examples: of a fed file as it was kept, or of the sealed slice.

    Args:
        state: where they lie.
        digest: SHA-256 of their file.
        begun: the task's data set, as it was first; it may have grown since.
        folder: for the copy.

    Raises:
        OpenQuestion: they are not kept here.
        VerificationError: they are others.
    """
    copy = folder / "monitor.jsonl"
    data = find_listed(state.path / "data", begun.digest, "train.jsonl", begun.train)
    for place in (state.monitor(digest), data / MONITOR):
        if place.is_file():
            copy_regular(place, copy)
            if file_digest(copy) == digest:
                return copy
    if state.monitor(digest).exists():
        raise VerificationError("the monitor here is another than the one recorded")
    raise OpenQuestion("its monitor is not kept here")


def version_again(state: StateFolder, version: Base, recomputer: Recomputer, copy: Path) -> Path:
    """A copy of a version, added up where it is kept as a list: nobody changes it between check and use.

    Raises:
        OpenQuestion: it is not kept here, and cannot be added up.
        VerificationError: it is another one.
    """
    said = said_in(state.model(version.digest))
    version_kept_or_made(state, version.digest, said, recomputer, copy)
    if not compare_folder(copy, version.files).intact or version_digest(copy) != version.digest:
        raise VerificationError("one of its versions here is another than the one recorded")
    return copy


def losses_again(
    recomputer: Recomputer, model: Path, examples: Path, profile: str, count: int, *, other: str = ""
) -> Found:
    """Losses of a model on all examples, and which it gets right.

    Args:
        recomputer: computes them.
        model: folder of the model.
        examples: their file.
        profile: arithmetic.
        count: examples that were said.
        other: what to say where they are not as many; that those of a monitor are others, where it is empty.

    Raises:
        VerificationError: they are not as many as was said.
    """
    losses, right = recomputer.evaluate_some(model, examples, None, profile)
    if {len(losses), len(right)} != {count}:
        raise VerificationError(other or f"the monitor here has not the {count} examples recorded")
    return losses, right

"""Whether a version is kept with its weights, or as the list of updates that they are the sum of.

What it is called does not depend on that: digests are over weights, on the disk or not. So what is composed
is compared with what was signed, and a list that says something else is refused.
"""

from __future__ import annotations

__all__ = [
    "absent_weights",
    "can_compose",
    "composition_in",
    "composition_text",
    "is_list",
    "is_whole",
    "missing_of",
    "said_in",
    "weight_files",
]

import re
from pathlib import Path

from cryoflux.digests import COMPOSED, listed_digests
from cryoflux.errors import ModelError
from cryoflux.files import read_regular
from cryoflux.registry.composition import MOST_TERMS, Composition, cannot_compose, parse_list
from cryoflux.registry.parent_lists import parent_lists, updates_of
from cryoflux.state import ADAPTER, ADAPTER_CONFIG, StateFolder

_WEIGHTS = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*\.safetensors")
_MOST_BYTES = (MOST_TERMS + 1) * 160
_DIGEST = re.compile(rb"[0-9a-f]{64}")


def absent_weights(folder: Path) -> list[str]:
    """Files of weights that a version lacks because they are composed when it is opened.

    None where its folder does not say of what (`COMPOSED`): then what is missing is missing.

    Raises:
        OSError: its checksums cannot be read.
    """
    if not (folder / COMPOSED).is_file():
        return []
    return [name for name in weight_files(folder) if not (folder / name).is_file()]


def weight_files(folder: Path) -> dict[str, str]:
    """Files of weights that a version lists, with their digests; a name that leads elsewhere is none.

    Raises:
        OSError: its checksums cannot be read.
    """
    listed = sorted(listed_digests(folder).items())
    return {name: digest for name, digest in listed if _WEIGHTS.fullmatch(name)}


def is_whole(folder: Path) -> bool:
    """Whether a version is here with all files that it lists; one that is not can perhaps be composed."""
    try:
        return all((folder / name).is_file() for name in listed_digests(folder))
    except (OSError, UnicodeError):
        return False


def is_list(folder: Path) -> bool:
    """Whether a version lacks weights that its folder says the sum of."""
    try:
        return bool(absent_weights(folder))
    except (OSError, UnicodeError):
        return False  # whoever opens it says what is wrong


def can_compose(state: StateFolder, composed: Composition | None) -> bool:
    """Whether all that a version is the sum of is here: files by name, of which no weights are read."""
    return (
        composed is not None
        and bool(composed.terms)
        and is_whole(state.model(composed.genesis))
        and not missing_of(state, composed)
    )


def missing_of(state: StateFolder, composed: Composition) -> str:
    """What of the updates of a version is not kept here, in words; empty where all of them are."""
    try:
        updates = updates_of(composed.terms, parent_lists(state.path))
    except ModelError as error:  # a list that was folded is not here
        return error.what.removesuffix(".")
    for term in updates:
        if not _has_update(state.capsule(term.adapter)):
            return f"an update of its list, {term.adapter[:16]}…, is not kept here"
    return ""


def _has_update(capsule: Path) -> bool:
    return all((capsule / name).is_file() for name in (ADAPTER, ADAPTER_CONFIG))


def composition_text(composed: Composition) -> bytes:
    """What `COMPOSED` holds: the genesis, and the list of updates as its digest is over it."""
    return "".join((f"{composed.genesis}\n", *(term.line for term in composed.terms))).encode()


def composition_in(folder: Path) -> Composition:
    """What a version's folder says that it is the sum of.

    Raises:
        ModelError: it says nothing that could be composed.
        OSError: it cannot be read.
    """
    genesis, _, terms = read_regular(folder / COMPOSED, _MOST_BYTES).partition(b"\n")
    if not _DIGEST.fullmatch(genesis):
        raise cannot_compose(f"{folder / COMPOSED} names no genesis.")
    return Composition(genesis=genesis.decode(), terms=parse_list(terms))


def said_in(folder: Path) -> Composition | None:
    """The same; none where it says nothing that could be composed, or cannot be read."""
    try:
        return composition_in(folder)
    except (ModelError, OSError):
        return None

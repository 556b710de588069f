"""Verifies logs whose state is elsewhere: a copy of a node's public tree, or the mirror of a peer.

Whose log it is the reader's policy says, by the key of the log. That log is named after the receipt key that
it began under, so ``node.json``, which brings that key, cannot bring another one.
"""

from __future__ import annotations

__all__ = ["is_public_tree", "mirrored", "verify_mirrored", "verify_tree"]

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cryoflux.errors import UsageError
from cryoflux.files import read_regular
from cryoflux.network.folder import NODE
from cryoflux.network.log_facts import receipt_key_of
from cryoflux.network.mirror import MirrorFolder
from cryoflux.network.peer_record import MOST_NODE_BYTES
from cryoflux.receipts.checkpoint import MAX_NOTE_BYTES, Note, VerifierKey, parse_note
from cryoflux.receipts.log import CHECKPOINT, LOG_FOLDER
from cryoflux.receipts.store import DATABASE, Row
from cryoflux.verification.again import Again
from cryoflux.verification.artefacts import ARTEFACTS
from cryoflux.verification.material import Material
from cryoflux.verification.result import Report
from cryoflux.verification.sections import Sections
from cryoflux.verification.steps import verify_material
from cryoflux.verification.witnessing import Demand
from cryoflux.witness.cosigned import HEADS, MOST_HEADS_BYTES, heads_in
from cryoflux.witness.policy import Policy

_NOT_ALL = "Copy all of it: log with all below it, and node.json beside it."


def is_public_tree(path: Path) -> bool:
    """Whether a folder is what a node shows, and no state."""
    head = path / LOG_FOLDER / CHECKPOINT
    return head.is_file() and (path / NODE).is_file() and not (path / DATABASE).exists()


def verify_tree(
    tree: Path, demand: Demand, meters: Sequence[Ed25519PublicKey] = (), sections: Sections | None = None
) -> Report:
    """Go through the steps of a verification for the log in a public tree; nothing of it is remembered.

    Args:
        tree: its folder.
        demand: names the log and its witnesses.
        meters: keys of the meters that every charge has to be signed by; none where any will do.
        sections: what checks the sections that only a task knows, by their kind.

    Raises:
        UsageError: the policy does not name the log, or a file of the tree is not here.
        VerificationError: a file of it is damaged.
    """
    try:
        material, heads = _read(tree, demand.policy, meters)
    except OSError as error:
        raise UsageError(
            f"{error.filename or tree} cannot be read: {error.strerror}.",
            why="Every entry of the log is needed, and the heads that are signed over them.",
            hint=_NOT_ALL,
        ) from error
    return verify_mirrored(material, demand, heads, sections=sections)


def verify_mirrored(
    material: Material,
    demand: Demand,
    heads: Sequence[Note],
    *,
    again: Again | None = None,
    sections: Sections | None = None,
) -> Report:
    """Go through the steps of a verification for a log whose state is elsewhere.

    Args:
        material: as `mirrored` has it.
        demand: names the witnesses; where it needs none they are not asked for.
        heads: that witnesses cosigned, oldest first.
        again: what to make again; none for nothing.
        sections: what checks the sections that only a task knows, by their kind.

    Raises:
        VerificationError: something of it is damaged.
    """
    report = verify_material(
        material,
        again=again,
        demand=None if demand.policy.reached(set()) else demand,
        witnessed=heads[-1].content if heads else None,
        sections=sections,
    )
    # Files that only its node has are no part of what it shows.
    return replace(report, checks=tuple(one for one in report.checks if one.number != ARTEFACTS.number))


def mirrored(
    target: Path,
    log: MirrorFolder,
    receipt_key: bytes,
    head: bytes,
    meters: Sequence[Ed25519PublicKey] = (),
) -> Material:
    """What is verified of a log that is here without its state.

    Args:
        target: what a report calls it.
        log: its entries, and its key.
        receipt_key: that it is named after, raw.
        head: its checkpoint.
        meters: keys of the meters that every charge has to be signed by; none where any will do.
    """
    return Material(
        target=target,
        rows=tuple(Row(at, None, None, entry) for at, entry in enumerate(log.entries())),
        state=None,
        key=Ed25519PublicKey.from_public_bytes(receipt_key),
        pinned=True,
        log_key=Ed25519PublicKey.from_public_bytes(log.key.raw),
        log_key_named=True,
        pinned_meters=tuple(meters),
        checkpoint=head,
    )


def _read(
    tree: Path, policy: Policy, meters: Sequence[Ed25519PublicKey]
) -> tuple[Material, tuple[Note, ...]]:
    """The log, and the heads that witnesses cosigned of it, oldest first."""
    log = tree / LOG_FOLDER
    note = parse_note(read_regular(log / CHECKPOINT, MAX_NOTE_BYTES))
    key = _log_key(tree, policy, note.checkpoint.origin)
    raw = receipt_key_of(read_regular(tree / NODE, MOST_NODE_BYTES), key)
    if not raw:
        raise UsageError(
            f"{tree / NODE} does not bring the key that the log {key.name} is named after.",
            why="Without it nobody can tell who signed its entries.",
            hint=_NOT_ALL,
        )
    path = log / HEADS
    heads = heads_in(read_regular(path, MOST_HEADS_BYTES)) if path.is_file() else ()
    return mirrored(tree, MirrorFolder(log, key), raw, note.content, meters), heads


def _log_key(tree: Path, policy: Policy, origin: str) -> VerifierKey:
    if keys := policy.log_keys(origin):
        return keys[0]
    raise UsageError(
        f"{tree} shows the log {origin}, and the policy names no key of it.",
        why="Whose log it is cannot be left to the tree: its owner tells the key of the log in another way.",
        hint="Add a line to the policy: log VKEY, or node NAME VKEY URL in a file of peers.",
    )

"""Step 13: the log continues the head that was seen when it was verified here last.

The heads are kept in a folder of the one who verifies, one file a log, by its origin.
Like the known hosts of ssh, this is trust on first use: the first verification remembers, every later one
compares. A log with another receipt key has another origin, and is another log.

A backup that was restored, or a copy of a state that was run too, contradicts what was seen just as a
rewritten log does, and is far more frequent. So it is named first, with what to do: a copy goes on as a fork,
a log of its own. Nobody but the owner can tell the two apart.
"""

from __future__ import annotations

__all__ = [
    "REMEMBERED",
    "check_memory",
    "check_remembered",
    "evidence_against",
    "origin_in",
    "recall",
    "remember",
]

import hashlib
import shlex
from pathlib import Path

from cryoflux.errors import UsageError, VerificationError
from cryoflux.files import read_beginning, write_atomic
from cryoflux.receipts.checkpoint import (
    MAX_NOTE_BYTES,
    Note,
    origin_of,
    parse_note,
    verifier_key,
)
from cryoflux.receipts.merkle import consistency_proof, root_hash
from cryoflux.verification.material import Material
from cryoflux.verification.result import Check, NumberedStep, Status, conclude, failed
from cryoflux.verification.walked import Walked
from cryoflux.witness.evidence import Equivocation, check_equivocation

REMEMBERED = NumberedStep(13, "continues what was seen before")


def _path(folder: Path, origin: str) -> Path:
    # An origin may hold any sign; its hash is a file name everywhere.
    return folder / hashlib.sha256(origin.encode()).hexdigest()[:32]


def recall(folder: Path, origin: str) -> bytes | None:
    """The head of a log that was seen last; none where it was never verified.

    Raises:
        UsageError: it cannot be read.
    """
    path = _path(folder, origin)
    try:
        return read_beginning(path, MAX_NOTE_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}.",
            why="It says what was seen of this log before.",
            hint="Name another folder with --heads DIR.",
        ) from error


def remember(folder: Path, note: bytes) -> None:
    """Remember a head that was verified, unless a larger one is remembered.

    Raises:
        StorageError: the disk is full, read-only, or refuses.
        VerificationError: it is not a signed head.
    """
    point = parse_note(note).checkpoint
    before = recall(folder, point.origin)
    if before is None or parse_note(before).checkpoint.size < point.size:
        write_atomic(_path(folder, point.origin), note)


def evidence_against(walked: Walked, remembered: bytes) -> Equivocation | None:
    """Proof for others that the log told two stories, if both heads are signed by its key.

    Args:
        walked: the log as it is now.
        remembered: the head that was seen before.
    """
    material = walked.material
    if material.log_key is None or material.checkpoint is None:
        return None
    try:
        older, newer = parse_note(remembered), parse_note(material.checkpoint)
        found = _two_heads(walked, older, newer)
        check_equivocation(found)
    except (VerificationError, ValueError):
        return None
    return found


def _two_heads(walked: Walked, older: Note, newer: Note) -> Equivocation:
    key = walked.material.log_key
    assert key is not None  # noqa: S101 - asked for before
    log = verifier_key(older.checkpoint.origin, key)
    before, after = older.checkpoint.size, newer.checkpoint.size
    if before == after:
        return Equivocation(log, older, newer)
    leaves = walked.material.leaves()[:after]
    return Equivocation(
        log, older, newer, root_hash(leaves[:before]), tuple(consistency_proof(before, leaves))
    )


def check_remembered(walked: Walked, remembered: bytes | None) -> list[Check]:
    """Step 13: the log continues the head that was seen when it was verified last.

    Args:
        walked: what was read of the log.
        remembered: that head, as it was signed; none where there was none.
    """
    if remembered is None:
        return conclude(REMEMBERED, [], "")
    try:
        before = parse_note(remembered)
    except VerificationError as error:
        return conclude(REMEMBERED, [failed("remembered head", error.what)], "")
    log_key, point = walked.material.log_key, before.checkpoint
    if log_key is not None and not before.by(verifier_key(point.origin, log_key)):
        detail = "was signed by another key than this log's keys/log.pub: the key was replaced since"
        return conclude(REMEMBERED, [failed("remembered head", detail)], "")
    entries = walked.size
    if entries < point.size:
        seen = f"{point.size} entries were seen before, now there are {entries}: {_innocently(walked)}"
        detail = f"{seen}; otherwise the newest were removed"
        return conclude(REMEMBERED, [failed("remembered head", detail)], "")
    if walked.roots.get(point.size) != point.root:
        seen = f"the {point.size} entries that were seen before are not the first {point.size} of these"
        detail = f"{seen}: {_innocently(walked)}; otherwise this is another history"
        return conclude(REMEMBERED, [failed("remembered head", detail)], "")
    return conclude(REMEMBERED, [], f"begins with the {point.size} entries that were seen before")


def _innocently(walked: Walked) -> str:
    state = walked.material.state
    command = f"cryoflux fork {shlex.quote(str(state)) if state is not None else 'STATE'} NEW"
    return f"a restored backup or a copied state does that, and {command} makes it a log of its own"


def origin_in(material: Material) -> str | None:
    """The origin of a log, by its head or by its key; none where there is neither."""
    # Step 4 says whether this is the origin of the key that signed.
    try:
        if material.checkpoint is not None:
            return parse_note(material.checkpoint).checkpoint.origin
    except VerificationError:
        pass
    return origin_of(material.key) if material.key is not None else None


def check_memory(walked: Walked, folder: Path) -> list[Check]:
    """Step 13, with the heads of a folder; proof of two stories is put beside them.

    Args:
        walked: what was read of the log.
        folder: where the heads are kept.

    Raises:
        UsageError: the remembered head cannot be read.
        StorageError: the proof cannot be written.
    """
    if (origin := origin_in(walked.material)) is None:
        return []
    remembered = recall(folder, origin)
    checks = check_remembered(walked, remembered)
    if remembered is None or all(check.status is Status.OK for check in checks):
        return checks
    if (found := evidence_against(walked, remembered)) is None:
        return checks
    name = hashlib.sha256(found.content).hexdigest()[:32]
    path = folder / f"{name}.equivocation"
    write_atomic(path, found.content)
    detail = (
        "shows to anybody that this log was gone on with in two ways: by a copy of its state, or because it "
        "told two stories; keep it if nobody copied the state, see cryoflux witness check-evidence"
    )
    return [*checks, *conclude(REMEMBERED, [failed(str(path), detail)], "")]

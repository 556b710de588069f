"""The heads that the one who verifies has seen: a folder of their own, one file a log, by its origin.

Like the known hosts of ssh, this is trust on first use: the first verification remembers, every later one
compares. A log with another receipt key has another origin, and is another log. Only a head whose log key is
known to be the log's is remembered (`cryoflux.verification.binding`): otherwise anybody who can cut a log
could have the shorter one remembered in its name. The file says whose word that was::

    cryoflux.dev/remembered@v1
    log <verifier key>
    binding first-entry
    at 2026-11-28T15:00:00Z
    <empty line>
    <the signed head>

Older versions wrote the head alone, without asking for its key. It is read as one that nothing vouches for.

To forget a log is to compare with nothing the next time. What is forgotten is said before; evidence that a
log told two stories is never forgotten here.
"""

from __future__ import annotations

__all__ = [
    "RememberedHead",
    "RememberedLog",
    "evidence_of",
    "forget",
    "format_remembered",
    "parse_remembered",
    "recall",
    "remember",
    "remembered_logs",
    "sizes_seen",
    "unreadable_files",
    "unreadable_head",
]

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryoflux.errors import UsageError, VerificationError
from cryoflux.files import read_beginning, storage_errors, write_atomic
from cryoflux.receipts.checkpoint import (
    MAX_NOTE_BYTES,
    Checkpoint,
    Note,
    VerifierKey,
    parse_note,
    parse_verifier_key,
)
from cryoflux.verification.binding import Binding
from cryoflux.verification.verified import VerifiedFile, verified_files
from cryoflux.witness.evidence import (
    MAX_EVIDENCE_BYTES,
    Equivocation,
    check_equivocation,
    parse_equivocation,
)

_HEADER = "cryoflux.dev/remembered@v1"
_MOST_BYTES = MAX_NOTE_BYTES + 2048
_NAME = re.compile(r"[0-9a-f]{32}")
_EVIDENCE = "*.equivocation"


@dataclass(frozen=True, slots=True)
class RememberedHead:
    """A head that was verified, and whose word it was that its key is the log's."""

    note: Note
    log: VerifierKey | None = None
    """the log's key; none where an older version remembered the head, which did not ask for it"""
    binding: Binding = Binding.NONE
    at: str = ""
    """when it was remembered, RFC 3339; empty where that is not known"""

    @property
    def point(self) -> Checkpoint:
        """The head itself."""
        return self.note.checkpoint

    def signed_by(self, key: VerifierKey) -> bool:
        """Whether a key signed it, as far as its signature line names that key."""
        return bool(self.note.by(key))


def format_remembered(head: RememberedHead) -> bytes:
    """The bytes of the file of a head."""
    if head.log is None:
        return head.note.content
    lines = [_HEADER, f"log {head.log}", f"binding {head.binding.value}", f"at {head.at}", "", ""]
    return "\n".join(lines).encode() + head.note.content


def parse_remembered(content: bytes) -> RememberedHead:
    """Read the file of a head.

    Raises:
        VerificationError: it is malformed.
    """
    if not content.startswith(f"{_HEADER}\n".encode()):
        return RememberedHead(parse_note(content))
    text, _, note = content.partition(b"\n\n")
    said = [line.partition(" ")[::2] for line in text.decode("utf-8", "replace").split("\n")[1:]]
    if [name for name, _ in said] != ["log", "binding", "at"] or said[1][1] not in {*Binding}:
        raise VerificationError("The file of a remembered head is damaged.")
    log, binding, at = (value for _, value in said)
    return RememberedHead(parse_note(note), parse_verifier_key(log), Binding(binding), at)


def _path(folder: Path, origin: str) -> Path:
    # An origin may hold any sign; its hash is a file name everywhere.
    return folder / hashlib.sha256(origin.encode()).hexdigest()[:32]


def _read(path: Path, most: int) -> bytes | None:
    try:
        return read_beginning(path, most + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}.",
            why="It says what was seen of this log before.",
            hint="Name another folder with --heads DIR.",
        ) from error


def recall(folder: Path, origin: str) -> RememberedHead | None:
    """The head of a log that was seen last; none where it was never verified.

    Raises:
        UsageError: it cannot be read.
        VerificationError: it is damaged.
    """
    content = _read(_path(folder, origin), _MOST_BYTES)
    return parse_remembered(content) if content is not None else None


def sizes_seen(folder: Path, origin: str) -> set[int]:
    """The size at which a log was seen last, if it was, and if that can be read."""
    try:
        found = recall(folder, origin)
    except (UsageError, VerificationError):  # the step that compares with it says so
        return set()
    return {found.point.size} if found is not None else set()


def remember(folder: Path, note: bytes, log: VerifierKey, binding: Binding, now: datetime) -> None:
    """Remember a head that was verified, unless a larger one is remembered.

    Args:
        folder: where the heads are.
        note: the signed head.
        log: the key that signed it.
        binding: whose word it is that this is the log's key.
        now: the time.

    Raises:
        StorageError: the disk is full, read-only, or refuses.
        VerificationError: it is not a signed head.
        ValueError: nothing vouches for the key.
    """
    if binding is Binding.NONE:
        raise ValueError("nothing vouches for the key of this head")
    at = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    head = RememberedHead(parse_note(note), log, binding, at)
    before = recall(folder, head.point.origin)
    newer = before is None or before.point.size < head.point.size
    # What an older version took without asking makes way for the same of which that is known.
    if newer or (before is not None and before.log is None and before.point.size == head.point.size):
        write_atomic(_path(folder, head.point.origin), format_remembered(head))


@dataclass(frozen=True, slots=True)
class RememberedLog:
    """All that is remembered of one log."""

    origin: str
    head: RememberedHead | None
    """none where only what was verified of it is kept"""
    verified: VerifiedFile | None
    """what it had come to when it was verified; none where that is not kept"""
    evidence: tuple[Path, ...]
    """that it told two stories"""


def remembered_logs(folder: Path) -> list[RememberedLog]:
    """All logs that something is remembered of, by origin.

    One file that cannot be read does not hide the others; `unreadable_files` names it.

    Raises:
        UsageError: it is not a folder.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(
            f"{folder} is not a folder.",
            why="Heads that were seen are remembered in one.",
            hint="Name the folder with --heads DIR.",
        )
    heads = {head.point.origin: head for head in _heads(folder)}
    records = {record.origin: record for record in verified_files(folder)}
    evidence: dict[str, list[Path]] = {}
    for origin, path in _evidence(folder):
        evidence.setdefault(origin, []).append(path)
    return [
        RememberedLog(origin, heads.get(origin), records.get(origin), tuple(evidence.get(origin, ())))
        for origin in sorted(heads.keys() | records.keys() | evidence.keys())
    ]


def _heads(folder: Path) -> Iterator[RememberedHead]:
    for path in sorted(folder.glob("*")):
        if _NAME.fullmatch(path.name) and (head := _head_in(path)) is not None:
            yield head


def _head_in(path: Path) -> RememberedHead | None:
    """The head that a file holds, where it can be read and lies at its place."""
    try:
        head = parse_remembered(_read(path, _MOST_BYTES) or b"")
    except (UsageError, VerificationError):  # of which log it was is not known any more
        return None
    return head if _path(path.parent, head.point.origin) == path else None


def _evidence(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.glob(_EVIDENCE)):
        if (found := _evidence_in(path)) is not None:
            yield found.log.name, path


def _evidence_in(path: Path) -> Equivocation | None:
    try:
        return parse_equivocation(_read(path, MAX_EVIDENCE_BYTES) or b"")
    except (UsageError, VerificationError):
        return None


def evidence_of(folder: Path, log: VerifierKey) -> list[Path]:
    """The files that show that a log's key signed two histories; each is checked."""
    shown = []
    for path in sorted(folder.glob(_EVIDENCE)):
        found = _evidence_in(path)
        if found is None or found.log != log:
            continue
        try:
            check_equivocation(found)
        except VerificationError:
            continue
        shown.append(path)
    return shown


def unreadable_files(folder: Path) -> list[Path]:
    """Files of the memory that cannot be read, or are damaged, so that nobody knows of which log they are."""
    heads = [path for path in sorted(folder.glob("*")) if _NAME.fullmatch(path.name)]
    return [
        *(path for path in heads if _head_in(path) is None),
        *(path for path in sorted(folder.glob(_EVIDENCE)) if _evidence_in(path) is None),
    ]


def unreadable_head(folder: Path, origin: str) -> Path | None:
    """The file of a log's head, where it is damaged or cannot be read."""
    try:
        recall(folder, origin)
    except (UsageError, VerificationError):
        return _path(folder, origin)
    return None


def forget(folder: Path, origin: str) -> list[Path]:
    """Forget the head of a log, and what was verified of it; the files that are gone. Evidence stays.

    Raises:
        StorageError: a file cannot be removed.
    """
    records = [record.path for record in verified_files(folder) if record.origin == origin]
    gone = [path for path in (_path(folder, origin), *records) if path.exists() or path.is_symlink()]
    for path in gone:
        with storage_errors(path):
            path.unlink()
    return gone

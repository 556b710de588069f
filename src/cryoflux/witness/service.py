"""What a witness does with a checkpoint: C2SP tlog-witness, without the HTTP around it.

It cosigns a head only if the log signed it and a consistency proof shows that it continues the largest
head that was cosigned before; the new head is on the disk before the cosignature exists. So whatever
happens to the process, it never cosigns two heads that exclude each other. When a log shows that it has
two stories, both heads are kept as evidence that convinces others.

A key without its memory would cosign anything once more, so it is never used again: `open_witness` refuses,
also where the memory is empty, or another witness's.

A log that was accepted when it first came has the name that it brought, which may be another's. Nothing of it
may stand in the way of the logs that are listed: it has places and evidence of its own, and `foreign_heads`
names what is known under a listed name that no listed key signed.
"""

from __future__ import annotations

__all__ = ["EVIDENCE_FOLDER", "TEXT", "WITNESS_KEY", "Witness", "WitnessReply", "open_witness"]

import hashlib
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cryoflux.errors import StateError, VerificationError
from cryoflux.files import write_atomic
from cryoflux.receipts.checkpoint import (
    Checkpoint,
    KeyType,
    Note,
    NoteSignature,
    VerifierKey,
    cosign,
    parse_verifier_key,
    verifier_key,
    verify_log,
)
from cryoflux.receipts.merkle import EMPTY_ROOT, verify_consistency
from cryoflux.serving.routing import Headers
from cryoflux.signing.keys import KEYS_FOLDER, key_id, load_key
from cryoflux.witness.evidence import from_submission
from cryoflux.witness.heads import DATABASE, CosignedHead, Heads, has_no_memory
from cryoflux.witness.submission import SIZE_TYPE, Submission, parse_submission

WITNESS_KEY = "witness"
EVIDENCE_FOLDER = "evidence"
TEXT = "text/plain; charset=utf-8"
_MOST_NEW_LOGS = 1000
_MOST_EVIDENCE = 1000
"""files, of the logs that are not listed"""
_MOST_EVIDENCE_OF_ONE = 4
"""files, of any log: one convicts it for good"""
_MOST_NEW_TEXT_BYTES = 4096
"""of the text of a checkpoint of a log that is not listed: extension lines are stored, and sent"""
_MOST_HEADS = 1000
_MOST_HEADS_BYTES = 1024 * 1024
"""of one answer, unless a single head has more"""
_NEW_WITNESS = "Restore the newest memory, or start a witness with a new key in another folder."
_PLACE = re.compile(r"[0-9]{0,18}")
_FRESH: Headers = ((b"cache-control", b"no-cache"),)


@dataclass(frozen=True, slots=True)
class WitnessReply:
    """An answer: HTTP status, body and content type."""

    status: int
    body: bytes
    kind: str = TEXT
    headers: Headers = ()


def _refused(status: int, reason: str) -> WitnessReply:
    return WitnessReply(status, f"{reason}\n".encode())


class Witness:
    """A witness of some logs.

    Args:
        heads: its memory.
        key: its key.
        name: its name; the key's own where it is empty.
        logs: keys of the logs that it watches; one origin may have several.
        evidence: folder that evidence against a log is kept in.
        accept_new: whether to watch a log that is not listed, by the key that it brings first.
        now: wall time, POSIX seconds.
    """

    def __init__(
        self,
        heads: Heads,
        key: Ed25519PrivateKey,
        *,
        name: str = "",
        logs: Sequence[VerifierKey] = (),
        evidence: Path,
        accept_new: bool = False,
        now: Callable[[], float] = time.time,
    ) -> None:
        public = key.public_key()
        name = name or f"cryoflux.dev/witness/{key_id(public)[:16]}"
        self.key = verifier_key(name, public, KeyType.WITNESS)
        self._signs_with = key
        self._heads = heads
        self._evidence = evidence
        self._accept_new = accept_new
        self._now = now
        self._listed = tuple(logs)

    def _keys_of(self, origin: str) -> list[VerifierKey]:
        listed = [key for key in self._listed if key.name == origin]
        return listed or [key for key in self._heads.logs() if key.name == origin]

    def add_checkpoint(self, body: bytes) -> WitnessReply:
        """Cosign a checkpoint, or say why not.

        Raises:
            StorageError: the head could not be remembered; nothing was cosigned.
        """
        try:
            submission = parse_submission(body)
        except VerificationError as error:
            return _refused(400, error.what)
        if submission.old_size > submission.note.checkpoint.size:
            return _refused(400, "The old size is larger than the checkpoint's.")
        keys = self._keys_of(submission.note.checkpoint.origin)
        if not keys:
            return _refused(404, "This log is not known here.")
        signers = _signers(submission.note, keys)
        if not signers:
            return _refused(403, "No key of this log signed the checkpoint, or a signature does not match.")
        if keys[0] not in self._listed and len(submission.note.checkpoint.text) > _MOST_NEW_TEXT_BYTES:
            return _refused(403, "A log that is not listed here may have 4,096 bytes of text.")
        return self._compare(replace(submission, note=_only_by(submission.note, signers)), signers)

    def _compare(self, submission: Submission, signers: Sequence[VerifierKey]) -> WitnessReply:
        point = submission.note.checkpoint
        with self._heads.turn() as turn:
            known = self._heads.head(turn, point.origin)
            size, root = (known[0].checkpoint.size, known[0].checkpoint.root) if known else (0, EMPTY_ROOT)
            if known is not None and point.size == size and point.root != root:
                self._keep_evidence(signers, known[0], submission)
            if submission.old_size != size:
                return _conflict(size)
            if not verify_consistency(size, point.size, root, point.root, submission.proof) or (
                point.size == 0 and point.root != EMPTY_ROOT
            ):
                if known is not None:
                    self._keep_evidence(signers, known[0], submission)
                return _refused(422, "This checkpoint does not continue the last one, or nothing shows it.")
            # The time is taken here, because it says that no larger head was known at it. A clock that was
            # set back would date this head before the last one.
            time_s = max(int(self._now()), known[2] if known else 0)
            if time_s <= 0:
                return _refused(503, "The clock of this witness is before 1970.")
            self._heads.put(turn, submission.note, signers[0], time_s)
        return WitnessReply(200, self._sign(submission.note, time_s).line)

    def _sign(self, note: Note, time_s: int) -> NoteSignature:
        return cosign(note.checkpoint, self.key.name, self._signs_with, time_s)

    def checkpoint(self, origin_hash: str) -> WitnessReply:
        """The head of a log that was cosigned last, with the log's signature and the cosignature.

        Args:
            origin_hash: SHA-256 of the log's origin, 64 lower-case hexadecimal digits.
        """
        if (found := self._heads.cosigned(origin_hash)) is None:
            return _refused(404, "No checkpoint of this log was cosigned here.")
        return WitnessReply(200, self._cosigned(found), headers=_FRESH)

    def heads(self, after: str) -> WitnessReply:
        """The heads of all logs, each as `checkpoint` gives it, with an empty line between two.

        Args:
            after: decimal; only heads that were cosigned behind this place, which a ``Link`` of an earlier
                answer names. Empty for all.
        """
        if not _PLACE.fullmatch(after):
            return _refused(400, "`after` is a number that an earlier answer named.")
        place = int(after or 0)
        found = self._heads.cosigned_after(place, most=_MOST_HEADS, most_bytes=_MOST_HEADS_BYTES)
        notes = [self._cosigned(head) for head in found]
        place = found[-1].place if found else place
        link = (b"link", f'<heads?after={place}>; rel="next"'.encode())
        return WitnessReply(200, b"\n".join(notes), headers=(*_FRESH, link))

    def _cosigned(self, found: CosignedHead) -> bytes:
        # Ed25519 has one signature of one message: this is the one that the log was given.
        signature = self._sign(found.note, found.time_s)
        return Note(found.note.checkpoint, (*found.note.signatures, signature)).content

    def _keep_evidence(self, signers: Sequence[VerifierKey], known: Note, submission: Submission) -> None:
        for signer in signers:
            found = from_submission(signer, known, submission.note, submission.proof)
            if found is not None and self._has_room(signer):
                pair = hashlib.sha256(found.older.checkpoint.text + found.newer.checkpoint.text).hexdigest()
                write_atomic(self._evidence / f"{_file_of(signer)}-{pair[:32]}.equivocation", found.content)

    def _has_room(self, signer: VerifierKey) -> bool:
        """Whether evidence against a log is kept: a stranger's lies leave no less room for another's."""
        kept = [path.name.partition("-")[0] for path in self._evidence.glob("*.equivocation")]
        listed = {_file_of(key) for key in self._listed}
        own = _file_of(signer)
        if kept.count(own) >= _MOST_EVIDENCE_OF_ONE:
            return False
        return own in listed or sum(name not in listed for name in kept) < _MOST_EVIDENCE

    def foreign_heads(self) -> list[Checkpoint]:
        """What is known under the names of listed logs, and no listed key signed.

        An earlier key of the log may have; otherwise a stranger brought the name first, and the log cannot be
        witnessed under this key, which never cosigns a second history.
        """
        found = []
        with self._heads.turn() as turn:
            for origin in sorted({key.name for key in self._listed}):
                known = self._heads.head(turn, origin)
                if known is not None and known[1] not in self._listed:
                    found.append(known[0].checkpoint)
        return found

    def add_log(self, body: bytes) -> WitnessReply:
        """Watch a log that comes for the first time, where that is allowed: its first key is its key."""
        if not self._accept_new:
            return _refused(403, "New logs are not accepted here; ask whoever runs this witness.")
        try:
            key = parse_verifier_key(body.decode("utf-8", "replace").removesuffix("\n"))
        except VerificationError as error:
            return _refused(400, error.what)
        if key.kind is not KeyType.LOG:
            return _refused(400, "This is not the key of a log.")
        known = self._keys_of(key.name)
        if key in known or (not known and self._heads.add_log(key, most=_MOST_NEW_LOGS)):
            return WitnessReply(200, f"{key}\n".encode())
        return _refused(403, "A log of this name has another key, or there are too many logs.")


def _file_of(log: VerifierKey) -> str:
    return hashlib.sha256(str(log).encode()).hexdigest()[:32]


def _signers(note: Note, keys: Sequence[VerifierKey]) -> list[VerifierKey]:
    """The keys that the note has signatures of; none at all where one of these does not hold."""
    named = [key for key in keys if note.by(key)]
    try:
        for key in named:
            verify_log(note, key)
    except VerificationError:
        return []
    return named


def _only_by(note: Note, signers: Sequence[VerifierKey]) -> Note:
    # What else hangs on the note was not verified, and is not kept. What was is for monitors, who may know
    # one of the keys alone.
    lines = {(line.name, line.key_id): line for line in reversed(note.signatures)}
    return Note(note.checkpoint, tuple(lines[key.name, key.id] for key in signers))


def _conflict(size: int) -> WitnessReply:
    return WitnessReply(409, f"{size}\n".encode(), SIZE_TYPE)


def open_witness(
    folder: Path,
    *,
    name: str = "",
    logs: Sequence[VerifierKey] = (),
    accept_new: bool = False,
    now: Callable[[], float] = time.time,
) -> tuple[Witness, Heads]:
    """The witness of a folder, made on first use, and its memory for the caller to close.

    Raises:
        StateError: key or memory is missing or empty where the other is there, or they are of two witnesses.
        StorageError: the disk is full, read-only, or refuses.
    """
    key_file = folder / KEYS_FOLDER / f"{WITNESS_KEY}.pem"
    if key_file.exists() and has_no_memory(folder / DATABASE):
        raise StateError(
            f"{folder} has the key of a witness, but not its memory {DATABASE}, or an empty one.",
            why="With that key it would cosign a second history of any log.",
            hint=_NEW_WITNESS,
        )
    heads = Heads(folder)
    try:
        owner = heads.witness()
        new = owner is None and heads.empty()
        if not new and not key_file.exists():
            raise StateError(
                f"{key_file} is missing, the key of the witness whose memory is {folder / DATABASE}.",
                why="Another key is another witness, and would begin without a memory of its own.",
                hint="Restore the key, or start a witness with a new one in another folder.",
            )
        key = load_key(folder / KEYS_FOLDER, WITNESS_KEY, create=new)
        witness = Witness(
            heads,
            key,
            name=name or (owner.name if owner is not None else ""),
            logs=logs,
            evidence=folder / EVIDENCE_FOLDER,
            accept_new=accept_new,
            now=now,
        )
        _refuse_another(folder, owner, witness.key)
        heads.belong_to(witness.key)
    except BaseException:
        heads.close()
        raise
    return witness, heads


def _refuse_another(folder: Path, owner: VerifierKey | None, witness: VerifierKey) -> None:
    if owner is None or owner == witness:
        return
    if owner.raw == witness.raw:
        raise StateError(
            f"The witness in {folder} is called {owner.name}, not {witness.name}.",
            why="Policies name a witness by key and name; under another name its cosignatures do not count.",
            hint="Leave --name out, or start a witness of that name in another folder.",
        )
    raise StateError(
        f"{folder / DATABASE} is the memory of another witness: {owner}.",
        why="With a memory that is not its own, a key would cosign a second history of any log.",
        hint=_NEW_WITNESS,
    )

"""Step 13: the log continues the head that was seen when it was verified here last.

What was seen is in `cryoflux.verification.remembered`. Entries are compared before keys: a log that begins
with the entries that were seen continues them, whoever signed the head over them then. So a head that an
older version took without asking for its key does not stand against the log that it was cut from. Where the
entries differ, it may be another history, or a head that nobody should have remembered; both are said.

A backup that was restored, or a copy of a state that was run too, contradicts what was seen just as a
rewritten log does, and is far more frequent. So it is named first, with what to do: a copy goes on as a fork,
a log of its own. Nobody but the owner can tell the two apart.

Proof that a log's key signed two histories lies beside the heads for good. Whichever of the two is shown
afterwards, also once its head was forgotten, the verdict says that there is another.
"""

from __future__ import annotations

__all__ = [
    "REMEMBERED",
    "check_memory",
    "check_remembered",
    "evidence_against",
    "origin_in",
    "remember_verified_head",
    "told_two_stories",
]

import hashlib
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cryoflux.errors import StorageError, UsageError, VerificationError
from cryoflux.files import write_atomic
from cryoflux.receipts.checkpoint import Note, origin_of, parse_note, verifier_key
from cryoflux.receipts.merkle import consistency_proof, root_hash
from cryoflux.verification.binding import Binding
from cryoflux.verification.material import Material
from cryoflux.verification.remembered import RememberedHead, evidence_of, recall, remember
from cryoflux.verification.result import Check, Finding, NumberedStep, Status, conclude, failed, unknown
from cryoflux.verification.walked import Walked
from cryoflux.witness.evidence import Equivocation, check_equivocation

REMEMBERED = NumberedStep(13, "continues what was seen before")
_SUBJECT = "remembered head"


def evidence_against(walked: Walked, remembered: RememberedHead) -> Equivocation | None:
    """Proof for others that the log told two stories, if both heads are signed by the key that is the log's.

    Args:
        walked: the log as it is now.
        remembered: the head that was seen before.
    """
    material = walked.material
    if walked.binding is Binding.NONE or material.log_key is None or material.checkpoint is None:
        return None
    try:
        newer = parse_note(material.checkpoint)
        found = _two_heads(walked, material.log_key, remembered.note, newer)
        check_equivocation(found)
    except (VerificationError, ValueError):
        return None
    return found


def _two_heads(walked: Walked, key: Ed25519PublicKey, older: Note, newer: Note) -> Equivocation:
    log = verifier_key(older.checkpoint.origin, key)
    before, after = older.checkpoint.size, newer.checkpoint.size
    if before == after:
        return Equivocation(log, older, newer)
    leaves = walked.material.leaves()[:after]
    return Equivocation(
        log, older, newer, root_hash(leaves[:before]), tuple(consistency_proof(before, leaves))
    )


def check_remembered(walked: Walked, before: RememberedHead | None) -> list[Check]:
    """Step 13: the log continues the head that was seen when it was verified last.

    Args:
        walked: what was read of the log.
        before: that head; none where there was none.
    """
    if before is None:
        return conclude(REMEMBERED, [], "")
    point, stranger = before.point, _stranger(walked, before)
    if walked.size < point.size:
        detail = f"{point.size} entries were seen before, now there are {walked.size}"
        other = "the newest were removed"
    elif walked.roots.get(point.size) != point.root:
        detail = f"the {point.size} entries that were seen before are not the first {point.size} of these"
        other = "this is another history"
    else:
        begins = f"begins with the {point.size} entries that were seen before"
        return conclude(REMEMBERED, _of_another_key(walked, before) if stranger else (), begins)
    if stranger:
        return conclude(REMEMBERED, [failed(_SUBJECT, f"{detail}; {_by_a_stranger(before)}")], "")
    said = f"{detail}: {_innocently(walked)}; otherwise {other}"
    return conclude(REMEMBERED, [failed(_SUBJECT, said)], "")


def _stranger(walked: Walked, before: RememberedHead) -> bool:
    """Whether another key than the one that the log has now signed the head that was seen."""
    key = walked.material.log_key
    return key is not None and not before.signed_by(verifier_key(before.point.origin, key))


def _of_another_key(walked: Walked, before: RememberedHead) -> Iterator[Finding]:
    """The entries continue what was seen; what is there to say of the key that signed the head then."""
    if before.binding is not Binding.NONE:
        whose = "you named" if before.binding is Binding.NAMED else "its first entry vouched for"
        detail = f"was signed by the key that {whose} then, and this log has another: the key was replaced"
        yield failed(_SUBJECT, f"{detail}; {_forgetting(before)}")
    elif walked.binding is Binding.NONE:
        detail = "was signed by another key than this log has now, and nothing vouches for either"
        yield unknown(_SUBJECT, f"{detail}: name the log's with --log-key FILE")


def _by_a_stranger(before: RememberedHead) -> str:
    if before.binding is Binding.NONE:
        taken = "an older CryoFlux remembered them under a head that another key than this log's had signed"
        shows = "which shows nothing against this log unless that key was its own"
        return f"{taken}, {shows}: {_forgetting(before)}"
    signed = "their head was signed by the key that was the log's then, and this log has another"
    return f"{signed}: {_forgetting(before)}"


def _forgetting(before: RememberedHead) -> str:
    return f"ask whoever keeps the log; cryoflux memory forget {shlex.quote(before.point.origin)} begins anew"


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
        StorageError: the proof cannot be written.
    """
    if (origin := origin_in(walked.material)) is None:
        return []
    try:
        remembered = recall(folder, origin)
    except (UsageError, VerificationError) as error:
        detail = f"{error.what.rstrip('.')}; cryoflux memory forget {shlex.quote(origin)} begins anew"
        return conclude(REMEMBERED, [failed(_SUBJECT, detail)], "")
    checks = check_remembered(walked, remembered)
    if remembered is None or all(check.status is not Status.FAIL for check in checks):
        return [*checks, *conclude(REMEMBERED, told_two_stories(walked.material, folder), "")]
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


def told_two_stories(material: Material, folder: Path) -> Iterator[Finding]:
    """The question that proof of two histories leaves of a log, whichever of them is shown.

    It is no failure: a state that was copied and run twice does that without anybody's lie.
    """
    if material.log_key is None or (origin := origin_in(material)) is None:
        return
    if found := evidence_of(folder, verifier_key(origin, material.log_key)):
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        detail = "signed another history beside this one: a copied state does that, or a log that tells two"
        yield unknown("log key", f"{detail} stories; the proof is {found[0]}{more}")


def remember_verified_head(
    material: Material, binding: Binding, folder: Path, now: datetime | None = None
) -> list[Check]:
    """Remember the head of a log that was found to be good, or say why not.

    Args:
        material: of the log; an exported file has no head.
        binding: whose word it is that its key is the log's.
        folder: where the heads are kept.
        now: the time; the clock's where it is none.
    """
    if material.checkpoint is None or material.log_key is None:
        return []
    try:
        origin = parse_note(material.checkpoint).checkpoint.origin
        key, before = verifier_key(origin, material.log_key), recall(folder, origin)
        if binding is Binding.NONE and before is not None and before.log == key:
            binding = before.binding  # the verifier's own word of then
        if binding is Binding.NONE:
            detail = "is not remembered: nothing vouches for its log key"
            return conclude(REMEMBERED, [unknown("this head", detail)], "")
        remember(folder, material.checkpoint, key, binding, now or datetime.now(UTC))
    except StorageError as error:
        return conclude(REMEMBERED, [unknown("this head", f"is not remembered: {error.what}")], "")
    return []

"""How the head of a claim stands to what witnesses (step 12) and whoever checks it (step 13) have seen.

A claim is about a head, and a head can be an old one: attempts that came after it are then left out. Only
somebody who has seen a newer head can tell.
"""

from __future__ import annotations

__all__ = ["check_seen_before", "check_witnesses"]

from collections.abc import Iterator
from pathlib import Path

from cryoflux.claims.carried import Place
from cryoflux.errors import VerificationError
from cryoflux.log_state import LogState
from cryoflux.receipts.checkpoint import (
    Checkpoint,
    Note,
    VerifierKey,
    cosigned_at,
    parse_note,
    verifier_key,
    verify_log,
)
from cryoflux.receipts.merkle import root_hash
from cryoflux.verification.binding import Binding
from cryoflux.verification.known_heads import REMEMBERED, check_memory
from cryoflux.verification.material import Material
from cryoflux.verification.remembered import RememberedHead, recall, sizes_seen
from cryoflux.verification.result import Check, Finding, conclude, failed, unknown
from cryoflux.verification.walked import Recent, Walked
from cryoflux.verification.witnessing import WITNESSED, Demand

_SKEW_S = 300
"""how far the clock of an honest witness may be ahead of ours, s"""


def check_witnesses(material: Material, demand: Demand) -> list[Check]:
    """Step 12: a quorum has cosigned the head of the claim, recently enough."""
    try:
        note = parse_note(material.checkpoint or b"")
        for key in _log_keys(material, note, demand):
            verify_log(note, key)
        said = {line.name: cosigned_at(note, line.key) for line in demand.policy.witnesses}
    except VerificationError as error:
        return conclude(WITNESSED, [failed("signed head", error.what)], "")
    # A witness whose clock is ahead would look fresh for ever.
    times = {name: at for name, at in said.items() if at is not None and at <= demand.now_s + _SKEW_S}
    who = ", ".join(sorted(times)) or "nobody"
    needed = demand.policy.describe()
    if not demand.policy.reached(set(times)):
        return conclude(WITNESSED, [failed("quorum", f"needed: {needed}; cosigned by {who}")], "")
    findings = list(_too_old(demand, demand.policy.reached_at(times)))
    summary = f"the head over {note.checkpoint.size} entries is cosigned by {who}; needed: {needed}"
    nothing = "" if times else "the policy needs nobody, and nobody cosigned the head"
    return conclude(WITNESSED, findings, summary, nothing=nothing)


def _log_keys(material: Material, note: Note, demand: Demand) -> list[VerifierKey]:
    origin, own = note.checkpoint.origin, material.log_key
    if not demand.policy.logs:
        return [verifier_key(origin, own)] if own is not None else []
    listed = [line.key for line in demand.policy.logs if line.key.name == origin]
    if not listed:
        raise VerificationError(f"the policy names no key of the log {origin}")
    return [key for key in listed if note.by(key)] or listed


def _too_old(demand: Demand, since_s: int | None) -> Iterator[Finding]:
    if demand.max_age_s is None:
        return
    if since_s is None:
        yield failed("quorum", "the policy needs nobody, so nobody says how old this head is")
    elif (age_s := demand.now_s - since_s) > demand.max_age_s:
        detail = f"is {age_s} s old, more than {demand.max_age_s} s: newer entries may exist, and be withheld"
        yield failed("quorum", detail)


def check_seen_before(
    material: Material, memory: LogState, place: Place, point: Checkpoint, heads: Path
) -> list[Check]:
    """Step 13: the head of the claim is not older than the one that was seen last, and no other history.

    Args:
        material: the carried entries.
        memory: what they come to.
        place: the way from them to the head; it knows whose word the head's key goes by.
        point: the head of the claim.
        heads: where the heads that were seen are kept.
    """
    leaves = list(place.leaves.values())
    if len(leaves) == point.size:
        sizes = sizes_seen(heads, point.origin) | {point.size}
        roots = {size: root_hash(leaves[:size]) for size in sizes if size <= len(leaves)}
        return check_memory(Walked(material, memory, roots, Recent(0), place.log_key.binding), heads)
    before = recall(heads, point.origin)
    if before is None:
        return []
    return conclude(REMEMBERED, list(_against(material, point, before)), "is the head that was seen before")


def _against(material: Material, point: Checkpoint, before: RememberedHead) -> Iterator[Finding]:
    key, seen = material.log_key, before.point
    if key is not None and not before.signed_by(verifier_key(point.origin, key)):
        if before.binding is Binding.NONE:
            detail = "another key signed the head that was seen before, and nothing vouches for that one"
            yield unknown("signed head", detail)
        else:
            detail = "is signed by another key than the log's, which is known from when it was seen before"
            yield failed("signed head", detail)
    elif point.size < seen.size:
        detail = f"{seen.size} entries were seen before, and this head covers {point.size}: it is an old one"
        yield failed("signed head", detail)
    elif point.size > seen.size:
        detail = "a part of the log cannot show that it continues what was seen before"
        yield unknown("signed head", detail)
    elif point.root != seen.root:
        yield failed("signed head", f"another one over {point.size} entries was seen before: two histories")

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
    parse_note,
    verifier_key,
    verify_log,
)
from cryoflux.receipts.merkle import root_hash
from cryoflux.verification.binding import Binding
from cryoflux.verification.known_heads import REMEMBERED, check_memory, told_two_stories
from cryoflux.verification.material import Material
from cryoflux.verification.remembered import RememberedHead, recall, sizes_seen
from cryoflux.verification.result import Check, Finding, conclude, failed, unknown
from cryoflux.verification.walked import Recent, Walked
from cryoflux.verification.witnessing import WITNESSED, Demand, times_in


def check_witnesses(material: Material, demand: Demand) -> list[Check]:
    """Step 12: a quorum has cosigned the head of the claim, recently enough."""
    try:
        note = parse_note(material.checkpoint or b"")
        for key in _log_keys(material, note, demand):
            verify_log(note, key)
        times = times_in(note, demand)
    except VerificationError as error:
        return conclude(WITNESSED, [failed("signed head", error.what)], "")
    needed = demand.policy.describe()
    if not times.reached:
        return conclude(WITNESSED, [failed("quorum", f"needed: {needed}; cosigned by {times.who}")], "")
    findings = [*_too_old(demand, times.since_s), *times.questions()]
    who = ", ".join(sorted(times.counted)) or "nobody"
    summary = f"the head over {note.checkpoint.size} entries is cosigned by {who}; needed: {needed}"
    nothing = "" if times.counted else "the policy needs nobody, and nobody cosigned the head"
    return conclude(WITNESSED, findings, summary, nothing=nothing)


def _log_keys(material: Material, note: Note, demand: Demand) -> list[VerifierKey]:
    origin, own = note.checkpoint.origin, material.log_key
    if not demand.policy.logs:
        return [verifier_key(origin, own)] if own is not None else []
    listed = demand.policy.log_keys(origin)
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
    """Step 13: the head of the claim is the one that was seen last, or continues it; an older one is open.

    Args:
        material: the carried entries.
        memory: what they come to.
        place: the way from them to the head; it knows whose word the head's key goes by.
        point: the head of the claim.
        heads: where the heads that were seen are kept.
    """
    leaves = list(place.leaves.values())
    if _is_older(material, point, heads):
        asked = unknown("signed head", _older(point, max(sizes_seen(heads, point.origin))))
        return conclude(REMEMBERED, [asked, *told_two_stories(material, heads)], "")
    if len(leaves) == point.size:
        sizes = sizes_seen(heads, point.origin) | {point.size}
        roots = {size: root_hash(leaves[:size]) for size in sizes if size <= len(leaves)}
        return check_memory(Walked(material, memory, roots, Recent(0), place.log_key.binding), heads)
    before = recall(heads, point.origin)
    findings = list(_against(material, point, before)) if before is not None else []
    seen = "is the head that was seen before" if before is not None and not findings else ""
    return conclude(REMEMBERED, [*findings, *told_two_stories(material, heads)], seen)


def _is_older(material: Material, point: Checkpoint, heads: Path) -> bool:
    """Whether the log's own key signed a larger head that was seen before."""
    if material.log_key is None or all(size <= point.size for size in sizes_seen(heads, point.origin)):
        return False
    before = recall(heads, point.origin)
    return before is not None and before.signed_by(verifier_key(point.origin, material.log_key))


def _older(point: Checkpoint, seen: int) -> str:
    """What is said of a claim that was made before its reader saw more of the log: that is no lie."""
    return (
        f"is an older one than was seen before, {point.size} of {seen} entries: what came later is not in "
        "this claim, and a claim alone cannot show that these are the first of them"
    )


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
        yield unknown("signed head", _older(point, seen.size))
    elif point.size > seen.size:
        detail = "a part of the log cannot show that it continues what was seen before"
        yield unknown("signed head", detail)
    elif point.root != seen.root:
        yield failed("signed head", f"another one over {point.size} entries was seen before: two histories")

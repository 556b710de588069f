"""What becomes of each candidate of a round, and why, in the words of its record."""

from __future__ import annotations

__all__ = [
    "Admission",
    "barred",
    "beyond_composing",
    "bringing_back",
    "contested_with",
    "copy_of",
    "members_of",
    "unreached",
]

from collections.abc import Callable, Collection, Iterable, Sequence

from cryoflux.errors import ModelError
from cryoflux.network.proposing import FoundSteps
from cryoflux.network.round_parts import Considered, OfferHere, refused
from cryoflux.receipts.network_parts import Member, MemberVerdict
from cryoflux.registry.composition import Composition, Term
from cryoflux.registry.mixture import OfferedUpdate, StepKind
from cryoflux.registry.parent_lists import ListOf, updates_of

Admission = Callable[[OfferHere], tuple[MemberVerdict, str] | None]
"""why an offer may not be composed; none where it may"""


def barred(
    offer: OfferHere, head: Composition, admit: Admission, list_of: ListOf
) -> tuple[MemberVerdict, str] | None:
    """Why an offer may not be composed with a head, its bytes being looked at last; none where it may.

    Args:
        offer: it.
        head: what the head is composed of.
        admit: looks at the bytes.
        list_of: a list by its digest.
    """
    if offer.absent:
        return MemberVerdict.UNAVAILABLE, offer.absent
    if offer.update.genesis != head.genesis:
        ours, theirs = head.genesis[:12], offer.update.genesis[:12]
        return MemberVerdict.STALE, f"it is over the genesis {theirs}…, and the head is over {ours}…"
    if why := beyond_composing(head, offer.update, list_of):
        return MemberVerdict.STALE, why
    return admit(offer)


def beyond_composing(head: Composition, update: OfferedUpdate, list_of: ListOf) -> str:
    """Why an update can neither be added to a head, nor be taken with its own list in the head's place.

    Args:
        head: the list.
        update: as it is offered.
        list_of: a list by its digest.

    Returns:
        a sentence; empty where it can.
    """
    why = ""
    for composed in (head.adding(update.term), update.made):
        try:
            updates_of(composed.terms, list_of)
        except ModelError as error:
            why = error.what
        else:
            return ""
    return why


def bringing_back(
    updates: Iterable[OfferedUpdate], recalled: Collection[str], list_of: ListOf
) -> frozenset[str]:
    """Updates whose parent's list has what was recalled: mixed, they would bring it back; added, they do not.

    Args:
        updates: as they are offered; all lists that they need are here.
        recalled: updates, and folded lists, that were taken out of the head.
        list_of: a list by its digest.
    """

    def has(terms: Sequence[Term]) -> bool:
        try:
            every = (*terms, *updates_of(terms, list_of))
        except ModelError:  # it hangs too deep to be mixed at all
            return True
        return any(term.adapter in recalled for term in every)

    return frozenset(one.adapter for one in updates if recalled and has(one.parent))


def copy_of(copy: OfferHere, original: OfferHere | None, of: str) -> str:
    """Of what an offer is a copy, in words.

    Args:
        copy: the offer.
        original: what it is a copy of, where that is a candidate too.
        of: the adapter of that.
    """
    if original is None:
        return f"a copy of {of[:16]}…, which is in our head or was offered before"
    name, later_s = original.name or f"{of[:16]}…", copy.committed_s - original.committed_s
    if later_s > 0:
        return f"a copy of {name}, committed {later_s:,} s after it"
    return f"a copy of {name}, which its witnesses had seen before it, by the clock of each"


def contested_with(other: OfferHere | None, of: str) -> str:
    """With what an offer is contested, in words.

    Args:
        other: what it is like, where that is a candidate too.
        of: the adapter of that.
    """
    name = other.name if other is not None and other.name else f"{of[:16]}…"
    return f"contested: like {name}, and witnesses do not tell which of the two was first"


def copied_by(copy: OfferHere | None, of: str) -> str:
    """What has copied an offer, in words.

    Args:
        copy: what is a copy of it, where that is a candidate too.
        of: the adapter of that.
    """
    name = copy.name if copy is not None and copy.name else f"{of[:16]}…"
    return f"our head has {name}, a copy of it that was committed later"


def unreached(offer: OfferHere) -> Member:
    """A candidate that the search did not get to."""
    return refused(offer.update.adapter, MemberVerdict.UNREACHED)


def members_of(
    offers: Sequence[OfferHere],
    considered: Considered,
    left: Sequence[OfferedUpdate],
    found: FoundSteps,
    *,
    safe: bool,
) -> tuple[Member, ...]:
    """What became of each candidate, if the look keeps what was composed.

    Args:
        offers: the candidates.
        considered: what was said of them before the search.
        left: those that it had.
        found: what it came to.
        safe: whether no guard set speaks against that.
    """
    taken = {step.update.adapter for step in found.steps if step.kind is not StepKind.REWEIGHT}
    helped = {update.adapter: one for update, one in zip(left, found.helped, strict=True)}
    composed = MemberVerdict.ADOPTED
    if not safe:  # of several nobody knows whose it is
        composed = MemberVerdict.UNSAFE if len(taken) == 1 else MemberVerdict.NOT_CHOSEN
    by_help = {
        None: MemberVerdict.UNREACHED,
        False: MemberVerdict.SCREENED,
        True: MemberVerdict.NOT_CHOSEN,
    }
    members = []
    for offer in offers:
        adapter = offer.update.adapter
        if (known := considered.refused.get(adapter)) is not None:
            members.append(known)
        else:
            verdict = composed if adapter in taken else by_help[helped[adapter]]
            members.append(refused(adapter, verdict))
    return tuple(members)

"""Updates that are offered, by this state or by others: what commands show of each.

What an own log says is taken from it. What others offer is taken from their ``capsule.json``, and says no
more than they do until it is checked against a policy.
"""

from __future__ import annotations

__all__ = [
    "CapsuleUse",
    "CapsuleView",
    "capsules_here",
    "fetched_capsule",
    "find_capsule",
    "lists_here",
    "view_of_checked",
]

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from cryoflux.errors import CryoFluxError, UsageError, VerificationError
from cryoflux.files import read_regular
from cryoflux.log_state import LogState
from cryoflux.network.capsule import CheckedCapsule, check_capsule, parse_capsule, read_capsule
from cryoflux.network.folder import CAPSULE, NetworkFolder
from cryoflux.network.head_times import HeadTimes
from cryoflux.quantities import utc_label
from cryoflux.receipts.checkpoint import MAX_NOTE_BYTES, Note, VerifierKey, parse_note, verify_log
from cryoflux.receipts.entry import Entry, parse_entry
from cryoflux.receipts.network_parts import MemberVerdict
from cryoflux.receipts.network_statement import UpdateOffer
from cryoflux.receipts.proof import parse_proof
from cryoflux.receipts.reading import read_entries
from cryoflux.receipts.statement import Receipt
from cryoflux.receipts.sums import evidence_of
from cryoflux.registry.ancestry import ALONE, Ancestry, ancestry_of
from cryoflux.registry.composition import Term
from cryoflux.registry.made import lists_on_the_way
from cryoflux.registry.parent_lists import ListOf, parent_lists
from cryoflux.signing.envelope import decode_base64
from cryoflux.state import ADAPTER, ADAPTER_CONFIG, StateFolder
from cryoflux.witness.commitment import quorum_time
from cryoflux.witness.cosigned import MOST_HEADS_BYTES, log_key_of, parse_heads
from cryoflux.witness.policy import Policy

_SHORTEST_PREFIX = 4
_MOST_FETCHED = 10_000


@dataclass(frozen=True, slots=True)
class CapsuleUse:
    """What a round of this state's log found of an update."""

    entry: int
    """that records the round"""
    verdict: MemberVerdict
    level: int
    """mean Δ that the round certifies, nano-nats; 0 where nothing was accepted"""


@dataclass(frozen=True, slots=True)
class CapsuleView:
    """An update that is offered."""

    capsule: str
    """SHA-256 of its adapter"""
    origin: str
    """of the log that offers it"""
    own: bool
    """whether that is this state's"""
    offer: UpdateOffer
    offer_at: int
    """position of the offer in its log"""
    receipt: Receipt
    receipt_hash: str
    committed_s: int | None
    """when a quorum had seen the receipt, POSIX seconds; none where no policy says so"""
    checked: bool
    """whether its proofs were checked: of an own one, it is this log that says it"""
    here: bool
    """whether both files of the adapter are here"""
    stranger: bool = False
    """whether its log was drawn by lottery, and is not named here"""
    used: tuple[CapsuleUse, ...] = ()
    ancestry: Ancestry = ALONE
    """on which updates it rests"""
    recalled: tuple[str, ...] = ()
    """of these, those that this state's log has recalled"""
    taken_back: bool = False
    """whether this state's log has recalled this one itself, and has not adopted it again"""

    @property
    def delta(self) -> float | None:
        """Mean Δ that its own log measured; none where nothing was."""
        found = self.receipt.evaluation
        return evidence_of(found).delta_mean if found is not None else None

    @property
    def unit(self) -> str:
        """Of Δ."""
        found = self.receipt.evaluation
        return found.metric.unit if found is not None else ""

    @property
    def committed_at(self) -> str | None:
        """The commitment as a label."""
        return utc_label(self.committed_s) if self.committed_s is not None else None


def capsules_here(
    state: StateFolder, policy: Policy | None = None, strangers: Sequence[VerifierKey] = ()
) -> list[CapsuleView]:
    """What this state offers, in the order of its log, and what was fetched of others.

    Args:
        state: the state.
        policy: who makes a quorum; without one, nothing is known of commitments.
        strangers: keys of the logs that were drawn by lottery.

    Raises:
        UsageError, StateTamperedError, StateError: its log cannot be read.
    """
    if not state.receipts.is_file() and NetworkFolder.of(state.path).incoming.is_dir():
        return list(_fetched(state, {}, policy, strangers))  # of somebody who only looks, and has no log
    entries = read_entries(state.path)
    used, memory = _used(entries), LogState()
    for entry in entries:
        memory.take(entry)
    views = [*_own(state, entries, used, policy), *_fetched(state, used, policy, strangers)]
    list_of, recalled = lists_here(state, memory), _recalled(memory)
    return [_with_ancestry(one, list_of, recalled) for one in views]


def lists_here(state: StateFolder, memory: LogState) -> ListOf:
    """The lists that a state keeps, and those that its heads have come by.

    Args:
        state: the state.
        memory: what its log has come to.
    """
    kept, known = parent_lists(state.path), dict[str, tuple[Term, ...]]()
    for task in memory.tasks.values():
        known |= lists_on_the_way(task.made, task.head.digest)
    return lambda digest: known[digest] if digest in known else kept(digest)


def _recalled(memory: LogState) -> frozenset[str]:
    nodes = memory.nodes.values()
    return frozenset(one for node in nodes for one in node.recalled if one not in node.adopted)


def _with_ancestry(view: CapsuleView, list_of: ListOf, recalled: frozenset[str]) -> CapsuleView:
    ancestry = ancestry_of(view.offer.update.parent, list_of)
    below = tuple(sorted(ancestry.adapters & recalled))
    return replace(view, ancestry=ancestry, recalled=below, taken_back=view.capsule in recalled)


def find_capsule(found: Sequence[CapsuleView], text: str, state: StateFolder) -> CapsuleView:
    """The one whose adapter's SHA-256 begins so.

    Raises:
        UsageError: none does, or several do.
    """
    begun = [one for one in found if one.capsule.startswith(text)]
    if len(text) >= _SHORTEST_PREFIX and len({one.capsule for one in begun}) == 1:
        return begun[0]
    raise UsageError(
        f"No single capsule is called {text!r}.",
        why=f"{len(begun)} of the {len(found)} that are known here begin so." if begun else "It is not here.",
        hint=f"Name one of: cryoflux capsule list{state.flag()}, or a {CAPSULE}.",
    )


def fetched_capsule(file: Path) -> CapsuleView:
    """What a ``capsule.json`` says; nothing of it is checked.

    Raises:
        VerificationError: it is none.
        UsageError: it cannot be read.
    """
    said = parse_capsule(read_capsule(file))
    offer, receipt = (
        parse_entry(parse_proof(one.proof.encode()).index, decode_base64(one.entry, "An entry"))
        for one in (said.offer, said.receipt)
    )
    offered = offer.statement.predicate
    if not isinstance(offered, UpdateOffer) or receipt.receipt is None:
        raise VerificationError(f"{file} holds no offer with its receipt.")
    return CapsuleView(
        capsule=offered.update.adapter,
        origin=said.origin,
        own=False,
        offer=offered,
        offer_at=offer.index,
        receipt=receipt.receipt,
        receipt_hash=receipt.leaf_hash,
        committed_s=None,
        checked=False,
        here=_here(file.parent),
    )


def view_of_checked(capsule: CheckedCapsule, folder: Path) -> CapsuleView:
    """A capsule whose proofs were checked."""
    return CapsuleView(
        capsule=capsule.update.adapter,
        origin=capsule.origin,
        own=False,
        offer=capsule.offer,
        offer_at=capsule.offer.sequence,
        receipt=capsule.receipt,
        receipt_hash=capsule.receipt_leaf,
        committed_s=capsule.committed_s,
        checked=True,
        here=_here(folder),
    )


def _here(folder: Path) -> bool:
    return all((folder / name).is_file() for name in (ADAPTER, ADAPTER_CONFIG))


def _used(entries: Sequence[Entry]) -> dict[str, tuple[CapsuleUse, ...]]:
    """Capsule → what the rounds of a log found of it."""
    found: dict[str, tuple[CapsuleUse, ...]] = {}
    for entry in entries:
        if (record := entry.round) is None:
            continue
        level = record.look.level if record.look is not None else 0
        for member in record.members:
            use = CapsuleUse(entry.index, member.verdict, level)
            found[member.capsule] = (*found.get(member.capsule, ()), use)
    return found


def _own(
    state: StateFolder,
    entries: Sequence[Entry],
    used: Mapping[str, tuple[CapsuleUse, ...]],
    policy: Policy | None,
) -> Iterator[CapsuleView]:
    key = log_key_of(state.path)
    times = _times(_heads(state), key, policy) if policy is not None else HeadTimes()
    for entry in entries:
        said = entry.statement.predicate
        if not isinstance(said, UpdateOffer) or said.receipt_at >= entry.index:
            continue
        receipt = entries[said.receipt_at]
        if receipt.receipt is None:
            continue
        capsule = said.update.adapter
        yield CapsuleView(
            capsule=capsule,
            origin=key.name,
            own=True,
            offer=said,
            offer_at=entry.index,
            receipt=receipt.receipt,
            receipt_hash=receipt.leaf_hash,
            committed_s=times.at(receipt.index),
            checked=True,
            here=_here(state.capsule(capsule)),
            used=used.get(capsule, ()),
        )


def _times(heads: Sequence[Note], key: VerifierKey, policy: Policy) -> HeadTimes:
    """Since when a quorum had seen how much of a log; a head with a false signature hides no other."""
    seen: list[tuple[int, int]] = []
    for note in heads:
        with suppress(VerificationError):
            verify_log(note, key)
            _, time_s = quorum_time(note, policy)
            if time_s is not None:
                seen.append((note.checkpoint.size, time_s))
    return HeadTimes.of(seen)


def _heads(state: StateFolder) -> list[Note]:
    """The heads of a log that witnesses cosigned and that are kept: the first to cover an entry dates it."""
    found: list[Note] = []
    for path in (state.witnessed, state.checkpoint):
        with suppress(OSError, CryoFluxError):
            found.append(parse_note(read_regular(path, MAX_NOTE_BYTES)))
    with suppress(OSError, CryoFluxError):
        found += parse_heads(read_regular(state.cosigned, MOST_HEADS_BYTES))
    return found


def _fetched(
    state: StateFolder,
    used: Mapping[str, tuple[CapsuleUse, ...]],
    policy: Policy | None,
    strangers: Sequence[VerifierKey],
) -> Iterator[CapsuleView]:
    """What is in ``network/incoming``; what cannot be read there is not listed."""
    incoming = NetworkFolder.of(state.path).incoming
    folders = sorted(incoming.iterdir())[:_MOST_FETCHED] if incoming.is_dir() else []
    drawn = {key.name for key in strangers}
    for folder in folders:
        try:
            found = _checked(folder, policy, strangers) or fetched_capsule(folder / CAPSULE)
        except CryoFluxError:
            continue
        if found.capsule == folder.name:
            yield replace(found, used=used.get(found.capsule, ()), stranger=found.origin in drawn)


def _checked(folder: Path, policy: Policy | None, strangers: Sequence[VerifierKey]) -> CapsuleView | None:
    """A capsule whose proofs hold by a policy; none where they do not."""
    if policy is None:
        return None
    try:
        return view_of_checked(check_capsule(read_capsule(folder / CAPSULE), policy, strangers), folder)
    except CryoFluxError:
        return None

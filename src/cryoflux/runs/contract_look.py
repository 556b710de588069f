"""The buyer's look at a window of a contract: both lists are composed and scored on its guest holdout, once.

What was computed is kept before anything of it is published: a command that dies in between neither looks
again nor chooses whether to tell. Nothing of the two models stays, and no head moves. What looking costs is
metered like a run, and stands in the log as a session of its own.
"""

from __future__ import annotations

__all__ = ["Evaluate", "LookedAt", "due_look", "look_at_window"]

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryoflux.errors import ModelError, StateError, UsageError
from cryoflux.network.contracts.due import ContractLogs, DueLook
from cryoflux.network.contracts.looking import look_of, sums_of
from cryoflux.network.folder import EXAMPLES, NetworkFolder
from cryoflux.network.guest import GuestFolder, open_guest
from cryoflux.quantities import Energy, utc_label
from cryoflux.receipts.contract_parts import AgreedTerms, look_name
from cryoflux.receipts.contract_statement import ContractLook, ContractLookStatement
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.network_parts import SealedSums
from cryoflux.receipts.parts import Base
from cryoflux.registry.composition import Composition, Term
from cryoflux.registry.parent_lists import keep_lists
from cryoflux.registry.versions import Version
from cryoflux.runs.by_hand import VersionsByHand
from cryoflux.runs.contracting import subject_of
from cryoflux.runs.metered_by_hand import Charged
from cryoflux.runs.node_by_hand import composed_draft

Evaluate = Callable[[Path, Path], Sequence[int]]
"""losses of the model in a folder on all examples of a file, nano-nats"""


@dataclass(frozen=True, slots=True)
class LookedAt:
    """A look that is on the log."""

    entry: Entry
    said: ContractLook
    charged: Energy | None
    """what looking has cost; none where nothing was measured this time"""


def due_look(terms: AgreedTerms, logs: ContractLogs, looked: Collection[int], flag: str = "") -> DueLook:
    """The first window that is over, was offered something, and was not looked at.

    Args:
        terms: of the contract.
        logs: of both parties.
        looked: windows that the buyer has looked at, also where no witness has seen that yet.
        flag: what a command needs to mean the buyer's state.

    Raises:
        UsageError: there is none, or the seller's log is not here until the end of the next one.
    """
    windows = terms.windows
    for window, due in logs.windows():
        if window in looked or logs.buyer.seen_s > windows.due_s(window):
            continue
        if logs.seller.seen_s < windows.end_s(window):
            raise _not_here(terms, window, logs.seller.seen_s, flag)
        if due is not None:
            return due
    raise UsageError(
        "No window of the contract is to be looked at now.",
        why="A window is looked at once, after it has ended by the seller's log, and until its look is due.",
        hint=f"See where it stands: cryoflux contract evaluate {terms.digest[:16]}.",
    )


def _not_here(terms: AgreedTerms, window: int, seen_s: int, flag: str) -> UsageError:
    """Why a window cannot be looked at yet: whether its end was the last word of the seller nobody knows."""
    here = f"is here until {utc_label(seen_s)} only" if seen_s else "is not here as a quorum saw it"
    patient_s = terms.windows.due_s(window) + terms.windows.length_s
    return UsageError(
        f"Window {window + 1} ends at {utc_label(terms.windows.end_s(window))}, and the seller's log {here}.",
        why="What it offered last is known once witnesses have seen its log after that; it need have nothing "
        f"new. If it stays away until {utc_label(patient_s)} by your own log, the window is breached.",
        hint="Ask the seller to type, after that end: cryoflux witness submit --policy FILE. Then pull it: "
        f"cryoflux node pull{flag}.",
    )


def look_at_window(
    hand: VersionsByHand,
    terms: AgreedTerms,
    logs: ContractLogs,
    evaluate: Evaluate,
    *,
    meter: Callable[[], AbstractContextManager[Charged]],
    unavailable: bool = False,
) -> LookedAt:
    """Look at the window that is due, and publish the bits.

    Args:
        hand: the buyer's state, locked.
        terms: of the contract, which it has signed.
        logs: of both parties.
        evaluate: a model on the guest holdout.
        meter: meters what is done within.
        unavailable: whether to say that the bytes of what was offered could not be had.

    Raises:
        UsageError: nothing is due, or this is not the buyer's log.
        StateError: the bytes of an update, or of a list that one was trained on, are not here.
        StateTamperedError: the guest holdout is not what the log names.
        StorageError: nothing can be written.
    """
    if hand.origin != terms.buyer:
        raise UsageError(
            f"This log, {hand.origin}, is not the buyer's.",
            why="Only the buyer has the examples that decide.",
            hint=f"The buyer is {terms.buyer}.",
        )
    tally = hand.memory.nodes[terms.task].contracts[terms.digest]
    due = due_look(terms, logs, {look.window for look in tally.looks}, hand.state.flag())
    guest = open_guest(NetworkFolder.of(hand.state.path), terms.guest_root)
    name, charged = look_name(terms.digest, due.window), Charged()
    sums = None if unavailable else guest.sums(name)
    if sums is None and not unavailable:
        with meter() as charged:
            sums = _measured(hand, terms, logs, due, guest, evaluate)
            guest.keep_sums(name, sums)
    said = look_of(terms, due, sums, guest.key, hand.timestamp())

    def build(sequence: int, prev: str) -> ContractLookStatement:
        predicate = said.but(sequence=sequence, prev=prev)
        return ContractLookStatement(subject=[subject_of(terms)], predicate=predicate)

    entry = hand.append(build)
    hand.published(binding=False)
    return LookedAt(entry, said, charged.energy)


def _measured(
    hand: VersionsByHand,
    terms: AgreedTerms,
    logs: ContractLogs,
    due: DueLook,
    guest: GuestFolder,
    evaluate: Evaluate,
) -> SealedSums:
    keep_lists(hand.state.path, [one.of_list[:-1] for one in logs.seller.offers])
    lists = {terms.start: terms.start_list}
    for one in logs.seller.offers:
        parent = Composition(genesis=one.genesis, terms=one.of_list[:-1])
        lists[one.result] = parent.adding(one.of_list[-1]).terms
    models: list[Base] = []
    losses: list[Sequence[int]] = []
    for digest in (due.base, due.offer.result):
        with _composed(hand, terms, lists[digest]) as version:
            losses.append(evaluate(version.folder, guest.path / EXAMPLES))
            models.append(Base(digest=version.digest, files=version.files))
    return sums_of(terms, (models[0], models[1]), (losses[0], losses[1]))


@contextmanager
def _composed(hand: VersionsByHand, terms: AgreedTerms, of_list: tuple[Term, ...]) -> Iterator[Version]:
    """The version that a list makes; gone afterwards."""
    if not of_list:
        yield hand.versions.open(terms.genesis.digest)
        return
    try:
        draft = composed_draft(hand, Composition(genesis=terms.genesis.digest, terms=of_list))
    except (ModelError, OSError) as error:
        raise StateError(
            f"What was offered cannot be composed here: {error}",
            why="Its bytes, or those of an update that it rests on, have to be in network/incoming.",
            hint="Pull them first: cryoflux node pull. If they cannot be had, say so: --unavailable.",
        ) from error
    try:
        yield draft
    finally:
        hand.versions.discard(draft)

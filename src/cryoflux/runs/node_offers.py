"""What a node's run takes into its rounds: offers that were pulled, held to what an update may be."""

from __future__ import annotations

__all__ = ["PulledOffers", "adopting_of", "waiting_offers"]

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path

from cryoflux.attempt.context import Context, Opened
from cryoflux.config import Settings
from cryoflux.errors import CryoFluxError, DataError, ModelError, UsageError, VerificationError
from cryoflux.log_state import LogState
from cryoflux.network.admission import AdmissionGround, RefusedUpdate, admit
from cryoflux.network.books import books_of
from cryoflux.network.capsule import check_capsule, parse_capsule, read_capsule
from cryoflux.network.choosing import StandingOffer, chosen_offers, drawn_strangers
from cryoflux.network.folder import CAPSULE, NetworkFolder
from cryoflux.network.head_times import seen_before
from cryoflux.network.looking import MOST_GUARDS
from cryoflux.network.node_place import no_guest, overdue
from cryoflux.network.norms import norm_bounds, update_norms
from cryoflux.network.offers_found import found_offers, pulled_mark
from cryoflux.network.peer_record import PeerRecord
from cryoflux.network.peers import Peers, read_peers
from cryoflux.network.round_parts import ChosenOffers, OfferHere
from cryoflux.network.strangers import with_strangers
from cryoflux.network.telling import told_by
from cryoflux.network_state import NodeState
from cryoflux.quantities import MICRO
from cryoflux.receipts.network_parts import MemberVerdict
from cryoflux.receipts.reading import each_entry
from cryoflux.registry.adapters import read_adapter
from cryoflux.registry.parent_lists import parent_lists, updates_of
from cryoflux.runs.adopting import Adopting, due_offers
from cryoflux.state import StateFolder
from cryoflux.task_state import TaskState
from cryoflux.witness.cosigned import log_key_of


def adopting_of(context: Context, settings: Settings, *, only_rounds: bool) -> list[Adopting]:
    """What makes the rounds of a run: for each task that the log knows as a node's.

    Args:
        context: the run.
        settings: which offers, and whether a run makes rounds by itself.
        only_rounds: whether rounds are what was asked for.

    Raises:
        DataError: a guard set cannot be read.
        UsageError: the file of peers says something that it cannot.
    """
    chosen = settings.network
    if (chosen.adopt == "never" and not only_rounds) or not context.memory.nodes:
        return []
    guards, network = _guards(chosen.guards), NetworkFolder.of(context.state.path)
    peers = with_strangers(network.path, read_peers(network.known_peers))
    share_ppm = round(chosen.adopt_share * MICRO)
    made = []
    for name, opened in context.tasks.items():
        if name in context.memory.nodes and opened.task.composing() is not None:
            pulled = PulledOffers(context, opened, network, peers)
            choose = partial(pulled.choose, chosen.candidates)
            before = partial(seen_before, policy=peers.policy)
            of_peers = pulled.offers, pulled.mark, pulled.admit
            made.append(Adopting(context, opened, *of_peers, guards, choose, share_ppm, before))
    return made


def waiting_offers(path: Path, task: str, reserve_uj: int) -> bool:
    """Whether a round would be made now; nothing is locked, charged or changed.

    Args:
        path: a state.
        task: whose head would be composed.
        reserve_uj: what a round reserves at least, µJ: where strangers alone wait, it has to be paid for.

    Raises:
        UsageError: the state is no node's, or has entered no guest holdout.
        BudgetError: all of its guest holdouts are worn out, or opened.
    """
    memory, state = LogState(), StateFolder(path)
    if state.receipts.is_file():
        for entry in each_entry(path):
            memory.take(entry)
    node, known = _at_work(memory, state, task)
    if node.open or memory.open or state.session.exists():
        return True  # what a dead run left is closed first
    if node.guest is None:
        raise no_guest(state, worn=bool(node.guests))
    if node.guest.is_due(datetime.now(UTC).isoformat()):
        raise overdue(state, node.guest)
    network = NetworkFolder.of(path)
    offers = offers_in(network, with_strangers(network.path, read_peers(network.known_peers)))
    due = due_offers(node, offers, known.head.digest, log_key_of(path).name)
    if due and all(offer.by_lottery for offer in due):
        return memory.charged.strangers_fit(reserve_uj, 1, 1)
    return bool(due)


def _at_work(memory: LogState, state: StateFolder, task: str) -> tuple[NodeState, TaskState]:
    """What a log has come to as a node's, and by its attempts.

    Raises:
        UsageError: it is no node's, or has made no attempt.
    """
    path, node, known = state.path, memory.nodes.get(task), memory.tasks.get(task)
    if node is None:
        raise UsageError(
            f"{path} is no node's state for {task}.",
            why="A round composes what others offer with a head, and judges it on examples of its node.",
            hint=f"Say who the node is: cryoflux node init --name NAME --guest FILE{state.flag()}.",
        )
    if known is None:
        raise UsageError(
            f"The log of {path} has no attempt of {task} yet.",
            why="A round composes what others offer with a head, and the first attempt begins with it.",
            hint=f"Make one: cryoflux run --attempts 1 --budget 500J{state.flag()}.",
        )
    return node, known


def offers_in(network: NetworkFolder, peers: Peers) -> list[OfferHere]:
    """What peers offer by now, by the times of commitments, each with what it is called here.

    Args:
        network: the node's folder.
        peers: whom it knows.
    """
    nodes = {node.origin: node for node in peers.nodes}
    counted: Counter[str] = Counter()
    found = []
    for one in found_offers(network.path, peers):
        counted[one.origin] += 1
        node = nodes[one.origin]
        name = f"{node.name}/{counted[one.origin]}"
        absent = one.why or _of_another(network, one.capsule, one.origin)
        place = (one.update, one.origin, one.offer_leaf, one.committed_s)
        found.append(OfferHere(*place, absent, name, node.by_lottery, one.seen.by))
    return found


def _of_another(network: NetworkFolder, capsule: str, origin: str) -> str:
    """Why what is here of an update is no offer of a log: two may offer the same bytes, and one has them."""
    try:
        said = parse_capsule(read_capsule(network.capsule(capsule) / CAPSULE)).origin
    except CryoFluxError as error:
        return error.what
    return "" if said == origin else f"what is here of it was brought by {said}"


def _guards(said: str) -> Mapping[str, Path]:
    paths = [Path(part.strip()) for part in said.split(",") if part.strip()]
    for path in paths:
        if not path.is_file():
            raise DataError(
                f"The guard set {path} is not here.",
                why="What is adopted must not make it worse.",
                hint="Put it back, or leave it out of the setting guards.",
            )
    named = {path.name: path for path in paths}
    if len(named) < len(paths) or len(paths) > MOST_GUARDS:
        raise DataError(
            f"{len(paths)} guard sets are named, of which {len(named)} have names of their own.",
            why=f"A record names each by its file's name, and at most {MOST_GUARDS} of them.",
            hint="Give each file another name, or put sets together in one file.",
        )
    return named


class PulledOffers:
    """What peers offer for one task, as far as it was pulled.

    Args:
        context: the run.
        opened: the task.
        network: the node's folder.
        peers: whom the node knows.
    """

    def __init__(self, context: Context, opened: Opened, network: NetworkFolder, peers: Peers) -> None:
        self._context, self._opened, self._network, self._peers = context, opened, network, peers

    def offers(self) -> list[OfferHere]:
        """All that is offered by now, in the order of commitments; nothing before the first attempt."""
        if self._opened.known() is None:
            return []  # there is no head that a round could name
        return offers_in(self._network, self._peers)

    def mark(self) -> tuple[int, ...]:
        """Of what was pulled by now: another one where something of it has taken its place here since."""
        return pulled_mark(self._network, self._peers)

    def choose(self, most: int, due: list[OfferHere], seed: int) -> ChosenOffers:
        """The offers of a round: those of named nodes, and the first one of each stranger, as they are drawn.

        Where more are due of named nodes than it considers, half are chosen by praise and half by chance.

        Args:
            most: how many of named nodes a round considers.
            due: those that are, in the order of their commitments.
            seed: of the choice.
        """
        known = [offer for offer in due if not offer.by_lottery]
        first: dict[str, OfferHere] = {}
        for offer in due:
            if offer.by_lottery:
                first.setdefault(offer.origin, offer)
        drawn = drawn_strangers(first, most, seed)
        return ChosenOffers(self._known(most, known, seed), [first[origin] for origin in drawn], seed)

    def _known(self, most: int, due: list[OfferHere], seed: int) -> list[OfferHere]:
        """The offers of named nodes.

        One verifier's praise is enough: it moves no head, and an offer that few have heard of would wait for
        a quorum for ever.
        """
        if len(due) <= most:
            return due
        logs, now_s = told_by(self._network.path, self._peers)
        books = books_of(logs, self._peers.verifier_origins, 1, now_s)
        told = {(book.origin, one.capsule): one for book in books.values() for one in book.capsules}
        by_capsule = {offer.update.adapter: offer for offer in due}
        standing = []
        for capsule, offer in by_capsule.items():
            found = told.get((offer.origin, capsule))
            praised, refused = 0, 0
            if found is not None:  # whoever took it back does not praise it, and has looked at it
                praised, refused = found.confirmed_by, found.refuted_by + found.recalled_by
            standing.append(StandingOffer(capsule, offer.origin, offer.committed_s, praised, refused))
        return [by_capsule[one.capsule] for one in chosen_offers(standing, most, 1, seed)]

    def admit(self, offer: OfferHere) -> tuple[MemberVerdict, str] | None:
        """Why an offer may not be composed; none where it may.

        Args:
            offer: whose files are here.
        """
        folder = self._network.capsule(offer.update.adapter)
        keys = [node.key for node in self._peers.nodes]
        try:
            capsule = check_capsule(read_capsule(folder / CAPSULE), self._peers.policy, keys)
        except CryoFluxError as error:
            return MemberVerdict.UNAVAILABLE, error.what
        if (capsule.update, capsule.origin) != (offer.update, offer.origin):
            return MemberVerdict.UNAVAILABLE, "its capsule is about another update than its offer"
        found = admit(folder, capsule, self._ground, self._labels_of(offer.origin))
        return (found.verdict, found.why) if isinstance(found, RefusedUpdate) else None

    @cached_property
    def _ground(self) -> AdmissionGround:
        context, composed = self._context, self._opened.composition
        node = context.memory.nodes[self._opened.task.name].node
        genesis = context.versions.open(composed.genesis)
        adopted = []
        for term in updates_of(composed.terms, parent_lists(context.state.path)):
            try:
                adopted.append(update_norms(read_adapter(context.state.capsule(term.adapter), term.adapter)))
            except ModelError:  # its files were freed: it bounds nothing
                continue
        return AdmissionGround(
            genesis=composed.genesis,
            labels=node.labels if node is not None else "",
            shapes={entry.name: entry.shape for entry in genesis.entries},
            bounds=norm_bounds(adopted),
        )

    def _labels_of(self, origin: str) -> str:
        """Digest of the class names that a peer's log states for the task; empty where it states none."""
        key = next((node.key for node in self._peers.nodes if node.origin == origin), None)
        if key is None:
            return ""
        try:
            nodes = PeerRecord.of(self._network.path, key).facts.nodes
        except VerificationError:
            return ""
        said = nodes.get(self._opened.task.name)
        return said.node.labels if said is not None and said.node is not None else ""

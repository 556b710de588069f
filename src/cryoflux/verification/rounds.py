"""Step 17: what a node offers and adopts follows from its log, and its guest holdouts keep their promise.

A round is announced before it is tried, on the head and the guest holdout that the log gives, at the bar that
the looks before leave. What it composed follows from its steps, and so does the list of the head that it
leaves; that weights are the sum of that list is step 11. Its Δ is sealed: that the bit follows from the
losses is shown when the guest holdout is opened, and until then it is the word of the node.
"""

from __future__ import annotations

__all__ = ["ROUNDS", "Rounds"]

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from cryoflux.decision.levels import LEVELS, certified_level
from cryoflux.errors import CryoFluxError
from cryoflux.log_state import LogState
from cryoflux.network_state import GuestLook, NodeState
from cryoflux.quantities import counted
from cryoflux.receipts.checkpoint import origin_of
from cryoflux.receipts.entry import Entry, parse_entry
from cryoflux.receipts.log_key import other_subjects
from cryoflux.receipts.network_parts import RULES, MemberVerdict, RoundOutcome, SealedSums
from cryoflux.receipts.network_statement import (
    GuestHoldout,
    GuestOpening,
    NetworkStatement,
    Node,
    Recall,
    RoundIntent,
    RoundResult,
    UpdateOffer,
)
from cryoflux.receipts.offering import offer_complaints
from cryoflux.receipts.statement import Intent
from cryoflux.registry.composition import Composition
from cryoflux.registry.made import list_of
from cryoflux.registry.mixture import StepKind, after
from cryoflux.task_state import TaskState
from cryoflux.verification.material import Material
from cryoflux.verification.result import Check, NumberedStep, unknown
from cryoflux.verification.walk import Fold, Seen, Tally

ROUNDS = NumberedStep(17, "what others offered")
_TRIED = (MemberVerdict.ADOPTED, MemberVerdict.NOT_CHOSEN)
_LIKE_ANOTHER = (MemberVerdict.DUPLICATE, MemberVerdict.COPIED)
_BEFORE_ATTEMPTS = (Node, GuestHoldout, GuestOpening)
"""what a newcomer may say: of the others each names a head, which the first attempt begins with"""


class _Told(Tally):
    rounds: int = 0
    adopted: int = 0
    offers: int = 0
    opened: int = 0
    recalled: int = 0
    sealed: int = 0
    """looks that were not opened yet"""


class Rounds(Fold):
    """Step 17: rounds, offers and guest holdouts, entry by entry.

    Args:
        material: where the receipt behind an offer is looked up.
        past: whether the log is here from its beginning; else what depends on that is passed over: lists,
            guest holdouts and bars of earlier entries, and receipts behind offers.
    """

    step: ClassVar = ROUNDS
    tally: _Told

    def __init__(self, material: Material, *, past: bool = True) -> None:
        super().__init__()
        self._material, self._past = material, past
        self.tally = _Told()
        self._of: dict[type, Callable[[Any, TaskState | None, NodeState], Iterator[str]]] = {
            Node: self._node,
            GuestHoldout: _entered,
            UpdateOffer: self._offered,
            RoundIntent: self._announced,
            RoundResult: self._recorded,
            GuestOpening: self._opening,
            Recall: self._recall,
        }

    def take(self, seen: Seen, memory: LogState) -> None:
        """Look at the next entry, if it is a node's, or begins what a node has named."""
        if seen.entry is None:
            return
        if self._past and seen.entry.intent is not None:
            self.findings.fail(seen, _begun(seen.entry.intent, memory))
        if (statement := seen.entry.network) is None:
            return
        self.findings.fail(seen, self._complaints(seen.entry, statement, memory))

    def _complaints(self, entry: Entry, statement: NetworkStatement, memory: LogState) -> Iterator[str]:
        said = statement.predicate
        # What a part of a log comes to of a task is not what the log has come to of it.
        known = memory.tasks.get(said.task) if self._past else None
        node = memory.nodes.get(said.task) or NodeState()
        if known is None and self._past and not isinstance(said, _BEFORE_ATTEMPTS):
            yield f"is about the task {said.task}, of which the log has no attempt yet"
            return
        if isinstance(said, GuestHoldout) and said.root in memory.guests_handed_on():
            yield "enters a guest holdout again, perhaps one of the log that it goes on from"
        if [one.digest.sha256 for one in other_subjects(entry)] != _subjects(said):
            yield "is about another subject than it says"
        if isinstance(said, RoundIntent) and self._past and not memory.charged.pays_for(said):
            yield "considers more strangers than a hundredth of the joules pays for that the log has settled"
        yield from self._of[type(said)](said, known, node)

    def _node(self, said: Node, known: TaskState | None, node: NodeState) -> Iterator[str]:
        if self._past and said.supersedes != node.node_leaf:
            yield "does not name what the node said of itself before"
        if known is not None:
            yield from _of_its_log(said, known)
        if self._material.key is not None and said.log_key.partition("+")[0] != origin_of(self._material.key):
            yield "names the key of another log"

    def _offered(self, said: UpdateOffer, known: TaskState | None, _node: NodeState) -> Iterator[str]:
        """What is wrong with an offer: a receipt made it, of the version that it says it was trained on."""
        self.tally.offers += 1
        if known is None:
            return
        try:
            row = self._material.rows[said.receipt_at] if said.receipt_at < said.sequence else None
            entry = parse_entry(said.receipt_at, row.envelope) if row is not None else None
        except (CryoFluxError, LookupError):
            entry = None
        yield from offer_complaints(said, entry)

    def _announced(self, said: RoundIntent, known: TaskState | None, node: NodeState) -> Iterator[str]:
        self.tally.rounds += 1
        if node.open:
            yield "is announced though the round before it has no record: its result was left out"
        if known is None:
            return
        yield from _off_the_head(said, known)
        guest = node.guest
        if guest is None or guest.in_use != said.guest:
            yield "names another guest holdout than the log gives, or another bar"
        elif guest.is_due(said.announced_at):
            yield f"looks at a guest holdout that was to be opened by {guest.said.open_by}"
        if said.rules != RULES:
            named = f"{said.rules.judged}, {said.rules.copies} and {said.rules.search}"
            self.findings.add(unknown(said.id, f"goes by {named}, which this version does not know"))
        if len({one.capsule for one in said.candidates}) < len(said.candidates):
            yield "considers an update twice"
        if any(one.capsule in node.adopted for one in said.candidates):
            yield "considers an update that its head has"

    def _recorded(self, said: RoundResult, known: TaskState | None, node: NodeState) -> Iterator[str]:
        opened = node.open.get(said.intent)
        if opened is None:
            if self._past:
                yield "records a round that was not announced, or that has a record"
            return
        intent = opened.intent
        if (said.id, said.base) != (intent.id, intent.base):
            yield "records another round than was announced"
        if said.energy.reserved_microjoules != intent.reserved_microjoules:
            yield "reserved something else than was announced"
        self.tally.sealed += said.look is not None
        self.tally.adopted += sum(one.verdict is MemberVerdict.ADOPTED for one in said.members)
        yield from _members(said, intent)
        yield from _looked(said)
        yield from _searched(said, intent)
        if known is not None:
            yield from _result(said, known)

    def _opening(self, said: GuestOpening, _known: TaskState | None, node: NodeState) -> Iterator[str]:
        tally = node.guests.get(said.root)
        if tally is None or tally.opened:
            if self._past:
                yield "opens a guest holdout that was not entered, or that was opened before"
            return
        self.tally.opened += 1
        self.tally.sealed -= len(tally.looks)
        if said.count != tally.said.count:
            yield f"opens {said.count} examples, and {tally.said.count} were entered"
        if [one.intent for one in said.rounds] != [look.intent for look in tally.looks]:
            yield "does not open the looks that its guest holdout has given, in their order"
            return
        for one, look in zip(said.rounds, tally.looks, strict=True):
            yield from _opened(said, one.sums, look)

    def _recall(self, said: Recall, known: TaskState | None, node: NodeState) -> Iterator[str]:
        self.tally.recalled += 1
        if known is None:
            return
        if said.base != known.head:
            yield "takes an update out of another version than the head"
        if said.capsule not in node.adopted:
            yield "recalls an update that its head has not adopted"
            return
        try:
            due = list_of(known.made, known.head.digest, never=said.capsule)
        except CryoFluxError as error:
            yield f"leaves no list behind: {error.what}"
            return
        if due is None:
            self.findings.add(unknown(said.capsule[:16], "how its head was made is not remembered here"))
        elif due.digest != said.composed:
            yield "leaves another list than that of a head which never adopted the update"

    def conclude(self, memory: LogState) -> list[Check]:
        """The lines of the step."""
        tally = self.tally
        parts = [
            f"{counted(tally.rounds, 'round')}, {counted(tally.adopted, 'update')} adopted",
            f"{tally.offers} offered",
        ]
        if tally.recalled:
            parts.append(f"{tally.recalled} recalled")
        if tally.opened:
            parts.append(f"guest holdouts opened: {tally.opened}")
        if tally.sealed > 0:
            sealed = f"{counted(tally.sealed, 'look')} sealed"
            parts.append(f"{sealed}: until it is opened, the bit of a look is the node's word")
        if not memory.nodes:
            return []  # the log is no node's: a line that says so would stand in every other report
        return self.findings.conclude(ROUNDS, "; ".join(parts))


def _subjects(
    said: Node | GuestHoldout | UpdateOffer | RoundIntent | RoundResult | GuestOpening | Recall,
) -> list[str]:
    """The digests that an entry is about."""
    match said:
        case Node():
            return [said.genesis.files]
        case GuestHoldout():
            return [said.root]
        case UpdateOffer():
            return [said.update.adapter, said.config]
        case GuestOpening():
            return [said.examples]
        case RoundIntent():
            return [said.base.files]
    return [said.result.files]


def _begun(said: Intent, memory: LogState) -> Iterator[str]:
    """What is wrong with the first attempt of a task of which a node has said what it begins with."""
    task = said.task.name
    node = memory.nodes[task].node if task in memory.nodes else None
    if node is None or task in memory.tasks:
        return
    if said.base.digest != node.genesis.digest:
        yield "begins at another version than the genesis that its node has named"
    if said.metric != node.metric:
        yield "measures something else than its node has named"


def _of_its_log(said: Node, known: TaskState) -> Iterator[str]:
    if said.genesis.digest != known.composition.genesis:
        yield "names another genesis than the one that the list of its head begins at"
    if said.metric != known.metric:
        yield "names another metric than its attempts have"


def _entered(said: GuestHoldout, known: TaskState | None, _node: NodeState) -> Iterator[str]:
    if known is not None and said.root in known.holdouts:
        yield "enters a holdout that decides on the node's own updates"


def _off_the_head(said: RoundIntent, known: TaskState) -> Iterator[str]:
    composed = known.composition
    if said.base != known.head:
        yield "begins at another version than the head"
    elif (said.genesis, said.composed) != (composed.genesis, composed.digest):
        yield "names another list than that of the head"


def _members(said: RoundResult, intent: RoundIntent) -> Iterator[str]:
    """What is wrong with what a round says of its candidates, each once and in order."""
    if said.outcome is RoundOutcome.ABORTED:
        if said.members or said.steps or said.look is not None:
            yield "is aborted, but carries verdicts"
        return
    if [one.capsule for one in said.members] != [one.capsule for one in intent.candidates]:
        yield "does not say of each of its candidates what became of it"
        return
    verdicts = {one.capsule: one.verdict for one in said.members}
    taken = {step.update.adapter for step in said.steps if step.kind is not StepKind.REWEIGHT}
    adopted = {capsule for capsule, verdict in verdicts.items() if verdict is MemberVerdict.ADOPTED}
    if adopted != (taken if said.outcome is RoundOutcome.ACCEPTED else set()):
        yield "says that it adopted other updates than its steps do"
    barred = not all(guard.passed for guard in said.guards)  # what made a guard set worse was composed
    tried = (MemberVerdict.UNSAFE, MemberVerdict.NOT_CHOSEN) if barred else _TRIED
    if any(verdicts.get(capsule) not in tried for capsule in taken):
        yield "composed an update that it refused, or that was no candidate"
    for one in said.members:
        if bool(one.of) != (one.verdict in _LIKE_ANOTHER) or one.of == one.capsule:
            yield f"calls {one.capsule[:16]}… {one.verdict.value} without naming of what"


def _looked(said: RoundResult) -> Iterator[str]:
    """Whether outcome, look and level go together."""
    level = said.look.level if said.look is not None else None
    due = {
        RoundOutcome.ACCEPTED: level in LEVELS,
        RoundOutcome.REJECTED: level == 0,
        RoundOutcome.UNSHOWN: level is None,
        RoundOutcome.ABORTED: level is None,
    }[said.outcome]
    if not due:
        yield f"is {said.outcome.value}, and its look says another thing"
    if said.look is not None and not all(guard.passed for guard in said.guards):
        yield "was shown to the guest holdout though it made a guard set worse"


def _searched(said: RoundResult, intent: RoundIntent) -> Iterator[str]:
    search = said.search
    if search is None:
        if said.steps:
            yield "has steps, and no search that found them"
        return
    if search.count != intent.screened_with:
        yield f"searched with {search.count} examples, and announced {intent.screened_with}"
    if said.steps and search.delta_nano_nat == 0:
        yield "composed what did not help on the node's own training side"


def _result(said: RoundResult, known: TaskState) -> Iterator[str]:
    """Whether the list after a round is what its steps make of the one before."""
    accepted = said.outcome is RoundOutcome.ACCEPTED
    if (said.result == said.base) == accepted:
        yield f"is {said.outcome.value}, but its result is another version"
    try:
        composed = after(known.composition, said.steps)
    except CryoFluxError as error:
        yield f"has steps that make no list: {error.what}"
        return
    due: Composition = composed if accepted else known.composition
    if said.composed != due.digest:
        yield "names another list than its steps make"
    if said.base != known.head:
        yield "was judged against another version than the head"


def _opened(said: GuestOpening, sums: SealedSums, look: GuestLook) -> Iterator[str]:
    """Whether an opened look says what was sealed, and what was published of it follows."""
    if sums.seal(bytes.fromhex(said.key), look.intent) != look.sealed:
        yield f"opens the look of {look.intent[:16]}… to other sums than were sealed"
        return
    found = sums.evidence(said.count)
    if found.count * found.delta_squared < found.delta**2:
        yield f"opens the look of {look.intent[:16]}… to sums that no losses have"
    level = certified_level(found, look.needed_milli)
    if level != look.level:
        yield f"published a level of {look.level} for {look.intent[:16]}…, and its sums certify {level}"
    if sums.base != look.base:
        yield f"opens the look of {look.intent[:16]}… to another base than its round had"

"""What a person does to guest holdouts by a command: enter one, and retire it.

Each is a signed entry first, and takes effect after it.
"""

from __future__ import annotations

__all__ = [
    "Entered",
    "GuestWishes",
    "Retired",
    "WindowLeft",
    "enter",
    "refuse_guests",
    "retire",
    "show_opened",
]

import random
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from cryoflux.data.columns import Wishes
from cryoflux.data.examples import Example
from cryoflux.data.fold import fold
from cryoflux.data.formats import read_arrived
from cryoflux.data.near import find_near
from cryoflux.data.prepared import PreparedData, example_line, load_examples
from cryoflux.digests import sha256_hex
from cryoflux.errors import DataError, StateError, UsageError
from cryoflux.files import storage_errors, sync_folder, write_atomic
from cryoflux.network.folder import EXAMPLES, NetworkFolder
from cryoflux.network.guest import GuestFolder, enter_guest, open_guest
from cryoflux.network.search_set import MOST_SEARCHED
from cryoflux.network_state import GuestTally, NodeState
from cryoflux.quantities import utc_label
from cryoflux.receipts.contract_parts import OpenedContractLook, look_name
from cryoflux.receipts.network_parts import OpenedRound, SealedSums
from cryoflux.receipts.network_statement import (
    GuestHoldout,
    GuestHoldoutStatement,
    GuestOpening,
    OpeningStatement,
    WhyOpened,
)
from cryoflux.receipts.statement import Sha256Digest, Subject
from cryoflux.runs.by_hand import VersionsByHand
from cryoflux.runs.node_by_hand import node_of
from cryoflux.state import StateFolder

LEAST_GUESTS = 200
"""examples; half of fewer show nothing of the size that updates have"""
MOST_GUESTS = 20_000
_MOST_NAMED = 4
"""windows in one message"""


@dataclass(frozen=True, slots=True)
class GuestWishes:
    """A guest holdout that is to be entered."""

    file: Path
    alpha_ppm: int = 10_000
    """error over its life, parts per million"""
    max_looks: int = 40
    days: int = 90
    """after which it is opened, whatever it was used for"""
    wishes: Wishes = field(default_factory=Wishes)
    """how its file is to be read"""


@dataclass(frozen=True, slots=True)
class Entered:
    """A guest holdout that is in the log."""

    root: str
    count: int
    searched: int
    """examples of the file that were set aside for the search of rounds; 0 where some were before"""
    known: int
    """rows that are like a text that the state trains on or judges by, and were left out"""
    strange: int
    """rows of a class that the model has not"""


@dataclass(frozen=True, slots=True)
class WindowLeft:
    """A window of a contract that was not looked at, and whose look is not overdue."""

    contract: str
    window: int
    due_s: int
    """until when it may be looked at, Unix seconds"""

    def __str__(self) -> str:
        return f"window {self.window + 1} of {self.contract[:16]}… (until {utc_label(self.due_s)})"


@dataclass(frozen=True, slots=True)
class Retired:
    """A guest holdout that was opened."""

    root: str
    looks: int
    """of rounds"""
    kept: int
    examples: Path
    contract_looks: int = 0
    given_up: tuple[WindowLeft, ...] = ()
    """windows of contracts that could have been looked at"""


def enter(opened: VersionsByHand, task: str, wishes: GuestWishes, data: PreparedData) -> Entered:
    """Enter a guest holdout: its examples stay here, its root goes into the log.

    Args:
        opened: the state, locked.
        task: whose offers it judges.
        wishes: what it is to be.
        data: that the task trains on and is judged by.

    Raises:
        DataError: the file cannot be read, or too few of its rows can judge.
        StorageError: the disk is full, read-only, or refuses.
    """
    lines, copies, strange = _guests(data, wishes, _used_before(NetworkFolder.of(opened.state.path)))
    network = NetworkFolder.of(opened.state.path)
    lines, searched = _set_aside(network, lines)
    guest = enter_guest(network, lines)
    until = (opened.now() + timedelta(days=wishes.days)).date().isoformat()

    def build(sequence: int, prev: str) -> GuestHoldoutStatement:
        said = GuestHoldout(
            sequence=sequence,
            prev=prev,
            task=task,
            root=guest.root,
            count=len(lines),
            alpha_ppm=wishes.alpha_ppm,
            max_looks=wishes.max_looks,
            source=f"{wishes.file.name}: {len(lines)} examples that were not trained on",
            open_by=until,
            entered_at=opened.timestamp(),
        )
        subject = Subject(name="guest-holdout", digest=Sha256Digest(sha256=guest.root))
        return GuestHoldoutStatement(subject=[subject], predicate=said)

    opened.append(build)
    opened.published(binding=False)
    return Entered(guest.root, len(lines), searched, copies, strange)


def refuse_guests(state: StateFolder, wishes: GuestWishes, data: PreparedData) -> None:
    """Refuse a file that could not be entered, before anything is written.

    Args:
        state: that it would be entered in; it need not be there yet.
        wishes: what it is to be.
        data: that the task trains on and is judged by.

    Raises:
        DataError: as for `enter`.
    """
    _guests(data, wishes, _used_before(NetworkFolder.of(state.path)))


def _set_aside(network: NetworkFolder, lines: list[bytes]) -> tuple[list[bytes], int]:
    """Set some examples aside for the search of rounds, where there are none; what is left, and how many.

    Whatever is searched with has been looked at again and again, so it judges nothing.
    """
    if network.search.is_file():
        return lines, 0
    drawn = list(lines)
    random.SystemRandom().shuffle(drawn)
    count = min(MOST_SEARCHED, len(drawn) // 2)
    with storage_errors(network.search):
        network.path.mkdir(exist_ok=True)
        write_atomic(network.search, b"".join(line + b"\n" for line in drawn[:count]), mode=0o600)
    return drawn[count:], count


def _used_before(network: NetworkFolder) -> list[str]:
    """Texts that rounds were searched with, or that judged before: others may have seen them by now."""
    files = [network.search, *network.guests.glob(f"*/{EXAMPLES}"), *network.openings.glob(f"*/{EXAMPLES}")]
    return [one.text for path in files if path.is_file() for one in load_examples(path)]


def _guests(data: PreparedData, wishes: GuestWishes, used: list[str]) -> tuple[list[bytes], int, int]:
    """The lines of a guest holdout; how many rows were like known texts, and how many of strange classes."""
    rows = [example for _, example in read_arrived(wishes.file, wishes.wishes).numbered]
    classes = set(data.labels)
    own = [*used, *(example.text for name in data.sets for example in data.examples(name))]
    taken, fresh = {fold(text) for text in own}, list[Example]()
    strange = sum(row.label not in classes for row in rows)
    for row in rows:
        if row.label in classes and (folded := fold(row.text)) not in taken:
            taken.add(folded)
            fresh.append(Example(row.text, row.label))
    near = find_near([one.text for one in fresh], own).near
    lines = [example_line(one) for at, one in enumerate(fresh) if at not in near][:MOST_GUESTS]
    if len(lines) < LEAST_GUESTS:
        raise DataError(
            f"{wishes.file} has {len(lines)} examples that could judge, and {LEAST_GUESTS} are needed.",
            why=f"Of its {len(rows)} rows {strange} are of no class of the model, and "
            f"{len(rows) - strange - len(lines)} are like texts that this state trains on or judges by.",
            hint="Name a file of fresh labelled texts: cryoflux node init --guest FILE.",
        )
    return lines, len(rows) - strange - len(lines), strange


def retire(
    opened: VersionsByHand,
    task: str,
    root: str = "",
    *,
    why: WhyOpened | None = None,
    give_up_windows: bool = False,
) -> Retired:
    """Open a guest holdout: from here on anybody can make each of its verdicts again, and it gives no more.

    Args:
        opened: the state, locked.
        task: whose offers it judged.
        root: of it; the one in use, or else the oldest that is not opened, where it is empty.
        why: it retires; found out where it is none.
        give_up_windows: whether to open it though windows of contracts wait for a look at it.

    Raises:
        UsageError: there is none that could be opened, or windows of contracts wait for a look.
        StateError: a round is open.
        StateTamperedError: it is not what the log names.
        StorageError: the disk is full, read-only, or refuses.
    """
    opened.refuse_open()
    node, network = node_of(opened, task), NetworkFolder.of(opened.state.path)
    show_opened(opened, task)  # of one whose command died after its entry
    tally = _to_open(opened, node, root)
    guest = open_guest(network, tally.said.root)
    left = _windows_left(node, guest.root, int(opened.now().timestamp()))
    if left and not give_up_windows:
        raise _waiting(left, guest.root, opened.state)
    rounds = [
        OpenedRound(intent=look.intent, sums=_sums(guest, look.intent, of_contract=False))
        for look in tally.looks
    ]
    for_contracts = _for_contracts(node, guest)
    said = why or _why(tally, opened.now().date().isoformat())

    def build(sequence: int, prev: str) -> OpeningStatement:
        opening = GuestOpening(
            sequence=sequence,
            prev=prev,
            task=task,
            root=guest.root,
            key=guest.key.hex(),
            examples=sha256_hex(guest.content),
            count=len(guest.examples),
            why=said,
            rounds=rounds,
            opened_at=opened.timestamp(),
            contract_looks=for_contracts,
        )
        subject = Subject(name=EXAMPLES, digest=Sha256Digest(sha256=sha256_hex(guest.content)))
        return OpeningStatement(subject=[subject], predicate=opening)

    opened.append(build)
    show_opened(opened, task)
    opened.published(binding=False)
    place = network.openings / guest.root / EXAMPLES
    return Retired(guest.root, len(rounds), tally.kept, place, len(for_contracts), left)


def _for_contracts(node: NodeState, guest: GuestFolder) -> list[OpenedContractLook]:
    return [
        OpenedContractLook(
            contract=terms.digest,
            window=look.window,
            sums=_sums(guest, look_name(terms.digest, look.window), of_contract=True),
        )
        for terms, look in node.contract_looks(guest.root)
    ]


def _windows_left(node: NodeState, root: str, now_s: int) -> tuple[WindowLeft, ...]:
    """The windows of contracts that a guest holdout still has to be looked at for."""
    return tuple(
        WindowLeft(tally.terms.digest, window, tally.terms.windows.due_s(window))
        for tally in node.contracts.values()
        if tally.terms.guest_root == root
        for window in range(tally.terms.windows.count)
        if now_s <= tally.terms.windows.due_s(window) and all(one.window != window for one in tally.looks)
    )


def _waiting(left: Sequence[WindowLeft], digest: str, state: StateFolder) -> UsageError:
    more = f", and {len(left) - _MOST_NAMED} more" if len(left) > _MOST_NAMED else ""
    return UsageError(
        f"Not looked at yet: {', '.join(map(str, left[:_MOST_NAMED]))}{more}.",
        why="Once the guest holdout is open nobody can, and the terms say what a missing look means.",
        hint=f"Look first: cryoflux contract look {left[0].contract[:16]}{state.flag()}. Or give them up: "
        f"cryoflux node retire --root {digest[:16]} --give-up-windows{state.flag()}.",
    )


def _sums(guest: GuestFolder, name: str, *, of_contract: bool) -> SealedSums:
    shown = None if of_contract else guest.look(name)
    sums = guest.sums(name) if of_contract else shown.sums if shown is not None else None
    if sums is None:
        raise StateError(
            f"The look {name[:16]}… of a {'contract' if of_contract else 'round'} is not here.",
            why="An opening shows every look of its guest holdout, or none of them counts.",
            hint=f"Restore {shlex.quote(str(guest.path))} from a backup.",
        )
    return sums


def _to_open(opened: VersionsByHand, node: NodeState, root: str) -> GuestTally:
    pledged = node.pledged
    closed = [
        tally
        for tally in node.guests.values()
        if not tally.opened and (root or tally.said.root not in pledged)
    ]
    found = [tally for tally in closed if tally.said.root.startswith(root)]
    if root and len(found) > 1:
        raise UsageError(
            f"{len(found)} guest holdouts begin with {root[:64]!r}.",
            why="What was opened cannot be closed again, so one has to be meant.",
            hint="Name more of its digits: cryoflux receipts list shows them.",
        )
    kept = [one for one, tally in node.guests.items() if one in pledged and not tally.opened]
    if not found and kept and not root:
        raise UsageError(
            "Only guest holdouts that contracts are judged by are not opened yet.",
            why="Once one is open, its contract can be judged no more.",
            hint=f"Open it by name: cryoflux node retire --root {kept[0][:16]}{opened.state.flag()}.",
        )
    if not found:
        raise UsageError(
            "There is no guest holdout that could be opened.",
            why="Every one that this log entered was opened."
            if node.guests
            else "This log has entered none.",
            hint=f"Enter one: cryoflux node init --guest FILE{opened.state.flag()}.",
        )
    return next((tally for tally in found if tally is node.guest), found[0])


def _why(tally: GuestTally, today: str) -> WhyOpened:
    if len(tally.looks) >= tally.said.max_looks:
        return WhyOpened.LOOKS
    if tally.budget.exhausted:
        return WhyOpened.WORN
    return WhyOpened.DATE if today >= tally.said.open_by else WhyOpened.ASKED


def show_opened(opened: VersionsByHand, task: str) -> None:
    """Put the examples of guest holdouts where others find them: of those that the log has opened alone.

    Args:
        opened: the state, locked.
        task: whose offers they judged.

    Raises:
        StateTamperedError: one is not what the log names.
        StorageError: the disk is full, read-only, or refuses.
    """
    network = NetworkFolder.of(opened.state.path)
    for root, tally in node_of(opened, task).guests.items():
        place = network.openings / root / EXAMPLES
        if tally.opened and not place.is_file():
            content = open_guest(network, root).content
            with storage_errors(place):
                place.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(place, content)
                sync_folder(place.parent)

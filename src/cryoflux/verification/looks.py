"""What a session says that heads were held against: whether the log can have had such looks.

A look costs nothing of the error budget α: the k-th head of a task has α/(k(k + 1)) of it, however often it
is looked at. So what was spent follows from the log alone, and each look has to name the bar that this
leaves: of a head that there was while the session went on, its number, and the versions that the log has to
compare it with. α is the one that was named before, or less. The evidence is its owner's word, up to a
rollback, whose losses are shown; but a rollback has to say the same of it, and one that was due has to come.
"""

from __future__ import annotations

__all__ = ["Looks"]

import math
from collections.abc import Iterator

from msgspec import Struct, field

from cryoflux.decision.monitor import needed_milli
from cryoflux.digests import sha256_hex
from cryoflux.log_state import LogState
from cryoflux.quantities import MICRO
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.profiles import PROFILE
from cryoflux.receipts.session import BaseCharge, MonitorCheck, Session
from cryoflux.receipts.statement import Base, HeadMove, Move
from cryoflux.task_state import TaskState
from cryoflux.verification.compared import (
    best_of,
    digest_of_list,
    list_complaints,
    not_listed,
    short_version,
)
from cryoflux.verification.rollbacks import read_before

_MILLI = 1000


class _Stay(Struct, array_like=True):
    """A version as the head of a task, for as long as it was."""

    since: int
    """entries of the log when it had become the head"""
    head: int
    number: int
    """which head of its task it is, from 1"""
    before: list[int]
    """versions that the log compares it with"""
    back_to: int = 0
    """the version that a rollback left it for; 0 where none did"""
    back_by: str = ""
    """what that rollback says of its evidence: examples, and how much of it"""
    back_list: str = ""
    """which versions it lists, and what each has shown; empty where it lists none"""


class Looks(Struct):
    """The heads of each task since its last session, and rollbacks that are due."""

    stays: dict[str, list[_Stay]] = field(default_factory=dict)
    due: dict[str, tuple[int, str]] = field(default_factory=dict)
    """task → number of a head that was found to be worse and is still there, and the entry that says so"""
    freed: dict[int, None] = field(default_factory=dict)
    """versions that entries freed"""
    touched: list[str] = field(default_factory=list)
    """tasks whose head the last entry may have moved"""

    def before(self, entry: Entry, memory: LogState) -> Iterator[tuple[str, str]]:
        """Follow the heads up to an entry; questions about looks before it, each with the entry that asks it.

        Args:
            entry: the next one.
            memory: the log before it.
        """
        for task in self.touched:
            if (known := memory.tasks.get(task)) is not None:
                yield from self._came_to(task, known, memory.size)
        self.touched = _touched(entry)
        if (move := entry.move) is not None:
            self._moves(move)

    def _came_to(self, task: str, known: TaskState, size: int) -> Iterator[tuple[str, str]]:
        stays = self.stays.setdefault(task, [])
        if stays and stays[-1].number == known.heads:
            return
        before = [short_version(made.version.digest) for made in known.before_head()]
        stays.append(_Stay(size, _of(known.head), known.heads, before))
        number, name = self.due.get(task, (0, ""))
        if number and number != known.heads:
            del self.due[task]
            yield name, _not_left(task)

    def _moves(self, move: HeadMove) -> None:
        self.freed |= dict.fromkeys(short_version(version.digest) for version in move.pruned)
        stays = self.stays.get(move.task)
        if move.move is Move.ROLLBACK and stays:
            self.due.pop(move.task, None)
            stays[-1].back_to = short_version(move.result.digest)
            if move.test is not None and move.evidence:
                stays[-1].back_by = _evidence(move.evidence[0].sha256, move.test.evidence_milli)
                stays[-1].back_list = digest_of_list(move.test.against)

    def open(self) -> Iterator[tuple[str, str]]:
        """Questions about what is due at the end of the log, each with the entry that it is about."""
        for task, (_, name) in self.due.items():
            yield name, _not_left(task)

    def complaints(self, session: Session, memory: LogState) -> Iterator[str]:
        """What is wrong with the looks and measurements of a session, which is the next entry."""
        promised: dict[str, int] = {}
        for check in session.checks:
            if (known := memory.tasks.get(check.task)) is None:
                yield f"says that it held a head of {check.task}, of which the log knows no head"
                continue
            least = promised.get(check.task) or known.monitor_alpha_ppm or check.alpha_ppm
            if check.alpha_ppm > least:
                yield (
                    f"allows its monitor {check.alpha_ppm} ppm of error, where {least} were promised: "
                    "an error budget may be tightened, never widened"
                )
            promised[check.task] = min(least, check.alpha_ppm or least)
            yield from read_before(check.sha256, known)
            yield from self._look(check, session.opened_at)
        for base in session.bases:
            yield from self._measured(base, session.opened_at, memory.tasks.get(base.task))

    def _look(self, check: MonitorCheck, opened_at: int) -> Iterator[str]:
        stays = self._during(check.task, check.head, opened_at)
        if not stays:
            yield f"looked at {check.head.digest[:16]}…, which was no head while the session went on"
            return
        found = [list(_complaints(stay, check)) for stay in stays]
        yield from min(found, key=len)

    def _measured(self, said: BaseCharge, opened_at: int, known: TaskState | None) -> Iterator[str]:
        if known is None:
            return  # nothing was announced on it by then
        if not self._during(said.task, said.base, opened_at):
            yield f"measured {said.base.digest[:16]}…, which was no head while the session went on"
        elif (tally := known.holdouts.get(said.holdout)) is not None and tally.count != said.count:
            yield f"measured {said.count} examples of a holdout that has {tally.count}"
        elif said.base == known.head and said.profile == PROFILE:
            # Each loss was rounded once; on another machine it may lie on the other side of a boundary.
            signed = [
                found.loss_sum
                for (holdout, profile, _), found in known.losses.items()
                if (holdout, profile) == (said.holdout, said.profile)
            ]
            if signed and all(abs(one - said.loss_sum) > said.count for one in signed):
                yield f"measured a loss of {said.loss_sum} of the head, of which receipts sign {signed[0]}"

    def questions(self, name: str, session: Session) -> Iterator[str]:
        """What stays open about the looks of a session, which is the next entry.

        Args:
            name: of the entry.
            session: what it says.
        """
        for check in session.checks:
            stays = self._during(check.task, check.head, session.opened_at)
            fits = [stay for stay in stays if not any(_complaints(stay, check))]
            if fits:
                yield from self._left_open(name, check, fits[-1])
        for task, stays in self.stays.items():
            self.stays[task] = stays[-1:]

    def _left_open(self, name: str, check: MonitorCheck, stay: _Stay) -> Iterator[str]:
        yield from not_listed(check.against, stay.before, self.freed)
        if check.evidence_milli >= check.needed_milli and not stay.back_to:
            if stay is self.stays[check.task][-1]:
                self.due[check.task] = (stay.number, name)
            else:
                yield _not_left(check.task)

    def _during(self, task: str, head: Base, opened_at: int) -> list[_Stay]:
        """Where a version was the head of a task while a session went on."""
        stays = self.stays.get(task, [])
        ends = [*(stay.since for stay in stays[1:]), math.inf]
        wanted = _of(head)
        return [
            stay for stay, end in zip(stays, ends, strict=True) if end > opened_at and stay.head == wanted
        ]


def _touched(entry: Entry) -> list[str]:
    if (intent := entry.intent) is not None:
        return [intent.task.name]
    if (receipt := entry.receipt) is not None:
        return [receipt.task.name]
    if (move := entry.move) is not None:
        return [move.task]
    if (adopted := entry.round or entry.recall) is not None:
        return [adopted.task]
    return [said.task for said in entry.fork.tasks] if entry.fork is not None else []


def _of(version: Base) -> int:
    return short_version(sha256_hex(f"{version.digest} {version.files}".encode()))


def _evidence(examples: str, milli: int) -> str:
    return f"{examples} {milli}"


def _not_left(task: str) -> str:
    return f"says that the head of {task} was found to be worse than a version before it, and it was not left"


def _complaints(stay: _Stay, check: MonitorCheck) -> Iterator[str]:
    """What is wrong with a look at a head, as it was."""
    known, due = bool(check.alpha_ppm), len(stay.before)
    if known and check.head_number != stay.number:
        yield f"says that it is head {check.head_number} of its task; by the log it is {stay.number}"
    if check.compared != due:
        yield f"says that it compared {check.compared} versions; by the log there were {due}"
    elif known and check.needed_milli != (bar := needed_milli(check.alpha_ppm, stay.number, due)):
        yield f"says that it needed {check.needed_milli}; by its error budget it needed {bar}"
    elif not known and not _is_a_bar(check.needed_milli, stay.number, due):
        yield f"no error budget asks for evidence of {check.needed_milli} against head {stay.number}"
    if known:
        yield from _listed(stay, check)
    if stay.back_to and check.against and check.evidence_milli >= check.needed_milli:
        yield from _gone_back(stay, check)


def _is_a_bar(needed: int, number: int, compared: int) -> bool:
    """Whether some error budget has it; older looks do not name theirs."""
    price = compared * number * (number + 1) * MICRO
    if needed > _MILLI * (math.log(price) + 1):
        return False
    near = math.floor(price * math.exp((1 - needed) / _MILLI))
    budgets = (alpha for alpha in range(near - 1, near + 2) if 0 < alpha <= MICRO)
    return any(needed_milli(alpha, number, compared) == needed for alpha in budgets)


def _listed(stay: _Stay, check: MonitorCheck) -> Iterator[str]:
    if not check.against:
        yield "says that it compared versions, and lists none"
        return
    yield from list_complaints(check.against, stay.before)
    if (strongest := max(one.evidence_milli for one in check.against)) != check.evidence_milli:
        yield f"says that its evidence is {check.evidence_milli}; the strongest that it lists is {strongest}"


def _gone_back(stay: _Stay, check: MonitorCheck) -> Iterator[str]:
    """What a rollback says otherwise than the look that led to it."""
    best = best_of(check.against, check.needed_milli)
    if best is None or short_version(best.version) != stay.back_to:
        yield "the head was left for another version than the best one that it lists"
    elif stay.back_by and stay.back_by != _evidence(check.sha256, best.evidence_milli):
        yield "the rollback that left the head shows other evidence, or of other examples"
    elif stay.back_list and stay.back_list != digest_of_list(check.against):
        yield "the rollback that left the head lists other versions, or what they have not shown"

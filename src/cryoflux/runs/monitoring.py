"""Holds each head against versions before it, on examples that no decision on updates reads, and goes back.

After each merge, and when a run begins, the head is evaluated on the monitor; so is each version that it is
compared with, once. What that costs the session pays, whose entry names it. Where the head is found to be
worse (`cryoflux.decision.monitor`), it is left by a signed entry with that evidence, and the run goes on from
the version gone back to. Batches of training examples that the head had learned from and that version had not
are quarantined by the same entry: nothing learns from them any more. Where there are none, the same examples
would lead to the same place, and the task waits for others.
"""

from __future__ import annotations

__all__ = ["Checked", "Monitoring"]

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from cryoflux.attempt.context import Context, Opened
from cryoflux.attempt.moving import move_head
from cryoflux.data.columns import Wishes
from cryoflux.decision.evidence import Evidence, pair_losses
from cryoflux.decision.monitor import MONITOR, Degradation, cap_of, find_degradation
from cryoflux.decision.reason import Reason
from cryoflux.digests import sha256_hex
from cryoflux.errors import DataError, StateTamperedError
from cryoflux.evaluation.cache import KnownLosses
from cryoflux.evaluation.losses import Losses, write_evidence
from cryoflux.evaluation.scoring import score
from cryoflux.files import write_atomic
from cryoflux.quantities import MICRO
from cryoflux.receipts.session import MonitorCheck
from cryoflux.receipts.statement import CheckedAgainst, Measurement, MonitorTest, Move
from cryoflux.receipts.sums import sums_of
from cryoflux.registry.versions import Version
from cryoflux.runs.monitor_set import LEAST, MonitorSet, file_signature, monitor_set
from cryoflux.runs.open_session import OpenSession
from cryoflux.settings import MonitorSettings
from cryoflux.task_state import TaskState
from cryoflux.task_tallies import PoolParts

_Progress = Callable[[str, int, int], None]


class _StoppedError(Exception):
    """Somebody asked to stop meanwhile."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What holding a head against versions before it has shown."""

    task: str
    head: str
    """digest of the head that was checked"""
    quarantined: int
    """training examples that are learned from no more"""
    examples: MonitorSet
    found: Degradation
    worse: Evidence | None
    """of the head as base and the version gone back to as new; none where it stays"""
    alpha_ppm: int
    unit: str


class Monitoring:
    """The monitor of a run.

    Args:
        context: the run.
        settings: which examples, and how often it may err.
        progress: called with what is done, examples done, examples in all.
        reopen: opens a task again, once it draws from other training examples.
        tell: called with a task and a sentence, where the file that is fed does not speak for its head.
        wishes: how that file is to be read.
    """

    def __init__(
        self,
        context: Context,
        settings: MonitorSettings,
        progress: _Progress,
        reopen: Callable[[Opened], None],
        tell: Callable[[str, str], None],
        wishes: Wishes,
    ) -> None:
        self._context, self._settings, self._progress = context, settings, progress
        self._wishes = wishes
        self._reopen, self._tell = reopen, tell
        self._done: dict[str, tuple[str, str]] = {}
        """task → head and examples of its last check: the same two tell nothing new"""
        self._fed: dict[str, tuple[object, MonitorSet | None]] = {}
        """task → what its fed file was when it was read, and what counted of it"""
        self.foreseen_uj = 0
        """what the next check may cost, as the dearest one of this run did; attempts leave it, µJ"""

    def check(self, session: OpenSession) -> list[Checked]:
        """Hold the head of each task against versions before it, and go back where it is worse.

        Args:
            session: pays for it.

        Returns:
            what was compared; nothing for a task whose head and examples are those of its last check.

        Raises:
            EvaluationFailedError: a loss is no number.
            StateError: a quorum of witnesses is required, and has not seen that the head moved.
            StateTamperedError: a version is not what its name says.
        """
        checked = []
        try:
            for name, opened in self._context.tasks.items():
                if (examples := self._examples(opened)) is None:
                    continue
                place = (opened.task.head.digest, examples.sha256)
                if self._done.get(name) != place and (one := self._check(opened, examples, session)):
                    checked.append(one)
                    self._done[name] = (opened.task.head.digest, examples.sha256)
        except _StoppedError:
            pass
        return checked

    def _examples(self, opened: Opened) -> MonitorSet | None:
        # It is asked for before each attempt: a file that is the same is not read again.
        seen = (file_signature(self._settings.monitor), opened.data.digest)
        name = opened.task.name
        known = self._fed.get(name)
        if known is None or known[0] != seen:
            known = seen, self._read(opened, known[1] if known is not None else None)
            self._fed[name] = known
        return known[1]

    def _read(self, opened: Opened, before: MonitorSet | None) -> MonitorSet | None:
        """What counts now; of a file that cannot be read, for somebody writes to it, what did before."""
        name = opened.task.name
        try:
            found = monitor_set(opened, self._settings, self._context.state, self._wishes)
        except DataError as error:
            if before is not None and before.part not in opened.data.sets:
                before = None  # the data set has grown meanwhile, and has not taken it up
            until = "what was read before counts" if before is not None else "heads are held against nothing"
            self._tell(name, f"{error.what} Until it can be read {until}.")
            return before
        if found is None or found.count >= LEAST:
            return found
        self._tell(name, _too_few(found))
        return None

    def _check(self, opened: Opened, examples: MonitorSet, session: OpenSession) -> Checked | None:
        known = opened.known()
        if known is None:
            return None
        start_uj, head = session.spent().uj, opened.task.head
        others = self._others(opened, known, examples)
        if not others:
            return None
        losses = self._losses(opened, head.digest, examples, lambda: head)
        alpha_ppm, unit, among = self._alpha_ppm(known), opened.task.metric.unit, len(known.before_head())
        found = find_degradation(
            losses.nano_nats,
            {digest: one.nano_nats for digest, one in others.items()},
            cap_nano=cap_of(unit),
            alpha_ppm=alpha_ppm,
            head_number=known.heads,
            among=among,
        )
        spent_uj = session.spent().uj - start_uj
        self.foreseen_uj = max(self.foreseen_uj, spent_uj)
        session.checked(self._charge(opened, examples, found, (among, alpha_ppm, known.heads), spent_uj))
        if found.back_to is None:
            return Checked(opened.task.name, head.digest, 0, examples, found, None, alpha_ppm, unit)
        other = others[found.back_to.version]
        worse = pair_losses(losses.nano_nats, other.nano_nats, losses.correct, other.correct)
        quarantined = self._go_back(opened, known, examples, found, (losses, other), alpha_ppm)
        if quarantined:
            self._reopen(opened)
        return Checked(opened.task.name, head.digest, quarantined, examples, found, worse, alpha_ppm, unit)

    def _alpha_ppm(self, known: TaskState) -> int:
        asked = max(1, round(self._settings.monitor_error_budget * MICRO))
        return min(asked, known.monitor_alpha_ppm or asked)

    def _others(self, opened: Opened, known: TaskState, examples: MonitorSet) -> dict[str, Losses]:
        """Losses of the kept versions that the head could go back to, by their digest.

        A version that was freed, or that is damaged, is none of them: verify names it, and a head has only
        those before it that are left.
        """
        versions, found = self._context.versions, dict[str, Losses]()
        for made in known.before_head():
            digest = made.version.digest
            if versions.folder(digest).is_dir():
                with suppress(StateTamperedError):
                    found[digest] = self._losses(opened, digest, examples, partial(versions.open, digest))
        return found

    def _losses(
        self, opened: Opened, digest: str, examples: MonitorSet, open_it: Callable[[], Version]
    ) -> Losses:
        """Losses of a version: remembered, or measured once."""
        task, part, count = opened.task, examples.part, examples.count
        kept, profile = self._context.losses, task.profile(part)
        known = kept.get(digest, examples.sha256, task.cut, count, profile)
        if known is not None:
            return known.losses

        def between(done: int) -> None:
            self._progress("evaluating on the monitor", done, count)
            if self._context.stop():
                raise _StoppedError

        scores = score(task.scorer(open_it(), part), list(range(count)), between, task.largest)
        losses = Losses(tuple(scores[0]), tuple(scores[1]))
        kept.put(digest, examples.sha256, task.cut, KnownLosses(losses, 0), profile)
        return losses

    def _charge(
        self, opened: Opened, examples: MonitorSet, found: Degradation, by: tuple[int, int, int], uj: int
    ) -> MonitorCheck:
        strongest = found.strongest
        among, alpha_ppm, head_number = by
        return MonitorCheck(
            task=opened.task.name,
            head=opened.base,
            sha256=examples.sha256,
            count=examples.count,
            compared=among,
            needed_milli=found.needed_milli,
            evidence_milli=strongest.evidence_milli if strongest else 0,
            microjoules=max(0, uj),
            alpha_ppm=alpha_ppm,
            head_number=head_number,
            profile=opened.task.profile(examples.part),
            against=_listed(found),
        )

    def _go_back(
        self,
        opened: Opened,
        known: TaskState,
        examples: MonitorSet,
        found: Degradation,
        losses: tuple[Losses, Losses],
        alpha_ppm: int,
    ) -> int:
        """Leave the head; how many training examples are quarantined for it."""
        context, back = self._context, found.back_to
        if back is None:
            raise ValueError("there is nothing to go back to")
        head, other = losses
        content = write_evidence(head, other)
        write_atomic(context.state.losses(sha256_hex(content)), content)
        sums = sums_of(pair_losses(head.nano_nats, other.nano_nats, head.correct, other.correct))
        measurement = Measurement(
            profile=opened.task.profile(examples.part),
            metric=opened.task.metric,
            sha256=examples.sha256,
            count=examples.count,
            per_example=sha256_hex(content),
            **sums,
        )
        test = MonitorTest(
            rule=MONITOR,
            alpha_ppm=alpha_ppm,
            head_number=known.heads,
            compared=len(known.before_head()),
            cap_nano=cap_of(opened.task.metric.unit),
            needed_milli=found.needed_milli,
            evidence_milli=back.evidence_milli,
            against=_listed(found),
        )
        numbers: dict[str, int | str] = {
            "count": examples.count,
            "worse": measurement.base_loss_sum - measurement.new_loss_sum,
            "unit": opened.task.metric.unit,
            "alpha_ppm": alpha_ppm,
        }
        quarantined = known.since(back.version)
        if count := PoolParts(known.counts, quarantined).examples_quarantined:
            numbers["quarantined"] = count
        move_head(
            context,
            opened,
            Move.ROLLBACK,
            context.versions.open(back.version),
            known.makers[back.version],
            Reason(code="monitor-worse", numbers=numbers),
            evidence=[measurement],
            test=test,
            quarantined=quarantined,
        )
        return count


def _too_few(found: MonitorSet) -> str:
    beside = f"{found.known} are copies of texts that are known, {found.strange} of no class of the model"
    beside += f", {found.lacking} without a text or a label" if found.lacking else ""
    return f"{found.count} examples count, and {LEAST} are needed ({beside}): heads are held against nothing."


def _listed(found: Degradation) -> list[CheckedAgainst]:
    return [
        CheckedAgainst(version=one.version, evidence_milli=one.evidence_milli, worse_nano=one.worse_nano)
        for one in found.compared
    ]

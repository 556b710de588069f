"""A small but complete state directory, made by hand and written through the real receipt log.

Four attempts on a holdout of 64 examples: accepted, rejected (its adapter is kept), aborted before an
adapter was made, accepted. The models are safetensors files of a few bytes. ``old=True`` writes a state
as the first version wrote it before there were schedules, screens and error budgets: entries of that form.
"""

from __future__ import annotations

__all__ = ["SyntheticState", "make_state", "open_state"]

import json
import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from cryoflux.decision.reason import Reason
from cryoflux.decision.screening import screened_out
from cryoflux.digests import file_digest
from cryoflux.energy.account.bucket import Bucket
from cryoflux.energy.account.charge import Charge
from cryoflux.energy.clock import SystemClock
from cryoflux.energy.interface import is_lent
from cryoflux.files import replace_symlink
from cryoflux.log_state import LogState
from cryoflux.quantities import Energy, Tier
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.log import ReceiptLog
from cryoflux.receipts.session import Session, SessionEnd, SessionStatement
from cryoflux.receipts.statement import (
    CROSS_ENTROPY,
    ArmPrior,
    AttemptName,
    Base,
    Cause,
    Data,
    EnergyFigure,
    HeadMove,
    HeadStatement,
    Holdout,
    Intent,
    IntentStatement,
    Metric,
    Move,
    Outcome,
    Receipt,
    ReceiptStatement,
    Rule,
    Schedule,
    Sha256Digest,
    Statement,
    Subject,
)
from cryoflux.scheduling.policy import Arm, Choice, choose
from cryoflux.state import StateFolder
from lowering import OldReceiptLog
from metering import sign
from synthetic_parts import (
    ARM_SEED,
    ARMS,
    BUCKET_UJ,
    COUNT,
    OLD_RECIPE,
    OLD_RULE,
    RECIPE,
    RESERVED_UJ,
    RULE,
    SEED,
    TASK,
    decision,
    digest_of,
    evaluation,
    figure,
    judged,
    make_capsule,
    make_data,
    make_evidence,
    make_model,
    old_training,
    order_read,
    outcome_of,
    pair,
    root_of,
    screen,
    thresholds,
    training,
)

_BEGAN = datetime(2026, 11, 23, 1, tzinfo=UTC)


@dataclass
class Line:
    """One task of a state: its head and its data."""

    data: Data
    head: Base
    gain: float = 0.0
    """of the head: how much lower its losses are than the first model's"""
    uses: int = 0
    made: dict[str, tuple[int, str, float]] = field(default_factory=dict)
    """digest of a version that was a head → entry that made it, by index and hash, and its gain"""


@dataclass(repr=False)
class SyntheticState(Line):
    """The state and what is in it; ``log`` and ``account`` stay open until `finish`."""

    path: Path = field(kw_only=True)
    log: ReceiptLog = field(kw_only=True)
    series: str = "a"
    """first letter of task ids, another one for each holdout"""
    task: str = TASK
    metric: Metric = CROSS_ENTROPY
    rule: Rule = RULE
    recipe: dict[str, str | int] = field(default_factory=lambda: RECIPE)
    policy: str = "prior-eta/v1"
    arms: list[ArmPrior] = field(default_factory=lambda: ARMS)
    slots: int = 1
    metered: bool = False
    """whether a meter signs what attempts and sessions are charged"""
    entries: list[Entry] = field(default_factory=list)
    memory: LogState = field(default_factory=LogState)
    account: Bucket = field(init=False)

    def __post_init__(self) -> None:
        self.account = Bucket(self.path / "account.db", SystemClock())
        self.lines: dict[str, Line] = {}

    def _append(self, build: object) -> Entry:
        self.entries.append(self.log.append(build))
        self.memory.take(self.entries[-1])
        return self.entries[-1]

    def moment(self, seconds: int = 0) -> str:
        """When the next entry is written: 123 seconds after the one before it."""
        at = _BEGAN + timedelta(seconds=123 * self.log.size + seconds)
        return at.strftime("%Y-%m-%dT%H:%M:%SZ")

    def begin(self, task: str) -> None:
        """Go on with another task: with where it was left, or from the first model and the same data."""
        kept = {name: getattr(self, name) for name in Line.__dataclass_fields__}
        self.lines[self.task] = Line(**kept)
        if task not in self.lines:
            self.lines[task] = Line(self.data, make_model(self.path, [1.0, 0.0, 0.0]))
        self.task = task
        self.arms = [arm.but(task=task) for arm in ARMS]
        for name in Line.__dataclass_fields__:
            setattr(self, name, getattr(self.lines[task], name))
        self.link()

    def link(self) -> None:
        """Let the link of the task point at its head."""
        link = StateFolder(self.path).head(self.task)
        link.parent.mkdir(exist_ok=True)
        above = "../" * (len(link.relative_to(self.path).parts) - 1)
        replace_symlink(link, f"{above}models/{self.head.digest}")

    def due_schedule(self) -> Schedule:
        """What the policy gives after the log so far."""
        if not self.arms:
            return Schedule(
                policy="greedy-eta/v1", reason=Reason(code="said", numbers={"sentence": "the only arm"})
            )
        arms = [
            Arm(arm.task, arm.name, arm.reserve_microjoules, arm.prior_microjoules, self.metric.unit)
            for arm in self.arms
        ]
        due = choose(
            arms,
            self.memory.memories({self.task: self.rule.min_delta}),
            len(self.memory.lessons),
            bucket_uj=BUCKET_UJ,
            seed=ARM_SEED,
            policy=self.policy,
        )
        assert isinstance(due, Choice), "use the policy uniform/v1 for a log that goes on"
        return Schedule(
            policy=self.policy, reason=due.reason, arms=self.arms, bucket_microjoules=BUCKET_UJ, seed=ARM_SEED
        )

    def rotate(self) -> None:
        """Go on with the next holdout of the data set."""
        self.uses, self.series = 0, chr(ord(self.series) + 1)
        name = f"holdout-{ord(self.series) - ord('a') + 1}.jsonl"
        digest = file_digest(self.path / "data" / self.data.digest / name)
        self.data = self.data.but(holdout=Holdout(sha256=digest, count=COUNT, use_index=1))

    def announce(
        self,
        *,
        task: str = "",
        arm: str = "r8",
        meter: Literal["embedded", "daemon"] = "embedded",
        **changes: object,
    ) -> Entry:
        """Append an intent; ``changes`` forge fields of it."""
        self.uses += 1
        task = task or f"{self.series}{self.uses:04}_{self.log.size}"
        holdout = self.data.holdout.but(use_index=self.uses)
        subject = Subject(name="base_model", digest=Sha256Digest(sha256=self.head.files))
        if not self.arms:
            weights = file_digest(self.path / "models" / self.head.digest / "model.safetensors")
            subject = Subject(name="model.safetensors", digest=Sha256Digest(sha256=weights))
        rule = changes.get("rule", self.rule)
        assert isinstance(rule, Rule)
        said = {
            "task": AttemptName(id=task, name=self.task, arm=arm),
            "metric": self.metric,
            "base": self.head,
            "data": self.data.but(holdout=holdout),
            "recipe": self.recipe,
            "seed": SEED,
            "schedule": changes.get("schedule") or self.due_schedule(),
            "rule": rule,
            "bar": changes.get("bar") or self.memory.bar(self.task, holdout.sha256, rule),
            "reserved_microjoules": RESERVED_UJ,
            "meter": meter,
            "announced_at": self.moment(),
            "slots": self.slots,
        }
        subjects = changes.pop("subject", [subject])

        def build(sequence: int, prev: str) -> Statement:
            intent = Intent(**{**said, **changes, "sequence": sequence, "prev": prev})
            return IntentStatement(subject=subjects, predicate=intent)

        entry = self._append(build)
        self.made.setdefault(self.head.digest, (entry.index, entry.leaf_hash, self.gain))
        if meter == "embedded" and not self._settled(task):
            take = self.account.lend if is_lent(task) else self.account.take
            take(RESERVED_UJ, request_id=task, **self._whose(task))
        return entry

    def _settled(self, task: str) -> bool:
        record = self.account.find(task)
        return record is not None and record.state == "settled"

    def _whose(self, task: str) -> dict[str, str]:
        """Log and announcement of an attempt or a session, where the meter is to sign them."""
        said = {entry.intent.task.id: entry.leaf_hash for entry in self.entries if entry.intent is not None}
        return {"log": self.log.origin, "intent": said.get(task, "")} if self.metered else {}

    def signed(self, task: str, said: EnergyFigure, **changes: object) -> EnergyFigure:
        """A figure with the statement of the state's own meter on it; ``changes`` forge whose it is.

        Its counter has moved twice as much as was charged: the other half is what flows at rest.
        """
        if said.settlement or said.parts or said.unmetered or not self.metered:
            return said
        return said.but(settlement=sign(self.path, task, said, **{**self._whose(task), **changes}))

    def settle(self, task: str, uj: int, log: str = "") -> None:
        """Charge the reservation of a task, once."""
        whose = self._whose(task) or {"log": log}
        energy = Energy(uj, uj, uj, Tier.MODELLED)
        if is_lent(task):
            self.account.repay(self.account.lend(RESERVED_UJ, request_id=task, **whose).id, energy)
            return
        reservation = self.account.take(RESERVED_UJ, request_id=task, **whose)
        charge = Charge(energy, energy, ("cpu",), digest_of("baseline"), "concave/v1", 12_000_000)
        self.account.settle(reservation.id, charge)

    def conclude(self, intent: Entry, /, *, settles: bool = True, **changes: object) -> Entry:
        """Append a receipt of ``intent``; ``changes`` forge fields of it."""
        said = intent.statement.predicate
        base = {
            "intent": intent.leaf_hash,
            "task": said.task,
            "base": self.head,
            "holdout": said.data.holdout,
            "energy": figure(),
            "software": {"cryoflux": "0.1.0"},
            "started_at": self.moment(-122),
            "finished_at": self.moment(),
        }
        subject = changes.pop("subject")
        figure_said = changes.get("energy", base["energy"])
        assert isinstance(figure_said, EnergyFigure)
        changes["energy"] = self.signed(said.task.id, figure_said)
        if settles and said.meter == "embedded" and not self._settled(said.task.id):
            self.settle(said.task.id, max(0, figure_said.microjoules))

        def build(sequence: int, prev: str) -> Statement:
            fields = {**base, **changes, "sequence": sequence, "prev": prev}
            return ReceiptStatement(subject=subject, predicate=Receipt(**fields))

        return self._append(build)

    def abort(self, intent: Entry, /, **changes: object) -> Entry:
        subject = [Subject(name="base_model", digest=Sha256Digest(sha256=self.head.files))]
        said = {
            "subject": subject,
            "outcome": Outcome.ABORTED,
            "cause": Cause.INTERRUPTED,
            "reason": Reason(code="interrupted.preparing"),
            "result": self.head,
            "training": None,
            "evaluation": None,
            "decision": None,
        }
        return self.conclude(intent, **{**said, **changes})

    def session(self, uj: int = 30_000_000, *, settles: bool = True, **changes: object) -> Entry:
        """Append what the attempts since the last session cost beside them; ``changes`` forge fields."""
        opened_at = changes.get("opened_at", self.memory.session_end)
        name = str(changes.get("id", f"session/1_{opened_at}"))
        said = {
            "id": name,
            "opened_at": opened_at,
            "first_attempt": self.memory.accounted + 1,
            "attempts": self.memory.attempts - self.memory.accounted,
            "ended": SessionEnd.BUDGET,
            "budget_microjoules": 10 * RESERVED_UJ,
            "meter": "embedded",
            "energy": self.signed(name, figure(microjoules=uj, lo_microjoules=uj, hi_microjoules=uj)),
            "began_at": "2026-11-23T00:59:00Z",
            "ended_at": self.moment(),
        }
        if settles:
            self.settle(name, uj, self.log.origin)
        subject = [Subject(name="base_model", digest=Sha256Digest(sha256=self.head.files))]

        def build(sequence: int, prev: str) -> SessionStatement:
            fields = {**said, **changes, "sequence": sequence, "prev": prev}
            return SessionStatement(subject=subject, predicate=Session(**fields))

        return self._append(build)

    def fork(self, place: Path) -> SyntheticState:
        """A copy that goes on by itself, with the same keys."""
        path = shutil.copytree(self.path, place, symlinks=True)
        kept = {"gain": self.gain, "uses": self.uses, "made": dict(self.made), "entries": list(self.entries)}
        log = type(self.log).open(path)
        made = SyntheticState(self.data, self.head, path=path, log=log, **kept)
        for entry in made.entries:
            made.memory.take(entry)
        return made

    def attempt(self, gain: float, /, **changes: object) -> Entry:
        """Announce and conclude an attempt that lowers every loss by about ``gain`` nats."""
        return self.conclude_attempt(self.announce(), gain, **changes)

    def conclude_attempt(self, intent: Entry, gain: float, /, *, read: int = 0, **changes: object) -> Entry:
        """Conclude an attempt that lowers every loss by about ``gain`` nats; ``read`` examples, or all."""
        said = intent.statement.predicate
        rule, bar = said.rule, self.memory.bar(self.task, said.data.holdout.sha256, said.rule)
        candidate = make_model(self.path, [1.0, self.gain + gain, float(self.log.size)])
        order = order_read(self.data.holdout, read)
        per_example, evidence = make_evidence(self.path, self.gain, self.gain + gain, order)
        verdict = judged(rule, bar, evidence)
        found = evaluation(candidate, per_example, evidence)
        root = root_of(self.gain, self.gain + gain, order)
        changes = {
            "outcome": outcome_of(verdict),
            "reason": verdict.reason,
            "result": candidate if verdict.accepted else self.head,
            "evaluation": found.but(losses_root=found.losses_root or root) if self.arms else found,
            "decision": decision(accepted=verdict.accepted, rule=rule, bar=bar),
            **changes,
        }
        result, before, base = changes["result"], self.gain, self.head
        assert isinstance(result, Base)
        if result != base:
            changes = {"base": base, **changes}
            self.head, self.gain = result, self.gain + gain
            self.link()
        entry = self._conclude_trained(intent, gain, changes)
        if result != base:
            self.made[result.digest] = (entry.index, entry.leaf_hash, before + gain)
        return entry

    def screen_out(self, intent: Entry | None = None, /, **changes: object) -> Entry:
        """Announce and conclude an attempt that its screen stops."""
        intent = intent or self.announce()
        said, stopped = intent.statement.predicate, screen(0.0)
        bar = self.memory.bar(self.task, said.data.holdout.sha256, said.rule)
        _, evidence = pair(0.0, 0.0, range(stopped.count))
        changes = {
            "outcome": Outcome.REJECTED,
            "reason": screened_out(evidence, thresholds(said.rule, bar), said.data.holdout.count),
            "result": self.head,
            "training": training(screen=stopped),
            "evaluation": None,
            "decision": decision(accepted=False, rule=said.rule, bar=bar),
            **changes,
        }
        return self._conclude_trained(intent, 0.0, changes)

    def _conclude_trained(self, intent: Entry, gain: float, changes: dict[str, object]) -> Entry:
        trained = training() if self.arms else old_training(self.recipe)
        subject = make_capsule(self.path, [gain, float(self.log.size)])
        return self.conclude(intent, **{"subject": subject, "training": trained, **changes})

    def move(self, to: Base, /, **changes: object) -> Entry:
        """Move the head of the task to a version that it had before; ``changes`` forge fields of that."""
        index, leaf, gain = self.made.get(to.digest, (0, "0" * 64, 0.0))
        said = {
            "task": self.task,
            "move": Move.PROMOTION,
            "base": self.head,
            "result": to,
            "made_at": index,
            "made_by": leaf,
            "reason": Reason(code="promoted", numbers={"why": "it is liked better"}),
            "moved_at": self.moment(),
        }
        subject = [Subject(name="base_model", digest=Sha256Digest(sha256=to.files))]

        def build(sequence: int, prev: str) -> Statement:
            fields = {**said, **changes, "sequence": sequence, "prev": prev}
            return HeadStatement(subject=subject, predicate=HeadMove(**fields))

        entry = self._append(build)
        self.head, self.gain = to, gain
        self.link()
        return entry

    def write_origin(self) -> None:
        """Say what the state was begun with, as a run does before its first attempt."""
        origin = {"data_name": self.data.name, "data_digest": self.data.digest, "version": self.head.digest}
        origin |= {"model_name": "a few bytes", "model_source": "none"}
        (self.path / "origin.json").write_text(json.dumps({"tasks": {self.task: origin}}))

    def finish(self) -> Path:
        self.log.close()
        self.account.close()
        return self.path


def open_state(
    path: Path, texts: list[str] | None = None, *, spares: int = 0, old: bool = False
) -> SyntheticState:
    """A new state with its data, account and first model, before the first attempt."""
    path.mkdir(parents=True, exist_ok=True)
    head = make_model(path, [1.0, 0.0, 0.0])
    log = OldReceiptLog.open(path) if old else ReceiptLog.open(path)
    state = SyntheticState(make_data(path, texts, spares), head, path=path, log=log)
    state.link()
    if old:
        state.rule, state.recipe, state.arms = OLD_RULE, OLD_RECIPE, []
    state.account.grant(BUCKET_UJ, request_id="run")
    return state


def make_state(path: Path, *, old: bool = False) -> SyntheticState:
    """The standard state: accepted, rejected, aborted, accepted; its log is closed."""
    state = open_state(path, old=old)
    state.attempt(0.05)
    state.attempt(0.0005)
    state.abort(state.announce())
    state.attempt(0.02)
    state.finish()
    return state

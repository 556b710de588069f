"""A small but complete state directory, made by hand and written through the real receipt log.

Four attempts on a holdout of 64 examples: accepted, rejected (its adapter is kept), aborted before an
adapter was made, accepted. The models are safetensors files of a few bytes. ``old=True`` writes a state
as it was written before there were schedules, screens and error budgets.
"""

from __future__ import annotations

__all__ = ["SyntheticState", "make_state", "open_state"]

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cryoflux.decision.budget import ErrorBudget
from cryoflux.decision.rules import BUDGETED
from cryoflux.decision.screening import screened_out
from cryoflux.decision.sequential import reading_order
from cryoflux.digests import file_digest
from cryoflux.energy.account.bucket import Bucket
from cryoflux.energy.account.charge import Charge
from cryoflux.energy.clock import SystemClock
from cryoflux.files import replace_symlink
from cryoflux.quantities import Energy, Tier
from cryoflux.receipts.entry import Entry, intent_of, receipt_of
from cryoflux.receipts.log import ReceiptLog
from cryoflux.receipts.statement import (
    ArmPrior,
    Base,
    Data,
    EnergyFigure,
    Holdout,
    Intent,
    IntentStatement,
    Outcome,
    Receipt,
    ReceiptStatement,
    Rule,
    Schedule,
    Sha256Digest,
    Statement,
    Subject,
    Task,
)
from cryoflux.scheduling.lessons import taught
from cryoflux.scheduling.policy import POLICY, Arm, Choice, choose
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
    decision,
    digest_of,
    evaluation,
    figure,
    judged,
    make_capsule,
    make_data,
    make_evidence,
    make_model,
    outcome_of,
    pair,
    screen,
    thresholds,
    training,
)


@dataclass
class SyntheticState:
    """The state and what is in it; ``log`` and ``account`` stay open until `finish`."""

    path: Path
    log: ReceiptLog
    data: Data
    head: Base
    gain: float = 0.0
    uses: int = 0
    series: str = "a"
    """first letter of task ids, another one for each holdout"""
    rule: Rule = RULE
    recipe: dict[str, str | int] = field(default_factory=lambda: RECIPE)
    policy: str = POLICY
    arms: list[ArmPrior] = field(default_factory=lambda: ARMS)
    entries: list[Entry] = field(default_factory=list)
    account: Bucket = field(init=False)

    def __post_init__(self) -> None:
        self.account = Bucket(self.path / "account.db", SystemClock())

    def _append(self, build: object) -> Entry:
        self.entries.append(self.log.append(build))
        return self.entries[-1]

    def receipts(self) -> list[tuple[Intent, Receipt]]:
        intents = {entry.leaf_hash: intent for entry in self.entries if (intent := intent_of(entry))}
        receipts = [receipt for entry in self.entries if (receipt := receipt_of(entry))]
        return [(intents[r.intent], r) for r in receipts if r.intent in intents]

    def due_rule(self) -> Rule:
        """The rule with the bar that the log asks for."""
        if self.rule.name != BUDGETED:
            return self.rule
        given = [
            r for _, r in self.receipts() if r.evaluation and r.holdout.sha256 == self.data.holdout.sha256
        ]
        looks, kept = len(given), sum(r.outcome is Outcome.ACCEPTED for r in given)
        needed = ErrorBudget(self.rule.alpha_ppm, looks, kept).needed_milli
        return self.rule.model_copy(update={"looks": looks, "kept": kept, "needed_milli": needed})

    def due_schedule(self) -> Schedule:
        """What the policy gives after the log so far."""
        if not self.arms:
            return Schedule(policy="greedy-eta/v1", reason="the only arm")
        arms = [
            Arm("lora_delta", arm.name, arm.reserve_microjoules, arm.prior_microjoules) for arm in self.arms
        ]
        lessons = [lesson for pair in self.receipts() if (lesson := taught(*pair))]
        least = self.rule.min_delta_nano_nat
        due = choose(
            arms, lessons, bucket_uj=BUCKET_UJ, min_delta_nano=least, seed=ARM_SEED, policy=self.policy
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
        holdout = Holdout(sha256=digest, count=COUNT, use_index=1)
        self.data = self.data.model_copy(update={"holdout": holdout})

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
        task = task or f"{self.series}{self.uses:04}"
        holdout = self.data.holdout.model_copy(update={"use_index": self.uses})
        subject = Subject(name="base_model", digest=Sha256Digest(sha256=self.head.files))
        if not self.arms:
            weights = file_digest(self.path / "models" / self.head.digest / "model.safetensors")
            subject = Subject(name="model.safetensors", digest=Sha256Digest(sha256=weights))
        said = {
            "task": Task(id=task, name="lora_delta", arm=arm),
            "base": self.head,
            "data": self.data.model_copy(update={"holdout": holdout}),
            "recipe": self.recipe,
            "seed": SEED,
            "schedule": changes.get("schedule") or self.due_schedule(),
            "rule": self.due_rule(),
            "reserved_microjoules": RESERVED_UJ,
            "meter": meter,
            "announced_at": "2026-11-23T01:00:00Z",
        }
        subjects = changes.pop("subject", [subject])

        def build(sequence: int, prev: str) -> Statement:
            intent = Intent(**{**said, **changes, "sequence": sequence, "prev": prev})
            return IntentStatement(subject=subjects, predicate=intent)

        entry = self._append(build)
        if meter == "embedded" and not self._settled(task):
            self.account.take(RESERVED_UJ, request_id=task)
        return entry

    def _settled(self, task: str) -> bool:
        record = self.account.find(task)
        return record is not None and record.state == "settled"

    def settle(self, task: str, uj: int) -> None:
        """Charge the reservation of a task, once."""
        reservation = self.account.take(RESERVED_UJ, request_id=task)
        energy = Energy(uj, uj, uj, Tier.MODELLED)
        charge = Charge(energy, energy, ("cpu",), digest_of("baseline"), "concave/v1", 12_000_000)
        self.account.settle(reservation.id, charge)

    def conclude(self, intent: Entry, /, *, settles: bool = True, **changes: object) -> Entry:
        """Append a receipt of ``intent``; ``changes`` forge fields of it."""
        said = intent.statement.predicate
        base = {
            "intent": intent.leaf_hash,
            "task": said.task,
            "base": said.base,
            "holdout": said.data.holdout,
            "energy": figure(),
            "software": {"cryoflux": "0.1.0"},
            "started_at": "2026-11-23T01:00:01Z",
            "finished_at": "2026-11-23T01:02:03Z",
        }
        subject = changes.pop("subject")
        figure_said = changes.get("energy", base["energy"])
        assert isinstance(figure_said, EnergyFigure)
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
            "reason": "Interrupted.",
            "result": self.head,
            "training": None,
            "evaluation": None,
            "decision": None,
        }
        return self.conclude(intent, **{**said, **changes})

    def fork(self, place: Path) -> SyntheticState:
        """A copy that goes on by itself, with the same keys."""
        path = shutil.copytree(self.path, place, symlinks=True)
        return SyntheticState(
            path,
            ReceiptLog.open(path),
            self.data,
            self.head,
            gain=self.gain,
            uses=self.uses,
            entries=list(self.entries),
        )

    def attempt(self, gain: float, /, **changes: object) -> Entry:
        """Announce and conclude an attempt that lowers every loss by about ``gain`` nats."""
        return self.conclude_attempt(self.announce(), gain, **changes)

    def conclude_attempt(self, intent: Entry, gain: float, /, *, read: int = 0, **changes: object) -> Entry:
        """Conclude an attempt that lowers every loss by about ``gain`` nats; ``read`` examples, or all."""
        rule, sha256 = intent.statement.predicate.rule, self.data.holdout.sha256
        candidate = make_model(self.path, [1.0, self.gain + gain, float(self.uses)])
        order = reading_order(COUNT, sha256)[:read] if read else range(COUNT)
        per_example, evidence = make_evidence(self.path, self.gain, self.gain + gain, order)
        verdict = judged(rule, evidence)
        changes = {
            "outcome": outcome_of(verdict),
            "reason": verdict.reason,
            "result": candidate if verdict.accepted else self.head,
            "evaluation": evaluation(candidate, per_example, evidence, examples=read),
            "decision": decision(accepted=verdict.accepted, rule=rule),
            **changes,
        }
        result = changes["result"]
        assert isinstance(result, Base)
        head, self.gain = self.head, self.gain + (gain if result != self.head else 0.0)
        if result != head:
            self.head = result
            replace_symlink(self.path / "base_model", f"models/{result.digest}")
        return self._conclude_trained(intent, gain, changes)

    def screen_out(self, intent: Entry | None = None, /, **changes: object) -> Entry:
        """Announce and conclude an attempt that its screen stops."""
        intent = intent or self.announce()
        rule, stopped = intent.statement.predicate.rule, screen(0.0)
        _, evidence = pair(0.0, 0.0, range(stopped.count))
        changes = {
            "outcome": Outcome.REJECTED,
            "reason": screened_out(evidence, thresholds(rule), intent.statement.predicate.data.holdout.count),
            "result": self.head,
            "training": training(screen=stopped),
            "evaluation": None,
            "decision": decision(accepted=False, rule=rule),
            **changes,
        }
        return self._conclude_trained(intent, 0.0, changes)

    def _conclude_trained(self, intent: Entry, gain: float, changes: dict[str, object]) -> Entry:
        trained = training() if self.arms else training(recipe=self.recipe, screen=None, fresh_count=0)
        subject = make_capsule(self.path, [gain, float(self.uses + 1000 * (ord(self.series) - ord("a")))])
        return self.conclude(intent, **{"subject": subject, "training": trained, **changes})

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
    replace_symlink(path / "base_model", f"models/{head.digest}")
    state = SyntheticState(path, ReceiptLog.open(path), make_data(path, texts, spares), head)
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

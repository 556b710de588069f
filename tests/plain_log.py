"""A log of today's form, entry by entry, in memory or in a state, for tests of what entries say.

Nothing behind it exists: digests are those of words. But bars, losses and reasons are those that are due, so
that the log verifies. `synthetic_state` makes a state with files.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from cryoflux.decision.reason import Reason
from cryoflux.decision.rules import Thresholds, decide
from cryoflux.log_state import LogState
from cryoflux.receipts.checkpoint import Checkpoint, origin_of, sign_checkpoint
from cryoflux.receipts.entry import Entry, parse_entry
from cryoflux.receipts.fork_parts import ParentLog, subject_of_parent
from cryoflux.receipts.key_statement import KeyStatement
from cryoflux.receipts.log import ReceiptLog
from cryoflux.receipts.merkle import root_hash
from cryoflux.receipts.session import Session, SessionEnd, SessionStatement
from cryoflux.receipts.statement import (
    CROSS_ENTROPY,
    ZERO_HASH,
    ArmPrior,
    AttemptName,
    Base,
    Cause,
    Data,
    Decision,
    Evaluation,
    Fork,
    ForkStatement,
    HeadMove,
    HeadStatement,
    Hits,
    Holdout,
    Intent,
    IntentStatement,
    Move,
    Outcome,
    Receipt,
    ReceiptStatement,
    Rule,
    Schedule,
    Section,
    Sha256Digest,
    Statement,
    Subject,
    Training,
)
from cryoflux.receipts.sums import evidence_of
from cryoflux.receipts.voucher import sign_voucher
from cryoflux.signing.envelope import sign_document
from cryoflux.signing.keys import raw_public_key
from cryoflux.task_tallies import SignedLosses
from synthetic_parts import RESERVED_UJ, digest_of, figure

KEY = Ed25519PrivateKey.from_private_bytes(b"\x01" * 32)
LOG_KEY = Ed25519PrivateKey.from_private_bytes(b"\x02" * 32)
"""signs the heads that forks go on from"""
ALPHA_PPM = 50_000
RULE = Rule(
    name="evidence/v2",
    min_delta=2_000_000,
    min_accuracy_gain_ppm=10_000,
    z_milli=3090,
    alpha_ppm=ALPHA_PPM,
)
COUNT = 64
FIRST_LOSSES = SignedLosses(60_000_000_000, 30)
"""of the version that a task begins with"""


def model(name: str) -> Base:
    return Base(digest=digest_of(name), files=digest_of(f"files of {name}"))


def training(**changes: object) -> Training:
    said = {
        "slice_sha256": digest_of("slice"),
        "slice_count": COUNT,
        "stopped_by": "joules",
        "section": Section(kind="lora/v1", fields={"modules": ["query", "value"], "plannedSteps": 20}),
        "fresh_count": 48,
        "steps": 20,
    }
    return Training(**{**said, **changes})


def evaluation(
    candidate: Base, gain: int = 3_200_000_000, base: SignedLosses = FIRST_LOSSES, **changes: object
) -> Evaluation:
    """Losses whose sum falls by ``gain``, the same for every example."""
    said = {
        "profile": "f64-nanonat/v1",
        "metric": CROSS_ENTROPY,
        "candidate": candidate,
        "read": COUNT,
        "base_loss_sum": base.loss_sum,
        "new_loss_sum": base.loss_sum - gain,
        "delta_sum": gain,
        "delta_squared_sum": str(gain**2 // COUNT),
        "per_example": digest_of(f"losses of {candidate.digest}"),
        "hits": Hits(base=base.hits, new=base.hits + 3, gained=4, lost=1),
    }
    return Evaluation(**{**said, **changes})


@dataclass
class PlainLog:
    """A log as it grows; a task's head, data and holdout are named after the task."""

    key: Ed25519PrivateKey = KEY
    store: Callable[[Callable[[int, str], Statement | SessionStatement | KeyStatement]], Entry] | None = None
    """keeps the next entry; in memory without one"""
    entries: list[Entry] = field(default_factory=list)
    heads: dict[str, Base] = field(default_factory=dict)
    uses: dict[str, int] = field(default_factory=dict)
    state: LogState = field(init=False)

    def __post_init__(self) -> None:
        self.state = LogState()
        for entry in self.entries:
            self.state.take(entry)

    def append(self, build: Callable[[int, str], Statement | SessionStatement | KeyStatement]) -> Entry:
        if self.store is not None:
            self.entries.append(self.store(build))
        else:
            prev = self.entries[-1].leaf_hash if self.entries else ZERO_HASH
            index = len(self.entries)
            self.entries.append(parse_entry(index, sign_document(build(index, prev), self.key)))
        self.state.take(self.entries[-1])
        return self.entries[-1]

    def head(self, task: str) -> Base:
        return self.heads.setdefault(task, model(f"first {task}"))

    def data(self, task: str) -> Data:
        holdout = Holdout(
            sha256=digest_of(f"holdout of {task}"), count=COUNT, use_index=max(1, self.uses.get(task, 0))
        )
        return Data(
            name="plain",
            digest=digest_of(f"data of {task}"),
            train=digest_of(f"train of {task}"),
            train_count=100,
            holdout=holdout,
            audit=digest_of(f"audit of {task}"),
            audit_count=COUNT,
        )

    def announce(self, task: str = "lora_delta", arm: str = "lean", /, **changes: object) -> Entry:
        self.uses[task] = self.uses.get(task, 0) + 1
        index, head = len(self.entries), self.head(task)
        prior = ArmPrior(task=task, name=arm, prior_microjoules=90_000_000, reserve_microjoules=RESERVED_UJ)
        said = {
            "task": AttemptName(id=f"{task}_{index}", name=task, arm=arm),
            "metric": CROSS_ENTROPY,
            "base": head,
            "data": self.data(task),
            "recipe": {"rank": 8, "learning_rate": "5e-4", "max_tokens": 32},
            "seed": 7,
            "schedule": Schedule(
                policy="uniform/v1",
                reason=Reason(code="drawn", numbers={"arm": arm, "rivals": 1}),
                arms=[prior],
                bucket_microjoules=10 * RESERVED_UJ,
                seed=11,
            ),
            "rule": RULE,
            "bar": self.state.bar(task, self.data(task).holdout.sha256, RULE),
            "reserved_microjoules": RESERVED_UJ,
            "meter": "embedded",
            "announced_at": "2026-11-23T01:00:00Z",
            **changes,
        }
        subject = [Subject(name="base_model", digest=Sha256Digest(sha256=head.files))]

        def build(sequence: int, prev: str) -> Statement:
            return IntentStatement(subject=subject, predicate=Intent(**said, sequence=sequence, prev=prev))

        return self.append(build)

    def _close(self, intent: Entry, subject: list[Subject], said: dict[str, object]) -> Entry:
        announced = intent.intent
        assert announced is not None
        head = self.head(announced.task.name)
        fields = {
            "intent": intent.leaf_hash,
            "task": announced.task,
            "base": head,
            "result": head,
            "holdout": announced.data.holdout,
            "training": None,
            "evaluation": None,
            "decision": None,
            "energy": figure(),
            "software": {"cryoflux": "0.2.0"},
            "started_at": "2026-11-23T01:00:01Z",
            "finished_at": "2026-11-23T01:02:03Z",
            **said,
        }

        about = fields.pop("subject", subject)

        def build(sequence: int, prev: str) -> Statement:
            receipt = Receipt(**fields, sequence=sequence, prev=prev)
            return ReceiptStatement(subject=about, predicate=receipt)

        entry = self.append(build)
        result = fields["result"]
        assert isinstance(result, Base)
        self.heads[announced.task.name] = result
        return entry

    def conclude(self, intent: Entry, /, *, kept: bool = True, **changes: object) -> Entry:
        """A verdict: kept, or rejected because the loss went up; ``changes`` forge fields."""
        announced = intent.intent
        assert announced is not None
        task, rule, holdout = announced.task.name, announced.rule, announced.data.holdout
        bar = self.state.bar(task, holdout.sha256, rule)
        judged = changes.get("evaluation") or self.judged(announced, 3_200_000_000 if kept else -64_000_000)
        assert isinstance(judged, Evaluation)
        least = (rule.min_delta, rule.min_accuracy_gain_ppm, rule.z_milli, bar.needed_milli)
        unit = judged.metric.unit
        said = {
            "outcome": Outcome.ACCEPTED if kept else Outcome.REJECTED,
            "reason": decide(rule.name, evidence_of(judged), Thresholds(*least, unit=unit)).reason,
            "result": judged.candidate if kept else self.head(task),
            "training": training(),
            "evaluation": judged,
            "decision": Decision(rule=rule, bar=bar, accepted=kept),
            **changes,
        }
        digest = Sha256Digest(sha256=digest_of(f"adapter {intent.index}"))
        return self._close(intent, [Subject(name="adapter_model.safetensors", digest=digest)], said)

    def judged(self, announced: Intent, gain: int, **changes: object) -> Evaluation:
        """Losses of the head, as the log has signed them, and of a candidate: ``gain`` lower in sum."""
        known = self.state.tasks[announced.task.name].losses
        signed = next(iter(known.values()), FIRST_LOSSES)
        return evaluation(model(f"made by {announced.sequence}"), gain, signed, **changes)

    def abort(
        self,
        intent: Entry,
        /,
        cause: Cause = Cause.INTERRUPTED,
        reason: Reason | None = None,
        **changes: object,
    ) -> Entry:
        announced = intent.intent
        assert announced is not None
        subject = [Subject(name="base_model", digest=Sha256Digest(sha256=announced.base.files))]
        said = {
            "outcome": Outcome.ABORTED,
            "cause": cause,
            "reason": reason or Reason(code="interrupted.preparing"),
            **changes,
        }
        return self._close(intent, subject, said)

    def session(self, **changes: object) -> Entry:
        """The session of the attempts since the one before it."""
        opened_at = self.state.session_end
        said = {
            "id": f"session/1764000000_{opened_at}",
            "opened_at": opened_at,
            "first_attempt": self.state.accounted + 1,
            "attempts": self.state.attempts - self.state.accounted,
            "ended": SessionEnd.BUDGET,
            "budget_microjoules": 2_000_000_000,
            "meter": "embedded",
            "energy": figure(),
            "began_at": "2026-11-23T00:59:00Z",
            "ended_at": "2026-11-23T02:00:00Z",
            **changes,
        }
        heads = [Subject(name="base_model", digest=Sha256Digest(sha256=h.files)) for h in self.heads.values()]

        def build(sequence: int, prev: str) -> SessionStatement:
            return SessionStatement(subject=heads, predicate=Session(**said, sequence=sequence, prev=prev))

        return self.append(build)

    def move(
        self, task: str, to: Base, made_by: Entry, move: Move = Move.ROLLBACK, **changes: object
    ) -> Entry:
        said = {
            "task": task,
            "move": move,
            "base": self.head(task),
            "result": to,
            "made_at": made_by.index,
            "made_by": made_by.leaf_hash,
            "reason": Reason(code="rolled-back", numbers={"why": "It was worse."}),
            "moved_at": "2026-11-23T02:00:00Z",
            **changes,
        }
        subject = [Subject(name="base_model", digest=Sha256Digest(sha256=to.files))]

        def build(sequence: int, prev: str) -> Statement:
            return HeadStatement(subject=subject, predicate=HeadMove(**said, sequence=sequence, prev=prev))

        self.heads[task] = to
        return self.append(build)


class StoredLog(PlainLog):
    """The same in a state directory: database, tiles, checkpoint and keys, but no artefacts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = ReceiptLog.open(path)
        super().__init__(store=self._keep, entries=list(self.log.entries()))

    def _keep(self, build: Callable[[int, str], Statement | SessionStatement | KeyStatement]) -> Entry:
        return self.log.append(build)

    def reopen(self) -> None:
        self.log.close()
        self.log = ReceiptLog.open(self.path)
        self.read_again()

    def read_again(self) -> None:
        """Take in what others have added."""
        self.entries = list(self.log.entries())
        self.state = LogState()
        for entry in self.entries:
            self.state.take(entry)

    def close(self) -> Path:
        self.log.close()
        return self.path


def go_on_from(parent: PlainLog, log: PlainLog, successor: Ed25519PublicKey) -> Entry:
    """The first entry of a log that goes on from another one, whose owner vouches for it.

    Args:
        parent: the other one.
        log: that begins with it.
        successor: the receipt key that it begins under.
    """
    root = root_hash(bytes.fromhex(entry.leaf_hash) for entry in parent.entries)
    point = Checkpoint(origin_of(parent.key.public_key()), len(parent.entries), root)
    said = ParentLog(
        checkpoint=sign_checkpoint(point, LOG_KEY).decode(),
        last=parent.state.last,
        receipt_key=_raw(parent.key),
        log_key=_raw(LOG_KEY),
        voucher=sign_voucher(point, LOG_KEY.public_key(), successor, parent.key),
    )
    log.heads |= parent.heads
    log.uses |= parent.uses

    def build(sequence: int, prev: str) -> Statement:
        predicate = Fork(
            sequence=sequence,
            prev=prev,
            parent=said,
            tasks=parent.state.handed_on(),
            forked_at="2026-11-24T01:00:00Z",
        )
        return ForkStatement(subject=subject_of_parent(said.checkpoint), predicate=predicate)

    return log.append(build)


def _raw(key: Ed25519PrivateKey) -> str:
    return base64.b64encode(raw_public_key(key.public_key())).decode()


def plain_log(log: PlainLog | None = None) -> PlainLog:
    """Kept, rejected, aborted, one of a second task without hits, and a head moved back: nine entries."""
    log = log or PlainLog()
    first = log.announce()
    log.conclude(first)
    log.conclude(log.announce(), kept=False)
    log.abort(log.announce())
    other = log.announce("index_refresh", "rebuild")
    assert other.intent is not None
    log.conclude(other, evaluation=log.judged(other.intent, 3_200_000_000, hits=None))
    log.move("lora_delta", model("first lora_delta"), first)
    return log

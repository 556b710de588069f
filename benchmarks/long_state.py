"""A state with a log as long as one likes, of entries as runs write them, that ``cryoflux verify`` passes.

Every attempt is announced, screened, evaluated and settled under the budgeted rule, and signed by receipt and
meter; one in a thousand is kept. Attempts that were not kept share their losses, so that a million entries
fit on a disk; nothing else is left out. `verify_scale.py` measures with it.
"""

from __future__ import annotations

__all__ = ["grow"]

import shutil
import sqlite3
import sys
from dataclasses import dataclass, field
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from cryoflux import database
from cryoflux.decision.evidence import Evidence
from cryoflux.energy.account.bucket import Bucket
from cryoflux.energy.account.charge import Charge
from cryoflux.energy.account.settlement import sign_settlement
from cryoflux.energy.clock import SystemClock
from cryoflux.energy.interface import Counter
from cryoflux.files import replace_symlink
from cryoflux.log_state import LogState
from cryoflux.quantities import Energy, Tier
from cryoflux.receipts.checkpoint import Checkpoint, origin_of, sign_checkpoint
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.log import ReceiptLog
from cryoflux.receipts.log_key import with_log_key
from cryoflux.receipts.merkle import CompactRange, leaf_hash
from cryoflux.receipts.reading import each_entry
from cryoflux.receipts.statement import (
    CROSS_ENTROPY,
    AttemptName,
    Base,
    Data,
    EnergyFigure,
    Intent,
    IntentStatement,
    Outcome,
    Receipt,
    ReceiptStatement,
    Schedule,
    Sha256Digest,
    Statement,
    Subject,
)
from cryoflux.receipts.store import ReceiptStore, columns_of
from cryoflux.scheduling.policy import Arm, Choice, choose
from cryoflux.signing.envelope import parse_envelope, sign_document
from cryoflux.signing.keys import KEYS_FOLDER, LOG_KEY, METER_KEY, RECEIPT_KEY, load_key
from cryoflux.state import StateFolder
from synthetic_parts import (
    ARM_SEED,
    ARMS,
    BUCKET_UJ,
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
    outcome_of,
    root_of,
    training,
)

BATCH = 10_000
_KEPT_EVERY = 1_000
_POLICY = "uniform/v1"
"""goes on for ever; the default one saves joules long before"""
_SOFTWARE = {
    "cryoflux": "0.1.0",
    "cpu": "x86_64 AVX512",
    "python": "3.11.7",
    "torch": "2.9.1+cpu",
    "transformers": "4.57.1",
    "safetensors": "0.6.2",
}
_MORE_ARMS = [ARMS[0].but(name=f"r{rank}", prior_microjoules=rank * 9_000_000) for rank in (2, 4, 16, 32)]


class _FastBucket(Bucket):
    """An account that does not wait for the disk: a crash may lose it, and it is made again."""

    def _wait(self, synchronous: str, patience_ms: int) -> None:
        super()._wait("OFF" if synchronous == "FULL" else synchronous, patience_ms)


@dataclass(slots=True)
class _Told:
    """An evaluation that did not change: its losses lie on the disk once."""

    gain: float
    per_example: str
    evidence: Evidence
    root: str


@dataclass
class _Growing:
    """A state that grows."""

    path: Path
    key: Ed25519PrivateKey
    log_key: Ed25519PublicKey
    meter: Ed25519PrivateKey
    account: Bucket
    rows: sqlite3.Connection
    data: Data = field(init=False)
    head: Base = field(init=False)
    gain: float = 0.0
    memory: LogState = field(default_factory=LogState)
    tree: CompactRange = field(default_factory=CompactRange)
    told: _Told | None = None
    dud: list[Subject] = field(default_factory=list)

    def append(self, statement: Statement) -> Entry:
        if not self.memory.size:
            statement = with_log_key(statement, self.log_key)
        content = sign_document(statement, self.key)
        leaf = leaf_hash(content)
        entry = Entry(self.memory.size, content, leaf.hex(), statement, parse_envelope(content), 2)
        columns = columns_of(statement)
        values = (entry.index, columns.kind, columns.task_id, columns.outcome, entry.leaf_hash, content)
        self.rows.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)", values)
        self.tree.append(leaf)
        self.memory.take(entry)
        return entry

    def attempt(self) -> None:
        index = self.memory.size
        intent = self._announce(index)
        opened = self.append(
            IntentStatement(
                subject=[Subject(name="base_model", digest=Sha256Digest(sha256=self.head.files))],
                predicate=intent,
            )
        )
        self._conclude(intent, opened, _gain_at(index))

    def _announce(self, index: int) -> Intent:
        uses = self.memory.tasks[TASK].tally(self.data.holdout.sha256).uses if self.memory.tasks else 0
        arms = [*ARMS, *_MORE_ARMS]
        due = choose(
            [Arm(arm.task, arm.name, arm.reserve_microjoules, arm.prior_microjoules) for arm in arms],
            self.memory.memories({TASK: RULE.min_delta}),
            len(self.memory.lessons),
            bucket_uj=BUCKET_UJ,
            seed=ARM_SEED,
            policy=_POLICY,
        )
        if not isinstance(due, Choice):
            raise TypeError("the policy gives no arm")
        return Intent(
            sequence=index,
            prev=self.memory.last,
            task=AttemptName(id=f"lora_1790000000_{index}", name=TASK, arm=due.arm.name),
            metric=CROSS_ENTROPY,
            base=self.head,
            data=self.data.but(holdout=self.data.holdout.but(use_index=uses + 1)),
            recipe={**RECIPE, "name": due.arm.name, "modules": "query value", "weight_decay": "0.01"},
            seed=SEED,
            schedule=Schedule(
                policy=_POLICY,
                reason=due.reason,
                arms=arms,
                bucket_microjoules=BUCKET_UJ,
                seed=ARM_SEED,
            ),
            rule=RULE,
            bar=self.memory.bar(TASK, self.data.holdout.sha256, RULE),
            reserved_microjoules=RESERVED_UJ,
            meter="embedded",
            announced_at="2026-11-23T01:00:00Z",
        )

    def _conclude(self, intent: Intent, opened: Entry, gain: float) -> None:
        index = self.memory.size
        bar = self.memory.bar(TASK, intent.data.holdout.sha256, RULE)
        told = self._evaluated(gain)
        verdict = judged(RULE, bar, told.evidence)
        candidate, subject = self.head.but(digest=digest_of(f"candidate {index}")), self.dud
        if verdict.accepted:
            candidate = make_model(self.path, [1.0, self.gain + gain, float(index)])
            subject = make_capsule(self.path, [gain, float(index)])
        found = evaluation(candidate, told.per_example, told.evidence)
        receipt = Receipt(
            sequence=index,
            prev=self.memory.last,
            intent=opened.leaf_hash,
            task=intent.task,
            outcome=outcome_of(verdict),
            reason=verdict.reason,
            base=self.head,
            result=candidate if verdict.accepted else self.head,
            holdout=intent.data.holdout,
            training=training(backend="f32-oneDNN", threads=2, device="cpu"),
            evaluation=found.but(losses_root=told.root),
            decision=decision(accepted=verdict.accepted, rule=RULE, bar=bar),
            energy=self._charged(intent, opened.leaf_hash),
            software=_SOFTWARE,
            started_at="2026-11-23T01:00:01Z",
            finished_at="2026-11-23T01:02:03Z",
        )
        self.append(ReceiptStatement(subject=subject, predicate=receipt))
        if receipt.outcome is Outcome.ACCEPTED:
            shutil.rmtree(self.path / "models" / self.head.digest)
            self.head, self.gain, self.told = candidate, self.gain + gain, None

    def _evaluated(self, gain: float) -> _Told:
        if gain == 0.0 and self.told is not None:
            return self.told
        digest, evidence = make_evidence(self.path, self.gain, self.gain + gain)
        told = _Told(gain, digest, evidence, root_of(self.gain, self.gain + gain))
        if gain == 0.0:
            self.told = told
        return told

    def _charged(self, intent: Intent, announced: str) -> EnergyFigure:
        task = intent.task.id
        energy = Energy(100_000_000, 90_000_000, 110_000_000, Tier.MODELLED)
        charge = Charge(
            energy=energy,
            machine_net=energy,
            sources=("cpu",),
            baseline_digest=digest_of("baseline"),
            curve="concave/v1",
            cpu_us=12_000_000,
            window_ns=20_000_000_000,
            counters=(Counter("cpu", 5, 250_000_005, "boot/0", "boot/0"),),
        )
        origin = origin_of(self.key.public_key())
        reservation = self.account.take(RESERVED_UJ, request_id=task, log=origin, intent=announced)
        self.account.settle(reservation.id, charge)
        signed = sign_settlement(reservation, charge, "boot", self.meter)
        return figure(settlement=signed)


def _gain_at(index: int) -> float:
    """How much the attempt that is announced there lowers the losses, nats."""
    return 0.02 / (1 + index // 20_000) if index % (2 * _KEPT_EVERY) == 0 else 0.0


def _begin(path: Path) -> tuple[Data, Base]:
    return make_data(path), make_model(path, [1.0, 0.0, 0.0])


def _read(made: _Growing) -> tuple[Data, Base]:
    """Take up the log that lies there."""
    for entry in each_entry(made.path):
        made.memory.take(entry)
        made.tree.append(bytes.fromhex(entry.leaf_hash))
        if entry.receipt is not None and entry.receipt.outcome is Outcome.ACCEPTED:
            made.gain += _gain_at(entry.index - 1)
    known = made.memory.tasks[TASK]
    return known.data, known.head


def grow(path: Path, count: int) -> None:
    """Make a state whose log has so many entries, which is even, or let one grow to so many."""
    folder, keys = StateFolder(path), path / KEYS_FOLDER
    begun = folder.receipts.exists()
    path.mkdir(parents=True, exist_ok=True)
    key, log_key, meter = (load_key(keys, name, create=True) for name in (RECEIPT_KEY, LOG_KEY, METER_KEY))
    ReceiptStore(folder.receipts).close()
    rows = database.connect(folder.receipts, "", 1)
    rows.execute("PRAGMA synchronous=OFF")
    account = _FastBucket(folder.account, SystemClock())
    account.grant((count + 1) * RESERVED_UJ, request_id=f"run {count}")
    made = _Growing(path, key, log_key.public_key(), meter, account, rows)
    made.data, made.head = _read(made) if begun else _begin(path)
    made.dud = make_capsule(path, [0.0, 0.0])
    while made.memory.size < count:
        rows.execute("BEGIN")
        for _ in range(min(BATCH, count - made.memory.size) // 2):
            made.attempt()
        rows.execute("COMMIT")
    rows.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    rows.close()
    account.close()
    replace_symlink(folder.head(), f"models/{made.head.digest}")
    folder.log.mkdir(exist_ok=True)
    point = Checkpoint(origin_of(key.public_key()), made.tree.size, made.tree.root())
    folder.checkpoint.write_bytes(sign_checkpoint(point, log_key))
    ReceiptLog.open(path).close()  # writes the tiles

"""A small but complete state directory, made by hand and written through the real receipt log.

Four attempts on a holdout of 40 examples: accepted, rejected (its adapter is kept), aborted before an
adapter was made, accepted. The models are safetensors files of a few bytes.
"""

from __future__ import annotations

__all__ = ["SyntheticState", "make_state", "open_state"]

import hashlib
import json
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cryoflux.decision.evidence import Evidence, pair_losses
from cryoflux.decision.rules import Thresholds, decide
from cryoflux.digests import file_digest, read_tensor_entries, tensors_digest, write_checksums
from cryoflux.energy.bucket import Bucket
from cryoflux.energy.charge import Charge
from cryoflux.energy.clock import SystemClock
from cryoflux.files import replace_symlink
from cryoflux.quantities import Energy, Tier
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.log import ReceiptLog
from cryoflux.receipts.statement import (
    Base,
    Data,
    Decision,
    EnergyFigure,
    Evaluation,
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
    Training,
)

COUNT = 40
RESERVED_UJ = 120_000_000
THRESHOLDS = Thresholds(min_delta=2_000_000, min_accuracy_gain_ppm=10_000, z_milli=3090)
RULE = Rule(
    name="evidence/v1",
    min_delta_nano_nat=THRESHOLDS.min_delta,
    min_accuracy_gain_ppm=THRESHOLDS.min_accuracy_gain_ppm,
    z_milli=THRESHOLDS.z_milli,
)
RECIPE: dict[str, str | int] = {
    "rank": 8,
    "learning_rate": "5e-4",
    "max_steps": 200,
    "slice_size": 64,
    "max_tokens": 32,
}
SEED = 7


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def tiny_safetensors(values: list[float]) -> bytes:
    body = struct.pack(f"<{len(values)}f", *values)
    header = json.dumps(
        {"w": {"dtype": "F32", "shape": [len(values)], "data_offsets": [0, len(body)]}}
    ).encode()
    return len(header).to_bytes(8, "little") + header + body


def make_model(state: Path, values: list[float]) -> Base:
    folder = state / "models" / "new"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(tiny_safetensors(values))
    (folder / "config.json").write_text('{"labels": 2}')
    files = write_checksums(folder)
    digest = tensors_digest(read_tensor_entries(folder / "model.safetensors"))
    if (state / "models" / digest).exists():
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    else:
        folder.rename(state / "models" / digest)
    return Base(digest=digest, files=files)


def make_capsule(state: Path, values: list[float]) -> list[Subject]:
    folder = state / "capsules" / "new"
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_bytes(tiny_safetensors(values))
    (folder / "adapter_config.json").write_text('{"r": 8}')
    write_checksums(folder)
    names = ("adapter_model.safetensors", "adapter_config.json")
    subjects = [Subject(name=n, digest=Sha256Digest(sha256=file_digest(folder / n))) for n in names]
    folder.rename(state / "capsules" / subjects[0].digest.sha256)
    return subjects


def make_data(state: Path, texts: list[str] | None = None) -> Data:
    """Three sets of 40 examples; ``texts`` in place of those that are all different."""
    folder = state / "data" / "new"
    folder.mkdir(parents=True)
    texts = texts or [f"example {i}" for i in range(3 * COUNT)]
    lines = [json.dumps({"text": text, "label": "ab"[i % 2]}) + "\n" for i, text in enumerate(texts)]
    for number, name in enumerate(("train", "holdout", "audit")):
        (folder / f"{name}.jsonl").write_text("".join(lines[number * COUNT : (number + 1) * COUNT]))
    (folder / "labels.json").write_text('["a", "b"]')
    digest = write_checksums(folder)
    folder.rename(state / "data" / digest)
    folder = state / "data" / digest
    return Data(
        name="synthetic",
        digest=digest,
        train=file_digest(folder / "train.jsonl"),
        train_count=COUNT,
        holdout=Holdout(sha256=file_digest(folder / "holdout.jsonl"), count=COUNT, use_index=1),
        audit=file_digest(folder / "audit.jsonl"),
        audit_count=COUNT,
    )


def losses_of(gain: float) -> tuple[list[int], list[bool]]:
    """Losses that are ``gain`` nats lower than a fixed pattern, with a spread."""
    losses = [int((0.9 + 0.01 * (i % 7) - gain * (1 + 0.1 * (i % 3))) * 1e9) for i in range(COUNT)]
    return losses, [loss < 900_000_000 for loss in losses]


def make_evidence(state: Path, base: float, new: float) -> tuple[str, Evidence]:
    (base_losses, base_right), (new_losses, new_right) = losses_of(base), losses_of(new)
    content = struct.pack(f"<{2 * COUNT}q", *base_losses, *new_losses) + bytes([*base_right, *new_right])
    digest = hashlib.sha256(content).hexdigest()
    (state / "evidence").mkdir(exist_ok=True)
    (state / "evidence" / f"{digest}.bin").write_bytes(content)
    return digest, pair_losses(base_losses, new_losses, base_right, new_right)


@dataclass
class SyntheticState:
    """The state and what is in it; ``log`` and ``account`` stay open until `finish`."""

    path: Path
    log: ReceiptLog
    data: Data
    head: Base
    gain: float = 0.0
    uses: int = 0
    entries: list[Entry] = field(default_factory=list)
    account: Bucket = field(init=False)

    def __post_init__(self) -> None:
        self.account = Bucket(self.path / "account.db", SystemClock())

    def _append(self, build: object) -> Entry:
        self.entries.append(self.log.append(build))
        return self.entries[-1]

    def announce(self, *, task: str = "", meter: Literal["embedded", "daemon"] = "embedded") -> Entry:
        self.uses += 1
        task = task or f"a{self.uses:04}"
        holdout = self.data.holdout.model_copy(update={"use_index": self.uses})
        weights = self.path / "models" / self.head.digest / "model.safetensors"

        def build(sequence: int, prev: str) -> Statement:
            return IntentStatement(
                subject=[Subject(name="model.safetensors", digest=Sha256Digest(sha256=file_digest(weights)))],
                predicate=Intent(
                    sequence=sequence,
                    prev=prev,
                    task=Task(id=task, name="lora_delta", arm="r8"),
                    base=self.head,
                    data=self.data.model_copy(update={"holdout": holdout}),
                    recipe=RECIPE,
                    seed=SEED,
                    schedule=Schedule(policy="thompson/v1", reason="the only arm"),
                    rule=RULE,
                    reserved_microjoules=RESERVED_UJ,
                    meter=meter,
                    announced_at="2026-11-23T01:00:00Z",
                ),
            )

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
        charge = Charge(energy, energy, ("cpu",), _digest("baseline"), "concave/v1", 12_000_000)
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

    def abort(self, intent: Entry) -> Entry:
        subject = [Subject(name="base_model", digest=Sha256Digest(sha256=self.head.files))]
        return self.conclude(
            intent,
            subject=subject,
            outcome=Outcome.ABORTED,
            reason="Interrupted.",
            result=self.head,
            training=None,
            evaluation=None,
            decision=None,
        )

    def attempt(self, gain: float, /, **changes: object) -> Entry:
        """Announce and conclude an attempt that lowers every loss by about ``gain`` nats."""
        return self.conclude_attempt(self.announce(), gain, **changes)

    def conclude_attempt(self, intent: Entry, gain: float, /, **changes: object) -> Entry:
        """Conclude an attempt that lowers every loss by about ``gain`` nats."""
        candidate = make_model(self.path, [1.0, self.gain + gain, float(self.uses)])
        subject = make_capsule(self.path, [gain, float(self.uses)])
        per_example, evidence = make_evidence(self.path, self.gain, self.gain + gain)
        verdict = decide(RULE.name, evidence, THRESHOLDS)
        changes = {
            "subject": subject,
            "outcome": Outcome.ACCEPTED if verdict.accepted else Outcome.REJECTED,
            "reason": verdict.reason,
            "result": candidate if verdict.accepted else self.head,
            "training": training(),
            "evaluation": evaluation(candidate, per_example, evidence),
            "decision": decision(accepted=verdict.accepted),
            **changes,
        }
        result = changes["result"]
        assert isinstance(result, Base)
        if result != self.head:
            self.gain += gain
            self.head = result
            replace_symlink(self.path / "base_model", f"models/{result.digest}")
        return self.conclude(intent, **changes)

    def finish(self) -> Path:
        self.log.close()
        self.account.close()
        return self.path


def figure(**changes: object) -> EnergyFigure:
    fields = {
        "microjoules": 100_000_000,
        "lo_microjoules": 90_000_000,
        "hi_microjoules": 110_000_000,
        "reserved_microjoules": RESERVED_UJ,
        "tier": Tier.MODELLED,
        "sources": ["cpu"],
        "baseline": _digest("baseline"),
        "curve": "concave/v1",
        "flags": [],
        "assurance": "self-reported",
        "cpu_microseconds": 12_000_000,
    }
    return EnergyFigure(**{**fields, **changes})


def training(**changes: object) -> Training:
    fields = {
        "recipe": RECIPE,
        "seed": SEED,
        "slice_sha256": _digest("slice"),
        "slice_count": COUNT,
        "steps": 20,
        "planned_steps": 200,
        "planned_at_step": 5,
        "stopped_by": "joules",
        "modules": ["query", "value"],
        "trained_parameters": 1024,
        "last_train_loss_nano_nat": 700_000_000,
    }
    return Training(**{**fields, **changes})


def evaluation(candidate: Base, per_example: str, evidence: Evidence, **changes: object) -> Evaluation:
    fields = {
        "profile": "f64-nanonat/v1",
        "max_tokens": 32,
        "candidate": candidate,
        "base_loss_nano_nat_sum": evidence.base_loss,
        "new_loss_nano_nat_sum": evidence.new_loss,
        "delta_nano_nat_sum": evidence.delta,
        "delta_squared_nano_nat_sum": str(evidence.delta_squared),
        "base_correct": evidence.base_correct,
        "new_correct": evidence.new_correct,
        "gained": evidence.gained,
        "lost": evidence.lost,
        "per_example": per_example,
    }
    return Evaluation(**{**fields, **changes})


def decision(*, accepted: bool, **changes: object) -> Decision:
    fields = {
        "rule": RULE,
        "accepted": accepted,
    }
    return Decision(**{**fields, **changes})


def open_state(path: Path, texts: list[str] | None = None) -> SyntheticState:
    """A new state with its data, account and first model, before the first attempt."""
    path.mkdir(parents=True, exist_ok=True)
    head = make_model(path, [1.0, 0.0, 0.0])
    replace_symlink(path / "base_model", f"models/{head.digest}")
    state = SyntheticState(path, ReceiptLog.open(path), make_data(path, texts), head)
    state.account.grant(1000 * RESERVED_UJ, request_id="run")
    return state


def make_state(path: Path) -> SyntheticState:
    """The standard state: accepted, rejected, aborted, accepted; its log is closed."""
    state = open_state(path)
    state.attempt(0.05)
    state.attempt(0.0005)
    state.abort(state.announce())
    state.attempt(0.02)
    state.finish()
    return state

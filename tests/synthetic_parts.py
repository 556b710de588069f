"""What a synthetic state is made of: files of a few bytes, and the parts of intents and receipts."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Sequence
from pathlib import Path

from cryoflux.decision.budget import ErrorBudget
from cryoflux.decision.evidence import Evidence, pair_losses
from cryoflux.decision.rules import BUDGETED, Thresholds, Verdict, decide
from cryoflux.decision.screening import SCREEN
from cryoflux.decision.sequential import decide_partial
from cryoflux.digests import file_digest, read_tensor_entries, tensors_digest, write_checksums
from cryoflux.quantities import Tier
from cryoflux.receipts.statement import (
    ArmPrior,
    Base,
    Data,
    Decision,
    EnergyFigure,
    Evaluation,
    Holdout,
    Outcome,
    Rule,
    Screen,
    Sha256Digest,
    Subject,
    Training,
)

COUNT = 64
RESERVED_UJ = 120_000_000
BUCKET_UJ = 1000 * RESERVED_UJ
ALPHA_PPM = 50_000
ARMS = [ArmPrior(name="r8", prior_microjoules=90_000_000, reserve_microjoules=RESERVED_UJ)]
OLD_RULE = Rule(name="evidence/v1", min_delta_nano_nat=2_000_000, min_accuracy_gain_ppm=10_000, z_milli=3090)
RULE = OLD_RULE.model_copy(
    update={
        "name": BUDGETED,
        "alpha_ppm": ALPHA_PPM,
        "needed_milli": ErrorBudget(ALPHA_PPM).needed_milli,
        "screen": SCREEN,
    }
)
OLD_RECIPE: dict[str, str | int] = {
    "rank": 8,
    "learning_rate": "5e-4",
    "max_steps": 200,
    "slice_size": 96,
    "max_tokens": 32,
}
RECIPE = {**OLD_RECIPE, "fresh_size": 48, "screen_size": 16, "scales": "1 0.5"}
SEED = 7
ARM_SEED = 11


def digest_of(text: str) -> str:
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


def make_data(state: Path, texts: list[str] | None = None, spares: int = 0) -> Data:
    """Sets of 64 examples; ``texts`` in place of those that are all different."""
    folder = state / "data" / "new"
    folder.mkdir(parents=True)
    names = ["train", "holdout", "audit", *(f"holdout-{n + 2}" for n in range(spares))]
    texts = texts or [f"example {i}" for i in range(len(names) * COUNT)]
    lines = [json.dumps({"text": text, "label": "ab"[i % 2]}) + "\n" for i, text in enumerate(texts)]
    for number, name in enumerate(names):
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


def pair(base: float, new: float, order: Sequence[int]) -> tuple[bytes, Evidence]:
    """The evidence file and the sums of two models on some examples."""
    columns = [[values[i] for i in order] for gain in (base, new) for values in losses_of(gain)]
    base_losses, base_right, new_losses, new_right = columns
    content = struct.pack(f"<{2 * len(order)}q", *base_losses, *new_losses) + bytes([*base_right, *new_right])
    return content, pair_losses(base_losses, new_losses, base_right, new_right)


def make_evidence(
    state: Path, base: float, new: float, order: Sequence[int] = range(COUNT)
) -> tuple[str, Evidence]:
    content, evidence = pair(base, new, order)
    digest = hashlib.sha256(content).hexdigest()
    (state / "evidence").mkdir(exist_ok=True)
    (state / "evidence" / f"{digest}.bin").write_bytes(content)
    return digest, evidence


def thresholds(rule: Rule) -> Thresholds:
    least = (rule.min_delta_nano_nat, rule.min_accuracy_gain_ppm)
    return Thresholds(*least, rule.z_milli, rule.needed_milli)


def judged(rule: Rule, evidence: Evidence) -> Verdict:
    if evidence.count < COUNT:
        return decide_partial(rule.name, evidence, COUNT, thresholds(rule))
    return decide(rule.name, evidence, thresholds(rule))


def outcome_of(verdict: Verdict) -> Outcome:
    if verdict.undecided:
        return Outcome.UNDECIDED
    return Outcome.ACCEPTED if verdict.accepted else Outcome.REJECTED


def figure(**changes: object) -> EnergyFigure:
    fields = {
        "microjoules": 100_000_000,
        "lo_microjoules": 90_000_000,
        "hi_microjoules": 110_000_000,
        "reserved_microjoules": RESERVED_UJ,
        "tier": Tier.MODELLED,
        "sources": ["cpu"],
        "baseline": digest_of("baseline"),
        "curve": "concave/v1",
        "flags": [],
        "assurance": "self-reported",
        "cpu_microseconds": 12_000_000,
    }
    return EnergyFigure(**{**fields, **changes})


def screen(gain: float, **changes: object) -> Screen:
    """A screen of 16 examples whose losses fall by about ``gain`` nats."""
    _, evidence = pair(0.0, gain, range(16))
    fields = {"count": 16, "scale": "1", **_sums(evidence), **changes}
    return Screen(**fields)


def _sums(evidence: Evidence) -> dict[str, object]:
    return {
        "base_loss_nano_nat_sum": evidence.base_loss,
        "new_loss_nano_nat_sum": evidence.new_loss,
        "delta_squared_nano_nat_sum": str(evidence.delta_squared),
        "base_correct": evidence.base_correct,
        "new_correct": evidence.new_correct,
        "gained": evidence.gained,
        "lost": evidence.lost,
    }


def training(**changes: object) -> Training:
    fields = {
        "recipe": RECIPE,
        "seed": SEED,
        "slice_sha256": digest_of("slice"),
        "slice_count": COUNT,
        "steps": 20,
        "planned_steps": 200,
        "planned_at_step": 5,
        "stopped_by": "joules",
        "modules": ["query", "value"],
        "trained_parameters": 1024,
        "last_train_loss_nano_nat": 700_000_000,
        "fresh_count": 48,
        "screen": screen(0.05),
    }
    return Training(**{**fields, **changes})


def evaluation(candidate: Base, per_example: str, evidence: Evidence, **changes: object) -> Evaluation:
    fields = {
        "profile": "f64-nanonat/v1",
        "max_tokens": 32,
        "candidate": candidate,
        **_sums(evidence),
        "delta_nano_nat_sum": evidence.delta,
        "per_example": per_example,
    }
    return Evaluation(**{**fields, **changes})


def decision(*, accepted: bool, **changes: object) -> Decision:
    fields = {
        "rule": RULE,
        "accepted": accepted,
    }
    return Decision(**{**fields, **changes})

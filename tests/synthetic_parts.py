"""What a synthetic state is made of: files of a few bytes, and the parts of intents and receipts."""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

from cryoflux.data.lowest_hash import by_hash
from cryoflux.decision.budget import ErrorBudget
from cryoflux.decision.evidence import Evidence, pair_losses
from cryoflux.decision.rules import BUDGETED, Thresholds, Verdict, decide
from cryoflux.decision.screening import SCREEN
from cryoflux.decision.sequential import decide_partial, reading_order
from cryoflux.digests import file_digest, read_tensor_entries, tensors_digest, write_checksums
from cryoflux.evaluation.losses import Losses
from cryoflux.quantities import MICRO, Tier
from cryoflux.receipts.charged import PhaseFigure
from cryoflux.receipts.lifting import SECTION
from cryoflux.receipts.losses_tree import loss_leaves, losses_root
from cryoflux.receipts.statement import (
    CROSS_ENTROPY,
    ArmPrior,
    Bar,
    Base,
    Data,
    Decision,
    EnergyFigure,
    Evaluation,
    Hits,
    Holdout,
    Outcome,
    Rule,
    Screen,
    Section,
    Sha256Digest,
    Subject,
    Training,
)
from cryoflux.receipts.sums import sums_of

COUNT = 64
RESERVED_UJ = 120_000_000
BUCKET_UJ = 1000 * RESERVED_UJ
ALPHA_PPM = 50_000
TASK = "lora_delta"
ARMS = [
    ArmPrior(task=TASK, name="r8", prior_microjoules=90_000_000, reserve_microjoules=RESERVED_UJ),
]
OLD_RULE = Rule(name="evidence/v1", min_delta=2_000_000, min_accuracy_gain_ppm=10_000, z_milli=3090)
RULE = OLD_RULE.but(name=BUDGETED, alpha_ppm=ALPHA_PPM, screen=SCREEN)
NO_BAR = Bar(looks=0, kept=0, needed_milli=0)
BAR = NO_BAR.but(needed_milli=ErrorBudget(ALPHA_PPM).needed_milli)
"""of the first look"""
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


def label_of(text: str) -> str:
    """The class of a text: one of three, each as likely."""
    return "abc"[zlib.crc32(text.encode()) % 3]


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
    kept = state / "capsules" / subjects[0].digest.sha256
    shutil.rmtree(kept, ignore_errors=True)  # the same update may have been made before
    folder.rename(kept)
    return subjects


def make_data(state: Path, texts: list[str] | None = None, spares: int = 0) -> Data:
    """Sets of 64 examples, drawn by the rule; ``texts`` in place of those, set by set as they stand.

    What they are more goes to the training set, which comes first.
    """
    folder = state / "data" / "new"
    folder.mkdir(parents=True)
    names = ["train", "holdout", "audit", *(f"holdout-{n + 2}" for n in range(spares))]
    if texts is None:
        drawn = by_hash(f"example {i} number {i}" for i in range(len(names) * COUNT))
        judging = (len(names) - 1) * COUNT
        texts = sorted(drawn[judging:]) + drawn[:judging]
    lines = [json.dumps({"text": text, "label": label_of(text)}) + "\n" for text in texts]
    trained = len(lines) - (len(names) - 1) * COUNT
    for number, name in enumerate(names):
        start = trained + (number - 1) * COUNT if number else 0
        (folder / f"{name}.jsonl").write_text("".join(lines[start : start + (COUNT if number else trained)]))
    (folder / "labels.json").write_text('["a", "b", "c"]')
    digest = write_checksums(folder)
    folder.rename(state / "data" / digest)
    folder = state / "data" / digest
    return Data(
        name="synthetic",
        digest=digest,
        train=file_digest(folder / "train.jsonl"),
        train_count=trained,
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


def losses_in(content: bytes) -> tuple[Losses, Losses]:
    """What an evidence file says, read as its description has it."""
    count = len(content) // 18
    values = struct.unpack(f"<{2 * count}q{2 * count}?", content)
    base, new, base_right, new_right = (values[i * count : (i + 1) * count] for i in range(4))
    return Losses(base, base_right), Losses(new, new_right)


def make_evidence(
    state: Path, base: float, new: float, order: Sequence[int] = range(COUNT)
) -> tuple[str, Evidence]:
    content, evidence = pair(base, new, order)
    digest = hashlib.sha256(content).hexdigest()
    (state / "evidence").mkdir(exist_ok=True)
    (state / "evidence" / f"{digest}.bin").write_bytes(content)
    return digest, evidence


def root_of(base: float, new: float, order: Sequence[int] = range(COUNT)) -> str:
    """The Merkle root over the losses of two models."""
    columns = [[values[i] for i in order] for gain in (base, new) for values in losses_of(gain)]
    base_losses, base_right, new_losses, new_right = columns
    return losses_root(loss_leaves(order, base_losses, new_losses, base_right, new_right))


def order_read(holdout: Holdout, read: int) -> Sequence[int]:
    """Which examples were read, in their order; all where ``read`` is 0."""
    return reading_order(COUNT, holdout.sha256)[:read] if read else range(COUNT)


def thresholds(rule: Rule, bar: Bar) -> Thresholds:
    return Thresholds(rule.min_delta, rule.min_accuracy_gain_ppm, rule.z_milli, bar.needed_milli)


def judged(rule: Rule, bar: Bar, evidence: Evidence) -> Verdict:
    if evidence.count < COUNT:
        return decide_partial(rule.name, evidence, COUNT, thresholds(rule, bar))
    return decide(rule.name, evidence, thresholds(rule, bar))


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


def phases(**joules: tuple[int, int, int]) -> list[PhaseFigure]:
    """Phases by name, each with its joules and both their ends, J."""
    return [
        PhaseFigure(name=name, microjoules=j * MICRO, lo_microjoules=low * MICRO, hi_microjoules=high * MICRO)
        for name, (j, low, high) in joules.items()
    ]


def _with_hits(fields: dict[str, object], changes: dict[str, object]) -> dict[str, object]:
    """Fields with changes, of which those that are named like hits change the hits."""
    hits = fields["hits"]
    assert isinstance(hits, Hits)
    forged = {name: changes.pop(name) for name in ("base", "new", "gained", "lost") if name in changes}
    return {**fields, "hits": hits.but(**forged), **changes}


def screen(gain: float, **changes: object) -> Screen:
    """A screen of 16 examples whose losses fall by about ``gain`` nats."""
    _, evidence = pair(0.0, gain, range(16))
    return Screen(**_with_hits({"count": 16, **sums_of(evidence)}, changes))


_SECTION = {
    "planned_steps": "plannedSteps",
    "planned_at_step": "plannedAtStep",
    "modules": "modules",
    "trained_parameters": "trainedParameters",
    "last_train_loss": "lastTrainLossNanoNat",
    "backend": "backend",
    "scale": "scale",
    "recipe": "recipe",
    "seed": "seed",
}


def section(**changes: object) -> Section:
    fields = {
        "plannedSteps": 200,
        "plannedAtStep": 5,
        "modules": ["query", "value"],
        "trainedParameters": 1024,
        "lastTrainLossNanoNat": 700_000_000,
        "backend": "",
        "scale": "1",
    }
    return Section(kind=SECTION, fields={**fields, **changes})


def training(**changes: object) -> Training:
    """What training did; ``changes`` forge fields of it, or of its section."""
    own = {name: changes.pop(name) for name in list(changes) if name in _SECTION}
    fields = {
        "slice_sha256": digest_of("slice"),
        "slice_count": COUNT,
        "stopped_by": "joules",
        "section": section(**{_SECTION[name]: value for name, value in own.items()}),
        "steps": 20,
        "fresh_count": 48,
        "screen": screen(0.05),
    }
    return Training(**{**fields, **changes})


def old_training(recipe: dict[str, str | int]) -> Training:
    """What training did, as the first form told it: recipe and seed once more, and no screen."""
    text = json.dumps(recipe, sort_keys=True, separators=(",", ":"))
    return training(recipe=text, seed=SEED, screen=None, fresh_count=0)


def evaluation(candidate: Base, per_example: str, evidence: Evidence, **changes: object) -> Evaluation:
    """Losses of base and candidate; ``changes`` forge fields of it, or of its hits."""
    fields = {
        "profile": "f64-nanonat/v1",
        "metric": CROSS_ENTROPY,
        "candidate": candidate,
        "read": evidence.count,
        **sums_of(evidence),
        "delta_sum": evidence.delta,
        "per_example": per_example,
    }
    return Evaluation(**_with_hits(fields, changes))


def decision(*, accepted: bool, **changes: object) -> Decision:
    fields = {"rule": RULE, "bar": BAR, "accepted": accepted}
    return Decision(**{**fields, **changes})

"""The flat view of a receipt: the whitepaper's fields by their names, for people and scripts.

Everything here is derived from the signed statement; nothing here is signed. Joules and nats are
floats, because this is where numbers are shown.
"""

from __future__ import annotations

__all__ = ["flat_intent", "flat_view"]

from datetime import datetime
from typing import Any

from cryoflux.quantities import MICRO, NANO
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.statement import Evaluation, IntentStatement, Receipt, ReceiptStatement, Training

_ADAPTER = "adapter_model.safetensors"


def _unix(timestamp: str) -> int | None:
    # A label such as month 13 has the right shape and is no time.
    try:
        return int(datetime.fromisoformat(timestamp).timestamp())
    except (ValueError, OverflowError):
        return None


def _losses(evaluation: Evaluation | None, read: int) -> dict[str, float | None]:
    if evaluation is None:
        return {"base_loss": None, "new_loss": None, "delta": None}
    scale = read * NANO
    return {
        "base_loss": evaluation.base_loss_nano_nat_sum / scale,
        "new_loss": evaluation.new_loss_nano_nat_sum / scale,
        "delta": evaluation.delta_nano_nat_sum / scale,
    }


def _training(training: Training | None) -> dict[str, float]:
    found = {}
    if training is not None and (screen := training.screen) is not None:
        delta = screen.base_loss_nano_nat_sum - screen.new_loss_nano_nat_sum
        found["screen_delta"] = delta / (screen.count * NANO)
    if training is not None and training.saved_microjoules:
        found["training_saved_joules_modelled"] = training.saved_microjoules / MICRO
    return found


def _per_joule(delta: float | None, microjoules: int) -> float | None:
    return None if delta is None or microjoules <= 0 else delta * MICRO / microjoules


def _energy(receipt: Receipt, delta: float | None) -> dict[str, Any]:
    figure = receipt.energy
    return {
        "tier": figure.tier.value,
        "joules_lo": figure.lo_microjoules / MICRO,
        "joules_hi": figure.hi_microjoules / MICRO,
        "eta": _per_joule(delta, figure.microjoules),
        "eta_low": _per_joule(delta, figure.hi_microjoules),
    }


def flat_view(statement: ReceiptStatement, leaf_hash: str) -> dict[str, Any]:
    """The whitepaper's view of a receipt.

    Args:
        statement: what was signed.
        leaf_hash: RFC 6962 leaf hash of the signed envelope; shown as ``receipt_hash``.
    """
    receipt = statement.predicate
    evaluation = receipt.evaluation
    read = (evaluation.examples or receipt.holdout.count) if evaluation else None
    losses = _losses(evaluation, read or 1)
    adapters = [s.digest.sha256 for s in statement.subject if s.name == _ADAPTER]
    return {
        "task_id": receipt.task.id,
        "task_name": receipt.task.name,
        "joules_spent": receipt.energy.microjoules / MICRO,
        **losses,
        "accepted": receipt.decision.accepted if receipt.decision else None,
        "adapter_hash": adapters[0] if adapters else None,
        "base_model_hash": receipt.base.digest,
        "timestamp": _unix(receipt.finished_at),
        "receipt_hash": leaf_hash,
        "outcome": receipt.outcome.value,
        "reason": receipt.reason,
        **_energy(receipt, losses["delta"]),
        "examples_read": read,
        **_training(receipt.training),
    }


def flat_intent(entry: Entry) -> dict[str, Any]:
    """The same for an intent: what was about to be tried."""
    if not isinstance(entry.statement, IntentStatement):
        raise TypeError(f"entry {entry.index} is not an intent")
    intent = entry.statement.predicate
    return {
        "task_id": intent.task.id,
        "task_name": intent.task.name,
        "arm": intent.task.arm,
        "joules_reserved": intent.reserved_microjoules / MICRO,
        "base_model_hash": intent.base.digest,
        "timestamp": _unix(intent.announced_at),
        "receipt_hash": entry.leaf_hash,
        "outcome": "announced",
        "reason": intent.schedule.reason,
    }

"""The flat view of an entry: the whitepaper's fields by their names, for people and scripts.

Everything here is derived from the signed statement; nothing here is signed. Joules and losses are floats,
because this is where numbers are shown.
"""

from __future__ import annotations

__all__ = ["flat_intent", "flat_key", "flat_move", "flat_receipt", "flat_view"]

from datetime import datetime
from typing import Any

from cryoflux.quantities import MICRO, NANO, efficiency
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.key_statement import KeyRevocation, KeyRoot, KeyRotation, KeyStatement
from cryoflux.receipts.statement import Evaluation, HeadMove, Intent, Receipt, ReceiptStatement, Training
from cryoflux.sentences import say
from cryoflux.state import ADAPTER


def _unix(timestamp: str) -> int | None:
    # A label such as month 13 has the right shape and is no time.
    try:
        return int(datetime.fromisoformat(timestamp).timestamp())
    except (ValueError, OverflowError):
        return None


def _losses(evaluation: Evaluation | None) -> dict[str, Any]:
    if evaluation is None:
        return {"base_loss": None, "new_loss": None, "delta": None}
    scale = evaluation.read * NANO
    return {
        "base_loss": evaluation.base_loss_sum / scale,
        "new_loss": evaluation.new_loss_sum / scale,
        "delta": evaluation.delta_sum / scale,
    }


def _training(training: Training | None) -> dict[str, float]:
    found = {}
    if training is not None and (screen := training.screen) is not None:
        found["screen_delta"] = (screen.base_loss_sum - screen.new_loss_sum) / (screen.count * NANO)
    if training is not None and training.saved_microjoules:
        found["training_saved_joules_modelled"] = training.saved_microjoules / MICRO
    return found


def _energy(receipt: Receipt, delta: float | None) -> dict[str, Any]:
    figure = receipt.energy
    return {
        "tier": figure.tier.value,
        "joules_lo": figure.lo_microjoules / MICRO,
        "joules_hi": figure.hi_microjoules / MICRO,
        "range_kind": figure.tier.range_kind.value,
        "eta": None if delta is None else efficiency(delta, figure.microjoules),
        "eta_low": None if delta is None else efficiency(delta, figure.hi_microjoules),
    }


def flat_receipt(statement: ReceiptStatement, leaf_hash: str) -> dict[str, Any]:
    """The whitepaper's view of a receipt.

    Args:
        statement: what was signed.
        leaf_hash: RFC 6962 leaf hash of the signed envelope; shown as ``receipt_hash``.
    """
    receipt = statement.predicate
    evaluation = receipt.evaluation
    losses = _losses(evaluation)
    adapters = [s.digest.sha256 for s in statement.subject if s.name == ADAPTER]
    return {
        "task_id": receipt.task.id,
        "task_name": receipt.task.name,
        "arm": receipt.task.arm,
        "joules_spent": receipt.energy.microjoules / MICRO,
        **losses,
        "metric": evaluation.metric.name if evaluation else None,
        "unit": evaluation.metric.unit if evaluation else None,
        "accepted": receipt.decision.accepted if receipt.decision else None,
        "adapter_hash": adapters[0] if adapters else None,
        "base_model_hash": receipt.base.digest,
        "timestamp": _unix(receipt.finished_at),
        "receipt_hash": leaf_hash,
        "outcome": receipt.outcome.value,
        "cause": receipt.cause.value or None,
        "reason": say(receipt.reason),
        **_energy(receipt, losses["delta"]),
        "examples_read": evaluation.read if evaluation else None,
        **_training(receipt.training),
    }


def flat_intent(intent: Intent, leaf_hash: str) -> dict[str, Any]:
    """The same for an intent: what was about to be tried."""
    return {
        "task_id": intent.task.id,
        "task_name": intent.task.name,
        "arm": intent.task.arm,
        "joules_reserved": intent.reserved_microjoules / MICRO,
        "base_model_hash": intent.base.digest,
        "timestamp": _unix(intent.announced_at),
        "receipt_hash": leaf_hash,
        "outcome": "announced",
        "reason": say(intent.schedule.reason),
    }


def flat_move(move: HeadMove, leaf_hash: str) -> dict[str, Any]:
    """The same for a head that was moved."""
    return {
        "task_name": move.task,
        "base_model_hash": move.base.digest,
        "result_model_hash": move.result.digest,
        "timestamp": _unix(move.moved_at),
        "receipt_hash": leaf_hash,
        "outcome": move.move.value,
        "reason": say(move.reason),
    }


def flat_key(statement: KeyStatement) -> dict[str, Any]:
    """The same for a key that was named, replaced or ended."""
    match statement.predicate:
        case KeyRoot(root=root, enrolled_at=at):
            said = ("root named", root.keyid, at, "")
        case KeyRotation(successor=successor, rotated_at=at, reason=reason):
            said = ("rotated", successor.keyid, at, reason)
        case KeyRevocation(revoked=revoked, revoked_at=at, reason=reason):
            said = ("revoked", revoked, at, reason)
    outcome, keyid, at, reason = said
    return {"key_id": keyid, "timestamp": _unix(at), "outcome": outcome, "reason": reason}


def flat_view(entry: Entry) -> dict[str, Any]:
    """The flat view of whatever an entry is about, with its index and kind."""
    found: dict[str, Any] = {"index": entry.index, "kind": entry.kind.value, "receipt_hash": entry.leaf_hash}
    if isinstance(entry.statement, ReceiptStatement):
        found |= flat_receipt(entry.statement, entry.leaf_hash)
    elif entry.intent is not None:
        found |= flat_intent(entry.intent, entry.leaf_hash)
    elif entry.move is not None:
        found |= flat_move(entry.move, entry.leaf_hash)
    elif entry.key is not None:
        found |= flat_key(entry.key)
    return found

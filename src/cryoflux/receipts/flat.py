"""The flat view of an entry: the whitepaper's fields by their names, for people and scripts.

Everything here is derived from the signed statement; nothing here is signed. Joules and losses are floats,
because this is where numbers are shown.
"""

from __future__ import annotations

__all__ = [
    "flat_fork",
    "flat_intent",
    "flat_judgement",
    "flat_key",
    "flat_move",
    "flat_receipt",
    "flat_session",
    "flat_view",
]

import math
from datetime import datetime
from typing import Any

from cryoflux.decision.interval import anytime_interval, fixed_interval
from cryoflux.errors import VerificationError
from cryoflux.quantities import MICRO, NANO, efficiency, efficiency_name
from cryoflux.receipts.charged import EnergyFigure
from cryoflux.receipts.checkpoint import parse_note
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.flat_contract import flat_contract
from cryoflux.receipts.flat_network import flat_network
from cryoflux.receipts.flat_parts import flat_parts
from cryoflux.receipts.key_statement import KeyRevocation, KeyRoot, KeyRotation, KeyStatement
from cryoflux.receipts.paid import Paid
from cryoflux.receipts.session import Session
from cryoflux.receipts.statement import Fork, HeadMove, Intent, Judgement, Receipt, ReceiptStatement, Training
from cryoflux.receipts.sums import anytime_ends, evidence_of
from cryoflux.sentences import say
from cryoflux.state import ADAPTER


def _when(label: str) -> dict[str, Any]:
    """The whitepaper's Unix seconds, and the label as it is: RFC 3339 in UTC."""
    # A label such as month 13 has the right shape and is no time.
    try:
        return {"timestamp": int(datetime.fromisoformat(label).timestamp()), "at": label}
    except (ValueError, OverflowError):
        return {"timestamp": None, "at": None}


def _losses(receipt: Receipt) -> dict[str, Any]:
    names = ("base_loss", "new_loss", "delta", "delta_lo_95", "delta_hi_95")
    anytime = dict(zip(("delta_lo_anytime", "delta_hi_anytime"), anytime_ends(receipt), strict=True))
    accuracies = ("accuracy_before", "accuracy_after")
    if (evaluation := receipt.evaluation) is None:
        return {**dict.fromkeys(names), **anytime, **dict.fromkeys(accuracies)}
    scale, found = evaluation.read * NANO, evidence_of(evaluation)
    sums = (evaluation.base_loss_sum, evaluation.new_loss_sum, evaluation.delta_sum)
    means = (value / scale for value in sums)
    hits = (found.base_correct, found.new_correct)
    shares = (count / found.count if found.hits else None for count in hits)
    return {
        **dict(zip(names, (*means, *fixed_interval(found)), strict=True)),
        **anytime,
        **dict(zip(accuracies, shares, strict=True)),
    }


def _training(training: Training | None) -> dict[str, float]:
    found: dict[str, float] = {}
    if training is not None and training.screen is not None:
        screened = evidence_of(training.screen)
        low, high = fixed_interval(screened)
        found |= {"screen_delta": screened.delta_mean, "screen_delta_lo_95": low, "screen_delta_hi_95": high}
        found["screen_examples"] = screened.count
    if training is not None and training.saved_microjoules:
        found["training_saved_joules_modelled"] = training.saved_microjoules / MICRO
    return found


def _energy(receipt: Receipt) -> dict[str, Any]:
    figure = receipt.energy
    return {
        "tier": figure.tier.value,
        "joules_lo": figure.lo_microjoules / MICRO,
        "joules_hi": figure.hi_microjoules / MICRO,
        "range_kind": figure.tier.range_kind.value,
        "phases": _phases(figure),
        "parts": flat_parts(figure),
    }


def _phases(figure: EnergyFigure) -> list[dict[str, Any]] | None:
    """What went into which phase, in order; none where the receipt does not say."""
    return [
        {
            "phase": said.name,
            "joules": said.microjoules / MICRO,
            "joules_lo": said.lo_microjoules / MICRO,
            "joules_hi": said.hi_microjoules / MICRO,
        }
        for said in figure.phases
    ] or None


def _efficiency(receipt: Receipt, paid: Paid, delta: float | None) -> dict[str, float | None]:
    """η per kilojoule, by the estimate and by the upper end of the joules; the names say nats where it is."""
    evaluation = receipt.evaluation
    unit = evaluation.metric.unit if evaluation is not None else None
    by = (("eta", paid.microjoules), ("eta_low", paid.hi_microjoules))
    return {efficiency_name(name, unit): None if delta is None else efficiency(delta, uj) for name, uj in by}


def flat_receipt(
    statement: ReceiptStatement, leaf_hash: str, unit: str | None = None, paid: Paid | None = None
) -> dict[str, Any]:
    """The whitepaper's view of a receipt.

    Args:
        statement: what was signed.
        leaf_hash: RFC 6962 leaf hash of the signed envelope; shown as ``receipt_hash``.
        unit: of the losses of its task, which a receipt without a verdict does not say; its intent does.
        paid: what paid for its Δ; none where that is not known, and η is by its own joules.
    """
    receipt = statement.predicate
    evaluation = receipt.evaluation
    losses = _losses(receipt)
    adapters = [s.digest.sha256 for s in statement.subject if s.name == ADAPTER]
    return {
        "task_id": receipt.task.id,
        "task_name": receipt.task.name,
        "arm": receipt.task.arm,
        "joules_spent": receipt.energy.microjoules / MICRO,
        **losses,
        "metric": evaluation.metric.name if evaluation else None,
        "unit": evaluation.metric.unit if evaluation else unit,
        "accepted": receipt.decision.accepted if receipt.decision else None,
        "adapter_hash": adapters[0] if adapters else None,
        "base_model_hash": receipt.base.digest,
        **_when(receipt.finished_at),
        "receipt_hash": leaf_hash,
        "outcome": receipt.outcome.word,
        "cause": receipt.cause.value or None,
        "reason": say(receipt.reason),
        **_energy(receipt),
        "chain_attempts": paid.attempts if paid else None,
        "chain_joules": paid.microjoules / MICRO if paid else None,
        **_efficiency(receipt, paid or Paid.alone(receipt), losses["delta"]),
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
        **_when(intent.announced_at),
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
        **_when(move.moved_at),
        "receipt_hash": leaf_hash,
        "outcome": move.move.value,
        "reason": say(move.reason),
        "pruned": [version.digest for version in move.pruned],
    }


def flat_session(session: Session, leaf_hash: str) -> dict[str, Any]:
    """The same for what a run spent beside its attempts."""
    figure = session.energy
    return {
        "session_id": session.id,
        "first_attempt": session.first_attempt,
        "attempts": session.attempts,
        "joules_budget": session.budget_microjoules / MICRO,
        "joules_beside": figure.microjoules / MICRO,
        "joules_lo": figure.lo_microjoules / MICRO,
        "joules_hi": figure.hi_microjoules / MICRO,
        "tier": figure.tier.value,
        "parts": flat_parts(figure),
        **_when(session.ended_at),
        "receipt_hash": leaf_hash,
        "outcome": session.ended.value,
    }


def flat_fork(fork: Fork) -> dict[str, Any]:
    """The same for the beginning of a log that goes on from another one."""
    try:
        point = parse_note(fork.parent.checkpoint.encode()).checkpoint
        parent: dict[str, Any] = {"parent": point.origin, "parent_entries": point.size}
    except VerificationError:
        parent = {"parent": None, "parent_entries": None}
    holdouts = [used for said in fork.tasks for used in said.holdouts]
    looks = sum(used.looks for used in holdouts)
    task_name = ", ".join(said.task for said in fork.tasks)
    return {
        **parent,
        "task_name": task_name,
        **_when(fork.forked_at),
        "looks": looks,
        "guest_holdouts_left": len(fork.guests),
        "outcome": "forked",
    }


def flat_judgement(said: Judgement, leaf_hash: str) -> dict[str, Any]:
    """The same for a judgement on two that were made elsewhere; its joules are stated, not metered."""
    measured, energy, tokens = said.measured, said.energy, said.tokens
    targets = (tokens.targets or None) if tokens else None
    found = evidence_of(measured)
    low, high = fixed_interval(found)
    needed = said.decision.bar.needed_milli
    ends = anytime_interval(found, needed) if needed else (-math.inf, math.inf)
    shown = ends if math.isfinite(ends[0]) else (None, None)
    hits = (found.base_correct, found.new_correct)
    before, after = (count / found.count if found.hits else None for count in hits)
    return {
        "name": said.name,
        "judged": said.kind.value,
        "base": said.base.name,
        "new": said.new.name,
        "base_loss": found.base_loss / found.count / NANO,
        "new_loss": found.new_loss / found.count / NANO,
        "delta": found.delta_mean,
        "delta_per_token": found.delta_mean * found.count / tokens.targets
        if tokens and tokens.targets
        else None,
        "delta_lo_95": low,
        "delta_hi_95": high,
        "delta_lo_anytime": shown[0],
        "delta_hi_anytime": shown[1],
        "accuracy_before": before,
        "accuracy_after": after,
        "examples_read": found.count,
        "examples_cut": tokens.cut if tokens else None,
        "most_tokens": tokens.most if tokens else None,
        "target_tokens": targets,
        "looks_before": said.decision.bar.looks,
        "metric": measured.metric.name,
        "unit": measured.metric.unit,
        "accepted": said.decision.accepted,
        "joules_stated": energy.microjoules / MICRO if energy else None,
        "joules_stated_lo": energy.lo_microjoules / MICRO if energy else None,
        "joules_stated_hi": energy.hi_microjoules / MICRO if energy else None,
        "tier_stated": energy.tier.value if energy and energy.tier else None,
        **_when(said.judged_at),
        "receipt_hash": leaf_hash,
        "outcome": said.outcome.word,
        "reason": say(said.reason),
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
    return {"key_id": keyid, **_when(at), "outcome": outcome, "reason": reason}


def flat_view(
    entry: Entry,
    number: int | None = None,
    unit: str | None = None,
    paid: Paid | None = None,
    round_number: int | None = None,
) -> dict[str, Any]:
    """The flat view of whatever an entry is about, with its index and kind.

    Args:
        entry: of a log.
        number: of the attempt that it is about (`cryoflux.receipts.numbering`); none where it is about none.
        unit: of the losses of its task, as an intent says; none where that is not known.
        paid: what paid for its Δ, with its chain; none where that is not known.
        round_number: of the round that it is about; none where it is about none.
    """
    found: dict[str, Any] = {"index": entry.index, "kind": entry.kind.value, "receipt_hash": entry.leaf_hash}
    found["attempt"] = number
    if isinstance(entry.statement, ReceiptStatement):
        found |= flat_receipt(entry.statement, entry.leaf_hash, unit, paid)
    elif entry.intent is not None:
        found |= flat_intent(entry.intent, entry.leaf_hash)
    elif entry.move is not None:
        found |= flat_move(entry.move, entry.leaf_hash)
    elif entry.session is not None:
        found |= flat_session(entry.session, entry.leaf_hash)
    elif entry.key is not None:
        found |= flat_key(entry.key)
    elif entry.network is not None:
        found |= flat_network(entry.network, unit, round_number) | _when(entry.at)
    elif entry.contract is not None:
        found |= flat_contract(entry.contract) | _when(entry.at)
    else:
        found |= _of_others(entry)
    return found


def _of_others(entry: Entry) -> dict[str, Any]:
    if entry.fork is not None:
        return flat_fork(entry.fork)
    return flat_judgement(entry.judgement, entry.leaf_hash) if entry.judgement is not None else {}

"""The flat view of what a node says: guest holdouts, offers, rounds, openings, recalls, and who it is.

As in `cryoflux.receipts.flat`, everything is derived from the signed statement, and nothing here is signed.
"""

from __future__ import annotations

__all__ = ["flat_network"]

from typing import Any

from cryoflux.quantities import MICRO, NANO
from cryoflux.receipts.flat_parts import flat_parts
from cryoflux.receipts.network_parts import GuestInUse, MemberVerdict, Search
from cryoflux.receipts.network_statement import (
    GuestHoldout,
    GuestOpening,
    NetworkStatement,
    Node,
    Recall,
    RoundIntent,
    RoundResult,
    UpdateOffer,
)
from cryoflux.sentences import say


def flat_network(
    statement: NetworkStatement, unit: str | None = None, number: int | None = None
) -> dict[str, Any]:
    """The fields of what a node says, by its kind.

    Args:
        statement: what was signed.
        unit: of the losses of its task; none where that is not known.
        number: of the round that it is about; none where it is about none.
    """
    said = statement.predicate
    found: dict[str, Any] = {"task_name": said.task}
    match said:
        case Node():
            found |= _node(said)
        case GuestHoldout():
            found |= _guest(said)
        case UpdateOffer():
            found |= _offer(said)
        case RoundIntent():
            found |= {"round_number": number, **_announced(said)}
        case RoundResult():
            found |= {"round_number": number, **_round(said, unit)}
        case GuestOpening():
            found |= _opening(said)
        case Recall():
            found |= _recall(said)
    return found


def _node(said: Node) -> dict[str, Any]:
    return {
        "name": said.name,
        "log_key": said.log_key,
        "genesis_model_hash": said.genesis.digest,
        "urls": list(said.urls),
        "supersedes": said.supersedes or None,
        "outcome": "node",
    }


def _guest(said: GuestHoldout) -> dict[str, Any]:
    return {
        "root": said.root,
        "examples": said.count,
        "alpha": said.alpha_ppm / MICRO,
        "looks_most": said.max_looks,
        "source": said.source,
        "open_by": said.open_by,
        "outcome": "guest holdout",
    }


def _offer(said: UpdateOffer) -> dict[str, Any]:
    return {
        "adapter_hash": said.update.adapter,
        "adapter_bytes": said.adapter_bytes,
        "genesis_model_hash": said.update.genesis,
        "parent_updates": len(said.update.parent),
        "receipt_index": said.receipt_at,
        "terms": said.terms or None,
        "outcome": "offered",
    }


def _in_use(guest: GuestInUse) -> dict[str, Any]:
    return {
        "root": guest.root,
        "examples": guest.count,
        "alpha": guest.alpha_ppm / MICRO,
        "looks_before": guest.looks,
        "kept_before": guest.kept,
        "needed": guest.needed_milli / 1000,
    }


def _announced(said: RoundIntent) -> dict[str, Any]:
    return {
        "round_id": said.id,
        "base_model_hash": said.base.digest,
        **_in_use(said.guest),
        "candidates": len(said.candidates),
        "screen_examples": said.screened_with,
        "joules_reserved": said.reserved_microjoules / MICRO,
        "outcome": "round announced",
    }


def _round(said: RoundResult, unit: str | None) -> dict[str, Any]:
    figure, look = said.energy, said.look
    verdicts = {verdict: sum(one.verdict is verdict for one in said.members) for verdict in MemberVerdict}
    return {
        "round_id": said.id,
        "joules_spent": figure.microjoules / MICRO,
        "joules_lo": figure.lo_microjoules / MICRO,
        "joules_hi": figure.hi_microjoules / MICRO,
        "tier": figure.tier.value,
        "range_kind": figure.tier.range_kind.value,
        "parts": flat_parts(figure),
        "base_model_hash": said.base.digest,
        "result_model_hash": said.result.digest,
        "list_hash": said.composed,
        "members": {verdict.value: count for verdict, count in verdicts.items() if count},
        "steps": len(said.steps),
        **_search(said.search),
        "unit": unit,
        "certified_delta": look.level / NANO if look is not None and look.level else None,
        "sealed": look.sealed if look is not None else None,
        "guards": {guard.name: guard.passed for guard in said.guards},
        "cause": said.cause.value or None,
        "outcome": f"round {said.outcome.value}",
        "reason": say(said.reason),
    }


def _search(search: Search | None) -> dict[str, Any]:
    names = ("screen_delta", "screen_delta_lo_95", "screen_delta_hi_95", "screen_examples", "tried")
    if search is None:
        return dict.fromkeys(names)
    values = (search.delta_nano_nat / NANO, None, None, search.count, search.tried)
    return dict(zip(names, values, strict=True))


def _opening(said: GuestOpening) -> dict[str, Any]:
    return {
        "root": said.root,
        "examples": said.count,
        "looks": len(said.rounds),
        "examples_hash": said.examples,
        "why": said.why.value,
        "outcome": "guest holdout opened",
    }


def _recall(said: Recall) -> dict[str, Any]:
    return {
        "adapter_hash": said.capsule,
        "base_model_hash": said.base.digest,
        "result_model_hash": said.result.digest,
        "list_hash": said.composed,
        "log": said.origin or None,
        "evidence_hash": said.evidence or None,
        "outcome": "recalled",
        "reason": said.reason,
    }

"""What a round came to, in words: each candidate with its verdict, the look, and what checking cost."""

from __future__ import annotations

__all__ = ["round_document", "round_lines"]

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from cryoflux.quantities import MICRO, NANO
from cryoflux.receipts.network_parts import Member, MemberVerdict, RoundOutcome
from cryoflux.receipts.network_statement import RoundResult
from cryoflux.receipts.numbering import round_name
from cryoflux.registry.mixture import ListStep, StepKind
from cryoflux.sentences import say

_SHOWN = 12
"""candidates that have a line each"""
_WORDS = {
    MemberVerdict.NOT_CHOSEN: "not chosen: others did as well without it",
    MemberVerdict.SCREENED: "screened: it did not help on our own training side",
    MemberVerdict.UNAVAILABLE: "unavailable: its bytes could not be had",
    MemberVerdict.MALFORMED: "malformed: its bytes are no update",
    MemberVerdict.UNSAFE: "unsafe",
    MemberVerdict.STALE: "stale: it cannot be added to our head",
    MemberVerdict.UNREACHED: "unreached: the joules ended before it was tried",
}
_LIKE = {
    MemberVerdict.DUPLICATE: "duplicate of {}, which was committed before it",
    MemberVerdict.COPIED: "copied: our head has {}, a copy of it that was committed later",
}
_SEARCHED = frozenset({MemberVerdict.NOT_CHOSEN, MemberVerdict.SCREENED, MemberVerdict.UNREACHED})
_STEPS = {StepKind.ADD: "weight", StepKind.MIX: "mixed", StepKind.REWEIGHT: "times"}


def round_lines(
    record: RoundResult,
    number: int,
    names: Mapping[str, str] | None = None,
    why: Mapping[str, str] | None = None,
) -> list[str]:
    """A round for people.

    Args:
        record: what was recorded.
        number: of the round in its log.
        names: capsule → what it is called here; its first digits where it has no name.
        why: capsule → why it was no part of the search, where that is known, or with what it is contested.
    """
    names, why = names or {}, why or {}
    steps = {step.update.adapter: step for step in record.steps}
    lines = [f"round {round_name(number)} {say(record.reason)} Checking cost {record.energy.energy.text}."]
    lines += [
        f"         {_called(member.capsule, names)}  {_verdict(member, steps, names, why)}"
        for member in record.members[:_SHOWN]
    ]
    if (more := len(record.members) - _SHOWN) > 0:
        lines.append(f"         and {more} more")
    own = [step for step in record.steps if step.kind is StepKind.REWEIGHT]
    if own and record.outcome is RoundOutcome.ACCEPTED:
        lines.append(_reweighted(own, record.members, names))
    return lines


def _reweighted(steps: Sequence[ListStep], members: Sequence[Member], names: Mapping[str, str]) -> str:
    """What was kept of other weights, and whether that is all that was kept."""
    said = ", ".join(f"{_called(one.update.adapter, names)} times {one.amount}" for one in steps)
    brought = any(one.verdict is MemberVerdict.ADOPTED for one in members)
    alone = "" if brought else "; nothing that was offered is in what was kept"
    return f"         reweighted: {said}, of what our head had already{alone}"


def _called(capsule: str, names: Mapping[str, str]) -> str:
    return names.get(capsule, f"{capsule[:16]}…")


def _verdict(
    member: Member, steps: Mapping[str, ListStep], names: Mapping[str, str], why: Mapping[str, str]
) -> str:
    told = why.get(member.capsule)
    if member.verdict is MemberVerdict.ADOPTED:
        step, besides = steps[member.capsule], f"; {told}" if told else ""
        if step.kind is StepKind.MIX and step.amount == "1":
            return f"adopted, with its proposer's whole list in the place of ours{besides}"
        return f"adopted, {_STEPS[step.kind]} {step.amount}{besides}"
    if told is not None and member.verdict in _SEARCHED:
        return f"{_WORDS[member.verdict]}; {told}"
    if told is not None:
        return f"{member.verdict.value}: {told}"
    if member.of:
        return _LIKE[member.verdict].format(_called(member.of, names))
    return _WORDS[member.verdict]


def round_document(record: RoundResult, number: int, leaf_hash: str) -> dict[str, Any]:
    """A round for programs.

    Args:
        record: what was recorded.
        number: of the round in its log.
        leaf_hash: of its entry.
    """
    energy = record.energy
    return {
        "number": number,
        "id": record.id,
        "entry": leaf_hash,
        "task": record.task,
        "outcome": record.outcome.value,
        "reason": say(record.reason),
        "head": record.result.digest,
        "members": [
            {"capsule": one.capsule, "verdict": one.verdict.value} | ({"of": one.of} if one.of else {})
            for one in record.members
        ],
        "verdicts": dict(Counter(one.verdict.value for one in record.members)),
        "steps": [
            {"kind": one.kind.value, "capsule": one.update.adapter, "amount": one.amount}
            for one in record.steps
        ],
        "certified_delta_nats": record.look.level / NANO if record.look is not None else None,
        "joules": energy.microjoules / MICRO,
        "joules_lo": energy.lo_microjoules / MICRO,
        "joules_hi": energy.hi_microjoules / MICRO,
        "tier": energy.tier.value,
    }

"""The words and the document of one finished attempt."""

from __future__ import annotations

__all__ = [
    "attempt_document",
    "attempt_text",
    "energy_document",
    "energy_text",
    "outcome_mark",
    "parts_text",
    "phases_text",
]

from collections.abc import Iterable, Mapping
from typing import Any

from cryoflux.attempt.recording import AttemptRecord
from cryoflux.decision.evidence import Evidence
from cryoflux.decision.interval import fixed_interval
from cryoflux.quantities import MICRO, NATS, Energy, format_efficiency, format_energy, format_nats, hit_words
from cryoflux.receipts.charged import EnergyFigure
from cryoflux.receipts.flat import flat_receipt
from cryoflux.receipts.paid import Paid
from cryoflux.receipts.per_token import per_token_text, tokens_per_example
from cryoflux.receipts.statement import Outcome, Receipt
from cryoflux.receipts.sums import evidence_of
from cryoflux.sentences import brief, deciding_interval

_DEAREST = 2
"""so many phases are named on one line; the others are told together"""
_DIGITS = 12
"""of an id of a key or a boot"""
_SIGN = {
    Outcome.ACCEPTED: "✓",
    Outcome.REJECTED: "✗",
    Outcome.UNDECIDED: "?",
    Outcome.CARRIED: "→",
    Outcome.ABORTED: "·",
}


def outcome_mark(outcome: Outcome) -> str:
    """An outcome's sign and word; the sign says nothing that the word does not."""
    return f"{_SIGN[outcome]} {outcome.word}"


def energy_document(energy: Energy | None) -> dict[str, Any] | None:
    """An energy with both ends, for a program; none where there is none."""
    if energy is None:
        return None
    return {
        "joules": energy.uj / MICRO,
        "joules_lo": energy.lo_uj / MICRO,
        "joules_hi": energy.hi_uj / MICRO,
        "tier": energy.tier.value,
        "range_kind": energy.range_kind.value,
        "flags": list(energy.flags),
    }


def energy_text(energy: Energy) -> str:
    """A figure with its interval in the same unit: ``73.8 J [41.2, 160], modelled``."""
    return f"{_with_range(energy.uj, energy.lo_uj, energy.hi_uj)}, {energy.tier.value}"


def phases_text(figure: EnergyFigure) -> str:
    """What went into which phase: ``train 70.1 J [39.0, 152], …; modelled``; empty where nobody knows."""
    said = (
        f"{phase.name} " + _with_range(phase.microjoules, phase.lo_microjoules, phase.hi_microjoules)
        for phase in figure.phases
    )
    return f"{', '.join(said)}; {figure.tier.value}" if figure.phases else ""


def parts_text(parts: Iterable[Mapping[str, Any]]) -> str:
    """Which meter charged what: ``coordinator 3.1 J [2.8, 3.5], counter, by key 6e18c4f9…, boot …; w1 …``.

    Args:
        parts: as `receipts.flat_parts` gives them.
    """
    return "; ".join(_part_text(part) for part in parts)


def _part_text(part: Mapping[str, Any]) -> str:
    ends = (round(part[name] * MICRO) for name in ("joules", "joules_lo", "joules_hi"))
    keyid, boot = part["meter_key_id"], part["boot"]
    by = f"by key {keyid[:_DIGITS]}…" if keyid else "signed by no meter"
    where = f"boot {boot[:_DIGITS]}…" if boot else "boot unknown"
    flags = [", ".join(part["flags"])] if part["flags"] else []
    said = [_with_range(*ends), part["tier"], by, where, *flags]
    return f"{part['worker'] or 'coordinator'} {', '.join(said)}"


def _dearest(figure: EnergyFigure) -> str:
    """The phases that took most of it, and what all others took."""
    first = sorted(figure.phases, key=lambda phase: -phase.microjoules)[:_DEAREST]
    rest_uj = figure.microjoules - sum(phase.microjoules for phase in first)
    named = [f"{phase.name} {format_energy(phase.microjoules)}" for phase in first]
    return f"of it {', '.join(named)}, the rest {format_energy(rest_uj)}"


def _with_range(uj: int, lo_uj: int, hi_uj: int) -> str:
    figure = format_energy(uj)
    scale = {"J": MICRO, "kJ": 1000 * MICRO, "MJ": MICRO * MICRO}[figure.rpartition(" ")[2]]
    low, high = (_short(end / scale) for end in (lo_uj, hi_uj))
    return f"{figure} [{low}, {high}]"


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}"


def attempt_text(
    number: int,
    receipt: Receipt,
    paid: Paid | None = None,
    *,
    verbose: bool = False,
    several: bool = False,
) -> str:
    """One finished attempt, as a person reads it; its pieces are two spaces apart.

    Args:
        number: of the attempt in its log.
        receipt: of it.
        paid: what paid for its Δ; none for itself alone.
        verbose: say the evidence and what it had to exceed, and where the joules went, too.
        several: more than one task is at work, so the task is named.
    """
    e = evidence_of(receipt.evaluation) if receipt.evaluation is not None else None
    arm = f"{receipt.task.name}/{receipt.task.arm}" if several else receipt.task.arm
    begun = f"#{number:<3} {outcome_mark(receipt.outcome):<11}  {arm:<10}"
    went = [_dearest(receipt.energy)] if verbose and receipt.energy.phases else []
    if e is None:
        return "  ".join([begun, energy_text(receipt.energy.energy), brief(receipt.reason), *went])
    unit = receipt.evaluation.metric.unit if receipt.evaluation is not None else NATS
    pieces = [
        begun,
        deciding_interval(receipt.reason) or _by_itself(e, unit),
        *filter(None, [per_token_text(e.delta_mean, unit, tokens_per_example(receipt))]),
        energy_text(receipt.energy.energy),
        *_chain_text(paid),
        format_efficiency(e.delta_mean, (paid or Paid.alone(receipt)).microjoules, unit),
    ]
    if e.hits:
        before, after = (100 * correct / e.count for correct in (e.base_correct, e.new_correct))
        pieces.append(f"{hit_words(unit)} {before:.1f} → {after:.1f} %")
    pieces.append(brief(receipt.reason))
    if verbose and receipt.decision is not None and (needed := receipt.decision.bar.needed_milli):
        pieces.append(f"evidence {e.delta_weight:.1f}, needed > {needed / 1000:.1f}")
    return "  ".join(pieces + went)


def _chain_text(paid: Paid | None) -> list[str]:
    if paid is None or paid.attempts == 1:
        return []
    return [f"{format_energy(paid.microjoules)} in {paid.attempts} attempts of its chain"]


def _by_itself(evidence: Evidence, unit: str) -> str:
    """Δ with its interval where the reason, of an older version, does not carry the numbers."""
    low, high = fixed_interval(evidence)
    return f"Δ {format_nats(evidence.delta_mean)} {unit}, 95 % [{low:+.4f}, {high:+.4f}]"


def attempt_document(record: AttemptRecord) -> dict[str, Any]:
    """One finished attempt, for a program."""
    receipt, evidence = record.receipt, record.evidence
    return {
        **flat_receipt(record.statement, record.leaf_hash, paid=record.paid),
        "decision": receipt.outcome.word,
        "rule": receipt.decision.rule.name if receipt.decision else None,
        "delta_se": evidence.delta_se if evidence else None,
        "steps": receipt.training.steps if receipt.training else None,
        "slice": receipt.training.slice_count if receipt.training else None,
        "stopped_by": receipt.training.stopped_by if receipt.training else None,
        "saved_joules_modelled": record.saved_uj / MICRO,
        "cpu_seconds": sum(record.phases.values()),
        "phases_cpu_seconds": {phase: round(seconds, 4) for phase, seconds in record.phases.items()},
        "holdout_loss": record.head_loss,
        "remaining_joules": record.bucket_uj / MICRO,
    }

"""The words and documents of a run: one place for what a line and a JSON event say."""

from __future__ import annotations

__all__ = [
    "attempt_document",
    "attempt_line",
    "choice_document",
    "choice_lines",
    "milestone_document",
    "milestone_line",
    "opening_lines",
    "summary_document",
    "summary_lines",
    "threads_in_use",
    "witnessing_document",
]

import shlex
from dataclasses import asdict
from typing import Any

from cryoflux.attempt.context import Bench
from cryoflux.attempt.recording import AttemptRecord
from cryoflux.decision.power import detectable
from cryoflux.decision.rules import BUDGETED
from cryoflux.energy.interface import Sample
from cryoflux.quantities import MICRO, NANO, Energy, Tier, format_energy, format_nats
from cryoflux.receipts.flat import flat_view
from cryoflux.receipts.statement import Outcome
from cryoflux.runs.inputs import Origin
from cryoflux.runs.scores import Change
from cryoflux.runs.spending import Summary
from cryoflux.scheduling.policy import Choice, Plateau, Row

_MARK = {
    Outcome.ACCEPTED: "✓ kept",
    Outcome.REJECTED: "✗ rejected",
    Outcome.UNDECIDED: "? undecided",
    Outcome.ABORTED: "· aborted",
}


def _interval(energy: Energy) -> str:
    span = f"[{energy.lo_uj / MICRO:.0f}, {energy.hi_uj / MICRO:.0f}] J"
    return f"{format_energy(energy.uj)} {span}, {energy.tier.value}"


def opening_lines(bench: Bench, origin: Origin, sample: Sample, spendable_uj: int) -> list[str]:
    """What is measured, on what, and how it will be judged."""
    names = ", ".join(source.name for source in sample.sources)
    idle = sample.idle_cpu_w + sample.idle_gpu_w
    tier = sample.net.tier
    lines = [f"meter    {tier.value} ({names}), idle {idle:.1f} W, baseline {sample.baseline_state}"]
    if tier is Tier.MODELLED:
        lines.append(
            "         no energy counter can be read here: every joule below is modelled from CPU time"
        )
        lines.append("         why, and how to get a better one: cryoflux doctor")
    data = bench.data
    spares = f" and {len(data.spares)} spare" if data.spares else ""
    sets = f"{len(data.train)} train, {len(data.holdout)} holdout{spares}, {len(data.audit)} audit"
    conflicting = origin.dropped.get("conflicting", 0)
    dropped = f"{sum(origin.dropped.values()) - conflicting} duplicates dropped"
    if conflicting:
        dropped += f", {conflicting} of them with another label"
    reserve = format_energy(bench.reserve_uj)
    seen = bench.witnessing
    return [
        *lines,
        f"model    {origin.model_name}, head version {bench.head.digest[:16]}…",
        f"data     {data.name}: {sets}, {len(data.labels)} classes; {dropped}",
        f"         texts are cut to {bench.max_tokens} tokens",
        f"rule     {_rule(bench)}",
        f"         {_power(bench)}",
        f"recipes  {', '.join(bench.recipes)}; chosen by {bench.policy}",
        f"compute  {_compute(bench)}",
        f"budget   {format_energy(spendable_uj)}; an attempt reserves {reserve}",
        *([f"witness  {seen.needed} have to cosign the log, {seen.mode}"] if seen else []),
    ]


def witnessing_document(bench: Bench) -> dict[str, Any] | None:
    """Who has to have seen the log, for a program; none where nobody has to."""
    seen = bench.witnessing
    return {"needed": seen.needed, "mode": seen.mode} if seen else None


def threads_in_use() -> int:
    """CPU threads of training and evaluation."""
    import torch

    return int(torch.get_num_threads())


def _compute(bench: Bench) -> str:
    loaded, threads = bench.loaded, threads_in_use()
    how = f"products in {loaded.backend.value}" if loaded.backend else "by transformers"
    return f"{loaded.device}, {threads} thread{'s' if threads > 1 else ''}, {how}"


def _rule(bench: Bench) -> str:
    if bench.rule.name != BUDGETED:
        return bench.rule.name
    alpha = bench.rule.alpha_ppm / MICRO
    use = bench.holdout_use
    return (
        f"{bench.rule.name}: this holdout ever keeps what is no improvement with probability ≤ {alpha:g}; "
        f"{use.looks} looks so far"
    )


def _power(bench: Bench) -> str:
    count, thresholds = bench.holdout_count, bench.thresholds()
    # evidence/v1 asks for z, and evidence is z² for what matters here
    needed = thresholds.needed_milli or round(thresholds.z_milli**2 / 1000)
    narrow, wide = (f"{detectable(count, spread, needed):.3f}" for spread in (0.1, 0.3))
    found = f"Δ ≥ {narrow} nats where it varies by 0.1 nats between examples, {wide} where by 0.3"
    return f"{count} examples detect, with 90 % power, {found}"


def _row(row: Row) -> str:
    expected = row.expected
    state = expected.state.value if row.affordable else "not affordable"
    return (
        f"       {row.arm.name:<12} expects Δ {expected.delta_nano / NANO:+.4f} nats for "
        f"{format_energy(expected.cost_uj):>8}, η {expected.eta / NANO:8.3f} nats/kJ  {state}"
    )


def choice_lines(number: int, choice: Choice | Plateau) -> list[str]:
    """Why an arm was chosen, or why none was."""
    return [f"why #{number:<2} {choice.reason}", *(_row(row) for row in choice.table)]


def choice_document(choice: Choice | Plateau) -> dict[str, Any]:
    """The same for a program."""
    return {
        "arm": choice.arm.name if isinstance(choice, Choice) else None,
        "reason": choice.reason,
        "arms": [
            {
                "name": row.arm.name,
                "state": row.expected.state.value,
                "affordable": row.affordable,
                "expected_delta": row.expected.delta_nano / NANO,
                "expected_joules": row.expected.cost_uj / MICRO,
                "expected_eta": row.expected.eta / NANO / 1000,
                "prior_joules": row.arm.prior_uj / MICRO,
            }
            for row in choice.table
        ],
    }


def _fall(change: Change) -> float | None:
    before, after = change
    return before.loss - after.loss if before and after else None


def milestone_document(looks: int, holdout: Change, audit: Change) -> dict[str, Any]:
    """How both sets have changed, for a program; ``drift`` is the holdout's gain less the audit set's."""
    ours, theirs = _fall(holdout), _fall(audit)
    drift = ours - theirs if ours is not None and theirs is not None else None
    return {"looks": looks, "holdout_delta": ours, "audit_delta": theirs, "drift": drift}


def milestone_line(looks: int, holdout: Change, audit: Change) -> str:
    """The same as a person reads it."""
    found = milestone_document(looks, holdout, audit)
    if found["drift"] is None:
        return f"audit    after {looks} looks at the holdout: not measured"
    return (
        f"audit    after {looks} looks at the holdout: Δ {format_nats(found['holdout_delta'])} there, "
        f"{format_nats(found['audit_delta'])} on the audit set, drift {format_nats(found['drift'])}"
    )


def attempt_line(number: int, record: AttemptRecord) -> str:
    """One finished attempt, as a person reads it."""
    receipt, figure = record.receipt, record.receipt.energy
    energy = figure.energy
    head = f"#{number:<3} {_MARK[receipt.outcome]:<11} {receipt.task.arm:<10}"
    if record.evidence is None:
        return f"{head} {_interval(energy)}  {receipt.reason}"
    e = record.evidence
    low, high = e.delta_mean - 1.96 * e.delta_se, e.delta_mean + 1.96 * e.delta_se
    eta = f"η {1e9 * e.delta_mean / figure.microjoules:+.3f}/kJ" if figure.microjoules else "η unknown"
    reason = receipt.reason.rpartition("; ")[2].rstrip(".")
    delta = f"Δ {format_nats(e.delta_mean)} [{low:+.4f}, {high:+.4f}]"
    return f"{head} {delta}  {_interval(energy)}  {eta}  {reason}"


def attempt_document(record: AttemptRecord) -> dict[str, Any]:
    """One finished attempt, for a program."""
    receipt, evidence = record.receipt, record.evidence
    return {
        **flat_view(record.statement, record.leaf_hash),
        "arm": receipt.task.arm,
        "decision": receipt.outcome.value,
        "rule": receipt.decision.rule.name if receipt.decision else None,
        "delta_se": evidence.delta_se if evidence else None,
        "steps": receipt.training.steps if receipt.training else None,
        "slice": receipt.training.slice_count if receipt.training else None,
        "stopped_by": receipt.training.stopped_by if receipt.training else None,
        "saved_joules_modelled": record.saved_uj / MICRO,
        "cpu_s": sum(record.phases.values()),
        "phases_cpu_s": {phase: round(seconds, 4) for phase, seconds in record.phases.items()},
        "holdout_loss": record.head_loss,
        "remaining_joules": record.bucket_uj / MICRO,
    }


def _pair(scores: Change) -> dict[str, float | None]:
    before, after = scores
    return {
        "loss_before": before.loss if before else None,
        "loss_after": after.loss if after else None,
        "accuracy_before": before.accuracy if before else None,
        "accuracy_after": after.accuracy if after else None,
    }


def _energy(energy: Energy | None) -> dict[str, Any] | None:
    if energy is None:
        return None
    return {
        "joules": energy.uj / MICRO,
        "joules_lo": energy.lo_uj / MICRO,
        "joules_hi": energy.hi_uj / MICRO,
        "tier": energy.tier.value,
        "flags": list(energy.flags),
    }


def summary_document(summary: Summary) -> dict[str, Any]:
    """What a run came to, for a program."""
    spent = summary.spent
    return {
        "attempts": summary.attempts,
        "kept": summary.kept,
        "rejected": summary.rejected,
        "undecided": summary.undecided,
        "aborted": summary.aborted,
        "joules": spent.uj / MICRO if spent else 0.0,
        "joules_lo": spent.lo_uj / MICRO if spent else 0.0,
        "joules_hi": spent.hi_uj / MICRO if spent else 0.0,
        "tier": spent.tier.value if spent else None,
        "budget_joules": summary.spendable_uj / MICRO,
        "remaining_joules": summary.remaining_uj / MICRO,
        "overhead": _energy(summary.overhead),
        "delta": summary.total_delta,
        "eta": summary.total_delta * MICRO / spent.uj if spent and spent.uj else None,
        "holdout": _pair(summary.holdout),
        "audit": _pair(summary.audit),
        "ended": summary.ended,
        "reason": summary.reason,
        "looks": summary.looks,
        "audit_cpu_s": summary.audit_cpu_s,
        "saved_joules_modelled": summary.saved_uj / MICRO,
        "state": str(summary.state),
        "base_model_hash": summary.head,
    }


def _change(name: str, scores: Change) -> str:
    before, after = (asdict(s) if s else None for s in scores)
    if after is None:
        return f"{name:<8} not measured"
    if before is None:  # another holdout took over meanwhile
        return f"{name:<8} loss {after['loss']:.4f} nats, accuracy {100 * after['accuracy']:.1f} % at the end"
    return (
        f"{name:<8} loss {before['loss']:.4f} → {after['loss']:.4f} nats, "
        f"accuracy {100 * before['accuracy']:.1f} → {100 * after['accuracy']:.1f} %"
    )


def summary_lines(summary: Summary) -> list[str]:
    """What a run came to, as a person reads it."""
    state, quoted = summary.state, shlex.quote(str(summary.state))
    spent = _interval(summary.spent) if summary.spent else "0 J"
    counts = f"{summary.kept} kept, {summary.rejected} rejected, {summary.aborted} aborted"
    if summary.undecided:
        counts += f", {summary.undecided} undecided"
    lines = [
        "",
        f"spent    {spent} of {format_energy(summary.spendable_uj)}",
        f"attempts {summary.attempts}: {counts}",
    ]
    if summary.overhead:
        lines.append(f"besides  {_interval(summary.overhead)}, for start-up, data and the audit set")
    if summary.saved_uj:
        lines.append(
            f"saved    {format_energy(summary.saved_uj)} by stopping hopeless attempts early, modelled"
        )
    if summary.ended == "plateau":
        lines.append(
            f"unspent  {format_energy(summary.remaining_uj)}; go on with other --recipes, or regardless: "
            "--policy uniform/v1"
        )
    lines += [_change("holdout", summary.holdout), _change("audit", summary.audit)]
    if summary.spent and summary.spent.uj > 0:
        eta = 1e9 * summary.total_delta / summary.spent.uj
        tier = summary.spent.tier.value
        lines.append(f"Δ total  {format_nats(summary.total_delta)} nats, η {eta:.3f} nats/kJ ({tier})")
    lines += [
        f"model    {state}/base_model → {summary.head[:16]}…",
        f"receipts {state}/receipts.db",
        f"next     cryoflux verify {quoted} --recompute 1   ·   cryoflux receipts list --state {quoted}",
    ]
    return lines

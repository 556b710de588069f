"""The words and documents of a run: commands and pages show the same lines and the same JSON."""

from __future__ import annotations

__all__ = [
    "attempt_document",
    "attempt_line",
    "choice_document",
    "choice_lines",
    "milestone_document",
    "milestone_line",
    "opening_document",
    "opening_lines",
    "recovered_document",
    "recovered_line",
    "summary_document",
    "summary_lines",
]

import shlex
from typing import Any

from cryoflux.attempt.recording import AttemptRecord
from cryoflux.decision.evidence import Z95
from cryoflux.decision.power import detectable
from cryoflux.decision.rules import BUDGETED
from cryoflux.energy.derived import Rates, derived_fields
from cryoflux.quantities import (
    MICRO,
    NANO,
    Energy,
    Tier,
    efficiency,
    format_efficiency,
    format_energy,
    format_nats,
)
from cryoflux.receipts.flat import flat_receipt
from cryoflux.receipts.statement import Outcome, Receipt
from cryoflux.runs.scores import Change, Scores
from cryoflux.runs.spending import Summary, TaskSummary
from cryoflux.runs.watch import Begun, Opening
from cryoflux.scheduling.policy import ArmRow, Choice, Plateau
from cryoflux.sentences import brief, say
from cryoflux.state import StateFolder

_MARK = {
    Outcome.ACCEPTED: "✓ kept",
    Outcome.REJECTED: "✗ rejected",
    Outcome.UNDECIDED: "? undecided",
    Outcome.ABORTED: "· aborted",
}


def _interval(energy: Energy) -> str:
    span = f"[{energy.lo_uj / MICRO:.0f}, {energy.hi_uj / MICRO:.0f}] J"
    return f"{format_energy(energy.uj)} {span}, {energy.tier.value}"


def opening_lines(opening: Opening) -> list[str]:
    """How joules are measured, on which data updates are tried, and by which rule they are judged."""
    sample = opening.sample
    names = ", ".join(source.name for source in sample.sources)
    idle = sample.idle_cpu_w + sample.idle_gpu_w
    tier = sample.net.tier
    lines = [f"meter    {tier.value} ({names}), idle {idle:.1f} W, baseline {sample.baseline_state}"]
    if tier is Tier.MODELLED:
        lines.append(
            "         no energy counter can be read here: every joule below is modelled from CPU time"
        )
        lines.append("         why, and how to get a better one: cryoflux doctor")
    for task in opening.tasks:
        if len(opening.tasks) > 1:
            lines.append(f"task     {task.name}")
        lines += _task_lines(task, opening.policy)
    seen = opening.witnesses
    reserve = format_energy(opening.reserve_uj)
    lines.append(f"budget   {format_energy(opening.spendable_uj)}; an attempt reserves {reserve}")
    if seen is not None:
        lines.append(f"witness  {seen.needed} have to cosign the log, {seen.mode}")
    return lines


def _task_lines(task: Begun, policy: str) -> list[str]:
    origin, sizes = task.origin, task.examples
    spare = len(sizes) - len({"train", "holdout", "audit"} & sizes.keys())
    spares = f" and {spare} spare" if spare else ""
    sets = f"{sizes['train']} train, {sizes['holdout']} holdout{spares}, {sizes['audit']} audit"
    classes = f", {task.facts['classes']} classes" if task.facts.get("classes") else ""
    model = f"{origin.model_name}, " if origin.model_name else ""
    cut = task.facts.get("max_tokens")
    return [
        f"model    {model}head version {task.head[:16]}…",
        f"data     {origin.data_name}: {sets}{classes}; {_dropped(origin.dropped)}",
        *([f"         texts are cut to {cut} tokens"] if cut else []),
        f"rule     {_rule(task)}",
        f"         {_power(task)}",
        f"recipes  {', '.join(task.arms)}; chosen by {policy}",
        f"compute  {task.compute}",
    ]


def _dropped(dropped: dict[str, int]) -> str:
    conflicting = dropped.get("conflicting", 0)
    said = f"{sum(dropped.values()) - conflicting} duplicates dropped"
    return f"{said}, {conflicting} of them with another label" if conflicting else said


def opening_document(opening: Opening) -> dict[str, Any]:
    """The same for a program; the fields of the first task stand at the top, too."""
    tasks = [_task_document(task) for task in opening.tasks]
    seen = opening.witnesses
    return {
        "state": str(opening.state),
        "tier": opening.sample.net.tier.value,
        "sources": [source.name for source in opening.sample.sources],
        "baseline": opening.sample.baseline_state,
        "budget_joules": opening.spendable_uj / MICRO,
        **tasks[0],
        "policy": opening.policy,
        "witnessing": {"needed": seen.needed, "mode": seen.mode} if seen else None,
        "tasks": tasks,
    }


def _task_document(task: Begun) -> dict[str, Any]:
    return {
        "task_name": task.name,
        "metric": task.metric.name,
        "unit": task.metric.unit,
        "model": task.origin.model_name,
        "base_model_hash": task.head,
        "data": task.origin.data_name,
        "data_hash": task.origin.data_digest,
        "examples": {name: task.examples[name] for name in ("train", "holdout", "audit")},
        "dropped": task.origin.dropped,
        "rule": task.rule.name,
        "recipes": list(task.arms),
        **{key: value for key, value in task.facts.items() if key == "threads"},
    }


def _rule(task: Begun) -> str:
    if task.rule.name != BUDGETED:
        return task.rule.name
    alpha = task.rule.alpha_ppm / MICRO
    return (
        f"{task.rule.name}: this holdout ever keeps what is no improvement with probability ≤ {alpha:g}; "
        f"{task.looks} looks so far"
    )


def _power(task: Begun) -> str:
    thresholds, unit = task.thresholds, task.metric.unit
    # evidence/v1 asks for z, and evidence is z² for what matters here
    needed = thresholds.needed_milli or round(thresholds.z_milli**2 / 1000)
    narrow, wide = (f"{detectable(task.count, spread, needed):.3f}" for spread in (0.1, 0.3))
    found = f"Δ ≥ {narrow} {unit} where it varies by 0.1 {unit} between examples, {wide} where by 0.3"
    return f"{task.count} examples detect, with 90 % power, {found}"


def _row(row: ArmRow) -> str:
    expected = row.expected
    state = expected.state.value if row.affordable else "not affordable"
    return (
        f"       {row.arm.name:<12} expects Δ {expected.delta_nano / NANO:+.4f} {row.arm.unit} for "
        f"{format_energy(expected.cost_uj):>8}, η {expected.eta / NANO:8.3f} {row.arm.unit}/kJ  {state}"
    )


def choice_lines(number: int, choice: Choice | Plateau) -> list[str]:
    """Why an arm was chosen, or why none was."""
    return [f"why #{number:<2} {say(choice.reason)}", *(_row(row) for row in choice.table)]


def choice_document(choice: Choice | Plateau) -> dict[str, Any]:
    """The same for a program."""
    return {
        "arm": choice.arm.name if isinstance(choice, Choice) else None,
        "reason": say(choice.reason),
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


def milestone_document(task: str, looks: int, holdout: Change, audit: Change) -> dict[str, Any]:
    """How both sets have changed, for a program; ``drift`` is the holdout's gain less the audit set's."""
    ours, theirs = _fall(holdout), _fall(audit)
    drift = ours - theirs if ours is not None and theirs is not None else None
    return {"task_name": task, "looks": looks, "holdout_delta": ours, "audit_delta": theirs, "drift": drift}


def milestone_line(task: str, looks: int, holdout: Change, audit: Change) -> str:
    """The same as a person reads it."""
    found = milestone_document(task, looks, holdout, audit)
    after = f"audit    after {looks} looks at the holdout of {task}"
    if found["drift"] is None:
        return f"{after}: not measured"
    return (
        f"{after}: Δ {format_nats(found['holdout_delta'])} there, "
        f"{format_nats(found['audit_delta'])} on the audit set, drift {format_nats(found['drift'])}"
    )


def attempt_line(number: int, record: AttemptRecord) -> str:
    """One finished attempt, as a person reads it."""
    receipt, figure = record.receipt, record.receipt.energy
    energy = figure.energy
    head = f"#{number:<3} {_MARK[receipt.outcome]:<11} {receipt.task.arm:<10}"
    if record.evidence is None:
        return f"{head} {_interval(energy)}  {say(receipt.reason)}"
    e = record.evidence
    low, high = e.delta_mean - Z95 * e.delta_se, e.delta_mean + Z95 * e.delta_se
    eta = format_efficiency(e.delta_mean, figure.microjoules)
    delta = f"Δ {format_nats(e.delta_mean)} [{low:+.4f}, {high:+.4f}]"
    return f"{head} {delta}  {_interval(energy)}  {eta}  {brief(receipt.reason)}"


def attempt_document(record: AttemptRecord) -> dict[str, Any]:
    """One finished attempt, for a program."""
    receipt, evidence = record.receipt, record.evidence
    return {
        **flat_receipt(record.statement, record.leaf_hash),
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


def recovered_document(receipt: Receipt) -> dict[str, Any]:
    """An attempt of a dead run that got its receipt, for a program."""
    return {
        "task_id": receipt.task.id,
        "joules_spent": receipt.energy.microjoules / MICRO,
        "joules_lo": receipt.energy.lo_microjoules / MICRO,
        "joules_hi": receipt.energy.hi_microjoules / MICRO,
        "flags": receipt.energy.flags,
    }


def recovered_line(receipt: Receipt) -> str:
    """The same as a person reads it."""
    charged, most = receipt.energy.microjoules, receipt.energy.hi_microjoules
    known = f"{format_energy(charged)} charged, at most {format_energy(most)} used"
    return f"recovered {receipt.task.id}: recorded as aborted, {known}"


def summary_document(summary: Summary, rates: Rates = Rates()) -> dict[str, Any]:  # noqa: B008 - it is frozen
    """What a run came to, for a program; the fields of the first task stand at the top, too."""
    spent = summary.spent
    tasks = [_task_summary(task, spent) for task in summary.tasks]
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
        **tasks[0],
        "ended": summary.ended,
        "reason": summary.reason,
        "audit_cpu_s": summary.audit_cpu_s,
        "saved_joules_modelled": summary.saved_uj / MICRO,
        "state": str(summary.state),
        "tasks": tasks,
        **_derived(summary, rates),
    }


def _derived(summary: Summary, rates: Rates) -> dict[str, Any]:
    everything = Energy.total(filter(None, (summary.spent, summary.overhead)))
    derived = derived_fields(everything, rates) if everything else {}
    return {"derived": derived} if derived else {}


def _task_summary(task: TaskSummary, spent: Energy | None) -> dict[str, Any]:
    return {
        "task_name": task.name,
        "unit": task.metric.unit,
        "delta": task.total_delta,
        "eta": efficiency(task.total_delta, spent.uj) if spent else None,
        "holdout": _pair(task.holdout),
        "audit": _pair(task.audit),
        "looks": task.looks,
        "base_model_hash": task.head,
    }


def _change(name: str, scores: Change, unit: str) -> str:
    before, after = scores
    if after is None:
        return f"{name:<8} not measured"
    if before is None:  # another holdout took over meanwhile
        return f"{name:<8} loss {after.loss:.4f} {unit}{_accuracy(None, after)} at the end"
    return f"{name:<8} loss {before.loss:.4f} → {after.loss:.4f} {unit}{_accuracy(before, after)}"


def _accuracy(before: Scores | None, after: Scores) -> str:
    if after.accuracy is None:
        return ""
    first = f"{100 * before.accuracy:.1f} → " if before and before.accuracy is not None else ""
    return f", accuracy {first}{100 * after.accuracy:.1f} %"


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
    for task in summary.tasks:
        if len(summary.tasks) > 1:
            lines.append(f"task     {task.name}")
        lines += _result_lines(task, summary)
    return [
        *lines,
        f"receipts {state}/receipts.db",
        f"next     cryoflux verify {quoted} --recompute 1   ·   cryoflux receipts list --state {quoted}",
    ]


def _result_lines(task: TaskSummary, summary: Summary) -> list[str]:
    unit, spent = task.metric.unit, summary.spent
    lines = [_change("holdout", task.holdout, unit), _change("audit", task.audit, unit)]
    if spent and spent.uj > 0:
        total, eta = format_nats(task.total_delta), format_efficiency(task.total_delta, spent.uj, unit)
        lines.append(f"Δ total  {total} {unit}, {eta} ({spent.tier.value})")
    head = StateFolder(summary.state).head(task.name)
    return [*lines, f"model    {head} → {task.head[:16]}…"]

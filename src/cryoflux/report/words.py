"""The words and documents of a run: commands and pages show the same lines and the same JSON."""

from __future__ import annotations

__all__ = [
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

from cryoflux.decision.power import detectable
from cryoflux.decision.rules import NO_WORSE, WITH_BUDGET
from cryoflux.energy.derived import Rates, derived_fields
from cryoflux.quantities import (
    MICRO,
    MRR,
    NANO,
    Energy,
    Tier,
    efficiency,
    efficiency_name,
    format_efficiency,
    format_energy,
    format_nats,
    hit_words,
)
from cryoflux.receipts.statement import Receipt
from cryoflux.report.attempt_words import energy_document, energy_text
from cryoflux.report.count_words import count_lines
from cryoflux.report.cut_words import cut_document, cut_line
from cryoflux.report.dropped_words import dropped_words
from cryoflux.report.guard_words import guard_document, guard_lines
from cryoflux.report.layout import unbroken
from cryoflux.report.recall_words import recall_documents, recall_lines
from cryoflux.runs.scores import Change, Scores
from cryoflux.runs.summary import Summary, TaskSummary
from cryoflux.runs.watch import Begun, Opening
from cryoflux.scheduling.policy import ArmRow, Choice, Plateau
from cryoflux.sentences import say
from cryoflux.state import StateFolder


def opening_lines(opening: Opening, *, verbose: bool = False) -> list[str]:
    """How joules are measured, on which data updates are tried, and what may be spent; all else if asked."""
    sample, several = opening.sample, len(opening.tasks) > 1
    modelled = sample.net.tier is Tier.MODELLED
    names = ", ".join(source.name for source in sample.sources)
    unmeasured = "modelled from CPU time, ranges are plausible: see cryoflux doctor"
    lines = [f"meter    {unmeasured if modelled else f'{sample.net.tier.value} ({names})'}"]
    if verbose:
        idle = sample.idle_cpu_w + sample.idle_gpu_w
        lines.append(f"         {names}, idle {idle:.1f} W, baseline {sample.baseline_state}")
    for task in opening.tasks:
        lines += [f"task     {task.name}"] if several else []
        lines.append(_data_line(task))
        said = guard_lines(task.origin.rules.get("similar"), task.origin.similar)
        lines += [f"         {line}" for line in (*task.origin.found, *said)]
        if cut := task.facts.get("cut"):
            lines.append(f"         {cut_line(cut, task.origin.longer_ppm, ends='classes' in task.facts)}")
        lines += _task_lines(task, opening.policy) if verbose else []
    lines.append(f"budget   {_budget_words(opening)}")
    if verbose and opening.attempts:
        lines.append(f"         attempts go on from #{opening.attempts + 1}")
    if (seen := opening.witnesses) is not None:
        lines.append(f"witness  {seen.needed} have to cosign the log, {seen.mode}")
    return lines


def _budget_words(opening: Opening) -> str:
    budget, reserve = format_energy(opening.spendable_uj), format_energy(opening.reserve_uj)
    if opening.startup is None:
        return "none was granted: the run was stopped as it began"
    begun, end = format_energy(opening.startup.uj), format_energy(opening.closing_uj)
    return f"{budget} for all: start-up {begun}, audit about {end}, an attempt {reserve}"


def _data_line(task: Begun) -> str:
    origin, sizes = task.origin, task.examples
    spare = sum(name.startswith("holdout-") for name in sizes)
    spares = f" and {spare} spare" if spare else ""
    sets = f"{sizes['train']} train, {sizes['holdout']} holdout{spares}, {sizes['audit']} audit"
    classes = f", {task.facts['classes']} classes" if task.facts.get("classes") else ""
    dropped = f"; {dropped_words(origin.dropped)}" if any(origin.dropped.values()) else ""
    near = f"; {origin.near} holdout texts with near duplicates in train" if origin.near else ""
    hiding = f"; {origin.hiding} texts with characters that show nothing" if origin.hiding else ""
    return f"data     {origin.data_name}: {sets}{classes}{dropped}{near}{hiding}"


def _task_lines(task: Begun, policy: str) -> list[str]:
    model = f"{task.origin.model_name}, " if task.origin.model_name else ""
    return [
        f"model    {model}head version {task.head[:16]}…",
        f"rule     {_rule(task)}",
        f"         {_power(task)}",
        f"recipes  {', '.join(task.arms)}; chosen by {policy}",
        f"compute  {task.compute}",
    ]


def opening_document(opening: Opening) -> dict[str, Any]:
    """The same for a program; the fields of the first task stand at the top, too."""
    tasks, seen = [_task_document(task) for task in opening.tasks], opening.witnesses
    return {
        "state": str(opening.state),
        "tier": opening.sample.net.tier.value,
        "sources": [source.name for source in opening.sample.sources],
        "baseline": opening.sample.baseline_state,
        "budget_joules": opening.spendable_uj / MICRO,
        "startup": energy_document(opening.startup),
        "closing_joules_modelled": opening.closing_uj / MICRO,
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
        "found": list(task.origin.found),
        **guard_document(task.origin.rules.get("similar"), task.origin.similar),
        "near_duplicates": task.origin.near,
        "hiding_texts": task.origin.hiding,
        "rule": task.rule.name,
        "recipes": list(task.arms),
        **(cut_document(cut, task.origin.longer_ppm) if (cut := task.facts.get("cut")) else {}),
        **{key: value for key, value in task.facts.items() if key == "threads"},
    }


def _rule(task: Begun) -> str:
    if task.rule.name not in WITH_BUDGET:
        return task.rule.name
    alpha = task.rule.alpha_ppm / MICRO
    return (
        f"{task.rule.name}: this holdout ever keeps what is no improvement with probability ≤ {alpha:g}; "
        f"{task.looks} looks so far"
    )


def _power(task: Begun) -> str:
    thresholds, unit = task.thresholds, task.metric.unit
    if task.rule.name == NO_WORSE:
        lost = f"{thresholds.min_delta / NANO:g} {unit}"
        shown = f"rule out a loss of {lost} (z > {thresholds.z_milli / 1000:g})"
        return f"an update is kept where {task.count} queries {shown}"
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
                "unit": row.arm.unit,
                "expected_delta": row.expected.delta_nano / NANO,
                "expected_joules": row.expected.cost_uj / MICRO,
                efficiency_name("expected_eta", row.arm.unit): row.expected.eta / NANO,
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


def _pair(scores: Change) -> dict[str, float | None]:
    before, after = scores
    return {
        "loss_before": before.loss if before else None,
        "loss_after": after.loss if after else None,
        "accuracy_before": before.accuracy if before else None,
        "accuracy_after": after.accuracy if after else None,
    }


def recovered_document(receipt: Receipt) -> dict[str, Any]:
    """An attempt of a dead run that got its receipt, for a program."""
    return {
        "task_id": receipt.task.id,
        "joules_spent": receipt.energy.microjoules / MICRO,
        "joules_lo": receipt.energy.lo_microjoules / MICRO,
        "joules_hi": receipt.energy.hi_microjoules / MICRO,
        "range_kind": receipt.energy.tier.range_kind.value,
        "flags": receipt.energy.flags,
    }


def recovered_line(receipt: Receipt) -> str:
    """The same as a person reads it."""
    charged, most = receipt.energy.microjoules, receipt.energy.hi_microjoules
    known = f"{format_energy(charged)} charged, at most {format_energy(most)} used"
    return f"recovered {receipt.task.id}: recorded as aborted, {known}"


def summary_document(summary: Summary, rates: Rates = Rates()) -> dict[str, Any]:  # noqa: B008 - it is frozen
    """What a run came to, for a program; the fields of the first task stand at the top, too."""
    spent, all_in = summary.spent, summary.all_in
    tasks = [_task_summary(task, spent, all_in) for task in summary.tasks]
    return {
        "attempts": summary.attempts,
        "kept": summary.kept,
        "rejected": summary.rejected,
        "undecided": summary.undecided,
        "carried": summary.carried,
        "aborted": summary.aborted,
        "rounds": len(summary.rounds),
        "rounds_kept": summary.rounds_kept,
        "joules": spent.uj / MICRO if spent else 0.0,
        "joules_lo": spent.lo_uj / MICRO if spent else 0.0,
        "joules_hi": spent.hi_uj / MICRO if spent else 0.0,
        "tier": spent.tier.value if spent else None,
        "range_kind": spent.range_kind.value if spent else None,
        "budget_joules": summary.spendable_uj / MICRO,
        "remaining_joules": summary.remaining_uj / MICRO,
        "overhead": energy_document(summary.overhead),
        "all_in_joules": all_in.uj / MICRO if all_in else 0.0,
        "all_in_joules_lo": all_in.lo_uj / MICRO if all_in else 0.0,
        "all_in_joules_hi": all_in.hi_uj / MICRO if all_in else 0.0,
        **tasks[0],
        "ended": summary.ended,
        "reason": summary.reason,
        "exhausted": summary.exhausted,
        "exit_code": int(summary.exit_code),
        "audit_cpu_seconds": summary.audit_cpu_seconds,
        "saved_joules_modelled": summary.saved_uj / MICRO,
        "state": str(summary.state),
        "tasks": tasks,
        **_derived(summary, rates),
    }


def _derived(summary: Summary, rates: Rates) -> dict[str, Any]:
    derived = derived_fields(summary.all_in, rates) if summary.all_in else {}
    return {"derived": derived} if derived else {}


def _task_summary(task: TaskSummary, spent: Energy | None, all_in: Energy | None) -> dict[str, Any]:
    unit = task.metric.unit
    return {
        "task_name": task.name,
        "unit": unit,
        "delta": task.total_delta,
        efficiency_name("eta", unit): efficiency(task.total_delta, spent.uj) if spent else None,
        efficiency_name("all_in_eta", unit): efficiency(task.total_delta, all_in.uj) if all_in else None,
        "holdout": _pair(task.holdout),
        "audit": _pair(task.audit),
        "recalls": recall_documents(task.recalls),
        "looks": task.looks,
        "base_model_hash": task.head,
    }


def _change(name: str, scores: Change, unit: str) -> str:
    before, after = scores
    if after is None:
        return f"{name:<8} not measured"
    if unit == MRR:
        first = f"{1 - before.loss:.4f} → " if before is not None else ""
        return f"{name:<8} MRR@10 {first}{1 - after.loss:.4f}{_accuracy(before, after, unit)}"
    if before is None:  # another holdout took over meanwhile
        return f"{name:<8} loss {after.loss:.4f} {unit}{_accuracy(None, after, unit)} at the end"
    return f"{name:<8} loss {before.loss:.4f} → {after.loss:.4f} {unit}{_accuracy(before, after, unit)}"


def _accuracy(before: Scores | None, after: Scores, unit: str) -> str:
    if after.accuracy is None:
        return ""
    first = f"{100 * before.accuracy:.1f} → " if before and before.accuracy is not None else ""
    return f", {hit_words(unit)} {first}{100 * after.accuracy:.1f} %"


def summary_lines(summary: Summary) -> list[str]:
    """What a run came to, as a person reads it."""
    state, quoted = summary.state, shlex.quote(str(summary.state))
    lines = ["", *count_lines(summary)]
    if summary.overhead:
        lines.append(f"besides  {energy_text(summary.overhead)}, for start-up, data and the audit set")
    if summary.all_in:
        lines.append(f"all-in   {energy_text(summary.all_in)} of {format_energy(summary.spendable_uj)}")
    if summary.saved_uj:
        lines.append(
            f"saved    {format_energy(summary.saved_uj)} by stopping hopeless attempts early, modelled"
        )
    lines.append(f"ended    {summary.reason}")
    lines += _advice(summary)
    for task in summary.tasks:
        if len(summary.tasks) > 1:
            lines.append(f"task     {task.name}")
        lines += _result_lines(task, summary)
    commands = [f"verify {quoted} --recompute 1", f"receipts list --state {quoted}"]
    if any(task.metric.unit == MRR for task in summary.tasks):
        commands.insert(0, f"search WORDS --state {quoted}")
    first, *others = (unbroken(f"cryoflux {command}") for command in commands)
    return [
        *lines,
        f"receipts {state}/receipts.db",
        f"next     {first}",
        *(f"         {command}" for command in others),
    ]


def _advice(summary: Summary) -> list[str]:
    """What to do where nothing could be done, or nothing more pays."""
    if summary.exhausted and summary.exhausted == summary.attempts:
        return ["         no attempt had joules enough: raise --reserve, or lower --max-tokens"]
    if summary.only_rounds:
        pulled = unbroken(f"cryoflux node pull --state {shlex.quote(str(summary.state))}")
        return [] if summary.rounds else [f"         see whether there is more by now: {pulled}"]
    if summary.ended == "plateau" and (summary.attempts or not summary.rounds):
        left = format_energy(summary.unspent_uj)
        indexes = all(task.metric.unit == MRR for task in summary.tasks)
        more = "go on with other --recipes, or regardless: --policy uniform/v1"
        if indexes:
            more = "the index goes on when documents come or go: run again, or stay: --watch DIR"
        if summary.waits:
            more = "add examples; or choose a version regardless: cryoflux models promote VERSION"
        return [f"unspent  {left}; {more}"]
    return []


def _result_lines(task: TaskSummary, summary: Summary) -> list[str]:
    unit, spent, all_in = task.metric.unit, summary.spent, summary.all_in
    lines = [_change("holdout", task.holdout, unit), _change("audit", task.audit, unit)]
    lines += recall_lines(task.recalls)
    if spent and all_in and spent.uj > 0 and not summary.only_rounds:
        eta, alone = (format_efficiency(task.total_delta, one.uj, unit) for one in (all_in, spent))
        how = f"all-in ({all_in.tier.value}); attempts alone {alone}"
        lines.append(f"Δ total  {task.total_text}, {eta} {how}")
    head = StateFolder(summary.state).head(task.name)
    return [*lines, f"model    {head} → {task.head[:16]}…"]

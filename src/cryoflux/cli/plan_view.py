"""How the plan of ``cryoflux run --dry-run`` is shown."""

from __future__ import annotations

__all__ = ["show_causal_plan", "show_index_plan", "show_plan", "show_plans"]

import math
from collections.abc import Sequence
from dataclasses import asdict

from cryoflux.cli.console import emit_json, stdout
from cryoflux.fleet.words import LOCAL
from cryoflux.quantities import MICRO, format_energy
from cryoflux.report.cut_words import cut_document, cut_line
from cryoflux.report.guard_words import guard_document, guard_lines
from cryoflux.report.version_words import byte_text
from cryoflux.runs.causal_plan import AttemptExpected, CausalPlan
from cryoflux.runs.dry_run import Plan, RunPlan
from cryoflux.runs.index_plan import IndexPlan
from cryoflux.tasks.registry import CAUSAL, INDEX


def show_plans(plans: Sequence[Plan], *, as_json: bool) -> None:
    """Print the plan of each task of a run."""
    for plan in plans:
        if isinstance(plan, IndexPlan):
            show_index_plan(plan, as_json=as_json)
        elif isinstance(plan, CausalPlan):
            show_causal_plan(plan, as_json=as_json)
        else:
            show_plan(plan, as_json=as_json)
    if len(plans) > 1 and not as_json:
        stdout.print("budget     one for all tasks: what one spends, the other does not", indent=11)


def show_plan(plan: RunPlan, *, as_json: bool) -> None:
    """Print a plan."""
    if as_json:
        shown = {"cut", "longer_ppm", "guard", "similar"}
        said = {key: value for key, value in asdict(plan).items() if key not in shown}
        said |= guard_document(plan.guard, plan.similar)
        emit_json("plan/1", {"event": "plan", **said, **cut_document(plan.cut, plan.longer_ppm)})
        return
    sets = ", ".join(f"{count} {name}" for name, count in plan.examples.items())
    effects = ", ".join(f"{delta:.3f} at {spread}" for spread, delta in plan.detectable_nats.items())
    goes_on = f"{plan.state} goes on from #{plan.attempts + 1}, head {(plan.head or '')[:16]}…"
    left = f"; its account holds {format_energy(round(plan.account_joules * MICRO))} from before"
    state = f"{goes_on}{left}" if plan.head is not None else f"{plan.state} would be begun"
    dropped = sum(count for name, count in plan.dropped.items() if name != "conflicting")
    evaluation = f"about {plan.evaluation_cpu_seconds:.0f} CPU-s, {plan.evaluation_joules:.0f} J"
    bound = "as many as the account pays for"
    if plan.most_attempts is not None and plan.budget_joules is not None:
        bound = f"at most {plan.most_attempts} × {plan.reserve_joules:.0f} J of {plan.budget_joules:g} J"
        bound += ", less what start-up and audit set take"
    for line in (
        f"meter      {plan.tier} ({', '.join(plan.sources)})",
        f"state      {state}",
        f"model      {plan.model}, {plan.encoder_parameters / 1e6:.1f} M parameters outside embeddings",
        f"data       {plan.data}: {sets}; {plan.classes} classes; {dropped} duplicates dropped",
        *(f"           {line}" for line in plan.found),
        *(f"           {line}" for line in guard_lines(plan.guard, plan.similar)),
        f"           {cut_line(plan.cut, plan.longer_ppm)}",
        *_workers(plan),
        f"reserve    {plan.reserve_joules:.0f} J an attempt, so that it can finish (modelled)",
        f"attempts   {bound}; what an attempt leaves goes to the next",
        f"recipes    {', '.join(plan.recipes)}; chosen by {plan.policy}",
        f"evaluation at most {evaluation} an attempt (modelled); less where only upper layers learn",
        f"rule       {plan.rule}, {plan.looks} looks so far",
        f"           detects Δ with 90 % power from (nats, by spread per example): {effects}",
        "written    nothing, spent nothing: this is a plan",
    ):
        stdout.print(line, indent=11)


def _workers(plan: RunPlan) -> list[str]:
    if not plan.workers:
        return []
    where = "processes of this machine" if plan.fleet == LOCAL else plan.fleet
    return [f"workers    at most {plan.workers} at once, at {where}; of a chain one. Each has to be started"]


def show_index_plan(plan: IndexPlan, *, as_json: bool) -> None:
    """Print the plan of an index."""
    if as_json:
        emit_json("plan.index/1", {"event": "plan", "task_name": INDEX, **asdict(plan)})
        return
    goes_on = f"{plan.state} goes on from #{plan.attempts + 1}, head {(plan.head or '')[:16]}…"
    sets = ", ".join(f"{count} {name}" for name, count in plan.queries.items())
    for line in (
        f"meter      {plan.tier} ({', '.join(plan.sources)})",
        f"state      {goes_on if plan.head is not None else f'{plan.state} would be begun'}",
        f"documents  {plan.documents} in {plan.folder}, {plan.indexed} in the index: {_to_do(plan)}",
        f"queries    {sets}",
        f"encoder    {plan.encoder}, {plan.tokens} tokens of a document",
        f"energy     {_energy(plan)}",
        f"attempts   {_attempts(plan)}",
        f"memory     about {plan.memory_bytes // 10**6} MB, a version {byte_text(plan.index_bytes)} of disk",
        f"rule       {plan.rule}: kept where a loss of {plan.min_delta_mrr:g} MRR is ruled out",
        "written    nothing, spent nothing: this is a plan",
    ):
        stdout.print(line, indent=11)


def _energy(plan: IndexPlan) -> str:
    return f"{plan.embedding_joules:.0f} J to embed it, {plan.document_joules:.2f} J a document (modelled)"


def _to_do(plan: IndexPlan) -> str:
    if plan.embeds_anew:
        return f"all {plan.new} are embedded anew, by another model"
    return f"{plan.new} new, {plan.gone} gone" if plan.new or plan.gone else "nothing to do"


def _attempts(plan: IndexPlan) -> str:
    if not plan.attempts_needed:
        return "none is needed"
    said = f"about {plan.attempts_needed} × {plan.reserve_joules:.0f} J take all of it (modelled)"
    return f"{said}, of {plan.budget_joules:g} J" if plan.budget_joules is not None else said


def show_causal_plan(plan: CausalPlan, *, as_json: bool) -> None:
    """Print the plan of a language model."""
    if as_json:
        fields = {key: value for key, value in asdict(plan).items() if key != "longer_ppm"}
        longer = plan.longer_ppm / MICRO if plan.longer_ppm is not None else None
        emit_json("plan.causal/1", {"event": "plan", "task_name": CAUSAL, **fields, "longer_share": longer})
        return
    goes_on = f"{plan.state} goes on from #{plan.attempts + 1}, head {(plan.head or '')[:16]}…"
    sets = ", ".join(f"{count} {name}" for name, count in plan.examples.items())
    said = plan.holdout_target_tokens / plan.examples["holdout"]
    attempts = (line for one in plan.attempts_expected for line in _expected(one, plan))
    for line in (
        f"meter      {plan.tier} ({', '.join(plan.sources)})",
        f"state      {goes_on if plan.head is not None else f'{plan.state} would be begun'}",
        f"model      {plan.model}, {plan.parameters / 1e6:.1f} M parameters; trained on {plan.device}",
        f"data       {plan.data}: {sets}; {sum(plan.dropped.values())} dropped",
        f"           {cut_line(plan.max_tokens, plan.longer_ppm, ends=False)}",
        f"judged     in {plan.profile}, {plan.holdout_tokens} tokens; {said:.0f} target tokens a document",
        *attempts,
        f"besides    holdout before the first attempt {plan.base_joules:.0f} J (modelled)",
        f"           audit set at the end {plan.audit_joules:.0f} J (modelled)",
        f"budget     {_budget(plan)}",
        f"rule       {plan.rule}; chosen by {plan.policy}",
        "written    nothing, spent nothing: this is a plan",
    ):
        stdout.print(line, indent=11)


def _expected(one: AttemptExpected, plan: CausalPlan) -> list[str]:
    """What an attempt should take."""
    where = "of the GPU" if plan.device == "cuda" else "of RAM"
    reserved = f"{one.joules:.0f} J of {plan.reserve_joules:.0f} J reserved"
    training = f"training {one.training_joules:.0f} J, {one.steps} steps of {one.step_joules:.2g} J"
    reading = f"screening {one.screening_joules:.0f} J, evaluation at most {one.evaluation_joules:.0f} J"
    memory = f"{byte_text(one.training_bytes)} {where} to train in {one.precision}"
    raised = [f"           pays for no step: raise --reserve to {one.enough_joules} J (modelled)"]
    return [
        f"attempt    {one.recipe}: {reserved} (modelled)",
        f"           {training}; {reading} (modelled)",
        *(raised if not one.steps else ()),
        f"           {memory}, {byte_text(one.evaluating_bytes)} of RAM to merge and evaluate (modelled)",
    ]


def _budget(plan: CausalPlan) -> str:
    given = f"{plan.budget_joules:g} J" if plan.budget_joules is not None else "what the account holds"
    return (
        f"{given}; an attempt and all besides need {math.ceil(plan.needed_joules)} J and start-up (modelled)"
    )

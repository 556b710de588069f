"""How the plan of ``cryoflux run --dry-run`` is shown."""

from __future__ import annotations

__all__ = ["show_plan"]

from dataclasses import asdict

from cryoflux.cli.console import emit_json, stdout
from cryoflux.quantities import MICRO, format_energy
from cryoflux.report.cut_words import cut_document, cut_line
from cryoflux.report.guard_words import guard_document, guard_lines
from cryoflux.runs.dry_run import RunPlan


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
    state = f"{goes_on}{left}" if plan.head is not None else f"{plan.state} is begun"
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
        *(f"           {line}" for line in guard_lines(plan.guard, plan.similar)),
        f"           {cut_line(plan.cut, plan.longer_ppm)}",
        f"reserve    {plan.reserve_joules:.0f} J an attempt, so that it can finish (modelled)",
        f"attempts   {bound}; what an attempt leaves goes to the next",
        f"recipes    {', '.join(plan.recipes)}; chosen by {plan.policy}",
        f"evaluation at most {evaluation} an attempt (modelled); less where only upper layers learn",
        f"rule       {plan.rule}, {plan.looks} looks so far",
        f"           detects Δ with 90 % power from (nats, by spread per example): {effects}",
        "written    nothing, spent nothing: this is a plan",
    ):
        stdout.print(line, indent=11)

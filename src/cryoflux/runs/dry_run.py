"""What a run would do, worked out without writing or spending anything.

What refuses a run at its start refuses its plan: settings, examples and model go through the same checks.
Nothing here is measured: the number of attempts is a bound, and the cost of evaluation is modelled
from the size of the model, so each figure says so.
"""

from __future__ import annotations

__all__ = ["Plan", "RunPlan", "make_plans"]

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from cryoflux.config import Settings, Sourced
from cryoflux.data.examples import Example
from cryoflux.digests import read_tensor_entries
from cryoflux.energy.clock import SystemClock
from cryoflux.energy.sources.cpu_model import GUESSED_W_PER_CPU, CpuModelSource
from cryoflux.energy.sources.discovery import find_sources
from cryoflux.errors import UsageError
from cryoflux.files import MOST_DOCUMENT_BYTES, read_regular
from cryoflux.quantities import MICRO, Tier, parse_energy, worst_tier
from cryoflux.registry.cuts import Cut, tokens_of
from cryoflux.registry.versions import Versions
from cryoflux.runs.checks import check_start, daemon_of
from cryoflux.runs.detecting import detectable_by_spread
from cryoflux.runs.fleet_check import check_fleet
from cryoflux.runs.inputs import too_small
from cryoflux.runs.known_state import KnownState, read_known
from cryoflux.state import FIRST_TASK, StateFolder
from cryoflux.tasks.lora.base_model import check_tokens
from cryoflux.tasks.lora.inputs import check_same, first_inputs, kept_cut
from cryoflux.tasks.lora.prices import EVALUATING
from cryoflux.tasks.lora.recipe import Recipe, chosen_recipes
from cryoflux.tasks.registry import CAUSAL, INDEX

if TYPE_CHECKING:
    from cryoflux.runs.causal_plan import CausalPlan
    from cryoflux.runs.index_plan import IndexPlan

_GFLOP_PER_CPU_SECOND = 40.0
"""float64 matrix products on one core: an assumption, right within a factor of two"""
_TOKENS_PER_WORD = 1.4


@dataclass(frozen=True, slots=True)
class RunPlan:
    """The expected course of a run."""

    data: str
    examples: dict[str, int]
    classes: int
    dropped: dict[str, int]
    guard: Mapping[str, Any] | None
    """the leak guard, as the rules of a data set name it"""
    similar: Mapping[str, int]
    """set that judges → training texts that it leaves out"""
    model: str
    encoder_parameters: int
    sources: tuple[str, ...]
    tier: str
    rule: str
    recipes: tuple[str, ...]
    policy: str
    budget_joules: float | None
    reserve_joules: float
    """of an attempt: what was asked for, or what it takes to finish, which is modelled"""
    most_attempts: int | None
    evaluation_cpu_seconds: float
    """modelled: one evaluation of the whole holdout in float64, all layers"""
    evaluation_joules: float
    """modelled: the same at the TDP of one logical CPU"""
    cut: Cut
    """how much of a text is read"""
    longer_ppm: int | None
    """share of the training texts that are longer, in millionths; none where nobody counted"""
    found: tuple[str, ...]
    """what was found in files that are not exactly text,label, in words"""
    detectable_nats: dict[str, float]
    """per-example spread of Δ → smallest Δ that is found with 90 % power, nats"""
    state: str
    head: str | None
    """digest of the version that a state would go on from; none where it is to be begun"""
    attempts: int
    """that its log holds"""
    looks: int
    """verdicts that the holdout in use has given"""
    account_joules: float
    """left over in its account, beside the budget"""
    workers: int
    """most that train at once; 0 where the run trains by itself"""
    fleet: str
    """where they are: ``local``, or a cluster"""


_Progress = Callable[[str, int, int], None]
Plan: TypeAlias = "RunPlan | IndexPlan | CausalPlan"
"""of one task"""


def make_plans(
    sourced: Sourced, budget_uj: int | None, *, carry: bool = False, progress: _Progress | None = None
) -> list[Plan]:
    """Work out what a run with these settings would do, task by task; each could spend all of the budget.

    Args:
        sourced: the settings and where each came from.
        budget_uj: what it may spend, µJ; none for what its account holds.
        carry: whether what earlier runs left over may be spent, too.
        progress: called with what takes a while, how much of it is done, and of how much.

    Raises:
        CryoFluxError: as the run itself would; or there is no plan for a task.
    """
    state = StateFolder(Path(sourced.settings.run.state))
    checked = check_start(sourced, state, budget_uj=budget_uj, carry=carry, plans=True)
    check_fleet(sourced.settings, checked.tasks)
    _check_tasks([task.name for task in checked.tasks], {FIRST_TASK, INDEX, CAUSAL})
    plans: list[Plan] = []
    for task in checked.tasks:
        if task.name == FIRST_TASK:
            plans.append(_learning(sourced, state, budget_uj, carry=carry, progress=progress))
            continue
        sources, tier, watts = _measured_by(sourced.settings)
        by = sources, tier.value, watts or GUESSED_W_PER_CPU
        if task.name == CAUSAL:
            from cryoflux.runs.causal_plan import make_causal_plan  # it would bring what reads models

            told = progress or (lambda *_: None)
            plans.append(make_causal_plan(sourced, state, task, budget_uj, by, told))
            continue
        from cryoflux.runs.index_plan import make_index_plan  # it would bring what embeds

        plans.append(make_index_plan(sourced, state, task, budget_uj, by))
    return plans


def _learning(
    sourced: Sourced, state: StateFolder, budget_uj: int | None, *, carry: bool, progress: _Progress | None
) -> RunPlan:
    settings = sourced.settings
    reserve_uj = parse_energy(settings.attempt.reserve)
    known = read_known(state)
    spendable_uj = None
    if budget_uj is not None:
        held_uj = known.held_uj if known is not None and carry else 0
        spendable_uj = _spendable_uj(budget_uj, reserve_uj, held_uj)
    inputs = _inputs(sourced, state, known, progress)
    recipes = _recipes(settings, inputs)
    parameters = _encoder_parameters(inputs.folder)
    cpu_s = 2e-9 * parameters * _tokens(inputs) / _GFLOP_PER_CPU_SECOND
    sources, tier, watts = _measured_by(settings)
    evaluation_j = cpu_s * (watts or GUESSED_W_PER_CPU)
    reserve_j = max(reserve_uj / MICRO, evaluation_j * _share_evaluated(inputs.folder, recipes) / EVALUATING)
    return RunPlan(
        data=inputs.name,
        examples=inputs.examples,
        classes=inputs.classes,
        dropped=inputs.dropped,
        guard=inputs.guard,
        similar=inputs.similar,
        model=inputs.model,
        encoder_parameters=parameters,
        sources=sources,
        tier=tier.value,
        rule=settings.decision.rule,
        recipes=tuple(recipes),
        policy=settings.attempt.policy,
        budget_joules=spendable_uj / MICRO if spendable_uj is not None else None,
        reserve_joules=reserve_j,
        most_attempts=int(spendable_uj / MICRO / reserve_j) if spendable_uj is not None else None,
        evaluation_cpu_seconds=cpu_s,
        evaluation_joules=evaluation_j,
        cut=inputs.cut,
        longer_ppm=inputs.longer_ppm,
        found=inputs.found,
        detectable_nats=detectable_by_spread(settings, len(inputs.holdout), known),
        state=str(state.path),
        head=known.head if known is not None else None,
        attempts=known.attempts if known is not None else 0,
        looks=known.tally.looks if known is not None else 0,
        account_joules=known.held_uj / MICRO if known is not None else 0.0,
        workers=settings.fleet.workers,
        fleet=settings.fleet.fleet,
    )


def _check_tasks(names: list[str], planned: set[str]) -> None:
    if strange := [name for name in names if name not in planned]:
        raise UsageError(
            f"There is no plan for the task {', '.join(strange)}.",
            why=f"A plan is worked out from sizes, known of {FIRST_TASK}, {INDEX} and {CAUSAL} alone.",
            hint="Leave --dry-run out, and limit the run: --attempts 1.",
        )


def _measured_by(settings: Settings) -> tuple[tuple[str, ...], Tier, float | None]:
    """Names of the sources, the worst tier, and the watts of a logical CPU where they are modelled here."""
    if settings.agent.agent:
        with daemon_of(settings) as agent:
            sources = agent.sample().sources
        return tuple(source.name for source in sources), worst_tier(source.tier for source in sources), None
    found = find_sources(settings, SystemClock(settings.energy.proc_root))
    try:
        names = tuple(source.name for source in found.sources)
        watts = next((s.tdp_w / s.cpus for s in found.sources if isinstance(s, CpuModelSource)), None)
        return names, worst_tier(source.tier for source in found.sources), watts
    finally:
        found.close()


def _spendable_uj(budget_uj: int, reserve_uj: int, held_uj: int) -> int:
    if budget_uj + held_uj <= reserve_uj:
        raise too_small(budget_uj, reserve_uj, held_uj)
    return budget_uj + held_uj


@dataclass(frozen=True, slots=True)
class _Inputs:
    """Examples and model of a plan."""

    name: str
    examples: dict[str, int]
    holdout: tuple[Example, ...]
    classes: int
    dropped: dict[str, int]
    model: str
    folder: Path
    """where the model lies"""
    cut: Cut
    longer_ppm: int | None
    guard: Mapping[str, Any] | None
    similar: Mapping[str, int]
    found: tuple[str, ...]


def _inputs(
    sourced: Sourced, state: StateFolder, known: KnownState | None, progress: _Progress | None
) -> _Inputs:
    settings = sourced.settings
    if known is not None:
        check_same(sourced, known.origin)
        data, origin = known.data, known.origin
        spares = [name for name in data.holdouts if name != "holdout"]
        named = {"train": "train", "holdout": "holdout"}
        named |= {f"spare holdout {i}": name for i, name in enumerate(spares, 1)} | {"audit": "audit"}
        examples = {shown: data.count(name) for shown, name in named.items()}
        holdout, model = data.examples(known.part), origin.model_name or settings.model.model
        folder, cut = Versions(state.path).open(known.head).folder, kept_cut(sourced, origin)
        check_tokens(_config(folder), tokens_of(cut))
        classes = len(data.labels)
        dropped = dict(origin.dropped)
        guard, similar = origin.rules.get("similar"), origin.similar
        return _Inputs(
            data.name,
            examples,
            holdout,
            classes,
            dropped,
            model,
            folder,
            cut,
            origin.longer_ppm,
            guard,
            similar,
            tuple(origin.found),
        )
    found = first_inputs(settings, progress)
    splits, model = found.splits, settings.model.model
    examples = {
        "train": len(splits.train),
        "holdout": len(splits.holdout),
        **{f"spare holdout {i}": len(spare) for i, spare in enumerate(splits.spares, 1)},
        "audit": len(splits.audit),
    }
    classes, folder, dropped = len(splits.labels), found.base.folder, splits.dropped
    return _Inputs(
        found.name,
        examples,
        splits.holdout,
        classes,
        dropped,
        model,
        folder,
        found.cut,
        found.longer_ppm,
        found.guard.rule(len(splits.similar)) if found.guard is not None else None,
        splits.similar_to,
        found.found,
    )


def _recipes(settings: Settings, inputs: _Inputs) -> dict[str, Recipe]:
    known = _computed_here(inputs.folder)
    return chosen_recipes(settings, known=known, count=inputs.examples["train"], cut=inputs.cut)


def _share_evaluated(folder: Path, recipes: Mapping[str, Recipe]) -> float:
    """The share of the layers that the deepest recipe changes: the others are evaluated once."""
    layers = _config(folder).get("num_hidden_layers") or _config(folder).get("n_layers")
    deepest = max(recipe.layers for recipe in recipes.values())
    return min(1.0, deepest / layers) if isinstance(layers, int) and layers > 0 else 1.0


def _computed_here(folder: Path) -> bool:
    """Whether the model has a layout that CryoFlux computes itself."""
    return _config(folder).get("model_type") in {"bert", "distilbert"}


def _config(folder: Path) -> dict[str, Any]:
    found = json.loads(read_regular(folder / "config.json", MOST_DOCUMENT_BYTES))
    return found if isinstance(found, dict) else {}


def _encoder_parameters(folder: Path) -> int:
    entries = (entry for path in folder.glob("*.safetensors") for entry in read_tensor_entries(path))
    return sum(prod(e.shape) for e in entries if len(e.shape) >= 2 and "embed" not in e.name.lower())


def _tokens(inputs: _Inputs) -> int:
    most = tokens_of(inputs.cut)
    return sum(min(most, round(len(e.text.split()) * _TOKENS_PER_WORD) + 2) for e in inputs.holdout)

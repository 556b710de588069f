"""What a run of ``causal-lm`` would do, worked out without writing or spending anything.

Documents are read and sets are drawn as a run would do it; of the model, settings and sizes are read, no
weights. Joules are products by a rate, and memory follows from sizes (`tasks.causal.memory`): both are
modelled.
"""

from __future__ import annotations

__all__ = ["AttemptExpected", "CausalPlan", "make_causal_plan"]

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from cryoflux.config import Sourced
from cryoflux.quantities import MICRO, parse_energy
from cryoflux.receipts.profiles import DOCUMENT_F64
from cryoflux.registry.cuts import tokens_of
from cryoflux.registry.versions import Versions
from cryoflux.runs.known_state import KnownState, read_known
from cryoflux.runs.needed import least_reserved_uj, needed_uj
from cryoflux.state import StateFolder
from cryoflux.task_tallies import PoolParts
from cryoflux.tasks.causal.inputs import read_inputs, stored_rows
from cryoflux.tasks.causal.memory import CausalMemory
from cryoflux.tasks.causal.network import open_outline, open_tokenizer
from cryoflux.tasks.causal.prices import CausalPrices
from cryoflux.tasks.causal.recipe import CausalRecipe, as_carried_out, causal_recipes
from cryoflux.tasks.causal.scoring import profile_of
from cryoflux.tasks.causal.tokens import TokenRow
from cryoflux.tasks.interface import Task
from cryoflux.tasks.lora.libraries import chosen_device
from cryoflux.tasks.pool import make_pool

_F64_RATE, _F32_RATE = 40.0, 60.0
"""GFLOP of products a CPU-second, on one core: assumptions, right within a factor of two"""
_BF16_GAIN = 1.5
"""how much faster training is where products are in bfloat16: measured on two CPU cores"""

_FIRST_STEPS = 16
"""that a reservation which pays for no step had better be raised for"""

_Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class AttemptExpected:
    """What an attempt of a recipe should take; everything here is modelled."""

    recipe: str
    precision: str
    step_joules: float
    steps: int
    """that its reservation should reach for, and its documents"""
    enough_joules: int
    """that it had better reserve, to train and to finish"""
    training_joules: float
    screening_joules: float
    """before and after"""
    evaluation_joules: float
    """of the update on the whole holdout; less where its reading ends early"""
    joules: float
    """all three"""
    training_bytes: int
    """of main memory, or of the GPU where training is on one"""
    evaluating_bytes: int
    """of main memory, while a version is made and read"""


@dataclass(frozen=True, slots=True)
class CausalPlan:
    """The expected course of the attempts of ``causal-lm``."""

    data: str
    examples: dict[str, int]
    dropped: dict[str, int]
    max_tokens: int
    longer_ppm: int | None
    holdout_tokens: int
    """that are read to evaluate a version"""
    holdout_target_tokens: int
    """of these, those that the model has to say"""
    model: str
    parameters: int
    device: str
    """that training is on"""
    profile: str
    """in which arithmetic versions are judged"""
    sources: tuple[str, ...]
    tier: str
    rule: str
    policy: str
    budget_joules: float | None
    reserve_joules: float
    base_joules: float
    """modelled: the holdout read with the head, before the first attempt; 0 where a state knows it"""
    audit_joules: float
    """modelled: the audit set read with the first head and the last"""
    needed_joules: float
    """modelled: a budget for an attempt that trains and what a run costs besides, start-up left out"""
    attempts_expected: tuple[AttemptExpected, ...]
    state: str
    head: str | None
    attempts: int


@dataclass(frozen=True, slots=True)
class _Given:
    """Documents, as tokens, and model."""

    data: str
    rows: Mapping[str, Sequence[TokenRow]]
    dropped: dict[str, int]
    cut: int
    longer_ppm: int | None
    model: str
    folder: Path

    def tokens(self, part: str) -> int:
        """Tokens of a set."""
        return sum(len(ids) for ids, _ in self.rows[part])


def make_causal_plan(
    sourced: Sourced,
    state: StateFolder,
    task: Task,
    budget_uj: int | None,
    measured_by: tuple[tuple[str, ...], str, float],
    progress: _Progress,
) -> CausalPlan:
    """Work out what a run with these settings would do.

    Args:
        sourced: the settings and where each came from.
        state: that the run would work in.
        task: as the settings describe it.
        budget_uj: what may be spent, µJ; none for what its account holds.
        measured_by: names of the sources, the worst tier, and the watts of a logical CPU.
        progress: called with what takes a while, how much of it is done, and of how much.

    Raises:
        CryoFluxError: as the run itself would.
    """
    known = read_known(state, task.name)
    if known is not None:
        task.confirm(known.origin)
    given_by = _known(state, known) if known is not None else nullcontext(_new(sourced, progress))
    with given_by as given:
        return _plan(sourced, state, known, given, budget_uj, measured_by)


def _plan(
    sourced: Sourced,
    state: StateFolder,
    known: KnownState | None,
    given: _Given,
    budget_uj: int | None,
    measured_by: tuple[tuple[str, ...], str, float],
) -> CausalPlan:
    settings, watts = sourced.settings, measured_by[2]
    device, reserve_j = chosen_device(settings.model.device), parse_energy(settings.attempt.reserve) / MICRO
    part, prices = known.part if known is not None else "holdout", CausalPrices(given.folder)
    profile = profile_of(given.folder, given.tokens(part))
    rate = watts / (_F64_RATE if profile == DOCUMENT_F64 else _F32_RATE)
    evaluation_j, audit_j = (rate * prices.gflop(given.rows[name]) for name in (part, "audit"))
    held_j = prices.aside_uj(given.rows[part], 0, 0) / MICRO
    costs = _Costs(prices, watts / _F32_RATE, evaluation_j, held_j, reserve_j)
    sizes = CausalMemory.of(open_outline(given.folder, given.model))
    base_j = evaluation_j if known is None or not known.tally.looks else 0.0
    expected = costs.of_all(causal_recipes(settings), given.rows["train"], sizes, device)
    return CausalPlan(
        data=given.data,
        examples={name: len(rows) for name, rows in given.rows.items()},
        dropped=given.dropped,
        max_tokens=given.cut,
        longer_ppm=given.longer_ppm,
        holdout_tokens=given.tokens(part),
        holdout_target_tokens=sum(len(ids) - first for ids, first in given.rows[part]),
        model=given.model,
        parameters=sizes.weights,
        device=device,
        profile=profile,
        sources=measured_by[0],
        tier=measured_by[1],
        rule=settings.decision.rule,
        policy=settings.attempt.policy,
        budget_joules=budget_uj / MICRO if budget_uj is not None else None,
        reserve_joules=reserve_j,
        base_joules=base_j,
        audit_joules=2 * audit_j,
        needed_joules=_needed_j(expected, reserve_j, base_j, 2 * audit_j),
        attempts_expected=expected,
        state=str(state.path),
        head=known.head if known is not None else None,
        attempts=known.attempts if known is not None else 0,
    )


def _needed_j(expected: Sequence[AttemptExpected], reserve_j: float, before_j: float, end_j: float) -> float:
    """What a run takes beside its start, whichever recipe comes first; one that trains nothing raises it."""
    reserve_j = max([reserve_j, *(one.enough_joules for one in expected if not one.steps)])
    reserve_uj, before_uj, end_uj = (round(MICRO * joules) for joules in (reserve_j, before_j, end_j))
    return needed_uj(reserve_uj, before_uj, foreseen_uj=0, end_uj=end_uj) / MICRO


@dataclass(frozen=True, slots=True)
class _Costs:
    """What products cost here, and what an attempt may spend."""

    prices: CausalPrices
    joules_per_gflop: float
    """in float32"""
    evaluation_j: float
    held_j: float
    """that an attempt holds back for evaluating before any evaluation was measured"""
    reserve_j: float

    def _enough_j(self, screening_j: float, step_j: float) -> int:
        """What an attempt had better reserve, in whole joules."""
        evaluating_uj = round(MICRO * max(self.evaluation_j, self.held_j))
        reading_j = least_reserved_uj(evaluating_uj, measured=False) / MICRO
        return math.ceil(reading_j + screening_j + _FIRST_STEPS * step_j)

    def of_all(
        self,
        recipes: Mapping[str, CausalRecipe],
        train: Sequence[TokenRow],
        sizes: CausalMemory,
        device: str,
    ) -> tuple[AttemptExpected, ...]:
        """What an attempt of each recipe should take."""
        screen = len(make_pool(PoolParts((len(train),)), 0).screen)
        done = as_carried_out(recipes, screen=screen, device=device, parameters=self.prices.parameters)
        return tuple(self._of(one, train, sizes, gpu=device == "cuda") for one in done.values())

    def _of(
        self, recipe: CausalRecipe, train: Sequence[TokenRow], sizes: CausalMemory, *, gpu: bool
    ) -> AttemptExpected:
        """What an attempt of a recipe should take."""
        screened = train[: recipe.screen_size]
        screening_j = 2 * self.joules_per_gflop * self.prices.gflop(screened)
        gain = 1.0 if recipe.precision == "f32" else _BF16_GAIN
        step_j = self.joules_per_gflop * self.prices.step_gflop(recipe, train) / gain
        left_j = max(0.0, self.reserve_j - self.evaluation_j - screening_j)
        steps = min(int(left_j / step_j), recipe.steps_for(len(train) - len(screened)))
        longest = max(len(ids) for ids, _ in train)
        memory = sizes.attempt(recipe, longest, gpu=gpu)
        return AttemptExpected(
            recipe=recipe.name,
            precision=recipe.precision,
            step_joules=step_j,
            steps=steps,
            enough_joules=self._enough_j(screening_j, step_j),
            training_joules=steps * step_j,
            screening_joules=screening_j,
            evaluation_joules=self.evaluation_j,
            joules=steps * step_j + screening_j + self.evaluation_j,
            training_bytes=memory.training,
            evaluating_bytes=memory.evaluating,
        )


def _new(sourced: Sourced, progress: _Progress) -> _Given:
    inputs = read_inputs(sourced, progress)
    rows = {
        name: stored_rows([one.line() for one in documents], inputs.tokenizer, inputs.cut)
        for name, documents in inputs.found.sets.items()
    }
    return _Given(
        inputs.data_name,
        rows,
        inputs.dropped,
        inputs.cut,
        inputs.longer_ppm,
        inputs.model_name,
        inputs.folder,
    )


@contextmanager
def _known(state: StateFolder, known: KnownState) -> Iterator[_Given]:
    origin = known.origin
    with Versions(state.path).opened(known.head) as folder:  # a run may move the head meanwhile
        tokenizer, cut = open_tokenizer(folder, origin.model_name), tokens_of(origin.cut)
        rows = {name: stored_rows(lines, tokenizer, cut) for name, lines in known.data.sets.items()}
        yield _Given(
            known.data.name, rows, dict(origin.dropped), cut, origin.longer_ppm, origin.model_name, folder
        )

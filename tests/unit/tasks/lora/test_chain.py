"""A chain goes on wherever it was cut, ends where the screen says so, and hands out what it measured."""

from __future__ import annotations

from dataclasses import replace
from functools import partial, reduce
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from cryoflux.decision.evidence import Evidence, pair_losses
from cryoflux.digests import file_digest
from cryoflux.encoder.activations import Activations
from cryoflux.encoder.linear import Backend
from cryoflux.errors import StateError
from cryoflux.evaluation.scoring import EncoderScorer
from cryoflux.tasks.lora import head
from cryoflux.tasks.lora.adamw import FusedAdamW
from cryoflux.tasks.lora.averages import PolynomialAverage
from cryoflux.tasks.lora.candidates import Prospects, look_is_due
from cryoflux.tasks.lora.chain import Chained, early_looks, next_rung, train_chain
from cryoflux.tasks.lora.merge import merged_tensors
from cryoflux.tasks.lora.recipe import Recipe
from cryoflux.tasks.lora.temperature import LEAST, MOST, cross_entropies, fitted
from cryoflux.tasks.lora.weighing import class_weights
from cryoflux.tasks.lora.working import Working, read_working, write_working
from cryoflux.tasks.pacing import JoulesEndedError, Limits, TrainingFailedError

DEEP = Recipe(
    "carry-all",
    layers=2,
    carry=True,
    hidden_dropout=0.1,
    learning_rate=5e-3,
    batch_size=32,
    fixed_steps=100,
    max_steps=4000,
    screen_size=150,
    max_tokens=16,
)
TOP = replace(DEEP, name="carry-1", layers=1)


WEIGHED = replace(TOP, name="weighed", class_weights="balanced")


def never(_screened: Evidence, _gained_nano: int | None, *, last: bool) -> bool:
    return False


def go_on(
    workshop,
    recipe: Recipe,
    working: Working | None = None,
    *,
    steps: int = 10**9,
    joules: int = 10**9,
    judged: str = "",
    is_due=never,
    at_its_end=lambda _screened, _gained: "",
    seed: int = 7,
) -> Chained:
    """One attempt that is asked to stop after so many steps."""
    steps_done: list[int] = []
    limits = Limits(joules, lambda: len(steps_done), lambda: len(steps_done) >= steps)
    return train_chain(
        workshop.loaded.chain_material(workshop.loaded.version, recipe),
        recipe,
        limits,
        workshop.new_draft(),
        seed=seed,
        working=working,
        judged=judged,
        is_due=is_due,
        at_its_end=at_its_end,
        progress=lambda done: steps_done.append(done.step),
        preparing=lambda _done, _count: None,
    )


@pytest.mark.parametrize("recipe", [TOP, DEEP, WEIGHED], ids=lambda recipe: recipe.name)
@pytest.mark.parametrize("cuts", [(40,), (1, 2, 37), (16, 16, 8)])
def test_a_chain_that_was_cut_holds_the_same_bits_as_one_that_was_not(
    workshop, tmp_path: Path, recipe: Recipe, cuts: tuple[int, ...]
) -> None:
    whole = go_on(workshop, recipe, steps=40)
    working = None
    for steps in cuts:
        done = go_on(workshop, recipe, working, steps=steps)
        name = write_working(tmp_path, done.working)
        working = read_working(tmp_path / f"{name}.safetensors", name)
    assert working is not None
    assert working.step == sum(cuts) == whole.working.step
    assert all(map(torch.equal, working.parameters, whole.working.parameters))
    assert all(map(torch.equal, working.moments, whole.working.moments))
    for exponent, values in whole.working.averages.items():
        assert all(map(torch.equal, working.averages[exponent], values))


def test_weights_are_those_of_the_examples_that_the_state_began_with(workshop) -> None:
    version, loaded = workshop.loaded.version, workshop.loaded
    first = class_weights("balanced", loaded.examples("train")[2], 3)
    found = loaded.chain_material(version, WEIGHED).weights
    assert first is not None
    assert found is not None
    assert torch.equal(found, first)
    assert loaded.chain_material(version, TOP).weights is None
    assert torch.equal(loaded.material(WEIGHED, 0).weights, first)


def test_weights_change_what_is_learned_and_not_how_it_is_judged(
    workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = go_on(workshop, TOP, steps=20)
    uneven = torch.tensor([0.5, 1.0, 3.0])  # of the examples here each class has as many
    monkeypatch.setattr(head, "class_weights", lambda *_: uneven)
    weighed = go_on(workshop, WEIGHED, steps=20)
    assert not all(map(torch.equal, plain.working.parameters, weighed.working.parameters))
    assert plain.screened is not None
    assert weighed.screened is not None
    assert plain.screened.base_loss == weighed.screened.base_loss


def test_the_same_seed_gives_the_same_files_and_another_one_others(workshop) -> None:
    names = []
    for seed in (7, 7, 8):
        done = go_on(workshop, TOP, steps=20, seed=seed)
        assert done.steps == 20
        names.append(file_digest(workshop.draft / "adapter_model.safetensors"))
    assert names[0] == names[1] != names[2]


def test_training_helps_examples_that_it_never_saw_and_ends_at_its_plateau(workshop) -> None:
    done = go_on(workshop, TOP)
    assert done.stopped_by == "plateau"
    assert done.screened is not None
    assert done.screened.count == 150
    assert done.screened.new_loss < 0.6 * done.screened.base_loss
    assert not set(done.drawn) & set(workshop.loaded.pool.screen)
    assert done.working.step == done.steps < 4000


def test_what_the_screen_showed_is_what_the_merged_candidate_does(workshop) -> None:
    """The temperature is folded in: at a factor of one the candidate is as good as it can be made by one."""
    done = go_on(workshop, TOP, steps=60)
    loaded = workshop.loaded
    assert loaded.layout is not None
    changed = merged_tensors(loaded.tensors, workshop.draft)
    encoder = loaded._encoder(loaded.layout, Backend.F64).updated(changed)
    source = Activations(encoder, loaded.version.entries, loaded._sets("train"), 1)
    scorer = EncoderScorer(encoder, source, loaded.examples("train")[2])
    losses, hits = scorer.score(loaded.pool.screen, lambda _done: None)
    assert done.screened is not None
    # training may be in bfloat16, whichever is the cheapest way here just now
    assert sum(losses) == pytest.approx(done.screened.new_loss, rel=3e-3)
    assert abs(sum(hits) - done.screened.new_correct) <= 1
    assert done.best.temperature_milli != 1000


def test_a_candidate_that_is_worth_it_ends_the_attempt_and_is_not_shown_twice(workshop) -> None:
    asked: list[float] = []

    def worth(screened: Evidence, _gained_nano: int | None, *, last: bool) -> bool:
        asked.append(screened.delta_mean)
        return True

    first = go_on(workshop, TOP, is_due=worth)
    assert first.stopped_by == "look"
    assert first.steps == next_rung(0, TOP.fixed_steps)
    assert len(asked) == 1
    judged = file_digest(workshop.draft / "adapter_model.safetensors")
    again = go_on(
        workshop,
        TOP,
        first.working,
        judged=judged,
        is_due=lambda *_shown, last: pytest.fail("asked"),
        steps=1,
    )
    assert again.stopped_by == "interrupt"
    other = go_on(workshop, TOP, first.working, judged="f" * 64, is_due=worth, joules=1)
    assert (other.stopped_by, len(asked)) == ("look", 2)


def test_early_looks_show_a_candidate_that_is_worth_it_and_say_nothing_of_the_chain(workshop) -> None:
    """A chain that is looked at early goes on as one that is not: the same bits, the same rungs."""
    early = replace(TOP, first_look=4)
    steps = sorted(early_looks(early))
    assert (steps, early_looks(TOP)) == ([4, 8], frozenset())
    assert next_rung(0, TOP.fixed_steps) == 16
    first = go_on(workshop, early, is_due=lambda *_shown, last: True)
    assert (first.stopped_by, first.steps, first.working.rung_nano) == ("look", 4, 0)
    seen, plain = go_on(workshop, early, steps=40), go_on(workshop, TOP, steps=40)
    for one, other in zip(seen.working.parameters, plain.working.parameters, strict=True):
        assert torch.equal(one, other)
    assert (seen.working.rung_nano, seen.working.stale) == (plain.working.rung_nano, plain.working.stale)


def test_a_chain_that_could_prove_nothing_more_ends_after_some_rungs(workshop) -> None:
    asked: list[tuple[float, int]] = []

    def at_its_end(screened: Evidence, gained_nano: int) -> str:
        asked.append((screened.delta_mean, gained_nano))
        return "plateau"

    done = go_on(workshop, TOP, at_its_end=at_its_end)
    assert done.stopped_by == "plateau"
    assert done.steps == reduce(lambda step, _rung: next_rung(step, TOP.fixed_steps), range(4), 0)
    assert done.screened is not None
    assert asked == [(done.screened.delta_mean, asked[0][1])]
    assert asked[0][1] > 0


def test_what_a_chain_may_come_to_is_two_rungs_like_the_last_one() -> None:
    screened = pair_losses([9 * 10**8] * 40 + [10**9] * 60, [8 * 10**8] * 40 + [11 * 10**8] * 60)
    hoped: list[Evidence] = []

    def could_prove(evidence: Evidence) -> bool:
        hoped.append(evidence)
        return evidence.delta_mean > 0.05

    behind = 2 * 10**7  # nano-nats in the mean
    assert screened.delta == -behind * 100
    prospects = Prospects(could_prove, looked=True)
    assert prospects(screened, behind // 2 - 1) == "behind"
    assert not hoped
    assert [prospects(screened, gained) for gained in (behind // 2, 4 * behind)] == ["", ""]
    assert [prospects(screened, gained) for gained in (behind, behind)] == ["", "plateau"]
    assert [round(evidence.delta_mean, 9) for evidence in hoped] == [0, 0.14, 0.02, 0.02]
    unseen = Prospects(could_prove, looked=False)
    assert [unseen(screened, gained) for gained in (behind, behind, behind // 2 - 1)] == ["", "", "behind"]


def test_a_look_on_the_way_leaves_something_that_a_later_one_can_prove() -> None:
    screened = pair_losses([10**9] * 100, [9 * 10**8] * 50 + [8 * 10**8] * 50)
    asked: list[tuple[float, bool]] = []

    def is_worth(evidence: Evidence, *, ended: bool) -> bool:
        asked.append((round(evidence.delta_mean, 9), ended))
        return evidence.delta_mean >= (0.02 if ended else 0.1)

    due = partial(look_is_due, last=False, is_worth=is_worth)
    assert due(screened, 4 * 10**7)
    assert asked == [(0.15, False), (0.02, True)]
    assert not due(screened, 4 * 10**7 - 2)
    assert not due(screened, 0)
    assert due(screened, 0, last=True)
    assert due(screened, None)
    assert asked[-1] == (0.2125, True), "a quarter of what the candidate loses"
    assert not due(screened.shifted(-(10**8)), 4 * 10**7)


def test_a_chain_may_begin_at_a_version_that_is_no_longer_the_head(workshop) -> None:
    loaded = workshop.loaded
    start = loaded.version
    first = go_on(workshop, TOP, steps=30)
    before = [p.clone() for p in first.working.parameters]
    workshop.merge(workshop.keep())
    assert loaded.version.digest != start.digest
    material = loaded.chain_material(start, TOP)
    assert sum(material.head[0]) == pytest.approx(first.best.screen_nano * 150, rel=1e-3)
    assert material.base == start.digest
    name = "classifier.weight"
    assert torch.equal(material.encoder.tensor(name), torch.zeros_like(material.encoder.tensor(name)))
    assert all(map(torch.equal, before, first.working.parameters))


def test_joules_that_are_gone_before_the_first_step_train_nothing(workshop) -> None:
    with pytest.raises(JoulesEndedError):
        train_chain(
            workshop.loaded.chain_material(workshop.loaded.version, TOP),
            TOP,
            Limits(0, lambda: 1, lambda: False),
            workshop.new_draft(),
            seed=1,
            working=None,
            is_due=never,
            at_its_end=lambda _screened, _gained: "",
            progress=lambda _done: None,
            preparing=lambda _done, _count: None,
        )


def test_a_loss_that_is_no_number_is_said(workshop) -> None:
    with pytest.raises(TrainingFailedError, match="training loss"):
        go_on(workshop, replace(TOP, learning_rate=1e30), steps=10**6)


def test_weights_that_are_no_numbers_at_a_rung_are_said(workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss before the step was one: only the candidate shows what the step has come to."""
    good = FusedAdamW.step
    steps: list[float] = []

    def step(self: FusedAdamW, rate: float) -> None:
        good(self, rate)
        steps.append(rate)
        if len(steps) == next_rung(0, TOP.fixed_steps):
            with torch.no_grad():
                self._parameters[0].fill_(float("nan"))

    monkeypatch.setattr(FusedAdamW, "step", step)
    with pytest.raises(TrainingFailedError, match="scores"):
        go_on(workshop, TOP, steps=10**6)


def test_a_working_update_that_is_not_the_named_one_is_not_gone_on_from(workshop, tmp_path: Path) -> None:
    name = write_working(tmp_path, go_on(workshop, TOP, steps=3).working)
    path = tmp_path / f"{name}.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(StateError, match="not the file that the log names"):
        read_working(path, name)
    path.unlink()
    with pytest.raises(StateError, match="cannot be read"):
        read_working(path, name)


@given(st.integers(0, 10**5), st.integers(0, 10**4))
def test_rungs_lie_ever_further_apart(step: int, fixed: int) -> None:
    here, there = next_rung(step, fixed), next_rung(next_rung(step, fixed), fixed)
    assert here - step >= 16
    assert there - here >= here - step


@pytest.mark.parametrize("exponent", [1, 3])
def test_an_average_counts_each_step_in_proportion_to_its_power(exponent: int) -> None:
    values = np.random.default_rng(1).normal(size=(50, 3))
    average = PolynomialAverage(exponent, [torch.zeros(3, dtype=torch.float64)])
    for step, value in enumerate(values, 1):
        average.add([torch.from_numpy(value)], step)
    # the exact weights of this recursion: a rising factorial, t·(t+1)…(t+e−1)
    weights = np.array([np.prod([t + i for i in range(exponent)]) for t in range(1, 51)], dtype=float)
    due = (weights[:, None] * values).sum(0) / weights.sum()
    np.testing.assert_allclose(average.values[0].numpy(), due, rtol=1e-10)


@given(st.integers(0, 10**6), st.floats(0.05, 20))
def test_the_temperature_is_the_best_one_to_a_thousandth(seed: int, spread: float) -> None:
    rng = np.random.default_rng(seed)
    scores = spread * rng.normal(size=(60, 4))
    classes = np.where(rng.random(60) < 0.7, scores.argmax(1), rng.integers(0, 4, 60)).astype(np.int64)

    def loss(factor: float) -> float:
        return float(cross_entropies(scores * factor, classes).mean())

    found = fitted(scores, classes)
    best = minimize_scalar(loss, bounds=(LEAST / 1000, MOST / 1000), method="bounded")
    assert loss(found / 1000) <= best.fun + 1e-6 * max(1.0, spread)
    assert LEAST <= found <= MOST

"""The limit of tokens follows from the lengths, from the cost and from the model, and from nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiny
from cryoflux.config import Sourced, load_settings
from cryoflux.errors import StateError
from cryoflux.quantities import MICRO
from cryoflux.tasks.interface import Origin
from cryoflux.tasks.lora.inputs import kept_cut
from cryoflux.tasks.lora.token_limit import (
    FLOOR,
    HELD,
    LIMITS,
    PAYS,
    SAMPLE,
    Lengths,
    Preparing,
    choose_limit,
    measure_lengths,
)

lengths = st.lists(st.integers(3, LIMITS[-1] + 1), min_size=1, max_size=200).map(lambda n: Lengths(tuple(n)))
preparing = st.builds(Preparing, st.integers(10**4, 10**9), st.integers(10, 10**6), st.integers(30, 10_000))
reserves = st.integers(MICRO, 10_000 * MICRO)
positions = st.one_of(st.none(), st.integers(4, 1024))


@given(lengths, preparing, reserves, reserves, positions)
def test_more_joules_never_lower_the_limit(
    found: Lengths, cost: Preparing, one: int, other: int, most: int | None
) -> None:
    less, more = sorted((one, other))
    low, high = (choose_limit(found, cost, reserve_uj=uj, positions=most) for uj in (less, more))
    assert low <= high


@given(lengths, preparing, reserves, positions)
def test_it_is_one_that_the_model_reads(
    found: Lengths, cost: Preparing, reserve_uj: int, most: int | None
) -> None:
    limit = choose_limit(found, cost, reserve_uj=reserve_uj, positions=most)
    assert limit in {*LIMITS, most}
    assert most is None or limit <= most


@given(lengths, preparing, reserves)
def test_it_holds_nearly_all_texts_unless_that_does_not_pay(
    found: Lengths, cost: Preparing, reserve_uj: int
) -> None:
    limit = choose_limit(found, cost, reserve_uj=reserve_uj)
    larger = [n for n in LIMITS if n > limit]
    held = found.longer_ppm(limit) <= round(MICRO * (1 - HELD))
    if not held and larger:
        assert cost.cost_uj(found, larger[0]) > PAYS * reserve_uj
    if limit > FLOOR:
        assert cost.cost_uj(found, limit) <= PAYS * reserve_uj
    smaller = [n for n in LIMITS if n < limit]
    assert not smaller or found.longer_ppm(smaller[-1]) > round(MICRO * (1 - HELD)), (
        "none is larger than needed"
    )


def test_no_more_texts_are_counted_than_it_takes(tmp_path: Path) -> None:
    model = tiny.make_model(tmp_path / "model")
    texts = [text for text, _ in tiny.sentences(SAMPLE + 500, 3)]
    found = measure_lengths(model, texts)
    assert len(found.counts) == SAMPLE
    assert found == measure_lengths(model, texts[::-1]), "whatever their order in the file"
    assert all(
        count == len(text.split()) + 2
        for text, count in zip(texts[:5], _counted(model, texts[:5]), strict=True)
    )


def _counted(model: Path, texts: list[str]) -> list[int]:
    return [measure_lengths(model, [text]).counts[0] for text in texts]


def settings(**flags: object) -> Sourced:
    return load_settings(flags, environ={}, folder=Path("/nonexistent"))


def begun(cut: int | str = 0) -> Origin:
    return Origin("mine", "d" * 64, "a model", "none", "0" * 64, cut=cut)


@pytest.mark.parametrize("cut", [48, "48 head-tail"])
def test_a_state_keeps_its_limit(cut: int | str) -> None:
    assert kept_cut(settings(), begun(cut)) == cut
    assert kept_cut(settings(max_tokens=48), begun(cut)) == cut
    assert kept_cut(settings(max_tokens=0), begun(cut)) == cut


@pytest.mark.parametrize(
    ("flags", "cut"),
    [({"max_tokens": 64}, 48), ({"reading": "head-tail"}, 48), ({"reading": "head"}, "48 head-tail")],
)
def test_another_limit_than_the_states_is_refused(flags: dict[str, object], cut: int | str) -> None:
    with pytest.raises(StateError, match=r"reads 48 tokens.*of a text, not") as caught:
        kept_cut(settings(**flags), begun(cut))
    assert "--state DIR" in (caught.value.hint or "")


def test_a_state_from_before_keeps_what_its_settings_said() -> None:
    assert kept_cut(settings(), begun()) == 32
    assert kept_cut(settings(max_tokens=64), begun()) == 64

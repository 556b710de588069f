"""What many lists make in memory is what ``compose/v1`` makes of each, to the last bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from cryoflux.digests import file_digest
from cryoflux.errors import ModelError
from cryoflux.registry.adapters import read_adapter
from cryoflux.registry.compose import compose
from cryoflux.registry.composition import MOST_TERMS, Composition, Term, folded, list_digest
from cryoflux.registry.mixture import ListStep, OfferedUpdate, StepKind, after
from cryoflux.registry.parent_lists import keep_lists, lists_of, parent_lists
from cryoflux.state import ADAPTER, ADAPTER_CONFIG
from cryoflux.tasks.lora import composing
from cryoflux.tasks.lora.composing import ListedModels
from cryoflux.tasks.lora.merge import HeadSums

GENESIS = "ab" * 32
RNG = np.random.default_rng(3)
TENSORS = {
    "layer.weight": RNG.normal(size=(12, 8)).astype(np.float32),
    "classifier.weight": RNG.normal(size=(3, 12)).astype(np.float32),
    "frozen.weight": RNG.normal(size=(4, 4)).astype(np.float32),
}
CONFIG = {
    "peft_type": "LORA",
    "r": 2,
    "lora_alpha": 4,
    "target_modules": ["layer"],
    "modules_to_save": ["classifier"],
    "task_type": "SEQ_CLS",
}
Capsule = Callable[[str], Path]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[OfferedUpdate]]:
    """A state with four updates: two of the genesis, and one each of what those make."""
    state, updates = tmp_path_factory.mktemp("lists"), list[OfferedUpdate]()
    for number in range(4):
        parent = () if number < 2 else (updates[number - 2].term,)
        adapter = _write(state, number)
        updates.append(OfferedUpdate(adapter=adapter, genesis=GENESIS, parent=parent))
        keep_lists(state, [parent])
    return state, updates


def _write(state: Path, number: int) -> str:
    draft = state / f"draft-{number}"
    draft.mkdir()
    prefix = "base_model.model."
    tensors = {
        f"{prefix}layer.lora_A.weight": RNG.normal(size=(2, 8)).astype(np.float32),
        f"{prefix}layer.lora_B.weight": RNG.normal(size=(12, 2)).astype(np.float32),
        f"{prefix}classifier.weight": RNG.normal(size=(3, 12)).astype(np.float32),
    }
    save_file(tensors, draft / ADAPTER)
    (draft / ADAPTER_CONFIG).write_text(json.dumps(CONFIG))
    digest = file_digest(draft / ADAPTER)
    draft.rename(state / digest)
    return digest


def lists_in(state: Path) -> ListedModels:
    return ListedModels(TENSORS, lambda digest: state / digest, parent_lists(state))


STEPS = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from([StepKind.ADD, StepKind.MIX, StepKind.REWEIGHT, None]),
        st.sampled_from(["1", "1/2", "1/3", "5/4"]),
    ),
    min_size=1,
    max_size=5,
)


@given(steps=STEPS)
def test_every_list_is_the_same_to_the_last_bit(
    place: tuple[Path, list[OfferedUpdate]], steps: list[tuple[int, StepKind | None, str]]
) -> None:
    """Lists that steps make, some of them folded on the way."""
    state, updates = place
    composed = Composition(genesis=GENESIS)
    for number, kind, amount in steps:
        if kind is None:
            keep_lists(state, [composed.terms])
            composed = Composition(genesis=GENESIS, terms=folded(composed.terms))
            continue
        if kind is StepKind.REWEIGHT and all(t.adapter != updates[number].adapter for t in composed.terms):
            continue
        update = OfferedUpdate(adapter=updates[number].adapter, genesis=GENESIS)
        step = ListStep(
            kind=kind, update=updates[number] if kind is not StepKind.REWEIGHT else update, amount=amount
        )
        composed = after(composed, [step])
    lists = lists_in(state)
    due = compose(composed, TENSORS, lambda one: read_adapter(state / one, one), parent_lists(state))
    found = lists.tensors(composed, set(TENSORS))
    assert {name: value.tobytes() for name, value in found.items()} == {
        name: due.value(name).tobytes() for name in TENSORS
    }


def test_a_run_goes_on_from_a_full_list_as_whoever_adds_it_up_anew(tmp_path: Path) -> None:
    """In memory an update is added; on the disk the list before it is one term, and kept."""
    list_of, keep = lists_of(tmp_path)
    sums = HeadSums(lambda _: TENSORS, tmp_path.joinpath, list_of, keep)
    composed, head = Composition(genesis=GENESIS), "f" * 64
    for number in range(MOST_TERMS + 2):
        adapter = _write(tmp_path, number)
        after_it = sums.following(composed, head, adapter)
        assert after_it == composed.adopting(adapter)
        sums.candidate(composed, after_it, tmp_path / adapter)
        composed = after_it
    assert [term.is_list for term in composed.terms] == [True, False, False]
    in_memory = sums.of(composed).rounded()
    anew = HeadSums(lambda _: TENSORS, tmp_path.joinpath, list_of, keep).of(composed).rounded()
    assert {name: value.tobytes() for name, value in anew.items()} == {
        name: value.tobytes() for name, value in in_memory.items()
    }
    (kept,) = (tmp_path / "network" / "lists").iterdir()
    kept.unlink()
    gone = HeadSums(lambda _: TENSORS, tmp_path.joinpath, *lists_of(tmp_path))
    assert gone.following(composed, head, adapter).genesis == head, "without it the head is the next genesis"


def test_what_is_let_go_of_is_made_again(
    place: tuple[Path, list[OfferedUpdate]], monkeypatch: pytest.MonkeyPatch
) -> None:
    state, updates = place
    composed = Composition(genesis=GENESIS, terms=tuple(update.term for update in updates))
    whole = lists_in(state).tensors(composed, set(TENSORS))
    monkeypatch.setattr(composing, "_MOST_BYTES", 1)
    lists = lists_in(state)
    for _ in range(2):
        found = lists.tensors(composed, set(TENSORS))
        assert all(found[name].tobytes() == whole[name].tobytes() for name in TENSORS)


def test_a_list_that_is_not_here_is_an_error_that_names_it(place: tuple[Path, list[OfferedUpdate]]) -> None:
    state, updates = place
    lost = list_digest((updates[3].term, updates[1].term))
    composed = Composition(
        genesis=GENESIS, terms=(Term(weight="1", adapter=updates[0].adapter, parent=lost),)
    )
    with pytest.raises(ModelError, match="is not here"):
        lists_in(state).tensors(composed, set(TENSORS))

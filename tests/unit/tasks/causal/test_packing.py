"""Documents one after another have the loss that each has alone, in every family, or are not packed."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch

from causal_families import FAMILIES, make_family
from cryoflux.tasks.causal.network import document_nats, open_network
from cryoflux.tasks.causal.packing import packed, packs_exactly, scores_packed
from cryoflux.tasks.causal.recipe import CausalRecipe
from cryoflux.tasks.causal.tokens import TokenRow
from cryoflux.tasks.causal.training import Exercise, train_causal
from cryoflux.tasks.pacing import Limits


def drawn(seed: int, count: int = 12, longest: int = 40) -> list[TokenRow]:
    rng = random.Random(seed)
    rows = []
    for _ in range(count):
        ids = rng.choices(range(250), k=rng.randint(2, longest))
        rows.append((ids, rng.randint(1, len(ids) - 1)))
    return rows


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_left_out_and_rows_are_as_long_as_was_asked(seed: int) -> None:
    rows = drawn(seed)
    made = list(packed(rows, 60))
    assert [token for row in made for token in row.ids] == [token for ids, _ in rows for token in ids]
    assert [token for row in made for token in row.said] == [t for ids, first in rows for t in ids[first:]]
    assert all(len(row.ids) <= 60 for row in made)
    for row in made:
        assert [row.ids[at + 1] for at in row.asked] == row.said
        assert all(row.positions[at + 1] == row.positions[at] + 1 for at in row.asked)


@pytest.mark.parametrize("family", FAMILIES)
def test_packed_losses_are_those_of_each_document_alone(family: str, tmp_path: Path) -> None:
    network = open_network(make_family(family, tmp_path), family)
    assert packs_exactly(network)
    for seed in range(3):
        rows = drawn(seed)
        alone = sum(document_nats(network, ids, first) for ids, first in rows)
        together = 0.0
        with torch.inference_mode():
            for row in packed(rows, 100):
                scores = scores_packed(network, row)
                loss = torch.nn.functional.cross_entropy(
                    scores.double(), torch.tensor(row.said), reduction="sum"
                )
                together += float(loss)
        assert together == pytest.approx(alone, rel=1e-5)


def test_windows_are_those_of_each_document(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    base = make_family("mistral", tmp_path)
    network = AutoModelForCausalLM.from_pretrained(base, sliding_window=4).eval()
    assert packs_exactly(network)
    ids = drawn(1, 1)[0][0] * 2
    whole = AutoModelForCausalLM.from_pretrained(base, sliding_window=None).eval()
    assert document_nats(network, ids, 1) != pytest.approx(document_nats(whole, ids, 1), rel=1e-4)


def test_a_family_that_mixes_documents_up_is_found(tmp_path: Path) -> None:
    network = open_network(make_family("llama", tmp_path), "llama")

    class Mixing:
        """Sees all tokens before, whatever their position says."""

        config, device, dtype = network.config, network.device, network.dtype
        get_output_embeddings = network.get_output_embeddings

        def forward(self, input_ids: Any, **_: Any) -> Any:
            return network(input_ids=input_ids)

        __call__ = forward

    assert not packs_exactly(Mixing())


def test_training_packed_or_padded_comes_to_the_same(tmp_path: Path) -> None:
    network = open_network(make_family("llama", tmp_path / "base"), "llama")
    lesson = Exercise(drawn(3, 24), [], 0)
    ended = []
    for packing in (0, 1):
        into = tmp_path / str(packing)
        into.mkdir()
        recipe = CausalRecipe("r", packing=packing, max_steps=6, precision="f32", batch_tokens=90)
        limits = Limits(10**12, lambda: 0, lambda: False)
        made = train_causal(
            network, lesson, recipe, limits, into, seed=0, base="b", progress=lambda _done: None
        )
        ended.append(made)
    assert (ended[0].tokens, ended[0].said, ended[0].steps) == (ended[1].tokens, ended[1].said, 6)
    assert ended[0].last_loss_nano_nat == pytest.approx(ended[1].last_loss_nano_nat, rel=1e-5)

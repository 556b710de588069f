"""Updates of a language model that cannot help are kept no more often than a look at the holdout may err.

Documents are drawn from the base model itself, token by token. No model says them better than that one, so
the true Δ of every update is zero or below, whatever it learned; what the holdout shows of it is noise.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from causal_families import make_family
from cryoflux.decision.evidence import pair_losses
from cryoflux.decision.stakes import STAKES, StakedBudget
from cryoflux.quantities import NANO
from cryoflux.tasks.causal.network import document_nats, open_network
from cryoflux.tasks.causal.recipe import CausalRecipe
from cryoflux.tasks.causal.tokens import TokenRow
from cryoflux.tasks.causal.training import Exercise, train_causal
from cryoflux.tasks.pacing import Limits

LENGTH, HOLDOUT, ATTEMPTS = 12, 96, 12


def spoken(network: Any, count: int) -> list[TokenRow]:
    """Documents that the model says, each token drawn by its own odds."""
    ids = torch.full((count, 1), 256)
    with torch.inference_mode():
        for _ in range(LENGTH):
            odds = network(input_ids=ids, use_cache=False).logits[:, -1].double().softmax(-1)
            ids = torch.cat([ids, torch.multinomial(odds, 1)], 1)
    return [(row, 1) for row in ids.tolist()]


def losses(network: Any, rows: list[TokenRow]) -> list[int]:
    return [round(document_nats(network, *row) * NANO) for row in rows]


def test_what_cannot_help_is_kept_as_seldom_as_was_promised(tmp_path: Path) -> None:
    from peft import PeftModel

    network = open_network(make_family("qwen2", tmp_path / "base"), "qwen2")
    torch.manual_seed(5)
    with torch.no_grad():
        network.lm_head.weight.mul_(20)  # else it says every token about equally often
    held = spoken(network, HOLDOUT)
    before = losses(network, held)
    needed = StakedBudget.fresh(50_000).needed_milli(STAKES[0], HOLDOUT)
    kept = helped = 0
    for seed in range(ATTEMPTS):
        (into := tmp_path / str(seed)).mkdir()
        recipe = CausalRecipe("r", targets="all", learning_rate=0.003, max_steps=3, precision="f32")
        lesson = Exercise(spoken(network, 24), [], 0)
        limits = Limits(10**12, lambda: 0, lambda: False)
        train_causal(network, lesson, recipe, limits, into, seed=seed, base="b", progress=lambda _: None)
        adapted = PeftModel.from_pretrained(network, into)
        found = pair_losses(before, losses(adapted.base_model.model.eval(), held))
        adapted.unload()
        assert found.delta_squared > 0
        helped += found.delta > 0
        kept += found.delta_passes(needed)
    # each is kept with a probability below 0.05: three of twelve happen one time in fifty
    assert kept <= 2
    assert helped < ATTEMPTS

"""What the section of a ``causal-lm`` receipt may say, held to its recipe and to its adapter."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cryoflux.receipts.per_token import TARGET_TOKENS
from cryoflux.receipts.statement import CROSS_ENTROPY, Section
from cryoflux.tasks.causal.recipe import RECIPES
from cryoflux.tasks.causal.section import METRIC, SECTION, CausalSection

RECIPE = {**RECIPES["lora-qv"].as_receipt(), "precision": "f32", "max_tokens": 24}
FIELDS: dict[str, Any] = {
    "rank": 8,
    "alpha": 16,
    "precision": "f32",
    "targets": "attention",
    "names": ["q_proj", "v_proj"],
    "modules": 4,
    "trainedParameters": 2048,
    "tokens": 900,
    "targetTokens": 300,
    "plannedSteps": 40,
    "plannedAtStep": 3,
    "lastTrainLossNanoNat": 3,
    "merge": "compose/v1",
    "genesis": "a" * 64,
    "list": "b" * 64,
}


def complaints(
    fields: dict[str, Any], steps: int = 40, screened: int | None = 32, **intent: Any
) -> list[str]:
    screen = None if screened is None else SimpleNamespace(count=screened)
    training, holdout = SimpleNamespace(steps=steps, screen=screen), SimpleNamespace(count=32)
    receipt = SimpleNamespace(training=training, holdout=holdout, cause=None)
    announced = SimpleNamespace(**{"recipe": RECIPE, "metric": METRIC, "chain": None, **intent})
    section = Section(kind=SECTION, fields=fields)
    return list(CausalSection().complaints(section, receipt, announced))  # type: ignore[arg-type]


def test_an_honest_section_has_nothing_to_complain_of() -> None:
    assert complaints(FIELDS) == []
    assert [complaints({**FIELDS, TARGET_TOKENS: said}) for said in (32, 32 * 24)] == [[], []]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"rank": 16}, "says rank 16"),
        ({"alpha": 32}, "says alpha 32"),
        ({"precision": "bf16"}, "says precision 'bf16'"),
        ({"targets": "all"}, "says targets 'all'"),
        ({"tokens": -1}, "has no tokens"),
        ({"targetTokens": 901}, "learned 901 target tokens of 900"),
        ({TARGET_TOKENS: 31}, "has 31 target tokens in 32 documents, of 24 tokens each at most"),
        ({TARGET_TOKENS: 32 * 24 + 1}, "has 769 target tokens in 32 documents"),
        ({TARGET_TOKENS: "64"}, "has '64' target tokens"),
        ({"plannedSteps": 401}, "says 401 planned steps"),
        ({"modules": 0}, "and no module that was trained"),
        ({"merge": 3}, "does not say how it is merged"),
        ({"list": "short"}, "has no list"),
    ],
)
def test_what_departs_from_recipe_or_sense_is_said(change: dict[str, Any], what: str) -> None:
    assert any(what in said for said in complaints({**FIELDS, **change}))


def test_what_departs_from_the_announcement_is_said() -> None:
    assert any("says 401 steps" in said for said in complaints(FIELDS, steps=401))
    assert any("says 33 screening examples" in said for said in complaints(FIELDS, screened=33))
    assert any("has no screen" in said for said in complaints(FIELDS, screened=None))
    assert any("no measure of a language" in said for said in complaints(FIELDS, metric=CROSS_ENTROPY))
    assert any("is of a chain" in said for said in complaints(FIELDS, chain=object()))


def test_facts_are_those_of_the_files(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    name = "base_model.model.model.layers.0.self_attn.q_proj.lora"
    a, b = torch.zeros(8, 32), torch.zeros(16, 8)
    save_file({f"{name}_A.weight": a, f"{name}_B.weight": b}, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 8, "lora_alpha": 16}))
    found = CausalSection().facts(tmp_path)
    assert found == {"rank": 8, "alpha": 16, "modules": 1, "trainedParameters": 8 * 32 + 16 * 8}

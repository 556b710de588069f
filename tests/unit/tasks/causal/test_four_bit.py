"""A base in four bits: refused with what to install where it cannot be; asked for as transformers takes it.

No GPU and no bitsandbytes are here: what they would be asked for is what is held.
"""

from __future__ import annotations

from importlib import util
from pathlib import Path
from typing import Any

import pytest

from causal_families import make_family
from cryoflux.config import load_settings
from cryoflux.errors import ConfigError, UsageError
from cryoflux.tasks.causal import four_bit, network
from cryoflux.tasks.causal.memory import CausalMemory
from cryoflux.tasks.causal.recipe import CausalRecipe
from cryoflux.tasks.causal.task import CausalTask

TABLE = '[recipe.small]\ntargets = "all"\nprecision = "nf4"\n'


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(name: str) -> object:
        return name if name == "bitsandbytes" else util.find_spec(name)

    monkeypatch.setattr(four_bit, "find_spec", found)


def test_other_precisions_need_nothing() -> None:
    four_bit.require_four_bit(["", "f32", "bf16"], "cpu")


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(four_bit, "find_spec", lambda _name: None)
    Path("cryoflux.toml").write_text(TABLE)
    with pytest.raises(UsageError, match="needs bitsandbytes, which is not installed") as refused:
        CausalTask.from_settings(load_settings({"recipes": "small"}))
    assert "pip install 'cryoflux[gpu]'" in refused.value.hint


@pytest.mark.usefixtures("installed")
def test_without_a_gpu_it_says_what_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UsageError, match="needs a CUDA device") as refused:
        four_bit.require_four_bit(["nf4"], "auto")
    assert 'precision = "bf16"' in refused.value.hint


@pytest.mark.usefixtures("installed")
def test_with_both_it_may_be_and_recipes_are_not_mixed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    four_bit.require_four_bit(["nf4", "nf4"], "auto")
    with pytest.raises(ConfigError, match="Some recipes train in nf4"):
        four_bit.require_four_bit(["nf4", ""], "auto")


def test_weights_are_asked_for_in_four_bits_on_the_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    base, asked = make_family("llama", tmp_path), dict[str, Any]()
    real = AutoModelForCausalLM.from_pretrained

    def from_pretrained(folder: Path, **how: Any) -> Any:
        asked.update(how)
        return real(folder, **{key: how[key] for key in how.keys() - {"quantization_config", "device_map"}})

    monkeypatch.setattr(network, "four_bit_settings", lambda: "four bits")
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", from_pretrained)
    network.open_network(base, "llama", four_bit=True, device="cpu")
    assert (asked["quantization_config"], asked["device_map"]) == ("four bits", {"": "cpu"})
    assert asked["dtype"] is torch.bfloat16
    asked.clear()
    network.open_network(base, "llama")
    assert "quantization_config" not in asked


def test_seven_billion_parameters_are_expected_to_fit_24_gb_with_it_and_not_without() -> None:
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    sizes = {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32}
    with torch.device("meta"):
        large = AutoModelForCausalLM.from_config(LlamaConfig(**sizes, num_attention_heads=32))
    memory = CausalMemory.of(large)
    recipe = CausalRecipe("r", targets="all", rank=16, precision="nf4", checkpointing=1, batch_tokens=2048)
    assert memory.weights == pytest.approx(6.7e9, rel=0.02)
    assert memory.attempt(recipe, 1024, gpu=True).training < 12e9
    full = CausalRecipe("r", targets="all", rank=16, precision="f32", checkpointing=1)
    assert memory.attempt(full, 1024, gpu=True).training > 24e9

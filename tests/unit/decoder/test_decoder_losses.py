"""Our decoder is the same function as transformers' classes, and says which of its inputs are none."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from cryoflux.decoder.layers import turns
from cryoflux.decoder.layout import Rotary
from cryoflux.decoder.model import Decoder, TokenDocument
from cryoflux.errors import DataError, EvaluationFailedError, ModelError

Documents = list[tuple[list[int], int]]


def reference(model: Any, documents: Documents) -> list[float]:
    """Nats by transformers, each document by itself."""
    found = []
    with torch.no_grad():
        for ids, first in documents:
            scores = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].double()
            shares = torch.log_softmax(scores, -1)
            found.append(-math.fsum(float(shares[at - 1, ids[at]]) for at in range(first, len(ids))))
    return found


def clean(model: Any) -> Any:
    """A model of transformers whose norms and rotary positions are float64, too."""

    def rms(module: Any) -> Callable[[torch.Tensor], torch.Tensor]:
        return lambda x: torch.nn.functional.rms_norm(
            x, (x.shape[-1],), module.weight, module.variance_epsilon
        )

    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm"):
            module.forward = rms(module)
        if type(module).__name__.endswith("RotaryEmbedding"):
            config = model.config
            width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
            rotary = Rotary(config.rope_parameters["rope_theta"])

            def angles(
                _: Any, position_ids: torch.Tensor, rotary: Rotary = rotary, width: int = width
            ) -> Any:
                pair = turns(rotary, width, int(position_ids.max()) + 1)
                return tuple(torch.cat([one, one], -1)[position_ids] for one in pair)

            module.forward = angles
    return model


def in_nats(losses: list[int]) -> list[float]:
    return [loss / 1e9 for loss in losses]


def test_it_is_the_function_of_transformers(folder: Path, documents: Documents) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ours = in_nats(Decoder.open(folder).losses(documents))
    assert ours == pytest.approx(reference(model, documents), rel=1e-5, abs=1e-5)


def test_it_is_that_function_in_float64_where_transformers_computes_all_of_it_there(
    folder: Path, documents: Documents
) -> None:
    model = clean(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64).eval())
    ours = in_nats(Decoder.open(folder).losses(documents))
    assert ours == pytest.approx(reference(model, documents), rel=1e-11, abs=1e-9)


def test_documents_that_share_nothing_and_long_ones_are_the_same_function(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cryoflux.decoder.layers._QUERIES", 7)
    monkeypatch.setattr("cryoflux.decoder.layers._ROWS", 20)
    monkeypatch.setattr("cryoflux.decoder.model._BLOCK", 100)
    monkeypatch.setattr("cryoflux.decoder.model._TARGETS", 9)
    monkeypatch.setattr("cryoflux.decoder.model._WAVE", 90)
    documents = [([(7 * at + n) % 259 for at in range(40 + 11 * n)], 1 + 9 * n) for n in range(6)]
    for family in ("qwen3", "gpt2"):
        model = clean(AutoModelForCausalLM.from_pretrained(folders[family], dtype=torch.float64).eval())
        ours = in_nats(Decoder.open(folders[family]).losses(documents, rows=50))
        assert ours == pytest.approx(reference(model, documents), rel=1e-11, abs=1e-9)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_weights_of_every_kind_are_widened_exactly(
    folders: dict[str, Path], tmp_path: Path, documents: Documents, dtype: torch.dtype
) -> None:
    folder = shutil.copytree(folders["llama"], tmp_path / "model")
    tensors = {name: one.to(dtype) for name, one in load_file(folder / "model.safetensors").items()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    wide = {name: one.double() for name, one in tensors.items()}
    settings = json.loads((folder / "config.json").read_text())
    assert Decoder.open(folder).losses(documents) == Decoder.of(settings, wide).losses(documents)


@pytest.mark.parametrize("theta", [10_000.0, 500_000.0])
def test_positions_are_turned_as_llama_3_does(theta: float) -> None:
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    said = {
        "rope_type": "llama3",
        "rope_theta": theta,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    }
    config = LlamaConfig(hidden_size=128, num_attention_heads=2, rope_parameters=said)
    speeds, _ = ROPE_INIT_FUNCTIONS["llama3"](config)
    cosine, sine = turns(Rotary(theta, (8.0, 1.0, 4.0, 64)), 64, 2)
    assert torch.atan2(sine[1], cosine[1]).tolist() == pytest.approx(speeds.tolist(), rel=1e-5)
    assert len({*speeds.tolist()} - {*(1 / theta ** (torch.arange(0, 64, 2) / 64)).tolist()}) > 3


def test_exchanged_tensors_are_those_of_a_model_that_was_saved_with_them(
    folders: dict[str, Path], tmp_path: Path, documents: Documents
) -> None:
    folder = shutil.copytree(folders["qwen2"], tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    name = "model.layers.1.self_attn.v_proj.weight"
    changed = {name: tensors[name] + 0.25}
    base = Decoder.open(folder)
    before = base.losses(documents)
    updated = base.updated(changed).losses(documents)
    save_file({**tensors, **changed}, folder / "model.safetensors", {"format": "pt"})
    assert Decoder.open(folder).losses(documents) == updated != before
    assert base.losses(documents) == before


@pytest.mark.parametrize(
    "changed",
    [
        {"model.layers.1.self_attn.v_proj.weight": torch.zeros(3, 3)},
        {"model.layers.7.self_attn.v_proj.weight": torch.zeros(16, 32)},
        {"model.layers.1.self_attn.v_proj.weight": torch.zeros(16, 32, dtype=torch.int64)},
    ],
    ids=["shape", "name", "kind"],
)
def test_a_tensor_that_does_not_fit_is_not_exchanged(
    folders: dict[str, Path], changed: dict[str, torch.Tensor]
) -> None:
    with pytest.raises(ModelError, match="v_proj"):
        Decoder.open(folders["llama"]).updated(changed)


def test_a_model_that_was_saved_without_the_name_of_what_lies_below_its_head_is_the_same(
    folders: dict[str, Path], tmp_path: Path, documents: Documents
) -> None:
    folder = shutil.copytree(folders["gpt2"], tmp_path / "model")
    due = Decoder.open(folder).losses(documents)
    tensors = load_file(folder / "model.safetensors")
    bare = {name.removeprefix("transformer."): one for name, one in tensors.items()}
    bare["h.0.attn.bias"] = torch.ones(1, 1, 128, 128)
    save_file(bare, folder / "model.safetensors", {"format": "pt"})
    assert Decoder.open(folder).losses(documents) == due


def test_parameters_are_those_outside_embeddings(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    embeddings = ("embed_tokens", "wte", "wpe")
    due = sum(one.numel() for name, one in tensors.items() if not any(word in name for word in embeddings))
    assert Decoder.open(folder).parameters == due


def test_what_is_asked_between_can_stop_it_and_counts_up(
    folders: dict[str, Path], documents: Documents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cryoflux.decoder.model._WAVE", 100)
    heard: list[int] = []
    decoder = Decoder.open(folders["llama"])
    decoder.losses(documents, between=heard.append, rows=60)
    assert heard == sorted(heard)
    assert heard[0] == 0
    assert heard[-1] == len(documents)
    assert len({*heard}) > 4

    def stop(done: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        decoder.losses(documents, between=stop, rows=60)


def test_nothing_to_say_costs_nothing(folders: dict[str, Path], documents: Documents) -> None:
    decoder = Decoder.open(folders["llama"])
    some = documents[:3]
    assert decoder.losses([]) == []
    assert decoder.losses([([], 1), *some, ([5], 1), ([5, 6, 7], 3)]) == [0, *decoder.losses(some), 0, 0]


@pytest.mark.parametrize(
    ("document", "word"),
    [
        (([5, 6], 0), "nothing comes before"),
        (([5, 259], 1), "none of the model's 259"),
        (([5, -1], 1), "none of the model's 259"),
        (([5] * 129, 1), "129 tokens, and the model reads 128"),
    ],
)
def test_a_document_that_is_none_of_the_models_is_refused(
    folders: dict[str, Path], document: TokenDocument, word: str
) -> None:
    with pytest.raises(DataError, match=rf"^Document 1 .*{word}"):
        Decoder.open(folders["gpt2"]).losses([([5, 6], 1), document])


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_weight_that_is_no_number_gives_no_loss(
    folders: dict[str, Path], documents: Documents, value: str
) -> None:
    tensor = load_file(folders["llama"] / "model.safetensors")["model.norm.weight"]
    tensor[3] = float(value)
    decoder = Decoder.open(folders["llama"]).updated({"model.norm.weight": tensor})
    with pytest.raises(EvaluationFailedError, match="Document 0 has a loss of nan"):
        decoder.losses(documents)


def test_a_loss_that_is_absurdly_large_is_none(folders: dict[str, Path], documents: Documents) -> None:
    tensor = load_file(folders["llama"] / "model.safetensors")["model.norm.weight"]
    decoder = Decoder.open(folders["llama"]).updated({"model.norm.weight": tensor * 1e8})
    with pytest.raises(EvaluationFailedError, match="has a loss of"):
        decoder.losses(documents)

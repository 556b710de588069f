"""A setting that is not computed here is refused by name; so is a model that is not its weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from cryoflux.decoder.families import layout_of
from cryoflux.decoder.layout import Rotary
from cryoflux.decoder.model import Decoder
from cryoflux.errors import ModelError
from cryoflux.registry.shards import INDEX

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


def settings(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "config.json").read_text()))


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"sliding_window_pattern": 6}, "sliding_window_pattern = 6"),
        ({"final_logit_softcapping": 30.0}, "final_logit_softcapping = 30.0"),
        ({"attn_logit_softcapping": 50.0}, "attn_logit_softcapping"),
        ({"quantization_config": {"load_in_4bit": True}}, "quantization_config"),
        ({"num_local_experts": 8}, "num_local_experts = 8"),
        ({"residual_multiplier": 0.22}, "residual_multiplier"),
        ({"no_rope_layers": [0]}, "no_rope_layers"),
        ({"use_rope": False}, "use_rope = False"),
        ({"rope_interleaved": True}, "rope_interleaved = True"),
        ({"pretraining_tp": 2}, "pretraining_tp = 2"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor = 0.5"),
        ({"hidden_act": "quick_gelu"}, "hidden_act = 'quick_gelu'"),
        ({"rope_parameters": {"rope_type": "yarn", "factor": 4.0}}, "scales .* 'yarn'"),
        ({"rope_parameters": {"rope_type": "default", "mrope_section": [1]}}, "mrope_section"),
        ({"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}}, "part of each head"),
        ({"rope_parameters": None, "rope_scaling": {"type": "linear", "factor": 2.0}}, "scales .* 'linear'"),
        ({"rope_parameters": {"full_attention": {}}}, "full_attention"),
        ({"rope_theta": 5e5}, "two ways"),
        ({"rope_parameters": "default"}, "two ways"),
        ({"model_type": "gemma2"}, "kind 'gemma2'"),
        ({"model_type": ["llama"]}, "kind"),
        ({"architectures": ["LlamaForSequenceClassification"]}, "no LlamaForCausalLM"),
        ({"num_hidden_layers": True}, "no positive whole number"),
        ({"num_hidden_layers": 0}, "no positive whole number"),
        ({"num_attention_heads": 2**40}, "no positive whole number"),
        ({"rms_norm_eps": 1e400}, "no positive number"),
        ({"rms_norm_eps": "1e-6"}, "no positive number"),
        ({"attention_bias": "yes"}, "neither true nor false"),
        ({"num_key_value_heads": 3}, "evenly"),
        ({"head_dim": 7}, "no rotary position halves"),
    ],
    ids=str,
)
def test_a_setting_that_is_not_computed_is_refused_by_name(
    folders: dict[str, Path], changed: dict[str, Any], word: str
) -> None:
    with pytest.raises(ModelError, match=word) as refused:
        layout_of({**settings(folders["llama"]), **changed})
    assert refused.value.hint


@pytest.mark.parametrize(
    ("family", "changed", "word"),
    [
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx"),
        ("gpt2", {"scale_attn_weights": False}, "scale_attn_weights"),
        ("gpt2", {"add_cross_attention": True}, "add_cross_attention"),
        ("gpt2", {"n_head": 5}, "evenly"),
        ("gpt2", {"rope_theta": 1e4}, "rope_theta"),
        ("mistral", {"layer_types": ["sliding_attention", "full_attention"]}, "two meanings"),
        ("qwen2", {"layer_types": ["chunked_attention", "full_attention"]}, "layer_types"),
        ("qwen2", {"layer_types": ["full_attention"]}, "layer_types"),
        ("qwen2", {"attention_bias": True}, "attention_bias"),
        ("qwen3", {"mlp_bias": True}, "mlp_bias"),
    ],
)
def test_a_setting_of_another_family_is_refused_by_name(
    folders: dict[str, Path], family: str, changed: dict[str, Any], word: str
) -> None:
    with pytest.raises(ModelError, match=word):
        layout_of({**settings(folders[family]), **changed})


def test_settings_as_older_models_have_them_are_read(folders: dict[str, Path]) -> None:
    said = settings(folders["llama"])
    theta = said.pop("rope_parameters")["rope_theta"]
    plain = layout_of({**said, "rope_theta": theta, "torch_dtype": "float16", "rope_scaling": None})
    assert plain == layout_of(settings(folders["llama"]))
    scaled = layout_of({**said, "rope_theta": 5e5, "rope_scaling": LLAMA3})
    assert scaled.rotary == Rotary(5e5, (32.0, 1.0, 4.0, 8192))


@pytest.mark.parametrize(
    ("family", "changed", "most"),
    [
        ("mistral", {"sliding_window": 60}, 60),
        ("mistral", {"sliding_window": None}, 128),
        ("mistral", {"sliding_window": 4096}, 128),
        ("qwen2", {"use_sliding_window": True, "sliding_window": 50, "layer_types": None}, 50),
        ("qwen2", {"use_sliding_window": False, "sliding_window": 50, "layer_types": None}, 128),
        ("qwen3", {"sliding_window": 40, "layer_types": ["full_attention", "sliding_attention"]}, 40),
    ],
)
def test_a_window_is_the_longest_document_of_which_attention_sees_all(
    folders: dict[str, Path], family: str, changed: dict[str, Any], most: int
) -> None:
    assert layout_of({**settings(folders[family]), **changed}).most_tokens == most


def copied(folder: Path, into: Path) -> tuple[Path, dict[str, torch.Tensor]]:
    copy = shutil.copytree(folder, into / "model")
    return copy, load_file(copy / "model.safetensors")


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"num_hidden_layers": 2**30}, "says 1073741824 layers"),
        ({"num_hidden_layers": 3}, r"lack model\.layers\.2\."),
        ({"num_hidden_layers": 1}, r"have model\.layers\.1\."),
        ({"vocab_size": 2**30}, r"embed_tokens\.weight has the shape \(259, 32\)"),
        ({"intermediate_size": 2**30}, "gate_proj.weight has the shape"),
        ({"head_dim": 2**20}, "q_proj.weight has the shape"),
        ({"attention_bias": True}, "lack model.layers.0.self_attn.q_proj.bias"),
        ({"tie_word_embeddings": False}, "lack lm_head.weight"),
    ],
    ids=str,
)
def test_sizes_that_the_weights_do_not_bear_out_are_refused(
    folders: dict[str, Path], tmp_path: Path, changed: dict[str, Any], word: str
) -> None:
    folder, _ = copied(folders["llama"], tmp_path)
    (folder / "config.json").write_text(json.dumps({**settings(folder), **changed}))
    with pytest.raises(ModelError, match=word):
        Decoder.open(folder)


def test_what_weights_have_beside_those_of_the_model_is_refused(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    folder, tensors = copied(folders["llama"], tmp_path)
    head = tensors["model.embed_tokens.weight"].clone()
    for name, tensor, word in (
        ("model.layers.0.mlp.router.weight", head, "router"),
        ("lm_head.weight", head + 1, "another matrix"),
        ("model.norm.weight", tensors["model.norm.weight"].to(torch.int8), "torch.int8"),
    ):
        save_file({**tensors, name: tensor}, folder / "model.safetensors", {"format": "pt"})
        with pytest.raises(ModelError, match=word):
            Decoder.open(folder)
    beside = {"lm_head.weight": head, "model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}
    save_file({**tensors, **beside}, folder / "model.safetensors", {"format": "pt"})
    assert Decoder.open(folder).losses([([5, 6, 7], 1)]) == Decoder.open(folders["llama"]).losses(
        [([5, 6, 7], 1)]
    )


def test_it_is_clear_which_files_hold_the_weights(folders: dict[str, Path], tmp_path: Path) -> None:
    folder, tensors = copied(folders["llama"], tmp_path)
    due = Decoder.open(folder).losses([([5, 6, 7], 1)])
    (folder / INDEX).write_text(json.dumps({"weight_map": dict.fromkeys(tensors, "model.safetensors")}))
    with pytest.raises(ModelError, match="not clear which files"):
        Decoder.open(folder)
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    (folder / INDEX).write_text(json.dumps({"weight_map": dict.fromkeys(tensors, "model-1.safetensors")}))
    assert Decoder.open(folder).losses([([5, 6, 7], 1)]) == due
    (folder / INDEX).write_text(json.dumps({"weight_map": dict.fromkeys(tensors, "../model-1.safetensors")}))
    with pytest.raises(ModelError, match="no file beside it"):
        Decoder.open(folder)
    (folder / INDEX).unlink()
    with pytest.raises(ModelError, match="not clear which files"):
        Decoder.open(folder)


@pytest.mark.parametrize("content", [b"", b"{}", b"\x80" + b"\0" * 30], ids=["empty", "short", "long"])
def test_a_file_that_is_no_safetensors_is_refused(
    folders: dict[str, Path], tmp_path: Path, content: bytes
) -> None:
    folder, _ = copied(folders["llama"], tmp_path)
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match="safetensors"):
        Decoder.open(folder)


@pytest.mark.parametrize("said", ["", "[]", '{"model_type": "llama", "model_type": "gpt2"}', '{"a": NaN}'])
def test_settings_that_are_none_are_refused(folders: dict[str, Path], tmp_path: Path, said: str) -> None:
    folder, _ = copied(folders["llama"], tmp_path)
    (folder / "config.json").write_text(said)
    with pytest.raises(ModelError, match=r"config\.json"):
        Decoder.open(folder)

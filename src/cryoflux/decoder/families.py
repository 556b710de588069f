"""What a ``config.json`` says of a decoder, setting by setting; one that is not known is refused by name.

A setting that is passed over may change the arithmetic, and losses that are signed would be those of another
model. So every setting is either read here, or has to have the one value that is computed, or is one from
which no loss follows.
"""

from __future__ import annotations

__all__ = ["layout_of", "read_settings"]

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryoflux.decoder.layout import DecoderLayout, Rotary
from cryoflux.errors import ModelError
from cryoflux.registry.plain_json import read_object

_MAX_CONFIG_BYTES = 4_000_000
_LARGEST = 2**31
_IDLE = frozenset(
    {
        *("architectures", "model_type", "auto_map", "_name_or_path", "name_or_path", "_commit_hash"),
        *("transformers_version", "transformers.js_config", "task_specific_params", "is_llama_config"),
        *("torch_dtype", "dtype", "use_cache", "initializer_range", "attn_implementation"),
        *("_attn_implementation", "_attn_implementation_autoset", "unsloth_fixed", "unsloth_version"),
        *("bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id", "sep_token_id"),
        *("attention_dropout", "resid_pdrop", "embd_pdrop", "attn_pdrop", "chunk_size_feed_forward"),
        *("summary_type", "summary_use_proj", "summary_activation", "summary_proj_to_labels"),
        *("summary_first_dropout", "reorder_and_upcast_attn", "gradient_checkpointing", "n_ctx"),
        *("output_attentions", "output_hidden_states", "return_dict", "problem_type"),
        *("id2label", "label2id", "num_labels", "do_sample", "temperature", "top_p", "max_length"),
    }
)
"""settings from which no loss follows: notes, dropout, generation, classes, speed"""
_ONLY: Mapping[str, tuple[Any, ...]] = {
    "quantization_config": (),
    "pretraining_tp": (1,),
    "rope_interleaved": (False,),
    "partial_rotary_factor": (1,),
    "is_decoder": (True, False),
    "is_encoder_decoder": (False,),
    "add_cross_attention": (False,),
    "cross_attention_hidden_size": (),
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "tie_encoder_decoder": (False,),
    "torchscript": (False,),
    "pruned_heads": ({},),
    "final_logit_softcapping": (),
    "attn_logit_softcapping": (),
}
"""setting → what it may be, besides nothing"""
_ACTIVATIONS = {
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu",
    "gelu_new": "gelu-tanh",
    "gelu_pytorch_tanh": "gelu-tanh",
    "relu": "relu",
}
_SHOWN = 80
"""characters of what a stranger's file says"""
_ROTARY_NAMES = {"rope_type", "type", "rope_theta", "partial_rotary_factor"}
_LLAMA3 = ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings")


def _unknown(why: str) -> ModelError:
    return ModelError(
        f"This model is none that CryoFlux computes itself: {why}.",
        why="Losses that repeat to the last digit need arithmetic that is written down here.",
        hint="transformers may know it: cryoflux judge reads such models in float32.",
    )


def read_settings(folder: Path) -> dict[str, Any]:
    """What the ``config.json`` of a model folder says.

    Raises:
        ModelError: it cannot be read.
    """
    return read_object(
        folder / "config.json", _MAX_CONFIG_BYTES, lambda why: _unknown(f"its config.json {why}")
    )


_WINDOW = 4096
"""tokens that attention looks back where a config.json of Mistral or Qwen does not say: transformers' own"""


class _Settings:
    """Settings that remember which of them were read."""

    def __init__(self, said: Mapping[str, Any]) -> None:
        self._said = {name: value for name, value in said.items() if value is not None}
        self._absent = {name for name, value in said.items() if value is None}
        self._read: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self._read.add(name)
        return self._said.get(name, default)

    def is_null(self, name: str) -> bool:
        """Whether it is said that there is none; where nothing is said, transformers has a default."""
        return name in self._absent

    def whole(self, name: str, default: int | None = None) -> int:
        """A positive whole number."""
        value = self.get(name, default)
        if type(value) is not int or not 0 < value < _LARGEST:
            raise _unknown(f"its config.json has {name} = {_shown(value)}, and no positive whole number")
        return value

    def number(self, name: str, default: float | None = None) -> float:
        """A positive number."""
        value = self.get(name, default)
        if type(value) not in {int, float} or not 0 < value < math.inf:
            raise _unknown(f"its config.json has {name} = {_shown(value)}, and no positive number")
        return float(value)

    def flag(self, name: str, *, default: bool) -> bool:
        value = self.get(name, default)
        if not isinstance(value, bool):
            raise _unknown(f"its config.json has {name} = {_shown(value)}, which is neither true nor false")
        return value

    def finish(self, beside: Collection[str] = ()) -> None:
        """Refuse what nobody has read."""
        for name, value in self._said.items():
            if name in self._read or name in _IDLE or name in beside:
                continue
            if name not in _ONLY or value not in _ONLY[name]:
                raise _unknown(f"its config.json says {name[:_SHOWN]} = {_shown(value)}")


def _shown(value: Any) -> str:
    return repr(value)[:_SHOWN]


def layout_of(config: Mapping[str, Any]) -> DecoderLayout:
    """The layout that the settings of a model ask for.

    Args:
        config: as its ``config.json`` says.

    Raises:
        ModelError: a setting is one that is not computed here; the sentence names it.
    """
    kind = config.get("model_type")
    if not isinstance(kind, str) or kind not in _FAMILIES:
        known = ", ".join(sorted(_FAMILIES))
        raise _unknown(f"it is of the kind {_shown(kind)}, and known are {known}")
    make, classes = _FAMILIES[kind]
    if (named := config.get("architectures")) not in (None, [], [classes]):
        raise _unknown(f"it is a {_shown(named)}, and no {classes}")
    settings = _Settings(config)
    made = make(settings)
    settings.finish()
    if made.heads % made.groups:
        raise _unknown(f"its {made.heads} heads do not share {made.groups} heads of keys evenly")
    if made.rotary is not None and made.width % 2:
        raise _unknown(f"its heads are {made.width} wide, which no rotary position halves")
    return made


def _activation(settings: _Settings, name: str, default: str) -> str:
    said = settings.get(name, default)
    if not isinstance(said, str) or said not in _ACTIVATIONS:
        raise _unknown(f"its config.json says {name} = {_shown(said)}")
    return _ACTIVATIONS[said]


def _rotary(settings: _Settings) -> Rotary:
    """Rotary positions, as transformers 5 writes them (``rope_parameters``) and as older ones did."""
    theta = settings.get("rope_theta")
    said = settings.get("rope_parameters", {})
    older = settings.get("rope_scaling", {})
    if not isinstance(said, dict) or not isinstance(older, dict) or (said and older and said != older):
        raise _unknown("its config.json says in two ways how it turns positions")
    inner = _Settings({**older, **said})
    kind = inner.get("rope_type", inner.get("type", "default"))
    inner.get("partial_rotary_factor")
    if {**older, **said}.get("partial_rotary_factor", 1) != 1:
        raise _unknown("it turns a part of each head alone (partial_rotary_factor)")
    base = inner.number("rope_theta", 10_000.0 if theta is None else theta)
    if theta is not None and theta != base:
        raise _unknown("its config.json says in two ways how it turns positions")
    if not isinstance(kind, str) or kind not in {"default", "llama3"}:
        raise _unknown(f"it scales its rotary positions in the way {_shown(kind)}")
    scaled = None
    if kind == "llama3":
        factor, low, high = (inner.number(name) for name in _LLAMA3[:3])
        if high <= low:
            raise _unknown("its high_freq_factor is not above its low_freq_factor")
        scaled = factor, low, high, inner.whole(_LLAMA3[3])
    inner.finish()
    return Rotary(base, scaled)


def _windowed(settings: _Settings, layers: int, positions: int) -> int:
    """Most tokens of a document: within a window attention sees all of it, as if there were none."""
    kinds = settings.get("layer_types")
    window = None if settings.is_null("sliding_window") else settings.whole("sliding_window", _WINDOW)
    settings.get("max_window_layers")
    slides = settings.flag("use_sliding_window", default=False)
    if kinds is not None:
        known = isinstance(kinds, list) and len(kinds) == layers
        if not known or not all(kind in ("full_attention", "sliding_attention") for kind in kinds):
            raise _unknown(f"its config.json says layer_types = {_shown(kinds)}")
        slides = slides or "sliding_attention" in kinds
    return min(positions, window) if slides and window is not None else positions


def _like_llama(settings: _Settings) -> DecoderLayout:
    layers, hidden = settings.whole("num_hidden_layers"), settings.whole("hidden_size")
    heads = settings.whole("num_attention_heads")
    return DecoderLayout(
        layers=layers,
        hidden=hidden,
        wide=settings.whole("intermediate_size"),
        heads=heads,
        groups=settings.whole("num_key_value_heads", heads),
        width=settings.whole("head_dim", hidden // heads),
        vocabulary=settings.whole("vocab_size"),
        most_tokens=settings.whole("max_position_embeddings"),
        epsilon=settings.number("rms_norm_eps", 1e-6),
        activation=_activation(settings, "hidden_act", "silu"),
        tied=settings.flag("tie_word_embeddings", default=False),
        embedding="model.embed_tokens",
        layer="model.layers.{}",
        attention_norm="input_layernorm",
        projections=("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        output="self_attn.o_proj",
        wide_norm="post_attention_layernorm",
        gate="mlp.gate_proj",
        up="mlp.up_proj",
        down="mlp.down_proj",
        last_norm="model.norm",
        rotary=_rotary(settings),
    )


def _llama(settings: _Settings) -> DecoderLayout:
    made = _like_llama(settings)
    biased = {*made.projections, made.output} if settings.flag("attention_bias", default=False) else set()
    if settings.flag("mlp_bias", default=False):
        biased |= {made.gate, made.up, made.down}
    return replace(made, biased=frozenset(biased))


def _mistral(settings: _Settings) -> DecoderLayout:
    made = _like_llama(settings)
    if settings.get("layer_types") is not None:
        raise _unknown("it is a Mistral with layer_types, which have two meanings")
    if settings.is_null("sliding_window"):
        return made
    window = settings.whole("sliding_window", _WINDOW)
    return replace(made, most_tokens=min(made.most_tokens, window))


def _qwen2(settings: _Settings) -> DecoderLayout:
    made = _like_llama(settings)
    most = _windowed(settings, made.layers, made.most_tokens)
    return replace(made, biased=frozenset(made.projections), most_tokens=most)


def _qwen3(settings: _Settings) -> DecoderLayout:
    made = _like_llama(settings)
    biased = {*made.projections, made.output} if settings.flag("attention_bias", default=False) else set()
    return replace(
        made,
        width=settings.whole("head_dim", 128),
        biased=frozenset(biased),
        head_norms=("self_attn.q_norm", "self_attn.k_norm"),
        most_tokens=_windowed(settings, made.layers, made.most_tokens),
    )


def _gpt2(settings: _Settings) -> DecoderLayout:
    hidden, heads = settings.whole("n_embd"), settings.whole("n_head")
    if hidden % heads:
        raise _unknown(f"its {heads} heads do not share {hidden} numbers evenly")
    return DecoderLayout(
        layers=settings.whole("n_layer"),
        hidden=hidden,
        wide=settings.whole("n_inner", 4 * hidden),
        heads=heads,
        groups=heads,
        width=hidden // heads,
        vocabulary=settings.whole("vocab_size"),
        most_tokens=settings.whole("n_positions"),
        epsilon=settings.number("layer_norm_epsilon", 1e-5),
        activation=_activation(settings, "activation_function", "gelu_new"),
        tied=settings.flag("tie_word_embeddings", default=True),
        embedding="transformer.wte",
        positions="transformer.wpe",
        layer="transformer.h.{}",
        attention_norm="ln_1",
        projections=("attn.c_attn",),
        output="attn.c_proj",
        wide_norm="ln_2",
        up="mlp.c_fc",
        down="mlp.c_proj",
        last_norm="transformer.ln_f",
        biased=frozenset({"attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"}),
        transposed=True,
    )


_FAMILIES: Mapping[str, tuple[Callable[[_Settings], DecoderLayout], str]] = {
    "llama": (_llama, "LlamaForCausalLM"),
    "mistral": (_mistral, "MistralForCausalLM"),
    "qwen2": (_qwen2, "Qwen2ForCausalLM"),
    "qwen3": (_qwen3, "Qwen3ForCausalLM"),
    "gpt2": (_gpt2, "GPT2LMHeadModel"),
}
"""kind of model, as ``model_type`` names it → its layout, and the class that transformers has for it"""

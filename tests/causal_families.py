"""Tiny random language models of the families that people fine-tune, with a tokenizer of bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

_SMALL = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "bos_token_id": 256,
    "eos_token_id": 257,
    "pad_token_id": 257,
}
_TEMPLATE = (
    "{% for m in messages %}<s>{{ m.role }}\n{{ m.content }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant\n{% endif %}"
)
FAMILIES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "llama": lambda s: _config("Llama", **s, tie_word_embeddings=True),
    "qwen2": lambda s: _config("Qwen2", **s),
    "qwen3": lambda s: _config("Qwen3", **s, head_dim=8),
    "mistral": lambda s: _config("Mistral", **s),
    "gemma2": lambda s: _config("Gemma2", **s, head_dim=8),
    "gemma3": lambda s: _config("Gemma3Text", **s, head_dim=8),
    "gpt2": lambda s: _config(
        "GPT2",
        n_positions=128,
        n_embd=32,
        n_layer=2,
        n_head=4,
        **{name: s[name] for name in ("vocab_size", "bos_token_id", "eos_token_id")},
    ),
    "phi": lambda s: _config("Phi", **s),
    "phi3": lambda s: _config("Phi3", **s),
}
"""family → its settings, of a tiny model"""
_TARGETS = {"gpt2": ["c_attn"], "phi3": ["qkv_proj"]}


def _config(kind: str, **settings: Any) -> Any:
    import transformers

    return getattr(transformers, f"{kind}Config")(**settings)


def make_tokenizer(folder: Path) -> int:
    """A tokenizer of bytes with a template of conversations, saved; how many tokens it has."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate([*alphabet, "<s>", "</s>", "<unk>"])}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    named = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "</s>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, **named)
    tokenizer.chat_template = _TEMPLATE
    tokenizer.save_pretrained(folder)
    return len(vocabulary)


def make_family(family: str, folder: Path, seed: int = 0) -> Path:
    """A tiny random model of a family, as ``from_pretrained`` reads it."""
    import torch
    from transformers import AutoModelForCausalLM

    size = make_tokenizer(folder)
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(FAMILIES[family]({**_SMALL, "vocab_size": size}))
    model.save_pretrained(folder)
    return folder


def trained_adapter(family: str, base: Path, folder: Path, text: str) -> Path:
    """A LoRA adapter that has learned one text by heart."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_pretrained(base)
    targets = _TARGETS.get(family, ["q_proj", "v_proj"])
    lora = LoraConfig(r=4, target_modules=targets, task_type="CAUSAL_LM", fan_in_fan_out=family == "gpt2")
    adapted = get_peft_model(model, lora)
    optimiser = torch.optim.AdamW(adapted.parameters(), lr=2e-2)
    tokens = AutoTokenizer.from_pretrained(base)(text, return_tensors="pt")["input_ids"]
    for _ in range(20):
        adapted(input_ids=tokens, labels=tokens).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    adapted.save_pretrained(folder)
    return folder

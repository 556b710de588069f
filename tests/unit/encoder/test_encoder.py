"""Our encoder is the same function as transformers' and PEFT's, in every layout and arithmetic."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from torch.nn.functional import cosine_similarity, cross_entropy
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    RobertaConfig,
    RobertaForSequenceClassification,
)

import tiny
from cryoflux.data.examples import Example
from cryoflux.digests import read_tensor_entries
from cryoflux.encoder.activations import Activations, Sets
from cryoflux.encoder.layout import Layout, read_layout
from cryoflux.encoder.linear import Backend, FrozenLinear, choose_backend, packs_bf16
from cryoflux.encoder.model import Encoder, attention_bias
from cryoflux.encoder.prefix import PrefixCache
from cryoflux.encoder.tokens import TokenCache
from cryoflux.registry.shards import read_tensors
from cryoflux.tasks.lora.lean import _save
from cryoflux.tasks.lora.learning import Learning, logits_of
from cryoflux.tasks.lora.recipe import Recipe

needs_onednn = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch has no oneDNN")
IDS = torch.tensor([[2, 17, 5, 30, 41, 9, 3], [2, 22, 8, 3, 0, 0, 0], [2, 3, 0, 0, 0, 0, 0]])
MASK = IDS != 0


def known(folder: Path) -> Layout:
    layout = read_layout(folder)
    assert layout is not None
    return layout


def computed(folder: Path, backend: Backend, mask: torch.Tensor, *, folded: bool) -> torch.Tensor:
    encoder = Encoder(known(folder), read_tensors(folder), backend)
    ids = IDS[: len(mask)]
    with torch.no_grad():
        x = encoder.embed(ids)
        bias = attention_bias(mask, x.dtype)
        layers = encoder.layout.layers
        for index in range(layers - 1 if folded else layers):
            x = encoder.layer(x, bias, index)
        first = encoder.last_layer(x, bias, {}) if folded else x[:, 0]
        return encoder.logits(first, {})


def reference(folder: Path, mask: torch.Tensor) -> torch.Tensor:
    model = AutoModelForSequenceClassification.from_pretrained(folder).double().eval()
    with torch.no_grad():
        return model(input_ids=IDS[: len(mask)], attention_mask=mask.long()).logits


@pytest.mark.parametrize("folded", [False, True], ids=["whole", "folded"])
@pytest.mark.parametrize("mask", [MASK, MASK[:1]], ids=["padded", "full"])
def test_float64_is_transformers_to_the_last_digits(folder: Path, mask: torch.Tensor, folded: bool) -> None:
    expected = reference(folder, mask)
    assert expected.std() > 0.1
    found = computed(folder, Backend.F64, mask, folded=folded)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("folded", [False, True], ids=["whole", "folded"])
@pytest.mark.parametrize(
    ("backend", "tolerance"),
    [(Backend.F32, 1e-5), pytest.param(Backend.ONEDNN, 1e-5, marks=needs_onednn), (Backend.BF16, 0.1)],
)
def test_the_arithmetic_of_training_is_as_close_as_its_precision(
    folder: Path, backend: Backend, tolerance: float, folded: bool
) -> None:
    found = computed(folder, backend, MASK, folded=folded)
    assert found.dtype == backend.dtype
    expected = reference(folder, MASK)
    assert (found.double() - expected).abs().max() < tolerance * max(1.0, float(expected.abs().max()))


def test_what_an_updated_encoder_shares_is_only_what_did_not_change(folder: Path) -> None:
    tensors, layout = read_tensors(folder), known(folder)
    old = Encoder(layout, tensors, Backend.F64)
    x = old.layer(old.embed(IDS), None, 1)
    names = [layout.in_layer(1, f"{layout.up}.bias"), layout.in_layer(1, f"{layout.output_norm}.weight")]
    changed = {name: tensors[name] + 1 for name in names}
    afresh = Encoder(layout, {**tensors, **changed}, Backend.F64)
    assert torch.equal(old.updated(changed).layer(x, None, 1), afresh.layer(x, None, 1))
    assert not torch.equal(old.layer(x, None, 1), afresh.layer(x, None, 1))


def test_an_encoder_of_another_architecture_is_left_to_transformers(tmp_path: Path) -> None:
    small = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    RobertaForSequenceClassification(RobertaConfig(vocab_size=20, **small)).save_pretrained(tmp_path)
    assert read_layout(tmp_path) is None


@pytest.mark.parametrize(
    "change",
    [
        {"hidden_act": "gelu_new"},
        {"position_embedding_type": "relative_key"},
        {"is_decoder": True},
        {"add_cross_attention": True},
        {"architectures": ["BertModel"]},
        {"architectures": None},
    ],
    ids=str,
)
def test_a_bert_that_computes_something_else_is_left_to_transformers(tmp_path: Path, change: dict) -> None:
    config = BertConfig(architectures=["BertForSequenceClassification"]).to_dict()
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert read_layout(tmp_path) is not None
    (tmp_path / "config.json").write_text(json.dumps(config | change))
    assert read_layout(tmp_path) is None


@needs_onednn
def test_a_packed_product_hands_gradients_through() -> None:
    torch.manual_seed(0)
    weight, bias = torch.randn(7, 5), torch.randn(7)
    x = torch.randn(2, 3, 5, requires_grad=True)
    FrozenLinear(weight, bias, Backend.ONEDNN)(x).square().sum().backward()
    again = x.detach().clone().requires_grad_()
    torch.nn.functional.linear(again, weight, bias).square().sum().backward()
    torch.testing.assert_close(x.grad, again.grad, rtol=1e-5, atol=1e-5)


@pytest.mark.skipif(not packs_bf16(), reason="bfloat16 is not multiplied here")
@pytest.mark.parametrize(("outputs", "inputs"), [(384, 384), (1536, 384), (384, 1536), (96, 32)])
def test_a_packed_product_in_bfloat16_has_the_bits_of_one_that_is_not(outputs: int, inputs: int) -> None:
    torch.manual_seed(3)
    linear = FrozenLinear(torch.randn(outputs, inputs), torch.randn(outputs), Backend.BF16)
    for batch, tokens in ((1, 1), (1, 5), (3, 7), (7, 32), (32, 9), (32, 31)):
        x = torch.randn(batch, tokens, inputs).bfloat16()
        with torch.no_grad():
            packed = linear(x)
        assert torch.equal(packed, linear(x))
        assert torch.equal(packed, torch.nn.functional.linear(x, linear.weight, linear.bias))


def test_the_backend_for_training_is_never_the_one_for_receipts() -> None:
    assert choose_backend("cpu", 32) in set(Backend) - {Backend.F64}


RECIPES = {
    "all-layers": Recipe("all-layers"),
    "prefix-1": Recipe("prefix-1", layers=1),
    "prefix-2": Recipe("prefix-2", layers=2),
    "head-first": Recipe("head-first", layers=1, targets="output"),
    # so seldom that it never happens; yet the last layer is then computed in full
    "lora-dropout": Recipe("lora-dropout", layers=2, dropout=1e-9),
}


def gradients(folder: Path, cache: Path, recipe: Recipe, backend: Backend) -> tuple[dict, dict]:
    """Gradients of every parameter that learns: ours and PEFT's, by the name that the adapter gives it."""
    examples = [Example(text, label) for text, label in tiny.sentences(12, 3)]
    tokens = TokenCache(cache).get(folder, examples, "digest", 16)
    entries = [e for path in folder.glob("*.safetensors") for e in read_tensor_entries(path)]
    encoder = Encoder(known(folder), read_tensors(folder), backend)
    update = Learning(encoder, recipe, seed=4)
    torch.manual_seed(4)
    update.load([p + 0.1 * torch.randn(p.shape) for p in update.parameters])
    source = Activations(encoder, entries, Sets(tokens, PrefixCache(cache, 10**9), ()), update.depth)
    rows = list(range(12))
    source.prepare(rows, lambda done, count: None)
    labels = torch.tensor([row % 3 for row in rows])
    cross_entropy(logits_of(encoder, update, source.batch(rows)), labels).backward()
    ours = dict(update.head)
    for module, lora in update.lora.items():
        ours |= {f"{module}.lora_A.weight": lora.a, f"{module}.lora_B.weight": lora.b}

    (cache / "adapter").mkdir()
    _save(cache / "adapter", recipe, update, "base")
    plain = AutoModelForSequenceClassification.from_pretrained(folder)
    peft = PeftModel.from_pretrained(plain, cache / "adapter", is_trainable=True).eval()
    ids, mask = tokens.batch(rows)
    cross_entropy(peft(input_ids=ids, attention_mask=mask.long()).logits, labels).backward()
    theirs = {
        name.removeprefix("base_model.model.")
        .replace(".modules_to_save.default", "")
        .replace(".default", ""): p.grad
        for name, p in peft.named_parameters()
        if p.requires_grad
    }
    return {name: tensor.grad for name, tensor in ours.items()}, theirs


@pytest.mark.parametrize("backend", [Backend.F32, pytest.param(Backend.ONEDNN, marks=needs_onednn)])
@pytest.mark.parametrize("name", RECIPES)
def test_every_gradient_is_the_one_that_peft_computes(
    folder: Path, tmp_path: Path, name: str, backend: Backend
) -> None:
    ours, theirs = gradients(folder, tmp_path, RECIPES[name], backend)
    assert ours.keys() == theirs.keys()
    # W_k's bias shifts all scores alike: whatever is left of such a gradient is rounding
    largest = max(float(gradient.abs().max()) for gradient in theirs.values())
    for parameter, expected in theirs.items():
        torch.testing.assert_close(
            ours[parameter], expected, rtol=1e-4, atol=1e-5 * largest, msg=lambda m, p=parameter: f"{p}: {m}"
        )
        difference = (ours[parameter] - expected).norm()
        assert difference < 1e-5 * max(float(expected.norm()), 0.01 * largest), parameter


def test_gradients_in_bfloat16_point_the_same_way(folder: Path, tmp_path: Path) -> None:
    ours, theirs = gradients(folder, tmp_path, RECIPES["all-layers"], Backend.BF16)
    flat = [torch.cat([one[name].flatten() for name in sorted(theirs)]) for one in (ours, theirs)]
    assert cosine_similarity(*flat, dim=0) > 0.99


def test_the_first_token_alone_is_computed_only_where_nothing_random_sits_before_lora(folder: Path) -> None:
    encoder = Encoder(known(folder), read_tensors(folder), Backend.F32)
    assert [Learning(encoder, recipe, 0).folded for recipe in RECIPES.values()] == [True] * 4 + [False]


def test_an_adapter_whose_pooler_did_not_learn_is_complete_for_peft_all_the_same(
    folder: Path, tmp_path: Path
) -> None:
    recipe = Recipe("no-pooler", layers=1, pooler=False)
    encoder = Encoder(known(folder), read_tensors(folder), Backend.F32)
    update = Learning(encoder, recipe, seed=4)
    torch.manual_seed(4)
    update.load([p + 0.1 * torch.randn(p.shape) for p in update.parameters])
    _save(tmp_path, recipe, update, "base")
    plain = AutoModelForSequenceClassification.from_pretrained(folder)
    adapted = PeftModel.from_pretrained(plain, tmp_path).eval()
    with torch.no_grad():
        bias = attention_bias(MASK, torch.float32)
        x = encoder.layer(encoder.layer(encoder.embed(IDS), bias, 0), bias, 1)
        expected = adapted(input_ids=IDS, attention_mask=MASK.long()).logits
        torch.testing.assert_close(logits_of(encoder, update, (x, MASK)), expected, rtol=1e-5, atol=1e-5)

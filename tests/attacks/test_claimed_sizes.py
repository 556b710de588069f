"""A config.json that asks for what its weights do not have: memory, time, or tensors that chance would fill.

Its innocent twins are models of every kind that is held to its weights, as transformers saves them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tiny
from bounded import bounded
from cryoflux.errors import ModelError
from cryoflux.evaluation.scoring import TransformersScorer
from cryoflux.registry.plain_model import complaints_about, harmless
from cryoflux.registry.shards import INDEX, shard

pytestmark = pytest.mark.slow

FAR = 2**24
Change = Callable[[dict[str, Any]], None]


def nothing(_tensors: dict[str, Any]) -> None:
    """All tensors stay."""


def without(part: str) -> Change:
    """Leave out the tensors with a part in their name."""

    def change(tensors: dict[str, Any]) -> None:
        for name in [name for name in tensors if part in name]:
            del tensors[name]

    return change


def beside(**shapes: tuple[int, ...]) -> Change:
    """Put zeros of some shapes beside the others."""

    def change(tensors: dict[str, Any]) -> None:
        import torch

        tensors |= {name: torch.zeros(shape) for name, shape in shapes.items()}

    return change


def both(*changes: Change) -> Change:
    return lambda tensors: [change(tensors) for change in changes] and None


MANY = {f"x{number}": (1,) for number in range(3000)}
ALBERT = {"model_type": "albert", "num_hidden_layers": 1, "embedding_size": 32, "num_hidden_groups": 3000}
FUNNEL = {"model_type": "funnel", "d_model": 32, "n_head": 2, "d_head": 16, "d_inner": 64}
LIES: dict[str, tuple[Change, dict[str, Any]]] = {
    "rows that nothing holds": (without("word_embeddings"), {"vocab_size": FAR}),
    "rows of another number": (nothing, {"vocab_size": FAR}),
    "rows, a few more than there are": (nothing, {"vocab_size": 48}),
    "rows borne out by nothing": (
        both(without("word_embeddings"), beside(zz=(0, 2**40))),
        {"vocab_size": 200_000_000},
    ),
    "columns that nothing holds": (without("intermediate"), {"intermediate_size": FAR}),
    "columns below every bound": (without("intermediate"), {"intermediate_size": 8000}),
    "places that nothing holds": (without("position_embeddings"), {"max_position_embeddings": 8192}),
    "layers of empty tensors": (
        beside(**dict.fromkeys(MANY, (0,))),
        {"num_hidden_layers": 3000},
    ),
    "layers of single numbers": (beside(**MANY), {"num_hidden_layers": 3000}),
    "a layer more than there is": (nothing, {"num_hidden_layers": 3}),
    "a layer less than there is": (nothing, {"num_hidden_layers": 1}),
    "classes": (nothing, {"num_labels": FAR}),
    "groups of another kind": (beside(**MANY), {**ALBERT, "intermediate_size": 64}),
    "blocks of another kind": (beside(**MANY), {**FUNNEL, "block_sizes": [3000]}),
    "blocks, many of them": (beside(**MANY), {**FUNNEL, "block_sizes": [100] * 30}),
    "half a model": (without("layer.1."), {}),
    "a model without its head": (without("classifier"), {}),
    "a tensor of nobody": (beside(spare=(4, 4)), {}),
}


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny real model with a head, and a holdout beside it."""
    return tiny.make_classifier(tmp_path_factory.mktemp("sizes") / "model")


def changed(model: Path, into: Path, change: Change, said: dict[str, Any]) -> Path:
    """A copy of a model with other tensors and settings."""
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(model, into)
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    before = {} if "model_type" in said else json.loads((folder / "config.json").read_bytes())
    if "num_labels" in said:
        before = {name: value for name, value in before.items() if name not in {"id2label", "label2id"}}
    settings = {**before, **said}
    (folder / "config.json").write_text(json.dumps(settings))
    return folder


def losses(folder: Path, holdout: Path) -> list[int]:
    from cryoflux.tasks.lora.again import TorchRecomputer

    return TorchRecomputer(max_tokens=16).evaluate(folder, holdout)[0]


@pytest.mark.parametrize("lie", LIES)
def test_a_size_that_no_tensor_bears_out_is_asked_about(classifier: Path, tmp_path: Path, lie: str) -> None:
    assert complaints_about(classifier) == []
    assert complaints_about(changed(classifier, tmp_path / "lie", *LIES[lie]))


EVALUATE = """
import torch
from cryoflux.tasks.lora.again import TorchRecomputer
from cryoflux.verification.recompute import OpenQuestion
again = TorchRecomputer(max_tokens=16)
for folder in sorted(path for path in Path(sys.argv[3]).iterdir() if path.is_dir()):
    try:
        print("EVALUATED", folder.name, again.evaluate(folder, Path(sys.argv[4])))
    except OpenQuestion as error:
        print("open:", error)
"""


def test_what_is_claimed_takes_neither_memory_nor_time(classifier: Path, tmp_path: Path) -> None:
    for number, lie in enumerate(LIES.values()):
        changed(classifier, tmp_path / "lies" / str(number), *lie)
    said = bounded(
        EVALUATE, tmp_path / "lies", classifier.parent / "holdout.jsonl", mib=6000, cpu_s=60
    ).splitlines()
    assert "EVALUATED" not in " ".join(said)
    assert sum(line.startswith("open:") for line in said) == len(LIES)


@pytest.mark.parametrize("part", ["layer.1.", "classifier", "word_embeddings"])
def test_what_weights_lack_is_not_filled_by_chance(classifier: Path, tmp_path: Path, part: str) -> None:
    half = changed(classifier, tmp_path / "half", without(part), {})
    with pytest.raises(ModelError, match=r"not those that its config\.json asks for"):
        TransformersScorer(half, [], max_tokens=16)
    TransformersScorer(classifier, [], max_tokens=16)


def test_one_layer_costs_more_bytes_than_its_claim(tmp_path: Path) -> None:
    from cryoflux.registry.borne_out import KINDS, class_complaint, too_large

    filled = {f"x{number}": (2, 2) for number in range(1000)}
    for kind in KINDS:
        said = {"model_type": kind, "num_hidden_layers": 250, "num_hidden_groups": 250, "encoder_layers": 250}
        said |= {"n_layer": 250, "n_layers": 250, "num_layers": 250}
        assert too_large(said, filled) == []
        assert "layers, and its weights have 1000 tensors" in class_complaint(said, filled), kind


def test_buffers_of_a_claimed_size_are_not_made() -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, PhiConfig

    from cryoflux.registry.borne_out import class_complaint, too_large

    small = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 48}
    config = PhiConfig(vocab_size=60, max_position_embeddings=2**20, **small).to_dict()
    with torch.device("meta"):
        made = AutoModelForSequenceClassification.from_config(PhiConfig.from_dict(config))
    shapes = {name: tuple(value.shape) for name, value in made.state_dict().items()}
    assert too_large(config, shapes) == []
    assert class_complaint(config, shapes) == ""
    config["rope_parameters"]["partial_rotary_factor"] = 1e9
    assert "asks for buffers of" in class_complaint(config, shapes)


def test_it_is_clear_which_tensors_are_the_models(classifier: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    pieces = shutil.copytree(classifier, tmp_path / "pieces")
    shard(pieces)
    assert complaints_about(pieces) == []
    two = shutil.copytree(pieces, tmp_path / "two")
    shutil.copy(classifier / "model.safetensors", two)
    assert complaints_about(two)
    first, second, *_ = sorted(pieces.glob("*.safetensors"))
    tensors = load_file(first) | load_file(second)
    second.unlink()
    save_file(tensors, second, {"format": "pt"})
    assert complaints_about(pieces)
    unnamed = shutil.copytree(two, tmp_path / "unnamed")
    (unnamed / "model.safetensors").unlink()
    where = json.loads((unnamed / INDEX).read_bytes())
    kept = {name: file for name, file in where["weight_map"].items() if "layer.1." not in name}
    (unnamed / INDEX).write_text(json.dumps({**where, "weight_map": kept}))
    assert complaints_about(unnamed)


SMALL = {
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "dim", "word_embed_proj_dim"), 32),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers"), 2),
    **dict.fromkeys(("encoder_layers", "decoder_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads"), 4),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 4),
    **dict.fromkeys(("intermediate_size", "hidden_dim", "d_ff", "ffn_dim"), 48),
    **dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim"), 48),
    "vocab_size": 60,
    "head_dim": 8,
    "d_kv": 8,
    "num_key_value_heads": 2,
    "embedding_size": 32,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
DEBERTA_3 = {
    "relative_attention": True,
    "position_buckets": 16,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "type_vocab_size": 0,
    "max_relative_positions": -1,
}
MORE: list[tuple[str, dict[str, Any]]] = [
    ("albert", {"num_hidden_layers": 12, "embedding_size": 16}),
    ("albert", {"num_hidden_layers": 4, "num_hidden_groups": 2, "inner_group_num": 2}),
    ("bart", {"tie_word_embeddings": False}),
    ("t5", {"tie_word_embeddings": False, "is_gated_act": True, "feed_forward_proj": "gated-gelu"}),
    ("deberta-v2", DEBERTA_3),
    ("deberta-v2", {**DEBERTA_3, "conv_kernel_size": 3, "conv_act": "gelu"}),
    ("distilbert", {"sinusoidal_pos_embds": True}),
    ("bert", {"max_position_embeddings": 16, "type_vocab_size": 1, "num_labels": 1}),
    ("gpt2", {"n_positions": 16, "n_inner": 40, "num_labels": 1000}),
    ("mistral", {"max_position_embeddings": 131_072, "sliding_window": 131_072}),
]


def families() -> list[tuple[str, dict[str, Any]]]:
    from cryoflux.registry.borne_out import KINDS

    return [*((kind, {}) for kind in sorted(KINDS)), *MORE]


def saved(kind: str, said: dict[str, Any], classifier: Path, folder: Path, pieces: str) -> Any:
    """A random small model of a kind, saved as transformers does it, with a tokenizer."""
    import torch
    from transformers import AutoModelForSequenceClassification
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    known = CONFIG_MAPPING[kind]().to_dict()
    fitting = {name: value for name, value in SMALL.items() if name in known}
    torch.manual_seed(1)
    config = CONFIG_MAPPING[kind](**{**fitting, "num_labels": 3, **said})
    model = AutoModelForSequenceClassification.from_config(config)
    model.save_pretrained(folder, max_shard_size=pieces)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(classifier / name, folder)
    return model


@pytest.mark.parametrize(("kind", "said"), families(), ids=str)
def test_a_model_as_transformers_saves_it_is_all_there(
    classifier: Path, tmp_path: Path, kind: str, said: dict[str, Any]
) -> None:
    import torch

    from cryoflux.registry.borne_out import load_classifier

    for pieces in ("1GB", "20KB"):
        folder = tmp_path / pieces
        model = saved(kind, said, classifier, folder, pieces)
        assert complaints_about(folder) == []
        with harmless(folder) as copy:
            loaded = load_classifier(copy)
        before, after = model.state_dict(), loaded.state_dict()
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_kind_that_is_not_held_to_its_weights_stays_open(classifier: Path, tmp_path: Path) -> None:
    said = {"d_head": 8, "d_inner": 48, "block_sizes": [1, 1], "d_model": 32, "n_head": 4}
    saved("funnel", said, classifier, tmp_path, "1GB")
    assert "is not held to its weights here" in complaints_about(tmp_path)[0]
    TransformersScorer(tmp_path, [], max_tokens=16)  # a run of one's own goes on


def test_buffers_that_older_libraries_saved_change_no_loss(classifier: Path, tmp_path: Path) -> None:
    def older(tensors: dict[str, Any]) -> None:
        import torch

        tensors["bert.embeddings.position_ids"] = torch.arange(64)[None]

    folder, holdout = changed(classifier, tmp_path / "older", older, {}), classifier.parent / "holdout.jsonl"
    assert losses(folder, holdout) == losses(classifier, holdout)


def test_version_0_of_the_embedded_model_is_all_there(tmp_path: Path) -> None:
    from cryoflux.tasks.lora.base_model import EMBEDDED
    from cryoflux.tasks.lora.embedded import load_embedded

    load_embedded(EMBEDDED, tuple(sorted(tiny.TOPICS))).save(tmp_path)
    assert complaints_about(tmp_path) == []
    TransformersScorer(tmp_path, [], max_tokens=16)

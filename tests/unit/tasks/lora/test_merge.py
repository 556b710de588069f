"""Our merging against PEFT's: the old way bit for bit, composing up to what float32 rounds away."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification

from cryoflux.encoder.layout import read_layout
from cryoflux.encoder.linear import Backend
from cryoflux.encoder.model import Encoder
from cryoflux.errors import ModelError
from cryoflux.registry.adapters import read_adapter
from cryoflux.registry.compose import WeightSums
from cryoflux.registry.composition import Composition
from cryoflux.registry.shards import INDEX, TensorFolder, read_tensors, write_model, write_shard
from cryoflux.registry.versions import Version, Versions
from cryoflux.state import ADAPTER, ADAPTER_CONFIG
from cryoflux.tasks.lora.adapter import save_adapter
from cryoflux.tasks.lora.again import TorchRecomputer
from cryoflux.tasks.lora.base_model import BaseModel
from cryoflux.tasks.lora.learning import Learning
from cryoflux.tasks.lora.merge import HeadSums, beyond_rounding, merged_tensors
from cryoflux.tasks.lora.recipe import Recipe
from cryoflux.verification.open_question import OpenQuestion
from cryoflux.verification.recomputer import Models
from peft_oracle import merge_with_peft

RECIPES = [
    Recipe("all", rank=3, alpha=5),
    Recipe("prefix", layers=1, rank=7, alpha=16),
    Recipe("output", layers=1, targets="output", rank=8, alpha=16),
    Recipe("no-pooler", rank=3, alpha=1, pooler=False),
]


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    return Versions(tmp_path)


@pytest.fixture
def kept(base: BaseModel, versions: Versions) -> Version:
    return versions.keep(versions.draft(base.save))


def make_capsule(recipe: Recipe, kept: Version, versions: Versions, seed: int = 2) -> Path:
    """An adapter as lean training saves it, with an update that is nowhere zero."""
    layout = read_layout(kept.folder)
    assert layout is not None
    update = Learning(Encoder(layout, read_tensors(kept.folder), Backend.F32), recipe, seed=1)
    torch.manual_seed(seed)
    update.load([p + torch.randn(p.shape) / 7 for p in update.parameters])
    lora = {name: (one.a.detach(), one.b.detach()) for name, one in update.lora.items()}
    head = {name: tensor.detach() for name, tensor in update.head.items()}
    with versions.capsule_draft() as into:
        save_adapter(into, recipe, lora, head, kept.digest)
        return versions.keep_capsule(into, ADAPTER)


@pytest.fixture(params=RECIPES, ids=lambda recipe: recipe.name)
def capsule(request: pytest.FixtureRequest, kept: Version, versions: Versions) -> Path:
    return make_capsule(request.param, kept, versions)


def test_the_old_way_is_what_peft_merges_bit_for_bit(
    kept: Version, capsule: Path, versions: Versions, tmp_path: Path
) -> None:
    before = read_tensors(kept.folder)
    changed = merged_tensors(before, capsule)
    merge_with_peft(kept.folder, capsule, tmp_path / "merged")
    theirs = read_tensors(tmp_path / "merged")
    assert {n for n, t in theirs.items() if not torch.equal(t, before[n])} == changed.keys()
    assert all(torch.equal(theirs[name], tensor) for name, tensor in changed.items())
    derived = versions.derive(kept, changed)
    loaded = AutoModelForSequenceClassification.from_pretrained(derived.folder).state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in theirs.items())
    assert derived.digest == versions.draft(lambda into: merge_with_peft(kept.folder, capsule, into)).digest


def test_peft_loads_the_adapter_and_scores_as_the_merged_version_does(
    kept: Version, capsule: Path, versions: Versions
) -> None:
    ids = torch.tensor([[2, 21, 22, 30, 3]])
    derived = versions.derive(kept, merged_tensors(read_tensors(kept.folder), capsule))
    plain = AutoModelForSequenceClassification.from_pretrained(kept.folder).eval()
    merged = AutoModelForSequenceClassification.from_pretrained(derived.folder).eval()
    with torch.no_grad():
        before = plain(ids).logits
        adapted = PeftModel.from_pretrained(plain, capsule).eval()(ids).logits
        torch.testing.assert_close(merged(ids).logits, adapted, rtol=1e-5, atol=1e-5)
    assert (adapted - before).abs().max() > 0.01


def sums_of(versions: Versions) -> HeadSums:
    return HeadSums(lambda digest: TensorFolder(versions.open(digest).folder), versions_capsule(versions))


def versions_capsule(versions: Versions) -> Callable[[str], Path]:
    return lambda digest: versions.folder(digest).parents[1] / "capsules" / digest


def adopt(versions: Versions, head: Version, composed: Composition, capsule: Path, sums: HeadSums) -> Any:
    """The head after one more update, as a run makes it."""
    after = sums.following(composed, head.digest, capsule.name)
    changed = sums.candidate(composed, after, capsule)
    return versions.keep(versions.derive(head, changed)), after


def test_composing_one_update_is_peft_up_to_what_float32_rounds_away(
    kept: Version, capsule: Path, versions: Versions, tmp_path: Path
) -> None:
    merge_with_peft(kept.folder, capsule, tmp_path / "merged")
    head, _ = adopt(versions, kept, Composition(genesis=kept.digest), capsule, sums_of(versions))
    ours, theirs = read_tensors(head.folder), read_tensors(tmp_path / "merged")
    assert ours.keys() == theirs.keys()
    assert all(torch.allclose(ours[n], theirs[n], rtol=1e-6, atol=1e-7) for n in ours)
    base = TensorFolder(kept.folder)
    for made in (head.folder, tmp_path / "merged"):
        assert not beyond_rounding(base, capsule, TensorFolder(made))


def test_what_a_run_adds_up_is_what_a_verifier_composes_anew(
    kept: Version, versions: Versions, tmp_path: Path
) -> None:
    sums, head, composed = sums_of(versions), kept, Composition(genesis=kept.digest)
    for seed, recipe in enumerate(RECIPES):
        base = head
        head, composed = adopt(versions, head, composed, make_capsule(recipe, head, versions, seed), sums)
    models = Models(base.folder, kept.folder, versions_capsule(versions))
    again = TorchRecomputer(max_tokens=16).compose(composed, models, tmp_path / "again")
    found, due = read_tensors(again), read_tensors(head.folder)
    assert found.keys() == due.keys()
    assert all(torch.equal(found[name], due[name]) for name in due)
    assert len(composed.terms) == len(RECIPES)
    # A run that begins again finds the same sums on the disk.
    fresh = sums_of(versions).of(composed).rounded()
    assert all(np.array_equal(fresh[name], due[name].numpy()) for name in fresh)
    # Where the genesis was thrown away, the head is the next one.
    shutil.rmtree(kept.folder)
    after = sums_of(versions).following(composed, head.digest, "a" * 64)
    assert (after.genesis, len(after.terms)) == (head.digest, 1)


def test_only_what_another_order_rounds_is_within_rounding(kept: Version, versions: Versions) -> None:
    capsule = make_capsule(RECIPES[1], kept, versions)
    base, update = dict(TensorFolder(kept.folder)), read_adapter(capsule)
    changed = {
        name: tensor.numpy() for name, tensor in merged_tensors(read_tensors(kept.folder), capsule).items()
    }
    backwards = {}
    for name, one in update.low_rank.items():
        total = np.zeros_like(base[name])
        for rank in reversed(range(len(one.a))):
            total = total + one.b[:, rank, None] * one.a[rank]
        backwards[name] = base[name] + total * np.float32(one.scale)
    assert any(not np.array_equal(backwards[name], changed[name]) for name in backwards)
    assert not beyond_rounding(base, capsule, {**base, **changed, **backwards})
    name = min(update.low_rank)
    for lie in (1e-5, np.nan):
        off = changed[name].copy()
        off[0, 0] += lie
        assert beyond_rounding(base, capsule, {**base, **changed, name: off}) == name
    for other in (*update.whole, "bert.embeddings.word_embeddings.weight"):
        off = {**base, **changed}[other].copy()
        off.ravel()[0] = np.nextafter(off.ravel()[0], np.float32(9))
        assert beyond_rounding(base, capsule, {**base, **changed, other: off}) == other
    assert beyond_rounding(base, capsule, {**base, **changed, "more": off})


@pytest.mark.parametrize(
    "change",
    [
        {"use_rslora": True},
        {"use_dora": True},
        {"fan_in_fan_out": True},
        {"bias": "all"},
        {"rank_pattern": {"query": 4}},
        {"alpha_pattern": {"query": 4}},
        {"lora_bias": True},
        {"peft_type": "LOHA"},
        {"auto_mapping": {"base_model_class": "Evil"}},
        {"r": 5},
        {"r": 0},
        {"r": True},
        {"lora_alpha": "16"},
        {"a_later_option": 1},
    ],
    ids=str,
)
def test_an_adapter_that_is_merged_in_another_way_is_refused(
    change: dict[str, Any], kept: Version, versions: Versions
) -> None:
    capsule = make_capsule(RECIPES[1], kept, versions)
    config = json.loads((capsule / ADAPTER_CONFIG).read_bytes())
    assert read_adapter(capsule).low_rank
    (capsule / ADAPTER_CONFIG).unlink()
    (capsule / ADAPTER_CONFIG).write_text(json.dumps({**config, **change}))
    with pytest.raises(ModelError):
        read_adapter(capsule)


def test_an_index_that_leads_out_of_its_folder_is_not_followed(
    kept: Version, versions: Versions, tmp_path: Path
) -> None:
    capsule = make_capsule(RECIPES[1], kept, versions)
    base = shutil.copytree(kept.folder, tmp_path / "base")
    index = json.loads((base / INDEX).read_bytes())
    index["weight_map"] = dict.fromkeys(index["weight_map"], f"../{kept.digest}.safetensors")
    (base / INDEX).write_text(json.dumps(index))
    write_shard(tmp_path / f"{kept.digest}.safetensors", read_tensors(kept.folder))
    with pytest.raises(OpenQuestion, match="names a file that is not there"):
        TorchRecomputer(max_tokens=16).merge(base, capsule, tmp_path / "a" / "merged")
    with pytest.raises(ModelError, match="no file beside it"):
        write_model(base, base, {}, tmp_path / "a" / "merged")
    with pytest.raises(ModelError, match="no file beside it"):
        TensorFolder(base)
    assert not list((tmp_path / "a").glob("*.safetensors"))


def test_only_settings_and_vocabularies_are_copied_beside_the_weights(
    kept: Version, versions: Versions, tmp_path: Path
) -> None:
    base = shutil.copytree(kept.folder, tmp_path / "base")
    (base / "modeling.py").write_text("raise SystemExit")
    (base / "weights.bin").write_bytes(b"pickle")
    (base / "link.json").symlink_to("/etc/hostname")
    made = TorchRecomputer(max_tokens=16).merge(
        base, make_capsule(RECIPES[1], kept, versions), tmp_path / "made"
    )
    assert {path.suffix for path in made.iterdir()} <= {".json", ".txt", ".safetensors"}
    assert not (made / "link.json").exists()
    AutoModelForSequenceClassification.from_pretrained(made)


def test_another_adapter_under_the_same_name_is_refused(kept: Version, versions: Versions) -> None:
    capsule = make_capsule(RECIPES[1], kept, versions)
    assert read_adapter(capsule, capsule.name).low_rank
    with pytest.raises(ModelError, match="another adapter"):
        read_adapter(capsule, "0" * 64)


def test_the_scale_that_a_screen_chose_is_in_the_files(kept: Version, versions: Versions) -> None:
    """The trainer scales matrices and head before it saves them, so nothing is scaled twice."""
    layout = read_layout(kept.folder)
    assert layout is not None
    before = read_tensors(kept.folder)
    update = Learning(Encoder(layout, before, Backend.F32), RECIPES[1], seed=1)
    update.load([p + torch.randn(p.shape) / 7 for p in update.parameters])
    wanted = {n: before[f"{n}.weight"] + 0.5 * one.delta().detach() for n, one in update.lora.items()}
    update.shrink(0.5)
    with versions.capsule_draft() as into:
        lora = {name: (one.a.detach(), one.b.detach()) for name, one in update.lora.items()}
        save_adapter(into, RECIPES[1], lora, {n: t.detach() for n, t in update.head.items()}, "")
        sums = WeightSums(TensorFolder(kept.folder)).adding(read_adapter(into))
    for name, tensor in wanted.items():
        torch.testing.assert_close(torch.from_numpy(sums.value(f"{name}.weight")), tensor)

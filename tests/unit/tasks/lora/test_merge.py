"""What our merge writes is, bit for bit, what PEFT's merge writes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification

from cryoflux.encoder.layout import read_layout
from cryoflux.encoder.linear import Backend
from cryoflux.encoder.model import Encoder
from cryoflux.registry.shards import read_tensors
from cryoflux.registry.versions import Version, Versions
from cryoflux.state import ADAPTER
from cryoflux.tasks.lora.adapter import save_adapter
from cryoflux.tasks.lora.base_model import BaseModel
from cryoflux.tasks.lora.lean import _Update
from cryoflux.tasks.lora.merge import merge_capsule, merged_tensors
from cryoflux.tasks.lora.recipe import Recipe

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


@pytest.fixture(params=RECIPES, ids=lambda recipe: recipe.name)
def capsule(request: pytest.FixtureRequest, kept: Version, versions: Versions) -> Path:
    """An adapter as lean training saves it, with an update that is nowhere zero."""
    layout = read_layout(kept.folder)
    assert layout is not None
    update = _Update(Encoder(layout, read_tensors(kept.folder), Backend.F32), request.param, seed=1)
    torch.manual_seed(2)
    update.load([p + torch.randn(p.shape) / 7 for p in update.parameters])
    lora = {name: (one.a.detach(), one.b.detach()) for name, one in update.lora.items()}
    head = {name: tensor.detach() for name, tensor in update.head.items()}
    with versions.capsule_draft() as into:
        save_adapter(into, request.param, lora, head, kept.digest)
        return versions.keep_capsule(into, ADAPTER)


def test_a_version_derived_from_our_merge_is_the_one_that_peft_merges(
    kept: Version, capsule: Path, versions: Versions, tmp_path: Path
) -> None:
    before = read_tensors(kept.folder)
    changed = merged_tensors(before, capsule)
    merge_capsule(kept.folder, capsule, tmp_path / "merged")
    theirs = read_tensors(tmp_path / "merged")
    assert {n for n, t in theirs.items() if not torch.equal(t, before[n])} == changed.keys()
    assert all(torch.equal(theirs[name], tensor) for name, tensor in changed.items())
    derived = versions.derive(kept, changed)
    loaded = AutoModelForSequenceClassification.from_pretrained(derived.folder).state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in theirs.items())
    assert derived.digest == versions.draft(lambda into: merge_capsule(kept.folder, capsule, into)).digest


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

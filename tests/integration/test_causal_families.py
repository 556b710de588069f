"""LoRA on tiny models of each family: where it goes, that it learns, and that its sum is what PEFT merges."""

from __future__ import annotations

from pathlib import Path

import pytest

from causal_families import FAMILIES, make_family
from cryoflux.receipts.profiles import DOCUMENT_F32_2, DOCUMENT_F64
from cryoflux.registry.composition import Composition
from cryoflux.registry.shards import TensorFolder
from cryoflux.registry.versions import Versions
from cryoflux.state import ADAPTER
from cryoflux.tasks.causal.recipe import CausalRecipe
from cryoflux.tasks.pacing import Limits

ATTENTION = {"gpt2": ("c_attn",), "phi3": ("qkv_proj",)}
LINEAR = {
    "gpt2": ("c_attn", "c_fc", "c_proj"),
    "phi": ("dense", "fc1", "fc2", "k_proj", "q_proj", "v_proj"),
    "phi3": ("down_proj", "gate_up_proj", "o_proj", "qkv_proj"),
}
USUAL = ("down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj")
ROWS = [([1, 2, 3, 4, 5, n % 7 + 10, 9], 3) for n in range(24)]


@pytest.mark.parametrize("family", FAMILIES)
def test_lora_goes_where_the_family_has_its_layers(family: str, tmp_path: Path) -> None:
    from cryoflux.tasks.causal.network import open_network
    from cryoflux.tasks.causal.targets import find_targets

    network = open_network(make_family(family, tmp_path), family)
    assert find_targets(network, "attention").names == ATTENTION.get(family, ("q_proj", "v_proj"))
    everything = find_targets(network, "all")
    assert everything.names == LINEAR.get(family, USUAL)
    assert everything.modules == 2 * (4 if family in {"gpt2", "phi3"} else len(everything.names))
    assert everything.transposed == (family == "gpt2")


@pytest.mark.parametrize("family", FAMILIES)
def test_an_update_learns_and_its_version_is_what_peft_merges(family: str, tmp_path: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from cryoflux.digests import file_digest
    from cryoflux.tasks.causal.network import open_network
    from cryoflux.tasks.causal.scoring import CausalScorer, open_losses, profile_of
    from cryoflux.tasks.causal.screening import HeadOnScreen
    from cryoflux.tasks.causal.training import Exercise, train_causal
    from cryoflux.tasks.lora.merge import HeadSums

    base = make_family(family, tmp_path / "base")
    network = open_network(base, family)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    recipe = CausalRecipe("r", targets="all", learning_rate=0.02, max_steps=12, batch_size=8, precision="f32")
    (capsule := tmp_path / "capsule").mkdir()
    lesson = Exercise(ROWS, ROWS[:4], 0)
    known = HeadOnScreen()
    made = train_causal(
        network,
        lesson,
        recipe,
        Limits(10**12, lambda: 0, lambda: False),
        capsule,
        seed=0,
        base="b" * 64,
        progress=lambda _: None,
        screened=known,
    )
    assert made.screening is not None
    assert made.screening.delta > 0
    assert (made.steps, made.said, len(known.losses)) == (12, 12 * 8 * 4, 4)
    after = network.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items()), "the head stays as it is"

    versions = Versions(tmp_path / "state")
    first = versions.keep(versions.draft(network.save_pretrained))
    sums = HeadSums(lambda _: TensorFolder(first.folder), lambda _: capsule)
    start = Composition(genesis=first.digest)
    listed = sums.following(start, first.digest, file_digest(capsule / ADAPTER))
    draft = versions.derive(first, sums.candidate(start, listed, capsule))
    ours = AutoModelForCausalLM.from_pretrained(draft.folder).state_dict()
    merged = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), capsule)
    theirs = merged.merge_and_unload().state_dict()
    assert ours.keys() == theirs.keys()
    assert max(float((ours[name] - theirs[name]).abs().max()) for name in ours) < 1e-6

    profile = profile_of(draft.folder, 1000)
    assert profile == (DOCUMENT_F32_2 if family in {"gemma2", "gemma3", "phi", "phi3"} else DOCUMENT_F64)
    losses = [
        CausalScorer(open_losses(folder, profile), ROWS).score(range(len(ROWS)), lambda _: None)[0]
        for folder in (first.folder, draft.folder)
    ]
    assert sum(losses[1]) < sum(losses[0])
    in_float32, _ = CausalScorer(open_losses(draft.folder, DOCUMENT_F32_2), ROWS).score(
        [0, 5], lambda _: None
    )
    assert [losses[1][0], losses[1][5]] == pytest.approx(in_float32, rel=1e-5)


def test_precision_and_checkpointing_change_how_it_is_computed_not_what_is_learned(
    tmp_path: Path,
) -> None:
    from cryoflux.tasks.causal.network import open_network
    from cryoflux.tasks.causal.training import Exercise, train_causal

    network = open_network(make_family("llama", tmp_path / "base"), "llama")
    found = {}
    for name, changes in {
        "f32": {"precision": "f32"},
        "parts": {"precision": "f32", "batch_tokens": 16},
        "checkpointed": {"precision": "f32", "checkpointing": 1},
        "autocast": {"precision": "bf16-autocast"},
    }.items():
        (into := tmp_path / name).mkdir()
        recipe = CausalRecipe("r", learning_rate=0.01, max_steps=4, **changes)  # type: ignore[arg-type]
        made = train_causal(
            network,
            Exercise(ROWS, [], 0),
            recipe,
            Limits(10**12, lambda: 0, lambda: False),
            into,
            seed=3,
            base="b" * 64,
            progress=lambda _: None,
        )
        found[name] = made.last_loss_nano_nat
    assert found["checkpointed"] == found["f32"]
    assert found["parts"] == pytest.approx(found["f32"], rel=1e-5)
    assert found["autocast"] == pytest.approx(found["f32"], rel=0.02)
    assert found["autocast"] != found["f32"]

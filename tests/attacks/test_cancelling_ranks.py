"""A receipt that names no list of updates, and an adapter whose ranks cancel.

What float32 rounds away of a merge grows with the products b·a, and they may cancel to nothing: then an
adapter that does nothing would make any model at all, "as far as float32 repeats itself".
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from cryoflux.errors import ModelError
from cryoflux.registry.compose import LowRank, low_rank_update
from cryoflux.registry.shards import read_tensors
from cryoflux.tasks.lora.again import TorchRecomputer
from cryoflux.tasks.lora.merge import merged_tensors
from cryoflux.verification.recompute import OpenQuestion

F32 = NDArray[np.float32]
WEIGHT = "classifier.weight"
SETTINGS = {
    "peft_type": "LORA", "task_type": "SEQ_CLS", "target_modules": ["classifier"], "r": 4, "lora_alpha": 8,
    "bias": "none", "use_dora": False, "use_rslora": False, "fan_in_fan_out": False, "modules_to_save": [],
    "alpha_pattern": {}, "rank_pattern": {},
}  # fmt: skip


class Kept:
    """A base, an adapter of one weight, and a model that is said to have been made of them."""

    def __init__(self, folder: Path, a: F32, b: F32) -> None:
        self.folder, self.a, self.b = folder, a, b
        draw = np.random.default_rng(3)
        self.base = draw.standard_normal((b.shape[0], a.shape[1])).astype(np.float32) / np.float32(20)
        for name in ("base", "capsule", "kept"):
            (folder / name).mkdir(parents=True)
        self.write("base", self.base)
        prefix = "base_model.model.classifier"
        tensors = {f"{prefix}.lora_A.weight": a, f"{prefix}.lora_B.weight": b}
        save_file(tensors, folder / "capsule" / "adapter_model.safetensors")
        settings = {**SETTINGS, "r": len(a), "lora_alpha": 2 * len(a)}
        (folder / "capsule" / "adapter_config.json").write_text(json.dumps(settings))

    def write(self, name: str, weight: F32) -> None:
        save_file({WEIGHT: weight, "other": np.ones(2, np.float32)}, self.folder / name / "model.safetensors")

    @property
    def sum(self) -> F32:
        exact = self.base.astype(np.float64) + low_rank_update(LowRank(self.a, self.b, 2.0))
        return exact.astype(np.float32)

    def as_kept(self, weight: F32) -> Path | None:
        self.write("kept", weight)
        part = [self.folder / name for name in ("base", "capsule", "kept", "into")]
        return TorchRecomputer(max_tokens=32).as_kept(*part)


def cancelling(size: float, rows: int = 2, columns: int = 32) -> tuple[F32, F32]:
    """Ranks 0 and 1 are of a size, and opposite."""
    draw = np.random.default_rng(4)
    a, b = (draw.standard_normal(shape).astype(np.float32) for shape in ((4, columns), (rows, 4)))
    a[0] = a[1] = size
    b[:, 0], b[:, 1] = 1, -1
    return a / np.float32(10), b / np.float32(10)


@pytest.mark.parametrize("size", [1e6, 1e8, 1e11])
def test_an_adapter_whose_ranks_cancel_does_not_make_any_model(tmp_path: Path, size: float) -> None:
    made = Kept(tmp_path, *cancelling(size))
    with pytest.raises(OpenQuestion, match=r"ranks of its update cancel in classifier\.weight"):
        made.as_kept(made.sum + np.float32(1e-3))


def test_large_values_elsewhere_in_a_weight_make_no_room(tmp_path: Path) -> None:
    """A row and a column that nothing reads may hold anything: the others have to be near all the same."""
    a, b = cancelling(1e6, rows=64, columns=64)
    a[2], b[:, 2], a[3], b[:, 3] = 0, 0, 0, 0
    a[2, 0] = b[0, 2] = 1e6
    made = Kept(tmp_path, a, b)
    moved = made.sum
    moved[5, 5] += np.float32(1e-2)
    with pytest.raises(OpenQuestion, match="cancel"):
        made.as_kept(moved)


def test_a_model_beyond_rounding_is_another_one(tmp_path: Path) -> None:
    made = Kept(tmp_path, *cancelling(1.0))
    assert made.as_kept(made.sum + np.float32(1e-3)) is None


@pytest.mark.parametrize(("rank", "size"), [(1, 1.0), (8, 1e-6), (16, 0.05), (64, 1.0)])
@pytest.mark.parametrize("shape", [(384, 384), (11, 384), (32, 32)])
def test_an_honest_merge_of_another_machine_is_kept(
    tmp_path: Path, rank: int, size: float, shape: tuple[int, int]
) -> None:
    """In another order of its ranks, and rounded after each of them."""
    draw = np.random.default_rng(rank)
    a = draw.standard_normal((rank, shape[1])).astype(np.float32) * np.float32(size)
    b = draw.standard_normal((shape[0], rank)).astype(np.float32)
    made = Kept(tmp_path, a, b)
    total = np.zeros(shape, np.float32)
    for one in reversed(range(rank)):
        total += np.outer(b[:, one], a[one])
    kept = made.base + total * np.float32(2)
    into = made.as_kept(kept)
    assert into is not None
    assert np.array_equal(load_file(into / "model.safetensors")[WEIGHT], kept)


def test_matrices_that_do_not_fit_are_refused_before_they_are_multiplied(tmp_path: Path) -> None:
    made = Kept(tmp_path, np.ones((1, 32), np.float32), np.ones((2, 1), np.float32))
    prefix, wide = "base_model.model.classifier", 200_000  # 160 GB as a product
    tensors = {
        f"{prefix}.lora_A.weight": np.ones((1, wide), np.float32),
        f"{prefix}.lora_B.weight": np.ones((wide, 1), np.float32),
    }
    save_file(tensors, tmp_path / "capsule" / "adapter_model.safetensors")
    with pytest.raises(ModelError, match="has the shape") as refused:
        merged_tensors(read_tensors(tmp_path / "base"), tmp_path / "capsule")
    assert "has the shape (2, 32), its update (200000, 200000)" in refused.value.what
    assert made.b.shape == (2, 1)

"""Tiny decoders of every family that CryoFlux computes itself, with no tensor at a trivial value."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from causal_families import make_family

KNOWN = ("llama", "mistral", "qwen2", "qwen3", "gpt2")


def shaken(folder: Path, seed: int = 3) -> Path:
    """The same folder, after every tensor of its model was drawn anew, norms and biases too."""
    path = folder / "model.safetensors"
    drawn = torch.Generator().manual_seed(seed)
    tensors = {
        name: torch.randn(tensor.shape, generator=drawn) * 0.2 + ("norm" in name or ".ln_" in name)
        for name, tensor in load_file(path).items()
    }
    save_file(tensors, path, {"format": "pt"})
    return folder


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Family → the folder of a model."""
    return {family: shaken(make_family(family, tmp_path_factory.mktemp(family))) for family in KNOWN}


@pytest.fixture(params=KNOWN)
def folder(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Path:
    """A model folder; every family in turn."""
    return folders[request.param]


@pytest.fixture(scope="session")
def documents() -> list[tuple[list[int], int]]:
    """Two dozen documents of one to a hundred tokens, which all begin alike."""
    draw = random.Random(5)
    made = []
    for _ in range(24):
        ids = [256, 9, 9, 17, *(draw.randrange(259) for _ in range(draw.randrange(1, 97)))]
        made.append((ids, draw.randrange(5, 5 + len(ids))))
    return made

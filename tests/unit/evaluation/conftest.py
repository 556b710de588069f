"""A kept version with a head that has opinions, and a data set to score."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import tiny
from cryoflux.data.examples import Example
from cryoflux.data.prepared import PreparedData, open_prepared, render, store
from cryoflux.data.split import split
from cryoflux.registry.versions import Version, Versions
from cryoflux.tasks.lora.base_model import load_base


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    """Sets of a few texts, of many lengths."""
    examples = [Example(text, label) for text, label in tiny.sentences(400, 2)]
    files, digest = render(split(examples, None, None, holdout_size=60))
    return open_prepared(store(files, digest, tmp_path_factory.mktemp("data")), "tiny")


@pytest.fixture(scope="session")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Versions:
    """Where versions are kept."""
    return Versions(tmp_path_factory.mktemp("state"))


@pytest.fixture(scope="session")
def version(versions: Versions, tmp_path_factory: pytest.TempPathFactory) -> Version:
    """No tensor of it is at a trivial value."""
    source: Path = tiny.make_model(tmp_path_factory.mktemp("source"))
    base = load_base(str(source), tuple(sorted(tiny.TOPICS)), seed=0)
    torch.manual_seed(5)
    with torch.no_grad():
        for name, parameter in base.model.named_parameters():
            parameter.normal_(float("LayerNorm.weight" in name), 0.2)
    return versions.keep(versions.draft(base.save))

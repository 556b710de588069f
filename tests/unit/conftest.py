"""A base model that several packages are tested with."""

from __future__ import annotations

from pathlib import Path

import pytest

import tiny
from cryoflux.tasks.lora.base_model import BaseModel, load_base


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> BaseModel:
    """A tiny BERT with a head that says nothing yet."""
    source: Path = tiny.make_model(tmp_path_factory.mktemp("source"))
    return load_base(str(source), tuple(sorted(tiny.TOPICS)), seed=0)

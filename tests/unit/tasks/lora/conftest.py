"""A place where attempts train: a kept tiny version, its data, and a meter that a test can read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp

import pytest

import tiny
from cryoflux.data.examples import Example
from cryoflux.data.prepared import PreparedData, open_prepared, render, store
from cryoflux.data.split import split
from cryoflux.registry.versions import Version, Versions
from cryoflux.state import ADAPTER
from cryoflux.tasks.lora.adapter import Trained
from cryoflux.tasks.lora.base_model import load_base
from cryoflux.tasks.lora.head import HeadModel
from cryoflux.tasks.lora.lean import TrainingMaterial, train_lean
from cryoflux.tasks.lora.merge import merged_tensors
from cryoflux.tasks.lora.recipe import Recipe
from cryoflux.tasks.pacing import Limits, Progress
from cryoflux.tasks.pool import make_pool

MAX_TOKENS = 16


class Meter:
    """Each question costs the same: a clock of joules."""

    def __init__(self, each_uj: int = 1) -> None:
        self.each_uj, self.spent_uj = each_uj, 0

    def __call__(self) -> int:
        self.spent_uj += self.each_uj
        return self.spent_uj


@dataclass
class Workshop:
    """One state with its head in memory."""

    versions: Versions
    data: PreparedData
    loaded: HeadModel
    drafts: Path
    seen: list[Progress] = field(default_factory=list)
    """steps of the last training"""
    draft: Path = Path()
    """where the last training wrote its adapter"""

    def meter(self, each_uj: int) -> Meter:
        return Meter(each_uj)

    def material(self, recipe: Recipe, drawn: int = 0) -> TrainingMaterial:
        return self.loaded.material(recipe, drawn)

    def train(
        self,
        recipe: Recipe,
        *,
        material: TrainingMaterial | None = None,
        meter: Meter | None = None,
        limit_uj: int = 10**9,
        stop: Callable[[], bool] = lambda: False,
        preparing: Callable[[int, int], None] = lambda done, count: None,
        seed: int = 1,
    ) -> Trained:
        self.seen.clear()
        into = self.new_draft()
        return train_lean(
            material or self.material(recipe),
            recipe,
            Limits(limit_uj, meter or Meter(), stop),
            into,
            seed=seed,
            progress=self.seen.append,
            preparing=preparing,
        )

    def new_draft(self) -> Path:
        self.draft = Path(mkdtemp(prefix=".draft-", dir=self.drafts))
        return self.draft

    def keep(self) -> Path:
        """Keep the adapter of the last training as a capsule."""
        return self.versions.keep_capsule(self.draft, ADAPTER)

    def merge(self, capsule: Path) -> Version:
        """Make a capsule's result the head."""
        changed = merged_tensors(self.loaded.tensors, capsule)
        kept = self.versions.keep(self.versions.derive(self.loaded.version, changed))
        self.loaded.adopt(kept, self.loaded.reread(kept, list(changed)))
        return kept


@pytest.fixture(scope="session")
def _data(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    examples = [Example(text, label) for text, label in tiny.sentences(1200, 1)]
    files, digest = render(split(examples, None, None, holdout_size=60))
    return open_prepared(store(files, digest, tmp_path_factory.mktemp("data")), "tiny")


@pytest.fixture(scope="session")
def _source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_model(tmp_path_factory.mktemp("source"))


@pytest.fixture
def workshop(_data: PreparedData, _source: Path, tmp_path: Path) -> Workshop:
    """A fresh state whose head says that every class is equally likely."""
    versions = Versions(tmp_path)
    base = load_base(str(_source), _data.labels, seed=0)
    version = versions.keep(versions.draft(base.save))
    recipes = {
        name: Recipe(name, layers=layers, max_tokens=MAX_TOKENS)
        for name, layers in {"lean": 2, "prefix-1": 1}.items()
    }
    loaded = HeadModel(
        version,
        _data,
        recipes,
        cache=tmp_path / "cache",
        cache_bytes=10**9,
        device="cpu",
        pool=make_pool(_data.count("train"), 0, most_screened=150),
    )
    drafts = tmp_path / "capsules"
    drafts.mkdir()
    return Workshop(versions, _data, loaded, drafts)

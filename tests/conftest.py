"""What every test may use: a synthetic state, made once and copied, and a tiny model with its data."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: two workers on two cores are enough threads

import pytest
from hypothesis import settings

import tiny
from synthetic_state import SyntheticState, make_state

# A busy machine is slow, not wrong; and the same examples every time make a failure one that stays.
settings.register_profile("cryoflux", deadline=None, database=None, derandomize=True)
settings.load_profile("cryoflux")


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> SyntheticState:
    """The synthetic state; nobody changes it without changing it back."""
    return make_state(tmp_path_factory.mktemp("pristine") / "state")


@pytest.fixture
def state(pristine: SyntheticState, tmp_path: Path) -> Path:
    """A copy of the synthetic state that a test may ruin."""
    return shutil.copytree(pristine.path, tmp_path / "state", symlinks=True)


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options that name a tiny model and a training file."""
    folder = tmp_path_factory.mktemp("inputs")
    model = tiny.make_model(folder / "model")
    train = tiny.write_csv(folder / "train.csv", tiny.sentences(500, 1))
    return ["--model", str(model), "--train", str(train)]


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test remembers heads or baselines where whoever runs the tests keeps theirs."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("home")))

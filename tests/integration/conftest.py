"""The tiny model and data of the tests that run the real command."""

from __future__ import annotations

import pytest

import tiny


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options that name a tiny model and a training file."""
    folder = tmp_path_factory.mktemp("inputs")
    model = tiny.make_model(folder / "model")
    train = tiny.write_csv(folder / "train.csv", tiny.sentences(500, 1))
    return ["--model", str(model), "--train", str(train)]

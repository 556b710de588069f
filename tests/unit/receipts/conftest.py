"""A log of today's form, made once, in memory and in a state."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from plain_log import PlainLog, StoredLog, plain_log


@pytest.fixture(scope="session")
def log() -> PlainLog:
    """Nine entries of two tasks; nobody adds to it."""
    return plain_log()


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> StoredLog:
    """The same in a state, which is closed; nobody changes it."""
    made = StoredLog(tmp_path_factory.mktemp("stored") / "state")
    plain_log(made)
    made.close()
    return made


@pytest.fixture
def plain_state(stored: StoredLog, tmp_path: Path) -> Path:
    """A copy of it that a test may ruin."""
    return shutil.copytree(stored.path, tmp_path / "state")

"""A log of today's form, made once."""

from __future__ import annotations

import pytest

from plain_log import PlainLog, plain_log


@pytest.fixture(scope="session")
def log() -> PlainLog:
    """Nine entries of two tasks; nobody adds to it."""
    return plain_log()

"""Sources that are asked over a socket or in a thread answer late on a busy machine, and are waited for."""

from __future__ import annotations

import pytest

from cryoflux.energy.sources import nvml_driver, zeusd
from waiting import CEILING_S


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml_driver, "_BLINK_S", CEILING_S)
    monkeypatch.setattr(zeusd, "_TIMEOUT_S", CEILING_S)

"""How large a holdout has to be is the inverse of what it finds."""

import pytest

from cryoflux.config import load_settings
from cryoflux.runs.detecting import detectable_by_spread, holdout_needed


@pytest.mark.parametrize("rule", ["evidence/v3", "evidence/v2", "evidence/v1"])
@pytest.mark.parametrize("spread", [0.1, 0.3])
@pytest.mark.parametrize("delta", [0.002, 0.02, 0.2])
def test_one_example_fewer_finds_less(rule: str, spread: float, delta: float) -> None:
    settings = load_settings({"rule": rule}).settings
    needed = holdout_needed(settings, delta, spread)
    assert detectable_by_spread(settings, needed)[str(spread)] <= delta
    assert detectable_by_spread(settings, needed - 1)[str(spread)] > delta

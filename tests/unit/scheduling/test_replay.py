"""The replay of recorded attempts is fair; on it the default policy needs fewer joules than uniform."""

from __future__ import annotations

import importlib.util
import json
import math
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).parents[3] / "benchmarks" / "scheduler_replay.py"
ARMS = {
    # arm: joules of an attempt, loss that it can reach, share of the way that one attempt goes
    "head-first": (4, 0.630, 0.50),
    "prefix-1": (8, 0.440, 0.30),
    "prefix-2": (25, 0.427, 0.32),
    "prefix-3": (40, 0.412, 0.35),
    "lean": (90, 0.385, 0.40),
}


def stand_in(arms: dict[str, tuple[float, float, float]] = ARMS) -> Iterator[dict[str, object]]:
    """Attempts of a made-up model, in the shape of real ones; ceilings as in measured prototypes."""
    rng = random.Random(0)
    for arm, (joules, ceiling, share) in arms.items():
        for loss in (0.69, 0.60, 0.52, 0.47, 0.44, 0.425, 0.41, 0.39):
            for _ in range(6):
                gap = loss - ceiling
                true = gap * (share if gap > 0 else 0.3)
                true += rng.gauss(0, 0.002 + 0.1 * abs(true))
                holdout, screen = true + rng.gauss(0, 0.004), true + rng.gauss(0, 0.006)
                looked = screen > 0
                cost = joules * (1 if looked else 0.7) * rng.lognormvariate(0, 0.1)
                yield {
                    "arm": arm,
                    "head_loss": loss,
                    "screen_delta": screen,
                    "holdout_delta": holdout,
                    "audit_delta": true,
                    "kept": looked and holdout > 0.004,
                    "uj": cost * 1e6,
                }


@pytest.fixture(scope="module")
def replays() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("scheduler_replay", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["scheduler_replay"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["scheduler_replay"]


def test_records_are_read_and_what_was_not_measured_is_taken_from_what_was(
    replays: ModuleType, tmp_path: Path
) -> None:
    file = tmp_path / "records.jsonl"
    line = {
        "arm": "lean",
        "head_loss": 0.5,
        "screen_delta": 0.01,
        "kept": False,
        "uj": 4,
        "audit_delta": None,
    }
    file.write_text(json.dumps(line) + "\n\n")
    (record,) = replays.read_records(file)
    assert (record.screen, record.holdout, record.audit, record.prior_uj) == (0.01, 0.01, 0.01, 4)


def test_between_recorded_losses_there_is_a_straight_line(replays: ModuleType) -> None:
    levels = replays.Levels.of([(0.4, 1.0), (0.4, 3.0), (0.6, 4.0)])
    assert [levels.at(x) for x in (0.3, 0.4, 0.5, 0.6, 0.7)] == pytest.approx([2, 2, 3, 4, 4])
    assert levels.at(0.3, falling=True) == pytest.approx(1)
    assert levels.near(0.45) == {0.4, 0.6}


def test_every_policy_is_replayed_within_its_joules_and_reproducibly(replays: ModuleType) -> None:
    records = [replays.Record.read(said) for said in stand_in()]
    models = replays.read_models(records)
    for pick in replays.PICKS.values():
        run = replays.replay(models, pick, 400_000_000, 1, 0.002)
        assert run == replays.replay(models, pick, 400_000_000, 1, 0.002)
        assert len(run.spent) > 3
        assert run.spent[-1] < 500_000_000


def test_the_default_policy_needs_fewer_joules_than_uniform_and_saves_some(replays: ModuleType) -> None:
    records = [replays.Record.read(said) for said in stand_in()]
    found = replays.compare(records, 9, 2 * 10**9, 0.002, ["prior-eta/v1", "uniform/v1"])
    ours = found["policies"]["prior-eta/v1"]
    assert ours["ratio"]["0.5"] < 0.5
    assert ours["ratio"]["0.8"] < 0.8
    assert ours["unspent"] > 0.3
    assert ours["gain_at"]["1.0"] > 0.93 * found["reachable"]


def test_where_nothing_pays_the_default_policy_stops_early(replays: ModuleType) -> None:
    records = [
        replays.Record.read(said) for said in stand_in({arm: (c[0], 0.75, c[2]) for arm, c in ARMS.items()})
    ]
    found = replays.compare(records, 5, 10**9, 0.002, ["prior-eta/v1"])
    ours = found["policies"]["prior-eta/v1"]
    assert ours["attempts"] <= 2 * len(ARMS)
    assert ours["unspent"] > 0.8
    assert not math.isfinite(ours["joules_to"]["0.5"])

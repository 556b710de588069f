"""Powercap files that are there and do not count: found out at opening, and never taken for energy."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryoflux.config import Settings
from cryoflux.energy.sources.advice import fixes, next_step
from cryoflux.energy.sources.discovery import find_sources
from cryoflux.energy.sources.rapl import find_rapl
from cryoflux.settings import EnergySettings
from energy_fakes import FakeClock, FakeProc, powercap_zone


@pytest.fixture(autouse=True)
def static_counters() -> None:
    """Here, counters that stand still are what is tested."""


class Counting:
    """A clock in whose sleep some counters move by a millijoule."""

    def __init__(self, *zones: Path):
        self.zones = zones
        self.clock = FakeClock(on_sleep=self.flow)

    def flow(self, seconds):
        for zone in self.zones:
            file = zone / "energy_uj"
            file.write_text(f"{int(file.read_text()) + 1000}\n")


def found(root, counting, **chosen):
    sources, problems = find_rapl(str(root), counting.clock, **chosen)
    return [source.name for source in sources], [(problem.name, problem.code) for problem in problems]


def test_a_counter_that_never_moves_gives_way_to_the_model_and_it_is_said_why(tmp_path):
    zone = powercap_zone(tmp_path / "powercap", "intel-rapl:0", "package-0", 5_000_000)
    FakeProc(tmp_path / "proc")
    chosen = {"powercap_root": str(tmp_path / "powercap"), "proc_root": str(tmp_path / "proc"), "nvml": False}
    settings, clock = Settings(energy=EnergySettings(**chosen)), FakeClock()
    stubbed = find_sources(settings, clock)
    problem = next(problem for problem in stubbed.problems if problem.name == "rapl:package-0")
    assert [source.name for source in stubbed.sources] == ["cpu-model"]
    assert problem.code == "still-counter"
    assert "stood still" in problem.reason
    assert problem.max_power_uw == 0, "the model covers all of it"
    assert "still-counter" in stubbed.flags
    assert fixes(problem, frozenset())
    assert "nothing better" not in next_step(stubbed.sources, stubbed.problems, frozenset())
    real = find_sources(settings, Counting(zone).clock)
    assert [source.name for source in real.sources] == ["rapl:package-0"]
    assert real.flags == ()


def test_of_two_packages_the_one_that_stands_still_is_unseen_and_widens(tmp_path):
    counts = powercap_zone(tmp_path, "intel-rapl:0", "package-0")
    powercap_zone(tmp_path, "intel-rapl:1", "package-1", limit_uw=150_000_000)
    sources, problems = find_rapl(str(tmp_path), Counting(counts).clock)
    assert [source.name for source in sources] == ["rapl:package-0"]
    assert [(problem.code, problem.max_power_uw) for problem in problems] == [("still-counter", 300_000_000)]


def test_a_platform_that_counts_stands_in_for_packages_that_do_not_and_the_other_way_round(tmp_path):
    package = powercap_zone(tmp_path, "intel-rapl:0", "package-0", 5)
    platform = powercap_zone(tmp_path, "intel-rapl:1", "psys", 9)
    assert found(tmp_path, Counting(platform)) == (["rapl:psys"], [("rapl:package-0", "covered-counter")])
    asked = found(tmp_path, Counting(package), zones="psys")
    assert asked == (
        ["rapl:package-0"],
        [("rapl:psys", "no-psys")],
    )


def test_nothing_is_kept_open_of_counters_that_do_not_count(tmp_path):
    powercap_zone(tmp_path, "intel-rapl:0", "package-0", 5)
    before = set(Path("/proc/self/fd").iterdir())
    assert find_rapl(str(tmp_path), FakeClock())[0] == []
    assert set(Path("/proc/self/fd").iterdir()) == before

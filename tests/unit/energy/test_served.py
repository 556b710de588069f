"""Figures that others are told move once a second: no side channel for what the machine computes."""

from __future__ import annotations

import itertools
import threading

import pytest

from cryoflux.config import load_settings
from cryoflux.energy.local_agent import LocalAgent
from energy_bench import PID, Bench
from energy_fakes import FakeNvml, powercap_zone


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def test_within_a_second_nothing_moves(bench):
    agent = bench.open(served=True)
    agent.grant(500_000_000, request_id="g", note="")
    taken = agent.take(120_000_000, request_id="a")
    bench.second(50.0, own_s=1.0)
    shown = agent.sample()
    for _ in range(9):
        bench.clock.forward(0.1)
        bench.draw(150.0, 0.1)
        bench.proc.run(0.1, 0.1, PID)
        assert agent.sample().gross == shown.gross
        assert agent.spent(taken.id) == agent.spent(taken.id)
        assert agent.sample().sources == shown.sources
    bench.clock.forward(0.1)
    assert agent.sample().gross.uj == shown.gross.uj + 9 * 15_000_000
    agent.close()


def test_an_embedded_agent_is_not_coarse(bench):
    agent = bench.open()
    before = agent.sample().gross.uj
    bench.clock.forward(0.1)
    bench.draw(50.0, 0.1)
    assert agent.sample().gross.uj == before + 5_000_000
    agent.close()


def test_a_settlement_waits_for_the_next_second_and_holds_up_nobody(tmp_path):
    powercap_zone(tmp_path / "powercap", "intel-rapl:0", "package-0")
    flags = {
        "powercap_root": str(tmp_path / "powercap"),
        "hwmon_root": "/nowhere",
        "baseline_seconds": 1,
        "nvml": False,
    }
    settings = load_settings(flags, environ={}, folder=tmp_path).settings
    agent = LocalAgent(settings, tmp_path / "state", nvml=FakeNvml([]), served=True)
    agent.grant(500_000_000, request_id="g", note="")
    taken = agent.take(1_000_000, request_id="a")
    readings = {agent._meter.last.monotonic_ns}
    settled = threading.Thread(target=agent.settle, args=(taken.id,))
    settled.start()
    while settled.is_alive():
        agent.bucket_uj()
        agent.take(1, request_id="other")
        readings.add(agent._meter.last.monotonic_ns)
    agent.close()
    times = sorted(readings)
    assert len(times) >= 2
    assert all(b - a >= 1_000_000_000 for a, b in itertools.pairwise(times))

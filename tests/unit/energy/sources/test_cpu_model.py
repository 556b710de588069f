"""The model's figures rest on a counter, and its interval on where its TDP is from."""

from __future__ import annotations

import pytest

from cryoflux.energy.processes import MachineTimes
from cryoflux.energy.sources.cpu_model import CONCAVE_V1, CpuModelSource, Curve
from cryoflux.energy.sources.tdp import Tdp
from energy_fakes import FakeClock, FakeProc


def test_the_model_never_exceeds_the_power_that_it_states_and_never_falls(tmp_path):
    clock, proc = FakeClock(), FakeProc(tmp_path)
    source = CpuModelSource(MachineTimes(str(tmp_path)), clock, tdp_w=100)
    before = source.read()
    for busy_s in (0.0, 1.9, 4.0, 0.1, 2.0):
        clock.forward(1)
        proc.run(busy_s)
        now = source.read()
        assert 0 <= now.energy_uj - before.energy_uj <= source.max_power_uw + source.resolution_uj
        assert now.epoch == before.epoch
        before = now


def test_a_failed_read_costs_nothing_that_the_next_one_does_not_make_good(tmp_path):
    clock, proc = FakeClock(), FakeProc(tmp_path)
    source = CpuModelSource(MachineTimes(str(tmp_path)), clock, tdp_w=100)
    start = source.read().energy_uj
    (tmp_path / "stat").write_text("")
    clock.forward(1)
    assert source.read().energy_uj is None
    clock.forward(1)
    proc.run(2 * source.cpus * 0.5)
    assert source.read().energy_uj - start == pytest.approx(CONCAVE_V1.share(0.5) * 100 * 2 * 1e6, abs=2)


def test_a_fitted_curve_is_named_and_takes_its_own_interval(tmp_path):
    FakeProc(tmp_path)
    curve = Curve("fitted/0123abcd", ((0.0, 0.2), (0.1, 0.4), (0.5, 0.9), (1.0, 1.0)))
    fit = Tdp(80.0, "fit of 60 samples", (0.9, 1.1))
    source = CpuModelSource(MachineTimes(str(tmp_path)), FakeClock(), tdp=fit, curve=curve)
    assert source.curve == "fitted/0123abcd"
    assert source.gain_error == (0.9, 1.1)
    assert source.idle_uw == 16_000_000
    assert source.max_power_uw == 88_000_001


@pytest.mark.parametrize(("cpus", "times_dearer"), [(2, 1.4), (32, 2.2)])
def test_the_first_busy_cpu_is_the_dearest_so_a_job_alone_costs_more_than_beside_neighbours(
    cpus, times_dearer
):
    net = [CONCAVE_V1.share(load) - CONCAVE_V1.share(0) for load in (1 / cpus, 1)]
    alone, beside = net[0], net[1] / cpus
    assert alone / beside == pytest.approx(times_dearer, abs=0.05)

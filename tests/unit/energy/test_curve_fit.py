"""The fit finds the curve that made the samples, and nothing that no CPU could have."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoflux.energy.curve_fit import LoadSample, fit_curve, observe_loads
from cryoflux.energy.processes import MachineTimes
from cryoflux.energy.sources.cpu_model import CONCAVE_V1, CpuModelSource
from cryoflux.energy.sources.rapl import find_rapl
from cryoflux.errors import MeterError
from energy_fakes import RANGE_UJ, FakeClock, FakeProc, powercap_zone

KNOTS = (0.1, 0.5, 1.0)
loads = st.floats(0, 1)
some_samples = st.lists(
    st.builds(LoadSample, loads, st.floats(0, 1000)),
    min_size=10,
    max_size=60,
).filter(lambda samples: max(s.load for s in samples) - min(s.load for s in samples) >= 0.3)
concave = st.tuples(st.floats(1, 100), *[st.floats(0, 300)] * 3)


def watts(weights, load):
    """Idle power, and three slopes that end at the knots, one after the other."""
    return weights[0] + sum(w * min(load, knot) for w, knot in zip(weights[1:], KNOTS, strict=True))


@given(some_samples)
def test_whatever_was_seen_the_curve_is_concave_never_falls_and_is_never_negative(samples):
    fit = fit_curve(samples)
    points = [(load, share * fit.max_w) for load, share in fit.curve.points]
    slopes = [(y1 - y0) / (x1 - x0) for (x0, y0), (x1, y1) in pairwise(points)]
    scale = max(1.0, fit.max_w)
    assert [load for load, _ in points] == [load for load, _ in CONCAVE_V1.points]
    assert points[0][1] >= 0
    assert all(slope >= -1e-9 * scale for slope in slopes)
    assert all(later <= earlier + 1e-6 * scale for earlier, later in pairwise(slopes))


@given(concave, st.integers(0, 2**32))
@settings(max_examples=50)
def test_a_curve_without_noise_is_found_exactly(weights, seed):
    rng = random.Random(seed)
    seen = [0.0, 0.05, 0.1, 0.3, 0.5, 0.7, 1.0, *(rng.random() for _ in range(20))]
    fit = fit_curve([LoadSample(load, watts(weights, load)) for load in seen])
    assert fit.mape < 1e-6
    for load in (0.0, 0.03, 0.1, 0.25, 0.5, 0.8, 1.0):
        assert fit.curve.share(load) * fit.max_w == pytest.approx(watts(weights, load), rel=1e-5)


@given(concave, st.integers(0, 2**32))
@settings(max_examples=50)
def test_a_curve_is_found_within_a_few_percent_through_noise(weights, seed):
    rng = random.Random(seed)
    samples = []
    for number in range(300):
        load = number / 299
        samples.append(LoadSample(load, watts(weights, load) * rng.gauss(1, 0.03)))
    fit = fit_curve(samples)
    assert fit.mape < 0.04
    for load in (0.15, 0.3, 0.5, 0.75, 0.95):
        assert fit.curve.share(load) * fit.max_w == pytest.approx(watts(weights, load), rel=0.05)


@given(some_samples)
def test_no_small_change_of_the_curve_fits_better(samples):
    fit = fit_curve(samples)

    def cost(weights):
        return sum((watts(weights, s.load) - s.watts) ** 2 for s in samples)

    y = [share * fit.max_w for _, share in fit.curve.points]
    slopes = [(b - a) / (q - p) for (a, b), (p, q) in zip(pairwise(y), pairwise((0, *KNOTS)), strict=True)]
    found = [y[0], slopes[0] - slopes[1], slopes[1] - slopes[2], slopes[2]]
    least = cost(found)
    for place in range(4):
        for step in (-1e-3, 1e-3):
            tried = [w + step * (n == place) for n, w in enumerate(found)]
            if min(tried) >= 0:
                assert cost(tried) >= least - 1e-6 * max(1.0, least)


def test_the_id_names_the_watts_and_nothing_else():
    samples = [LoadSample(n / 20, watts((20, 50, 40, 30), n / 20)) for n in range(21)]
    again, other = fit_curve(samples[::-1]), fit_curve([*samples, LoadSample(1.0, 500.0)])
    assert fit_curve(samples).curve.id == again.curve.id
    assert other.curve.id != again.curve.id
    assert again.curve.id.startswith("fitted/")
    assert len(again.curve.id) == len("fitted/") + 8


@pytest.mark.parametrize(
    "samples",
    [
        [],
        [LoadSample(n / 8, 10.0) for n in range(9)],
        [LoadSample(0.9 + n / 1000, 10.0) for n in range(50)],
    ],
)
def test_too_little_or_too_much_alike_is_refused(samples):
    with pytest.raises(MeterError) as caught:
        fit_curve(samples)
    assert len(caught.value.lines()) == 3


class Machine:
    """A RAPL zone that counts by a curve, on a machine whose load changes every second."""

    def __init__(self, tmp_path, weights, *, start_uj=0):
        self.proc = FakeProc(tmp_path / "proc")
        self.zone = powercap_zone(tmp_path / "powercap", "intel-rapl:0", "package-0", start_uj, 250_000_000)
        self.weights = weights
        self.uj = start_uj
        self.seconds = 0
        self.clock = FakeClock(on_sleep=self.work)
        self.times = MachineTimes(str(tmp_path / "proc"))
        self.sources, _ = find_rapl(str(tmp_path / "powercap"), self.clock)

    def work(self, seconds):
        load = (0.0, 0.05, 0.2, 0.4, 0.6, 0.8, 1.0)[self.seconds % 7]
        self.seconds += 1
        self.proc.run(load * seconds * self.times.all_cpus)
        self.uj = (self.uj + round(watts(self.weights, load) * seconds * 1e6)) % RANGE_UJ
        (self.zone / "energy_uj").write_text("" if self.seconds == 10 else f"{self.uj}\n")


def test_a_machine_that_is_watched_shows_its_curve_across_a_wrap_and_a_failed_read(tmp_path):
    weights = (30.0, 60.0, 80.0, 40.0)
    machine = Machine(tmp_path, weights, start_uj=RANGE_UJ - 500_000_000)
    seen = []
    samples = observe_loads(
        machine.sources, machine.times, machine.clock, seconds=60, progress=lambda done, of: seen.append(done)
    )
    assert seen == list(range(1, 61))
    assert 55 <= len(samples) < 60
    fit = fit_curve(samples)
    assert fit.mape < 0.01
    assert fit.idle_w == pytest.approx(30, rel=0.02)
    assert fit.max_w == pytest.approx(watts(weights, 1.0), rel=0.02)
    tdp = fit.tdp(1, 4)
    assert tdp.watts == pytest.approx(fit.max_w / 4)
    assert 0.9 < tdp.error[0] < 1 < tdp.error[1] < 1.1


def test_a_model_is_not_fitted_to_itself(tmp_path):
    FakeProc(tmp_path)
    times = MachineTimes(str(tmp_path))
    for sources in ([], [CpuModelSource(times, FakeClock())]):
        with pytest.raises(MeterError):
            observe_loads(sources, times, FakeClock(), seconds=1)

"""A process is charged what it caused, next to the machine's own net."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from cryoflux.energy.baseline import Baseline, Idle, obtain_baseline
from cryoflux.energy.interface import Reading
from cryoflux.energy.meter import Meter
from cryoflux.energy.processes import MachineTimes, ProcessTimes, find_owner
from cryoflux.energy.sources.cpu_model import CONCAVE_V1, CpuModelSource
from cryoflux.energy.sources.nvml import find_gpus
from cryoflux.quantities import Tier
from energy_fakes import FakeClock, FakeNvml, FakeProc, ReplaySource


class Bench:
    """A meter over a counter of 10 W at rest, or over the model, and two processes."""

    def __init__(self, tmp_path, *, modelled=False, gpus=()):
        self.proc = FakeProc(tmp_path)
        self.clock = FakeClock()
        self.times = MachineTimes(str(tmp_path))
        self.energy_uj = 0
        self.fail = False
        for pid in (7, 8):
            self.proc.process(pid, 0.0)
        if modelled:
            sources = [CpuModelSource(self.times, self.clock, tdp_w=100)]
        else:
            sources = [ReplaySource([Reading(0, 0, "a")], name="counter")]
            sources[0].read = self._read
        self.nvml = FakeNvml(gpus)
        sources += find_gpus(self.clock, self.nvml)[0]
        self.meter = Meter(sources, self._baseline(sources, tmp_path), self.times, self.clock)

    def _baseline(self, sources, tmp_path):
        models = [source for source in sources if source.idle_uw is not None]
        rng = random.Random(0)
        known = obtain_baseline(
            tmp_path / "baseline.json", models, self.times, self.clock, seconds=1, rng=rng
        )
        rest = [
            Idle(source.name, source.tier, "", 10_000_000, 0, 30, "settled", "")
            for source in sources
            if source.idle_uw is None
        ]
        return Baseline(known.idles).with_idles(rest)

    def _read(self):
        return Reading(None if self.fail else self.energy_uj, self.clock.now_ns, "a")

    def process(self, pid):
        return ProcessTimes(find_owner(pid, "boot-1", str(self.proc.root)), str(self.proc.root))

    def second(self, *, power_w=10.0, seconds=1.0, **own_s):
        self.clock.forward(seconds)
        self.energy_uj += round(power_w * seconds * 1e6)
        for name, used_s in own_s.items():
            self.proc.run(used_s, used_s, int(name.removeprefix("p")))
        return self.meter.refresh()


def test_two_tenants_share_what_is_above_idle_by_their_cpu_time(tmp_path):
    bench = Bench(tmp_path)
    first, second = (bench.meter.attribute(bench.process(pid)) for pid in (7, 8))
    for _ in range(20):
        bench.second(power_w=50.0, p7=0.75, p8=0.25)
    assert first.net().uj == pytest.approx(600e6, rel=0.02)
    assert second.net().uj == pytest.approx(200e6, rel=0.02)
    assert first.machine_net().uj == 800_000_000
    assert (first.cpu_us, second.cpu_us) == (15_000_000, 5_000_000)


def test_who_does_nothing_is_charged_nothing(tmp_path):
    bench = Bench(tmp_path)
    idle = bench.meter.attribute(bench.process(8))
    for _ in range(5):
        bench.second(power_w=80.0, p7=1.0)
    assert idle.net().uj == 0


def test_net_keeps_its_sign(tmp_path):
    bench = Bench(tmp_path)
    attribution = bench.meter.attribute(None)
    bench.second(power_w=4.0, seconds=10)
    assert attribution.net().uj == -60_000_000
    assert bench.meter.net().uj == -60_000_000
    assert bench.meter.gross().uj == 40_000_000


def test_without_a_process_the_machine_is_charged_and_it_says_so(tmp_path):
    bench = Bench(tmp_path)
    attribution = bench.meter.attribute(None)
    bench.second(power_w=30.0, p7=0.1)
    assert attribution.net().uj == 20_000_000
    assert attribution.net().flags == ("unattributed",)


def test_a_gone_process_is_charged_its_last_block_and_nothing_after(tmp_path):
    bench = Bench(tmp_path)
    attribution = bench.meter.attribute(bench.process(7))
    bench.second(power_w=30.0, p7=0.5)
    bench.proc.end(7)
    bench.second(power_w=30.0)
    gone = attribution.net()
    for _ in range(100):
        bench.second(power_w=300.0)
    assert attribution.net() == gone
    assert gone.uj == 40_000_000
    assert gone.lo_uj <= 20_000_000
    assert {"process-gone", "unattributed"} <= set(gone.flags)


def test_the_whole_gpu_is_charged_beside_the_cpu_share(tmp_path):
    bench = Bench(tmp_path, gpus=[{"energy_j": 0.0}])
    attribution = bench.meter.attribute(bench.process(7))
    for second in range(1, 11):
        bench.nvml.gpus[0]["energy_j"] = second * 110.0
        bench.second(power_w=30.0, p7=0.5, p8=0.5)
    charged = attribution.net()
    assert charged.uj == pytest.approx(1_000e6 + 100e6, rel=0.01)
    assert charged.lo_uj < 1_050_000_000 < charged.uj < charged.hi_uj
    sample = {source.kind: source for source in bench.meter.powers()}
    assert sample["gpu"].power_w == pytest.approx(110)


def test_the_model_charges_the_curve_above_its_floor(tmp_path):
    bench = Bench(tmp_path, modelled=True)
    attribution = bench.meter.attribute(bench.process(7))
    cpus = len(bench.times.cpus)
    for _ in range(10):
        bench.second(p7=0.5 * cpus)
    charged = attribution.net()
    expected_uj = (CONCAVE_V1.share(0.5) - CONCAVE_V1.share(0.0)) * 100 * 10 * 1e6
    assert charged.uj == pytest.approx(expected_uj, rel=1e-6)
    assert charged.tier is Tier.MODELLED
    assert charged.lo_uj < 0.71 * charged.uj
    assert charged.hi_uj > 1.29 * charged.uj


def test_a_blind_spell_widens_the_charge_and_a_good_reading_settles_it(tmp_path):
    bench = Bench(tmp_path)
    attribution = bench.meter.attribute(bench.process(7))
    bench.second(power_w=30.0, p7=1.0)
    bench.fail = True
    bench.second(power_w=30.0, p7=1.0)
    blind = attribution.net()
    bench.fail = False
    bench.second(power_w=30.0, p7=1.0)
    seen = attribution.net()
    assert "failed-read" in blind.flags
    assert blind.uj == 40_000_000
    assert blind.hi_uj > 900_000_000
    assert seen.uj == 60_000_000
    assert 55_000_000 < seen.lo_uj < seen.hi_uj < 65_000_000


def test_idle_noise_mints_nothing(tmp_path):
    bench = Bench(tmp_path)
    rng = random.Random(3)
    for _ in range(3600):
        bench.second(power_w=rng.gauss(10.0, 1.5))
    assert abs(bench.meter.net().uj) <= 0.01 * bench.meter.gross().uj
    assert bench.meter.net().uj == bench.meter.gross().uj - 36_000_000_000


def test_slices_add_up_to_the_whole_to_the_microjoule(tmp_path):
    bench = Bench(tmp_path)
    rng = random.Random(5)
    cuts = [bench.second(power_w=rng.uniform(0, 90), seconds=rng.uniform(0.001, 3)) for _ in range(200)]
    parts = [bench.meter.net(a, b).uj for a, b in pairwise(cuts)]
    assert sum(parts) == bench.meter.net(cuts[0], cuts[-1]).uj


def test_the_reading_thread_outlives_what_goes_wrong_in_it(tmp_path):
    bench = Bench(tmp_path)
    called = []
    bench.meter._channels[0].source.poll_s = 0.001
    bench.meter.attribute(None)

    def stumble(now):
        called.append(now)
        raise RuntimeError("disk on fire")

    bench.meter.start(stumble)
    while len(called) < 3:
        bench.clock.forward(1)
    bench.meter.close()
    assert bench.meter.flags == ("meter-stumbled",)

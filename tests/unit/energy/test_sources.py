"""Each source reads what is there, names what it cannot read, and counts nothing twice."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from cryoflux.config import load_settings
from cryoflux.energy.processes import MachineTimes, ProcessTimes, find_owner
from cryoflux.energy.sources.cpu_model import CONCAVE_V1, CpuModelSource
from cryoflux.energy.sources.discovery import find_sources
from cryoflux.energy.sources.nvml import find_gpus
from cryoflux.energy.sources.rapl import find_rapl
from cryoflux.errors import MeterError
from cryoflux.quantities import Tier
from energy_fakes import FakeClock, FakeNvml, FakeProc, powercap_zone


def settings_for(tmp_path, **flags):
    roots = {
        name: str(tmp_path / name.removesuffix("_root"))
        for name in ("powercap_root", "hwmon_root", "proc_root")
    }
    flags = roots | flags
    return load_settings(flags, environ={}, folder=tmp_path).settings


def test_packages_and_their_dram_are_read_and_nested_or_mirrored_zones_are_not(tmp_path):
    powercap_zone(tmp_path, "intel-rapl:0", "package-0", 5_000_000)
    powercap_zone(tmp_path, "intel-rapl:0:0", "core")
    powercap_zone(tmp_path, "intel-rapl:0:1", "dram", limit_uw=None)
    powercap_zone(tmp_path, "intel-rapl:1", "package-1")
    powercap_zone(tmp_path, "intel-rapl:2", "psys")
    powercap_zone(tmp_path, "intel-rapl-mmio:0", "package-0")
    sources, problems = find_rapl(str(tmp_path), FakeClock())
    assert [source.name for source in sources] == ["rapl:package-0", "rapl:package-0:dram", "rapl:package-1"]
    assert [source.kind for source in sources] == ["cpu", "dram", "cpu"]
    assert problems == []
    assert sources[0].read().energy_uj == 5_000_000
    assert [source.max_power_uw for source in sources[:2]] == [200_000_000, 500_000_000]


def test_a_zone_is_found_in_its_parents_folder_too_and_once(tmp_path):
    powercap_zone(tmp_path, "intel-rapl/intel-rapl:0", "package-0")
    powercap_zone(tmp_path, "intel-rapl:0", "package-0")
    assert [source.name for source in find_rapl(str(tmp_path), FakeClock())[0]] == ["rapl:package-0"]


def test_an_unreadable_zone_is_named_and_the_others_are_used(tmp_path):
    powercap_zone(tmp_path / "powercap", "intel-rapl:0", "package-0")
    broken = powercap_zone(tmp_path / "powercap", "intel-rapl:1", "package-1")
    (broken / "energy_uj").write_text("")
    FakeProc(tmp_path / "proc")
    found = find_sources(settings_for(tmp_path, nvml=False), FakeClock())
    assert [source.name for source in found.sources] == ["rapl:package-0"]
    assert found.problems[0].name == "rapl:package-1"
    assert found.flags == ("unreadable-zone",)
    assert found.unread_uw == 200_000_000


def test_without_readable_counters_the_model_takes_over_and_says_why(tmp_path):
    broken = powercap_zone(tmp_path / "powercap", "intel-rapl:0", "package-0")
    (broken / "energy_uj").unlink()
    FakeProc(tmp_path / "proc")
    found = find_sources(settings_for(tmp_path), FakeClock(), nvml=FakeNvml([], driver=False))
    assert [(source.name, source.tier) for source in found.sources] == [("cpu-model", Tier.MODELLED)]
    assert {problem.code for problem in found.problems} == {"unreadable-zone", "no-nvidia-driver"}
    assert found.unread_uw == 0


def test_with_nothing_to_read_there_is_an_error_and_not_a_zero(tmp_path):
    with pytest.raises(MeterError) as caught:
        find_sources(settings_for(tmp_path), FakeClock(), nvml=FakeNvml([]))
    assert len(caught.value.lines()) == 3


def test_all_gpus_are_read_by_the_best_tier_that_each_has():
    nvml = FakeNvml([{"energy_j": 5.0, "power_w": 50}, {"power_w": 70}, {"refused": True}, {}])
    sources, problems = find_gpus(FakeClock(), nvml)
    assert [(s.name, s.tier) for s in sources] == [
        ("nvml:GPU-0", Tier.COUNTER),
        ("nvml:GPU-1", Tier.POWER_INTEGRATED),
    ]
    assert [problem.code for problem in problems] == ["gpu-refused", "gpu-without-power"]
    assert sources[0].read().energy_uj == 5_000_000


def test_power_is_integrated_by_trapezoids_and_a_long_gap_is_a_new_epoch():
    clock = FakeClock()
    nvml = FakeNvml([{"power_w": 100}])
    (gpu,), _ = find_gpus(clock, nvml)
    first = gpu.read()
    clock.forward(1)
    nvml.gpus[0]["power_w"] = 200
    second = gpu.read()
    assert second.energy_uj - first.energy_uj == 150_000_000
    assert second.epoch == first.epoch
    clock.forward(60)
    assert gpu.read().epoch != first.epoch


def test_a_gpu_that_was_lost_comes_back_in_another_epoch():
    nvml = FakeNvml([{"energy_j": 5.0}])
    (gpu,), _ = find_gpus(FakeClock(), nvml)
    before = gpu.read()
    nvml.driver = False
    assert gpu.read().energy_uj is None
    assert gpu.read().energy_uj is None
    nvml.driver = True
    after = gpu.read()
    assert after.energy_uj == 5_000_000
    assert after.epoch != before.epoch


def test_the_curve_is_concave_and_named():
    shares = [CONCAVE_V1.share(load / 100) for load in range(101)]
    slopes = [b - a for a, b in pairwise(shares)]
    assert (shares[0], shares[10], shares[50], shares[100]) == pytest.approx((0.12, 0.32, 0.75, 1.02))
    assert all(after <= before + 1e-9 for before, after in pairwise(slopes))


@pytest.mark.parametrize("load", [0.0, 0.05, 0.5, 1.0])
def test_at_constant_load_the_model_is_the_same_at_every_sampling_rate(tmp_path, load):
    def modelled(steps_s):
        clock, proc = FakeClock(), FakeProc(tmp_path / f"{len(steps_s)}")
        source = CpuModelSource(MachineTimes(str(proc.root)), clock, tdp_w=100)
        start = source.read().energy_uj
        for step_s in steps_s:
            clock.forward(step_s)
            proc.run(step_s * source.cpus * load)
            now = source.read().energy_uj
        return now - start

    rng = random.Random(1)
    truth_uj = CONCAVE_V1.share(load) * 100 * 60 * 1e6
    uneven = [rng.choice([1.0, 2.0, 7.0]) for _ in range(60)]
    assert modelled([60.0]) == pytest.approx(truth_uj, abs=2)
    assert modelled([1.0] * 60) == pytest.approx(truth_uj, abs=100)
    assert modelled([0.2] * 300) == pytest.approx(truth_uj, rel=1e-6, abs=100)
    assert modelled(uneven) == pytest.approx(truth_uj / 60 * sum(uneven), abs=100)


def test_a_stated_tdp_has_a_narrower_range_than_a_guessed_one(tmp_path):
    times = MachineTimes(str(FakeProc(tmp_path).root), frozenset({0, 1, 2}))
    guessed, stated = CpuModelSource(times, FakeClock()), CpuModelSource(times, FakeClock(), tdp_w=65)
    assert (guessed.tdp_w, guessed.gain_error) == (18.0, (0.15, 3.0))
    assert (stated.tdp_w, stated.gain_error) == (65, (0.7, 1.5))


def test_stolen_and_waiting_time_is_not_busy_time(tmp_path):
    proc = FakeProc(tmp_path)
    proc.run(3.0)
    assert MachineTimes(str(tmp_path)).read().all_us == 3_000_000


def test_a_process_is_told_from_a_later_one_with_its_number(tmp_path):
    proc = FakeProc(tmp_path)
    proc.process(7, 2.0, start=100)
    owner = find_owner(7, "boot-1", str(tmp_path))
    times = ProcessTimes(owner, str(tmp_path))
    assert times.read_us() == 2_000_000
    proc.process(7, 0.5, start=900)
    assert times.read_us() is None
    assert find_owner(8, "boot-1", str(tmp_path)) is None


def test_children_that_live_count_and_a_lost_one_takes_nothing_back(tmp_path):
    proc = FakeProc(tmp_path)
    proc.process(7, 1.0)
    proc.process(8, 4.0)
    listing = tmp_path / "7" / "task" / "7" / "children"
    listing.parent.mkdir(parents=True)
    listing.write_text("8 ")
    times = ProcessTimes(find_owner(7, "b", str(tmp_path)), str(tmp_path))
    assert times.read_us() == 5_000_000
    proc.end(8)
    assert times.read_us() == 5_000_000

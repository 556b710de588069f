"""Sensors of the board: what is the CPUs', what is the whole board's, what is neither, and nothing twice."""

from __future__ import annotations

import random

import pytest

from cryoflux.config import load_settings
from cryoflux.energy.baseline import obtain_baseline
from cryoflux.energy.meter import Meter
from cryoflux.energy.processes import MachineTimes
from cryoflux.energy.sources.discovery import find_sources
from cryoflux.energy.sources.hwmon import find_hwmon
from cryoflux.quantities import RangeKind, Tier
from energy_fakes import FakeClock, FakeNvml, FakeProc, powercap_zone


def chip(root, number, name, *, within="", **files):
    """A hwmon device; ``power1_input=5`` becomes a file of that name, 5 in it."""
    folder = root / f"hwmon{number}" / within
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")
    for file, text in files.items():
        (folder / file).write_text(f"{text}\n")
    return folder


def found(root, *, gpus=False):
    sources, problems = find_hwmon(str(root), FakeClock(), gpus=gpus)
    return [source.name for source in sources], [problem.code for problem in problems]


def joules(source, clock, seconds, folder=None, file="", watts=()):
    """What it counts while the power steps through some watts, a tenth of a second each."""
    first = source.read().energy_uj
    for step in range(round(seconds * 10)):
        if watts:
            (folder / file).write_text(f"{round(watts[step % len(watts)] * 1e6)}\n")
        clock.forward(0.1)
        last = source.read().energy_uj
    return (last - first) / 1e6


def test_an_acpi_meter_is_the_board_wherever_its_driver_puts_the_files(tmp_path):
    for number, within in enumerate(("", "device")):
        root = tmp_path / str(number)
        chip(root, 0, "power_meter", within=within, power1_average=90_000_000, power1_average_interval=1000)
        clock = FakeClock()
        ((source,), problems) = find_hwmon(str(root), clock, gpus=False)
        assert (source.name, source.kind, source.tier) == ("hwmon:power_meter", "cpu", Tier.POWER_INTEGRATED)
        assert problems == []
        assert joules(source, clock, 5) == pytest.approx(450)


def test_an_averaged_power_is_read_as_often_as_it_changes_and_its_error_says_so(tmp_path):
    chip(tmp_path / "a", 0, "power_meter", power1_average=90_000_000, power1_average_interval=1000)
    chip(tmp_path / "b", 0, "zenpower", power1_input=90_000_000, power1_label="SVI2_P_Core")
    clock = FakeClock()
    ((averaged,), _), ((instant,), _) = (
        find_hwmon(str(tmp_path / root), clock, gpus=False) for root in ("a", "b")
    )
    assert (averaged.poll_s, instant.poll_s) == (0.5, 0.1)
    for _ in range(60):
        clock.forward(0.5)
        averaged.read()
        instant.read()
    assert averaged.gain_error == pytest.approx((0.85, 1.15), abs=0.02)
    assert instant.gain_error[1] > 2, "twice a second says little of a load that changes faster"


def test_sockets_that_count_are_counters_and_their_cores_are_within_them(tmp_path):
    folder = chip(
        tmp_path, 3, "amd_energy", energy1_input=10, energy1_label="Ecore000", energy2_input=7_000_000,
        energy2_label="Esocket0", energy3_input=9_000_000, energy3_label="Esocket1",
    )  # fmt: skip
    chip(tmp_path, 4, "zenpower", power1_input=50_000_000, power1_label="SVI2_P_Core")
    sources, problems = find_hwmon(str(tmp_path), FakeClock(), gpus=True)
    assert [source.name for source in sources] == ["hwmon:amd_energy:Esocket0", "hwmon:amd_energy:Esocket1"]
    assert {source.tier for source in sources} == {Tier.COUNTER}
    assert problems == []
    (folder / "energy2_input").write_text("7500000\n")
    assert sources[0].read().energy_uj == 7_500_000


def test_one_socket_of_two_is_not_the_cpus(tmp_path):
    folder = chip(
        tmp_path, 0, "amd_energy", energy1_input=7, energy1_label="Esocket0", energy2_label="Esocket1"
    )
    (folder / "energy2_input").write_text("")
    assert found(tmp_path) == ([], ["hwmon-unreadable"])


def test_power_of_cores_and_of_the_rest_of_the_chip_add_up(tmp_path):
    folder = chip(
        tmp_path, 0, "zenpower", power1_input=40_000_000, power1_label="SVI2_P_Core", power2_input=9_000_000,
        power2_label="SVI2_P_SoC", temp1_input=45_000,
    )  # fmt: skip
    clock = FakeClock()
    sources, _ = find_hwmon(str(tmp_path), clock, gpus=True)
    assert [source.name for source in sources] == ["hwmon:zenpower:SVI2_P_Core", "hwmon:zenpower:SVI2_P_SoC"]
    assert sources[0].gain_error[1] >= 1.3
    assert joules(sources[0], clock, 4, folder, "power1_input", (20, 60)) == pytest.approx(160, rel=0.02)


def test_x_gene_tells_the_power_of_cpus_and_io(tmp_path):
    chip(
        tmp_path,
        0,
        "apm_xgene",
        power1_input=9,
        power1_label="CPU power",
        power2_input=4,
        power2_label="IO power",
    )
    assert found(tmp_path)[0] == ["hwmon:apm_xgene:CPU power", "hwmon:apm_xgene:IO power"]


def test_a_jetson_tells_voltage_and_current_of_its_input_which_is_taken_alone(tmp_path):
    chip(
        tmp_path, 2, "ina3221", in1_label="VDD_IN", in1_input=5000, curr1_input=2000, in4_input=12,
        in2_label="VDD_CPU_GPU_CV", in2_input=5000, curr2_input=800,
        in3_label="VDD_SOC", in3_input=5000, curr3_input=500,
    )  # fmt: skip
    clock = FakeClock()
    (source,), problems = find_hwmon(str(tmp_path), clock, gpus=False)
    assert source.name == "hwmon:ina3221:VDD_IN"
    assert problems == []
    assert joules(source, clock, 3) == pytest.approx(30)


def test_without_an_input_the_rails_of_the_cpus_count_and_others_do_not(tmp_path):
    for number, label in enumerate(("VDD_CPU", "VDD_GPU", "vdd_cpu_big", "SCPUX")):
        chip(tmp_path, number, "ina226", power1_input=3, curr1_input=1, in1_input=3, label=label)
    assert found(tmp_path) == (["hwmon:ina226:VDD_CPU", "hwmon:ina226-2:vdd_cpu_big"], [])


def test_a_rail_that_nobody_names_is_not_taken_for_the_cpus(tmp_path):
    chip(tmp_path, 0, "ina219", power1_input=3_000_000, curr1_input=1, in1_input=3)
    assert found(tmp_path) == ([], ["hwmon-unknown-rail"])


@pytest.mark.parametrize(
    "name", ["amdgpu", "i915", "xe", "nouveau", "BAT0", "corsairpsu", "nvme", "inate", ""]
)
def test_what_is_no_cpu_and_no_board_is_not_read(tmp_path, name):
    chip(tmp_path, 0, name, power1_average=80, power1_input=80, energy1_input=9, curr1_input=1, in1_input=1)
    assert found(tmp_path) == ([], [])


def test_a_board_is_not_counted_beside_gpus_that_are_in_it(tmp_path):
    chip(tmp_path, 0, "power_meter", power1_average=90_000_000)
    chip(tmp_path, 1, "ina3221", in2_label="VDD_CPU_GPU_CV", in2_input=5000, curr2_input=800)
    assert found(tmp_path, gpus=True) == ([], ["board-with-gpu", "board-with-gpu"])
    assert found(tmp_path)[0] == ["hwmon:ina3221:VDD_CPU_GPU_CV"]


def test_of_several_boards_none_is_taken_and_a_battery_is_none(tmp_path):
    chip(tmp_path, 0, "power_meter", power1_average=90_000_000)
    chip(tmp_path, 1, "power_meter", power1_average=50_000_000, power1_is_battery=1)
    assert found(tmp_path) == (["hwmon:power_meter"], [])
    chip(tmp_path, 2, "power_meter", power1_average=70_000_000)
    assert found(tmp_path) == ([], ["several-boards", "several-boards"])


@pytest.mark.parametrize("text", ["", "many\n", "1.5\n"])
def test_what_is_no_number_is_a_failed_read_and_the_time_without_it_is_not_made_up(tmp_path, text):
    folder = chip(tmp_path, 0, "zenpower", power1_input=10_000_000, power1_label="SVI2_P_Core")
    clock = FakeClock()
    (source,), _ = find_hwmon(str(tmp_path), clock, gpus=False)
    before = source.read()
    (folder / "power1_input").write_text(text)
    clock.forward(1)
    assert source.read().energy_uj is None
    (folder / "power1_input").write_text("10000000\n")
    clock.forward(1)
    after = source.read()
    assert after.energy_uj == before.energy_uj
    assert after.epoch != before.epoch, "or the time without a reading would count as none drawn"


def test_counters_go_before_a_board_and_a_board_before_the_model(tmp_path):
    FakeProc(tmp_path / "proc")
    flags = {"proc_root": str(tmp_path / "proc"), "nvml": False}
    roots = {"powercap_root": str(tmp_path / "powercap"), "hwmon_root": str(tmp_path / "hwmon")}
    settings = load_settings(flags | roots, environ={}, folder=tmp_path).settings

    def taken(nvml=None):
        with_gpu = load_settings(flags | roots | {"nvml": True}, environ={}, folder=tmp_path).settings
        sources = find_sources(with_gpu if nvml else settings, FakeClock(), nvml=nvml).sources
        return [source.name for source in sources]

    assert taken() == ["cpu-model"]
    chip(tmp_path / "hwmon", 0, "power_meter", power1_average=90_000_000)
    assert taken() == ["hwmon:power_meter"]
    assert taken(FakeNvml([{"energy_j": 5.0}])) == ["cpu-model", "nvml:GPU-0"]
    powercap_zone(tmp_path / "powercap", "intel-rapl:0", "package-0")
    assert taken() == ["rapl:package-0"]


def test_a_board_is_metered_above_its_learned_idle_with_a_95_percent_interval(tmp_path):
    proc, clock = FakeProc(tmp_path / "proc"), FakeClock()
    folder = chip(
        tmp_path / "hwmon", 0, "power_meter", power1_average=60_000_000, power1_average_interval=1000
    )
    (source,), _ = find_hwmon(str(tmp_path / "hwmon"), clock, gpus=False)
    times = MachineTimes(str(proc.root))
    baseline = obtain_baseline(
        tmp_path / "baseline.json", [source], times, clock, seconds=10, rng=random.Random(1)
    )
    assert baseline.of(source).idle_uw == pytest.approx(60e6, rel=0.01)
    meter = Meter([source], baseline, times, clock)
    (folder / "power1_average").write_text("160000000\n")
    first = meter.refresh()
    for _ in range(40):
        clock.forward(0.5)
        last = meter.refresh()
    net = meter.net(first, last)
    assert net.lo_uj <= 2000e6 <= net.hi_uj
    assert net.range_kind is RangeKind.INTERVAL_95

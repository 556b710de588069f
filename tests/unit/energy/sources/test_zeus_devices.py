"""Devices that only zeus reads are sources like any other; what we read ourselves is not among them."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from cryoflux.energy.sources import zeus_devices
from cryoflux.energy.sources.zeus_devices import find_zeus
from cryoflux.quantities import Tier
from energy_fakes import FakeClock


class ZeusError(Exception):
    """What the vendors' libraries raise in a zeus facade."""


class AMDGPU:
    def __init__(
        self, gpu_index, *, energy_mj=None, power_mw=None, limit_mw=300_000, name="AMD Instinct MI300X"
    ):
        self.gpu_index = gpu_index
        self.energy_mj = energy_mj
        self.power_mw = power_mw
        self.limit_mw = limit_mw
        self.name = name
        self.asked = 0

    def _known(self, value):
        self.asked += 1
        if value is None:
            raise ZeusError("not supported")
        return value

    def get_name(self):
        return self.name

    def get_power_management_limit(self):
        return self._known(self.limit_mw)

    def supports_get_total_energy_consumption(self):
        return self.energy_mj is not None

    def get_total_energy_consumption(self):
        return self._known(self.energy_mj)

    def get_instant_power_usage(self):
        return self._known(self.power_mw)

    def get_average_power_usage(self):
        return self._known(self.power_mw)


class AMDGPUs:
    def __init__(self, *gpus):
        self.gpus = gpus


class NVIDIAGPUs:
    @property
    def gpus(self):
        raise AssertionError("an NVIDIA GPU was read through zeus")


@dataclass
class AppleSiliconMeasurement:
    cpu_total_mj: int | None = 1000
    dram_mj: int | None = 200
    gpu_mj: int | None = 300
    gpu_sram_mj: int | None = 40
    ane_mj: int | None = None


class AppleSilicon:
    def __init__(self):
        self.now = AppleSiliconMeasurement()

    def get_total_energy_consumption(self):
        return self.now


@dataclass
class JetsonMeasurement:
    cpu_energy_mj: float | None = 10.5
    gpu_energy_mj: float | None = 20.25
    total_energy_mj: float | None = 50.0


class Jetson:
    def __init__(self, **changes):
        self.now = JetsonMeasurement(**changes)
        self.timeouts = set()

    def get_total_energy_consumption(self, timeout=15.0):
        self.timeouts.add(timeout)
        return self.now


def absent():
    raise ZeusError("no such hardware")


def zeus(gpus=None, soc=None):
    return SimpleNamespace(
        get_gpus=lambda: gpus or absent(),
        get_soc=lambda: soc or absent(),
    )


def test_an_amd_gpu_that_counts_is_a_counter_and_another_is_integrated():
    clock = FakeClock()
    counting, drawing = AMDGPU(0, energy_mj=5000), AMDGPU(1, power_mw=90_000)
    sources, problems = find_zeus(clock, zeus(AMDGPUs(counting, drawing)))
    assert problems == []
    assert [(s.name, s.kind, s.tier, s.max_power_uw) for s in sources] == [
        ("zeus:amd-0", "gpu", Tier.COUNTER, 600_000_000),
        ("zeus:amd-1", "gpu", Tier.POWER_INTEGRATED, 600_000_000),
    ]
    before = [source.read() for source in sources]
    counting.energy_mj += 100
    clock.forward(0.1)
    after = [source.read() for source in sources]
    assert [b.energy_uj - a.energy_uj for a, b in zip(before, after, strict=True)] == [100_000, 9_000_000]
    assert sources[0].users() is None


def test_what_reports_nothing_is_named_and_the_odd_half_of_a_board_is_not_missing():
    halves = AMDGPUs(AMDGPU(0, energy_mj=1, name="AMD MI250X"), AMDGPU(1, name="AMD MI250X"), AMDGPU(2))
    sources, problems = find_zeus(FakeClock(), zeus(halves))
    assert [source.name for source in sources] == ["zeus:amd-0"]
    assert [(p.name, p.code) for p in problems] == [
        ("zeus:amd-1", "shared-board"),
        ("zeus:amd-2", "gpu-without-power"),
    ]


def test_nvidia_gpus_are_never_read_through_zeus():
    assert find_zeus(FakeClock(), zeus(NVIDIAGPUs())) == ([], [])
    never = SimpleNamespace(get_gpus=lambda: pytest.fail("zeus was asked"), get_soc=absent)
    assert find_zeus(FakeClock(), never, nvidia=True) == ([], [])


def test_the_parts_of_an_apple_chip_do_not_overlap():
    sources, _ = find_zeus(FakeClock(), zeus(soc=AppleSilicon()))
    assert [(s.name, s.kind, s.read().energy_uj) for s in sources] == [
        ("zeus:apple:cpu", "cpu", 1_000_000),
        ("zeus:apple:dram", "dram", 200_000),
        ("zeus:apple:gpu", "gpu", 300_000),
    ]


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, ["zeus:jetson:cpu", "zeus:jetson:gpu"]),
        ({"gpu_energy_mj": None}, ["zeus:jetson:board"]),
        ({"gpu_energy_mj": None, "total_energy_mj": None}, ["zeus:jetson:cpu"]),
    ],
)
def test_a_jetson_is_metered_by_its_rails_or_as_a_whole_never_both(changes, names):
    board = Jetson(**changes)
    sources, _ = find_zeus(FakeClock(), zeus(soc=board))
    assert [source.name for source in sources] == names
    assert {source.tier for source in sources} == {Tier.POWER_INTEGRATED}
    assert max(board.timeouts) <= 1.0


def test_a_device_that_is_lost_reads_none_is_asked_rarely_and_comes_back_in_another_epoch():
    clock, gpu = FakeClock(), AMDGPU(0, energy_mj=5000)
    (source,), _ = find_zeus(clock, zeus(AMDGPUs(gpu)))
    before, gpu.energy_mj = source.read(), None
    asked = gpu.asked
    for _ in range(600):
        assert source.read().energy_uj is None
        clock.forward(1.0)
    assert gpu.asked - asked <= 20
    gpu.energy_mj = 7000
    clock.forward(60)
    after = source.read()
    assert after.energy_uj == 7_000_000
    assert after.epoch != before.epoch


@pytest.mark.parametrize("nonsense", [float("nan"), float("inf"), -1, "N/A"])
def test_nonsense_is_a_failed_read(nonsense):
    gpu = AMDGPU(0, energy_mj=5000)
    (source,), _ = find_zeus(FakeClock(), zeus(AMDGPUs(gpu)))
    gpu.energy_mj = nonsense
    assert source.read().energy_uj is None


def test_absence_is_a_problem_only_for_who_asked(monkeypatch):
    assert find_zeus(FakeClock(), zeus()) == ([], [])
    assert [p.code for p in find_zeus(FakeClock(), zeus(), wanted=True)[1]] == ["no-zeus-device"]
    monkeypatch.setattr(zeus_devices, "load_zeus", lambda: None)
    assert find_zeus(FakeClock()) == ([], [])
    assert [p.code for p in find_zeus(FakeClock(), wanted=True)[1]] == ["no-zeus"]


def _public(kind):
    return {name for name in vars(kind) if name.startswith(("get_", "supports_"))}


def test_the_facade_is_shaped_like_the_installed_zeus():
    pytest.importorskip("zeus.device", reason="the extra zeus is not installed")
    from zeus.device.gpu import amd
    from zeus.device.gpu.nvidia import NVIDIAGPUs as RealNvidia
    from zeus.device.soc.apple import AppleSilicon as RealApple
    from zeus.device.soc.apple import AppleSiliconMeasurement as RealAppleFields
    from zeus.device.soc.jetson import Jetson as RealJetson
    from zeus.device.soc.jetson import JetsonMeasurement as RealJetsonFields

    pairs = [(AMDGPU, amd.AMDGPU), (AppleSilicon, RealApple), (Jetson, RealJetson)]
    for fake, real in pairs:
        assert fake.__name__ == real.__name__
        for name in _public(fake):
            assert inspect.signature(getattr(fake, name)).parameters.keys() == (
                inspect.signature(getattr(real, name)).parameters.keys()
            )
    assert (AMDGPUs.__name__, NVIDIAGPUs.__name__) == (amd.AMDGPUs.__name__, RealNvidia.__name__)
    assert isinstance(amd.AMDGPUs.gpus, property)
    for fake, real in [(AppleSiliconMeasurement, RealAppleFields), (JetsonMeasurement, RealJetsonFields)]:
        assert fake.__dataclass_fields__.keys() <= real.__dataclass_fields__.keys()


def test_on_a_machine_without_such_a_device_the_installed_zeus_finds_none():
    pytest.importorskip("zeus.device", reason="the extra zeus is not installed")
    sources, problems = find_zeus(FakeClock(), wanted=True)
    assert sources == []
    assert [problem.code for problem in problems] == ["no-zeus-device"]

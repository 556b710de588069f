"""The faults of energy counters, each as data, and a machine of plain files that plays them.

A machine is a folder: a powercap tree as the kernel lays it out, and ``gpu.json`` in place of a GPU. What
has truly flowed is known to the microjoule; what the counters show is what the fault makes of it. Only
the standard library is used, so that any meter, in any environment, can be put in front of it.
"""

from __future__ import annotations

__all__ = ["FAULTS", "IDLE_W", "RANGE_UJ", "TICK_S", "Fault", "PlainNvml", "Step", "World", "Zone"]

import json
import os
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

MICRO = 1_000_000
RANGE_UJ = 262_143_328_850
IDLE_W = 20.0
"""of each package, and of a GPU"""
LIMIT_W = 250
RAISED_W = 200
TICK_S = 0.1


@dataclass(frozen=True, slots=True)
class Step:
    """So many seconds at so many watts, begun by an event."""

    seconds: float
    watts: float = 50.0
    """of the package, or of the GPU in a GPU's fault"""
    event: str = ""


@dataclass(frozen=True, slots=True)
class Zone:
    """One zone of the powercap tree."""

    folder: str
    name: str
    share: float = 1.0
    """of the watts of the step"""
    start_uj: int = 30_000 * MICRO
    range_uj: int = RANGE_UJ
    counts: bool = True
    """whether what it shows is energy of its own, not part or mirror of another's"""
    denied: bool = False
    stuck: bool = False
    """it never counts, as in a guest whose host only stubs RAPL"""
    limit_w: int = LIMIT_W
    """what it states"""


PACKAGE = Zone("intel-rapl:0", "package-0")
FIVE = (Step(10), Step(10))


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault and what is expected of a meter that meets it."""

    key: str
    title: str
    flags: tuple[str, ...]
    """what the figure has to carry; empty where nothing is unknown"""
    steps: tuple[Step, ...]
    zones: tuple[Zone, ...] = (PACKAGE,)
    gpu: bool = False
    mute: bool = False
    """whether the GPU tells neither energy nor power, as a MIG slice or a virtual one"""
    exact: bool = False
    """whether the counters still tell the truth to the last step"""
    tdp_w: float | None = None
    """stated to the meter, where no counter is left and it has to model"""

    @property
    def seconds(self) -> float:
        """How long it takes."""
        return sum(step.seconds for step in self.steps)


def _from(uj: int, range_uj: int = RANGE_UJ) -> tuple[Zone, ...]:
    return (Zone("intel-rapl:0", "package-0", start_uj=uj, range_uj=range_uj),)


NESTED = (
    PACKAGE,
    Zone("intel-rapl:0:0", "core", share=0.7, counts=False),
    Zone("intel-rapl:0:1", "uncore", share=0.1, counts=False),
    Zone("intel-rapl:1", "psys", share=1.4, counts=False),
    Zone("intel-rapl-mmio:0", "package-0", counts=False),
)
MIRRORED = (
    Zone("intel-rapl:0", "package-0-die-0"),
    Zone("intel-rapl:1", "package-0-die-1", counts=False),
)
LOW = (Zone("intel-rapl:0", "package-0", limit_w=65),)
MEMORY = (PACKAGE, Zone("intel-rapl:1", "dram", share=0.2))
TWO = (PACKAGE, Zone("intel-rapl:1", "package-1", share=0.6, denied=True))

FAULTS = (
    Fault("wrap", "wrap between polls", ("wrap",), FIVE, _from(RANGE_UJ - 500 * MICRO), exact=True),
    Fault(
        "wrap-last",
        "wrap just before the last read",
        ("wrap",),
        FIVE,
        _from(RANGE_UJ - 997 * MICRO),
        exact=True,
    ),
    Fault(
        "several-wraps",
        "several wraps in a gap (nobody reads for 10 s)",
        ("several-wraps",),
        (Step(6), Step(10, 250.0, "stop"), Step(4, 50.0, "continue")),
        _from(500 * MICRO, 1000 * MICRO),
    ),
    Fault("reset", "reset of the counter", ("counter-reset",), (Step(10), Step(10, event="reset"))),
    Fault(
        "failed-read",
        "failed reads for 5 s",
        ("failed-read",),
        (Step(11), Step(5, event="fail"), Step(4, event="heal")),
        exact=True,
    ),
    Fault("failed-last", "reads fail to the end", ("failed-read",), (Step(14), Step(6, event="fail"))),
    Fault("unreadable", "unreadable zone among readable ones", ("unreadable-zone",), FIVE, TWO),
    Fault("nested", "nested zones, psys and an mmio mirror", (), FIVE, NESTED, exact=True),
    Fault("mirrored", "two dies that mirror one counter", (), FIVE, MIRRORED),
    Fault("frozen", "frozen counter", ("frozen",), (Step(10), Step(10, event="freeze"))),
    Fault(
        "thawed",
        "frozen counter that goes on from where it stopped",
        ("frozen",),
        (Step(6), Step(8, event="freeze"), Step(6, event="thaw")),
    ),
    Fault(
        "stubbed",
        "counter that never counts (stubbed guest)",
        ("still-counter",),
        FIVE,
        (Zone("intel-rapl:0", "package-0", stuck=True),),
        tdp_w=60.0,
    ),
    Fault(
        "absurd-limit",
        "frozen counter of a package that states a limit of 3,408 W",
        ("frozen",),
        (Step(10), Step(10, event="freeze")),
        (Zone("intel-rapl:0", "package-0", limit_w=3408),),
    ),
    Fault(
        "limit-raised",
        "power limit raised from 65 to 200 W, and used",
        (),
        (Step(10), Step(10, 188.0, "raise-limit")),
        LOW,
        exact=True,
    ),
    Fault(
        "limit-exceeded",
        "188 W under a stated limit of 65 W",
        ("above-power-limit",),
        (Step(10), Step(10, 188.0)),
        LOW,
        exact=True,
    ),
    Fault("memory", "dram zone beside the package", (), FIVE, MEMORY, exact=True),
    Fault("jump", "impossible jump", ("impossible-jump",), (Step(10), Step(10, event="jump"))),
    Fault(
        "suspend",
        "suspend, with a counter that starts anew",
        ("epoch-changed",),
        (Step(10), Step(10, event="suspend")),
    ),
    Fault(
        "wall-clock",
        "wall clock set back by an hour",
        (),
        (Step(10), Step(10, event="clock-step")),
        exact=True,
    ),
    Fault(
        "gpu-lost",
        "GPU lost for 6 s, back with a new counter",
        ("epoch-changed", "failed-read"),
        (Step(8, 150.0), Step(6, 150.0, "lose"), Step(6, 150.0, "find")),
        gpu=True,
    ),
    Fault(
        "gpu-disagrees",
        "GPU counter shows 57 % of what its power says",
        ("counter-against-power",),
        (Step(10, 150.0, "undercount"), Step(10, 150.0)),
        gpu=True,
    ),
    Fault(
        "gpu-mute",
        "GPU that tells neither energy nor power",
        ("gpu-without-power",),
        (Step(10, 150.0), Step(10, 150.0)),
        gpu=True,
        mute=True,
    ),
    Fault(
        "gpu-users-hidden",
        "GPU whose users are hidden",
        ("gpu-users-hidden",),
        (Step(10, 150.0, "hide"), Step(10, 150.0)),
        gpu=True,
        exact=True,
    ),
)


def _before(zone: Zone, rest_s: float) -> int:
    return (zone.start_uj - round(IDLE_W * zone.share * rest_s * MICRO)) % zone.range_uj


def _replace(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text, "ascii")
    beside.replace(path)


def _overwrite(path: Path, text: str) -> None:
    # The kernel's file stays the same file, and nobody ever finds half a number in it.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        os.pwrite(descriptor, f"{text:>24}\n".encode("ascii"), 0)
    finally:
        os.close(descriptor)


class World:
    """A machine of plain files on which a fault happens.

    Args:
        folder: empty, or not there yet.
        fault: its zones, and whether it has a GPU.
        rest_s: so long it will rest before the fault's first step.
    """

    def __init__(self, folder: Path, fault: Fault, *, rest_s: float = 0) -> None:
        self.folder = folder
        self.fault = fault
        self.powercap = folder / "powercap"
        self.truth_uj = 0
        """energy of all packages and GPUs so far"""
        self.sleeps = 0
        self.wall_offset_s = 0.0
        self.stopped = False
        self._frozen = self._failing = False
        self._shown = {zone.folder: _before(zone, rest_s) for zone in fault.zones}
        self._gpu: dict[str, Any] = {
            "lost": False,
            "energy_uj": 5000 * MICRO,
            "power_w": IDLE_W,
            "share": 1.0,
            "hidden": False,
        }
        if fault.mute:
            self._gpu["power_w"] = None
        self._make()
        self._write()

    def _make(self) -> None:
        for zone in self.fault.zones:
            path = self._path(zone)
            path.mkdir(parents=True)
            (path / "name").write_text(f"{zone.name}\n")
            (path / "max_energy_range_uj").write_text(f"{zone.range_uj}\n")
            (path / "constraint_0_power_limit_uw").write_text(f"{zone.limit_w * MICRO}\n")
            (self.powercap / zone.folder).symlink_to(path.relative_to(self.powercap))
            if zone.denied:
                # Whoever runs this may be root, whom no mode keeps from a file; a folder cannot be read.
                (path / "energy_uj").mkdir()
                (path / "denied").touch()
        (self.powercap / "intel-rapl" / "subsystem").symlink_to("..")

    def _path(self, zone: Zone) -> Path:
        kind, *numbers = zone.folder.split(":")
        path = self.powercap / kind
        for length in range(1, len(numbers) + 1):
            path /= ":".join([kind, *numbers[:length]])
        return path

    def event(self, name: str) -> None:
        """Let something happen."""
        if name in {"stop", "continue"}:
            self.stopped = name == "stop"
        elif name in {"fail", "heal"}:
            self._failing = name == "fail"
        elif name in {"freeze", "thaw"}:
            self._frozen = name == "freeze"
        elif name in {"lose", "find"}:
            self._gpu["lost"] = name == "lose"
            self._gpu["energy_uj"] = 0
        elif name in {"undercount", "hide"}:
            self._gpu |= {"share": 0.57} if name == "undercount" else {"hidden": True}
        elif name == "clock-step":
            self.wall_offset_s -= 3600
        elif name == "raise-limit":
            self._raise_limits()
        else:
            self._counters(name)
        self._write()
        _replace(self.folder / "wall", str(self.wall_offset_s))

    def _raise_limits(self) -> None:
        for zone in self.fault.zones:
            (self._path(zone) / "constraint_0_power_limit_uw").write_text(f"{RAISED_W * MICRO}\n")

    def _counters(self, name: str) -> None:
        if name not in {"reset", "jump", "suspend"}:
            return
        if name == "suspend":
            self.sleeps += 1
            self.wall_offset_s += 3600
        for zone in self.fault.zones:
            self._shown[zone.folder] = self._shown[zone.folder] + 100_000 * MICRO if name == "jump" else 0

    def flow(self, seconds: float, watts: float) -> None:
        """Let power flow; in a GPU's fault it is the GPU's, and the package rests."""
        cpu_w = IDLE_W if self.fault.gpu else watts
        for zone in self.fault.zones:
            uj = round(cpu_w * zone.share * seconds * MICRO)
            self.truth_uj += uj if zone.counts else 0
            if not self._frozen and not zone.stuck:
                self._shown[zone.folder] = (self._shown[zone.folder] + uj) % zone.range_uj
        if self.fault.gpu:
            uj = round(watts * seconds * MICRO)
            self.truth_uj += uj
            self._gpu["energy_uj"] += round(uj * self._gpu["share"])
            self._gpu["power_w"] = None if self.fault.mute else watts
        self._write()

    @property
    def idle_w(self) -> float:
        """Power of all packages and GPUs at rest."""
        packages = sum(zone.share for zone in self.fault.zones if zone.counts)
        return IDLE_W * (packages + self.fault.gpu)

    def _write(self) -> None:
        for zone in self.fault.zones:
            file = self._path(zone) / "energy_uj"
            if zone.denied:
                continue
            _overwrite(file, "" if self._failing else str(self._shown[zone.folder]))
        if self.fault.gpu:
            _replace(self.folder / "gpu.json", json.dumps(self._gpu))


class PlainNvml:
    """As much of NVML as a meter needs, for the GPU in ``gpu.json``.

    Args:
        folder: the machine's.
        error: the class of NVML's errors, and what it is made with.
        nothing: the machine has no GPU.
    """

    def __init__(self, folder: Path, error: type[Exception] = RuntimeError, *arguments: object) -> None:
        self.NVMLError = error
        self._arguments = arguments
        self._file = folder / "gpu.json"

    def _state(self) -> dict[str, float]:
        state: dict[str, float] = json.loads(self._file.read_text("ascii"))
        if state["lost"]:
            raise self.NVMLError(*self._arguments)
        return state

    def nvmlInit(self) -> None:  # noqa: N802 - NVML's own names
        """Nothing to do."""

    def nvmlShutdown(self) -> None:  # noqa: N802
        """Nothing to do."""

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        """One, or none."""
        return int(self._file.exists())

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        """The number itself."""
        self._state()
        return index

    def nvmlDeviceGetUUID(self, _handle: int) -> str:  # noqa: N802
        """Of the one GPU."""
        return "GPU-0"

    def nvmlDeviceGetName(self, _handle: int) -> str:  # noqa: N802
        """Of the one GPU."""
        return "plain file"

    def nvmlDeviceGetEnforcedPowerLimit(self, _handle: int) -> int:  # noqa: N802
        """In mW."""
        return 300_000

    def _told(self) -> dict[str, float]:
        state = self._state()
        if state["power_w"] is None:
            raise self.NVMLError(*self._arguments)
        return state

    def nvmlDeviceGetTotalEnergyConsumption(self, _handle: int) -> int:  # noqa: N802
        """In mJ."""
        return int(self._told()["energy_uj"]) // 1000

    def nvmlDeviceGetPowerUsage(self, _handle: int) -> int:  # noqa: N802
        """In mW."""
        return round(self._told()["power_w"] * 1000)

    def nvmlDeviceGetComputeRunningProcesses(self, _handle: int) -> list[SimpleNamespace]:  # noqa: N802
        """Whoever asks, unless processes are hidden."""
        return [] if self._state()["hidden"] else [SimpleNamespace(pid=os.getpid())]

    def nvmlDeviceGetUtilizationRates(self, _handle: int) -> SimpleNamespace:  # noqa: N802
        """Per cent."""
        return SimpleNamespace(gpu=97 if self._state()["hidden"] else 0)

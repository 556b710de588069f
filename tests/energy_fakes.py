"""A clock, a process folder, a powercap folder and an NVML that tests turn by hand."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from cryoflux.energy.interface import Reading, SourceKind
from cryoflux.quantities import Tier

TICKS = os.sysconf("SC_CLK_TCK")
RANGE_UJ = 262_143_328_850


class FakeClock:
    boot_id = "boot-1"

    def __init__(self, on_sleep=None):
        self.now_ns = 1_000_000_000
        self.wall = 1_700_000_000.0
        self.epochs = 0
        self.on_sleep = on_sleep

    def monotonic_ns(self):
        return self.now_ns

    def wall_s(self):
        return self.wall

    def epoch(self):
        return f"{self.boot_id}/{self.epochs}"

    def sleep(self, seconds):
        self.forward(seconds)
        if self.on_sleep:
            self.on_sleep(seconds)

    def forward(self, seconds):
        self.now_ns += round(seconds * 1e9)
        self.wall += seconds


class FakeProc:
    """`/proc` with one CPU line a CPU, and processes."""

    def __init__(self, root: Path, cpus: int = 2):
        self.root = root
        self.cpus = cpus
        self.busy_s = 0.0
        self.own = {}
        root.mkdir(parents=True, exist_ok=True)
        self.write()

    def write(self):
        ticks = round(self.busy_s * TICKS)
        each = ticks // self.cpus
        lines = [f"cpu  {ticks} 0 0 999999 50 0 0 77 0 0"]
        lines += [
            f"cpu{n} {each} 0 0 999999 50 0 0 77 0 0" for n in sorted(os.sched_getaffinity(0))[: self.cpus]
        ]
        (self.root / "stat").write_text("\n".join([*lines, "intr 1 2 3"]) + "\n")
        for pid, (own_s, start) in self.own.items():
            self.process(pid, own_s, start)

    def process(self, pid, own_s, start=100, state="S"):
        self.own[pid] = (own_s, start)
        folder = self.root / str(pid)
        folder.mkdir(exist_ok=True)
        user = round(own_s * TICKS)
        fields = [state, 1, 1, 1, 0, -1, 0, 0, 0, 0, 0, user, 0, 0, 0, 20, 0, 1, 0, start, 0, 0]
        (folder / "stat").write_text(f"{pid} (a ) b) " + " ".join(map(str, fields)) + "\n")

    def run(self, busy_s, own_s=0.0, pid=None):
        self.busy_s += busy_s
        if pid is not None:
            before, start = self.own[pid]
            self.own[pid] = (before + own_s, start)
        self.write()

    def end(self, pid):
        (self.root / str(pid) / "stat").unlink()
        del self.own[pid]


def powercap_zone(root: Path, folder: str, name: str, energy_uj: int = 0, limit_uw: int | None = 100_000_000):
    zone = root / folder
    zone.mkdir(parents=True)
    (zone / "name").write_text(f"{name}\n")
    (zone / "energy_uj").write_text(f"{energy_uj}\n")
    (zone / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")
    if limit_uw is not None:
        (zone / "constraint_0_power_limit_uw").write_text(f"{limit_uw}\n")
    return zone


class FakeNvml:
    """NVML with any number of GPUs; each has power (W) and, if it counts, energy (J)."""

    class NVMLError(Exception):
        pass

    def __init__(self, gpus, *, driver=True):
        self.gpus = gpus
        self.driver = driver
        self.shutdowns = 0

    def nvmlInit(self):
        if not self.driver:
            raise self.NVMLError("Driver Not Loaded")

    def nvmlShutdown(self):
        self.shutdowns += 1

    def nvmlDeviceGetCount(self):
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index):
        if self.gpus[index].get("refused"):
            raise self.NVMLError("Insufficient Permissions")
        return index

    def nvmlDeviceGetUUID(self, handle):
        return f"GPU-{handle}"

    def nvmlDeviceGetEnforcedPowerLimit(self, handle):
        return self.gpus[handle].get("limit_w", 300) * 1000

    def _read(self, handle, key):
        if not self.driver or self.gpus[handle].get(key) is None:
            raise self.NVMLError("Not Supported")
        return round(self.gpus[handle][key] * 1000)

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):
        return self._read(handle, "energy_j")

    def nvmlDeviceGetPowerUsage(self, handle):
        return self._read(handle, "power_w")


class ReplaySource:
    """Gives out recorded readings in order; after the last one, that one again.

    Args:
        readings: at least one, in the order they were taken.
        name: what the recorded source was called.
        kind: what it measured.
        max_power_uw: the bound of the recorded source, µW.
        range_uj: where its counter wrapped, µJ.
    """

    curve = ""
    resolution_uj = 0
    gain_error = (1.0, 1.0)
    poll_s = 1.0
    update_s = 0.0
    idle_uw: int | None = None
    tier = Tier.COUNTER

    def __init__(
        self,
        readings: Iterable[Reading],
        *,
        name: str = "replay",
        kind: SourceKind = "cpu",
        max_power_uw: int = 1_000_000_000,
        range_uj: int | None = None,
    ) -> None:
        self.name = name
        self.kind: SourceKind = kind
        self.max_power_uw = max_power_uw
        self.range_uj = range_uj
        self._left = iter(readings)
        self._last = next(self._left)
        self._first = True

    def read(self) -> Reading:
        """The next recorded reading."""
        if not self._first:
            self._last = next(self._left, self._last)
        self._first = False
        return self._last

    def users(self) -> None:
        """Not told."""

    def close(self) -> None:
        """Nothing to let go of."""

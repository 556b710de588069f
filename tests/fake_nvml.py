"""NVML as a driver with boards that draw power over time: counters, sensors, processes, and losses.

A board's power is a step function that the test (or the benchmark's ``--fake``) draws with `Board.draw`;
its energy is that function's exact integral, so every reading has a known truth.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from types import SimpleNamespace

UNINITIALIZED, NOT_SUPPORTED, NOT_FOUND, DRIVER_NOT_LOADED, GPU_IS_LOST = 1, 3, 6, 9, 15
POWER_AVERAGE, POWER_INSTANT = 185, 186
_NAMES = {1: "Uninitialized", 3: "Not Supported", 6: "Not Found", 9: "Driver Not Loaded", 15: "GPU is lost"}


class NVMLError(Exception):
    def __init__(self, value):
        super().__init__(value)
        self.value = value

    def __str__(self):
        return _NAMES.get(self.value, "Unknown Error")


class Board:
    """One GPU."""

    def __init__(
        self,
        uuid,
        clock,
        *,
        power_w=60.0,
        limit_w=300.0,
        counts=True,
        fields=True,
        averages=True,
        step_s=0.1,
        gain=1.0,
        mig=False,
        module=False,
    ):
        self.uuid = uuid
        self.clock = clock
        self.limit_w = limit_w
        self.counts = counts
        self.fields = fields
        self.averages = averages
        self.step_s = step_s
        self.gain = gain
        self.mig = mig
        self.module = module
        self.sensor = True
        self.lost = False
        self.listed = []
        self.graphics = []
        self.samples = None
        self.busy_share = 0
        """what the board says of its own use, per cent; none where it does not tell"""
        self.scopes = []
        self._times_s = [clock.monotonic_ns() / 1e9]
        self._powers_w = [power_w]
        self._energies_j = [0.0]

    def draw(self, power_w):
        """From now on it draws so much."""
        now_s = self.clock.monotonic_ns() / 1e9
        self._energies_j.append(self.energy_j(now_s))
        self._times_s.append(now_s)
        self._powers_w.append(power_w)

    def energy_j(self, at_s=None):
        """What it has drawn since it was made: the truth."""
        at_s = self.clock.monotonic_ns() / 1e9 if at_s is None else at_s
        if at_s <= self._times_s[0]:
            return 0.0
        i = bisect_right(self._times_s, at_s) - 1
        return self._energies_j[i] + self._powers_w[i] * (at_s - self._times_s[i])

    def counted_mj(self):
        now_s = self.clock.monotonic_ns() / 1e9
        visible_s = now_s // self.step_s * self.step_s if self.step_s else now_s
        return round(self.energy_j(visible_s) * self.gain * 1000)

    def instant_mw(self):
        return round(self._powers_w[-1] * 1000)

    def average_mw(self):
        now_s = self.clock.monotonic_ns() / 1e9
        span_s = min(1.0, now_s - self._times_s[0])
        if span_s <= 0:
            return self.instant_mw()
        return round((self.energy_j(now_s) - self.energy_j(now_s - span_s)) / span_s * 1000)


class RichNvml:
    """The calls of `pynvml` that CryoFlux makes, with what they raise."""

    NVMLError = NVMLError

    def __init__(self, boards, *, driver=True):
        self.boards = list(boards)
        self.driver = driver
        self.inits = 0
        self.shutdowns = 0
        self.generation = 0
        self.open = False
        self.gate = None
        """an Event that `nvmlInit` waits for"""

    def nvmlInit(self):
        self.inits += 1
        if self.gate is not None:
            self.gate.wait()
        if not self.driver:
            raise NVMLError(DRIVER_NOT_LOADED)
        self.open = True
        self.generation += 1

    def nvmlShutdown(self):
        if not self.open:
            raise NVMLError(UNINITIALIZED)
        self.shutdowns += 1
        self.open = False

    def _need_driver(self):
        if not self.open or not self.driver:
            raise NVMLError(UNINITIALIZED)

    def nvmlDeviceGetCount(self):
        self._need_driver()
        return len(self.boards)

    def _handle(self, board):
        if board.lost:
            raise NVMLError(GPU_IS_LOST)
        return SimpleNamespace(board=board, generation=self.generation)

    def nvmlDeviceGetHandleByIndex(self, index):
        self._need_driver()
        return self._handle(self.boards[index])

    def nvmlDeviceGetHandleByUUID(self, uuid):
        self._need_driver()
        for board in self.boards:
            if board.uuid == uuid:
                return self._handle(board)
        raise NVMLError(NOT_FOUND)

    def _board(self, handle):
        self._need_driver()
        if handle.generation != self.generation:
            raise NVMLError(UNINITIALIZED)
        if handle.board.lost:
            raise NVMLError(GPU_IS_LOST)
        return handle.board

    def nvmlDeviceGetUUID(self, handle):
        return self._board(handle).uuid

    def nvmlDeviceGetName(self, handle):
        self._board(handle)
        return "Fake GPU"

    def nvmlDeviceGetEnforcedPowerLimit(self, handle):
        return round(self._board(handle).limit_w * 1000)

    def nvmlDeviceGetPowerManagementLimitConstraints(self, handle):
        limit_mw = round(self._board(handle).limit_w * 1000)
        return [limit_mw // 3, limit_mw]

    def nvmlDeviceGetMigMode(self, handle):
        on = int(self._board(handle).mig)
        return [on, on]

    def nvmlDeviceGetC2cModeInfoV(self, handle):
        if not self._board(handle).module:
            raise NVMLError(NOT_SUPPORTED)
        return SimpleNamespace(isC2cEnabled=1)

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):
        board = self._board(handle)
        if not board.counts:
            raise NVMLError(NOT_SUPPORTED)
        return board.counted_mj()

    def nvmlDeviceGetPowerUsage(self, handle):
        board = self._board(handle)
        if not board.sensor:
            raise NVMLError(NOT_SUPPORTED)
        return board.average_mw() if board.averages else board.instant_mw()

    def nvmlDeviceGetFieldValues(self, handle, fields):
        board = self._board(handle)
        return [self._field(board, *field) for field in fields]

    @staticmethod
    def _field(board, field, scope):
        board.scopes.append(scope)
        known = board.sensor and board.fields and (field == POWER_INSTANT or board.averages)
        power_mw = board.average_mw() if field == POWER_AVERAGE else board.instant_mw()
        value = SimpleNamespace(uiVal=power_mw if known else 0)
        return SimpleNamespace(nvmlReturn=0 if known else NOT_SUPPORTED, value=value)

    def nvmlDeviceGetUtilizationRates(self, handle):
        share = self._board(handle).busy_share
        if share is None:
            raise NVMLError(NOT_SUPPORTED)
        return SimpleNamespace(gpu=share, memory=0)

    def nvmlDeviceGetComputeRunningProcesses(self, handle):
        return [SimpleNamespace(pid=pid, usedGpuMemory=None) for pid in self._board(handle).listed]

    def nvmlDeviceGetGraphicsRunningProcesses(self, handle):
        return [SimpleNamespace(pid=pid, usedGpuMemory=None) for pid in self._board(handle).graphics]

    def nvmlDeviceGetProcessUtilization(self, handle, since_us):
        samples = self._board(handle).samples
        if samples is None:
            raise NVMLError(NOT_SUPPORTED)
        newer = [
            SimpleNamespace(timeStamp=at_us, pid=pid, smUtil=share)
            for at_us, pid, share in samples
            if at_us > since_us
        ]
        if not newer:
            raise NVMLError(NOT_FOUND)
        return newer


def closed_gate():
    """A gate that `nvmlInit` waits at until the test opens it."""
    return threading.Event()

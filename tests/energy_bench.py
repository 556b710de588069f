"""A machine with one counter, whose clock, power and processes a test turns by hand."""

from __future__ import annotations

import os

from cryoflux.config import load_settings
from cryoflux.energy.local_agent import LocalAgent
from energy_fakes import FakeClock, FakeNvml, FakeProc, powercap_zone

PID = os.getpid()


class Bench:
    """A machine of plain files with one RAPL package of 20 W at rest."""

    def __init__(self, tmp_path, **flags):
        self.proc = FakeProc(tmp_path / "proc")
        self.proc.process(PID, 3.0)
        self.zone = powercap_zone(tmp_path / "powercap", "intel-rapl:0", "package-0")
        self.energy_uj = 0
        self.clock = FakeClock(lambda seconds: self.draw(20.0, seconds))
        chosen = {
            "powercap_root": str(tmp_path / "powercap"),
            "hwmon_root": "/nowhere",
            "proc_root": str(self.proc.root),
            **flags,
        }
        self.settings = load_settings(chosen, environ={}, folder=tmp_path).settings
        self.state = tmp_path / "state"

    def open(self, **options):
        options = {"clock": self.clock, "nvml": FakeNvml([]), "background": False, **options}
        return LocalAgent(self.settings, self.state, **options)

    def draw(self, power_w, seconds):
        self.energy_uj += round(power_w * seconds * 1e6)
        (self.zone / "energy_uj").write_text(f"{self.energy_uj}\n")

    def second(self, power_w, own_s=0.0, busy_s=None):
        self.clock.forward(1)
        self.draw(power_w, 1)
        self.proc.run(own_s if busy_s is None else busy_s, own_s, PID)

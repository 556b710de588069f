"""What an hour of doing nothing is worth, where net energy is credited: nothing."""

from __future__ import annotations

import math
import random

import pytest

from cryoflux.config import load_settings
from cryoflux.energy.local_agent import LocalAgent
from energy_fakes import FakeClock, FakeNvml, FakeProc, powercap_zone
from synthetic_world import IDLE_W, MICRO, PID

HOUR_S = 3600
EVERY_S = 4
IDLE_UJ = round(IDLE_W * HOUR_S * MICRO)


def idle_powers(rng):
    """Watts, second by second: noise that remembers, on a drift of ± 1.5 W, both without a mean."""
    value, powers = 0.0, []
    for second in range(HOUR_S):
        value = 0.8 * value + rng.gauss(0, 1)
        powers.append(IDLE_W + value + 1.5 * math.sin(2 * math.pi * second / HOUR_S))
    off = sum(powers) / HOUR_S - IDLE_W
    return [power - off for power in powers]


class Resting:
    """A machine on which the baseline was learned from a steady 20 W, and which then rests for an hour."""

    def __init__(self, folder, learned_w=IDLE_W):
        self.proc = FakeProc(folder / "proc")
        self.proc.process(PID, 3.0)
        self.zone = powercap_zone(folder / "powercap", "intel-rapl:0", "package-0")
        self.uj = 0
        self.clock = FakeClock(lambda seconds: self.draw(learned_w, seconds))
        chosen = {
            "powercap_root": str(folder / "powercap"),
            "hwmon_root": str(folder / "hwmon"),
            "proc_root": str(self.proc.root),
        }
        self.agent = LocalAgent(
            load_settings(chosen, environ={}, folder=folder).settings,
            folder / "state",
            credit="net",
            clock=self.clock,
            nvml=FakeNvml([]),
            background=False,
        )

    def draw(self, watts, seconds=1.0):
        self.uj += round(watts * seconds * MICRO)
        (self.zone / "energy_uj").write_text(f"{self.uj:>20}\n")

    def rest(self, powers):
        """(what is in the bucket afterwards, what clipping each reading at zero would have put there)"""
        clipped_uj, before_uj = 0, self.agent.sample().net.uj
        for second, watts in enumerate(powers, 1):
            self.clock.forward(1)
            self.draw(watts)
            if second % EVERY_S == 0:
                net_uj = self.agent.sample().net.uj
                clipped_uj, before_uj = clipped_uj + max(0, net_uj - before_uj), net_uj
        minted_uj, net = self.agent.bucket_uj(), self.agent.sample().net
        self.agent.close()
        return minted_uj, clipped_uj, net


@pytest.mark.parametrize("seed", [1, 2])
def test_an_hour_at_rest_mints_no_more_than_a_thousandth_of_the_idle_energy(tmp_path, seed):
    minted_uj, clipped_uj, net = Resting(tmp_path).rest(idle_powers(random.Random(seed)))
    assert abs(minted_uj) <= IDLE_UJ // 1000
    assert net.lo_uj <= 0 <= net.hi_uj
    # Were every reading clipped at zero, the same noise would be worth hundreds of joules.
    assert clipped_uj > 20 * IDLE_UJ // 1000


@pytest.mark.parametrize("off_w", [-0.5, 0.5])
def test_a_baseline_that_is_off_mints_just_its_own_error_and_the_interval_says_so(tmp_path, off_w):
    minted_uj, _, net = Resting(tmp_path, IDLE_W + off_w).rest(idle_powers(random.Random(3)))
    error_uj = round(-off_w * HOUR_S * MICRO)
    assert abs(minted_uj - error_uj) <= IDLE_UJ // 1000
    assert net.lo_uj <= 0 <= net.hi_uj

"""Several tenants of one machine: each is charged what it caused, and nothing is charged twice or lost."""

from __future__ import annotations

import random

import pytest

from cryoflux.config import load_settings
from cryoflux.energy.baseline import Baseline, Idle
from cryoflux.energy.interface import Reading
from cryoflux.energy.local_agent import LocalAgent
from cryoflux.energy.meter import Meter
from cryoflux.energy.processes import MachineTimes, ProcessTimes, find_owner
from cryoflux.quantities import Tier
from energy_fakes import FakeClock, FakeNvml, FakeProc, powercap_zone
from synthetic_world import MICRO, PID

ALICE, BOB, CAROL = 71, 72, 73
IDLE_UW, NET_W_A_CPU = 20 * MICRO, 40.0
SECONDS = 150


class SharedMachine:
    """One package of 20 W at rest and 40 W a busy CPU; tenants that work and pause in turns."""

    def __init__(self, folder, seed):
        self.rng = random.Random(seed)
        self.proc = FakeProc(folder / "proc")
        for pid in (PID, ALICE, BOB, CAROL):
            self.proc.process(pid, 1.0)
        self.zone = powercap_zone(folder / "powercap", "intel-rapl:0", "package-0")
        self.uj = 0
        self.clock = FakeClock(lambda seconds: self.draw(seconds, 0.0))
        chosen = {
            "powercap_root": str(folder / "powercap"),
            "hwmon_root": str(folder / "hwmon"),
            "proc_root": str(self.proc.root),
        }
        settings = load_settings(chosen, environ={}, folder=folder).settings
        self.agent = LocalAgent(
            settings, folder / "state", clock=self.clock, nvml=FakeNvml([]), background=False
        )
        self.agent.grant(10**12, request_id="g", note="")
        self.true_uj = dict.fromkeys((ALICE, BOB, CAROL), 0.0)
        self.loads = dict.fromkeys((ALICE, BOB, CAROL), 0.0)

    def draw(self, seconds, busy):
        self.uj += round((IDLE_UW / MICRO + NET_W_A_CPU * busy) * seconds * MICRO)
        (self.zone / "energy_uj").write_text(f"{self.uj:>20}\n")

    def take(self, pid):
        owner = self.agent.owner_of(pid, self.clock.boot_id)
        return self.agent.take_for(10**9, request_id=f"{pid}", owner=owner)

    def second(self, working):
        for pid in working:
            if self.rng.random() < 0.2:
                self.loads[pid] = self.rng.choice((0.0, self.rng.random() * 2 / len(working)))
        seconds = self.rng.choice((1.0, 1.0, 0.4, 2.5))
        self.clock.forward(seconds)
        # Whole ticks, which is all that the kernel tells: else their sum is not the machine's busy time.
        busy_s = {pid: round(self.loads[pid] * seconds, 2) for pid in working}
        for pid, own_s in busy_s.items():
            self.proc.run(own_s, own_s, pid)
            self.true_uj[pid] += NET_W_A_CPU * own_s * MICRO
        self.draw(seconds, sum(busy_s.values()) / seconds)
        self.agent.sample()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_tenants_pay_within_two_percent_and_their_parts_are_the_whole(tmp_path, seed):
    machine = SharedMachine(tmp_path, seed)
    taken = {pid: machine.take(pid) for pid in (ALICE, BOB)}
    for _ in range(SECONDS):
        machine.second((ALICE, BOB))
    settled = {pid: machine.agent.settle(one.id) for pid, one in taken.items()}
    machine.agent.close()
    for pid, one in settled.items():
        assert abs(one.energy.uj - machine.true_uj[pid]) <= 0.02 * machine.true_uj[pid]
        assert one.energy.lo_uj <= machine.true_uj[pid] <= one.energy.hi_uj
    whole = settled[ALICE].machine_net
    assert whole == settled[BOB].machine_net
    # All of it was theirs: what rounding down leaves over is less than a microjoule a tenant and block.
    assert 0 <= whole.uj - sum(one.energy.uj for one in settled.values()) <= 2 * SECONDS


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_nobody_asked_for_is_left_over_and_not_put_on_those_who_did(tmp_path, seed):
    machine = SharedMachine(tmp_path, seed)
    taken = {pid: machine.take(pid) for pid in (ALICE, BOB)}
    for _ in range(SECONDS):
        machine.second((ALICE, BOB, CAROL))
    settled = {pid: machine.agent.settle(one.id) for pid, one in taken.items()}
    machine.agent.close()
    for pid, one in settled.items():
        assert abs(one.energy.uj - machine.true_uj[pid]) <= 0.02 * machine.true_uj[pid]
    rest_uj = settled[ALICE].machine_net.uj - sum(one.energy.uj for one in settled.values())
    assert rest_uj >= 0
    assert abs(rest_uj - machine.true_uj[CAROL]) <= 0.02 * machine.true_uj[CAROL]


class SharedGpu:
    """A GPU with a counter that tells whose time it was."""

    name, kind, tier, curve = "nvml:GPU-0", "gpu", Tier.COUNTER, ""
    range_uj, idle_uw, max_power_uw = None, None, 600 * MICRO
    gain_error, resolution_uj, update_s, poll_s = (0.95, 1.05), 1000, 0.1, 1.0

    def __init__(self, clock):
        self.clock = clock
        self.uj = 0
        self.used_us = {}

    def read(self):
        return Reading(self.uj, self.clock.monotonic_ns(), "0")

    def users(self):
        return dict(self.used_us)

    def close(self):
        pass


def test_on_a_gpu_that_several_use_each_pays_for_its_time_and_the_parts_are_the_whole(tmp_path):
    rng, clock, proc = random.Random(5), FakeClock(), FakeProc(tmp_path / "proc")
    gpu = SharedGpu(clock)
    idle = Idle(gpu.name, gpu.tier, "", 70 * MICRO, 50_000, 30, "settled", "")
    meter = Meter([gpu], Baseline((idle,)), MachineTimes(str(proc.root)), clock)
    for pid in (ALICE, BOB):
        proc.process(pid, 1.0)
        gpu.used_us[pid] = rng.randrange(MICRO)
    whole = meter.attribute(None)
    parts = {
        pid: meter.attribute(ProcessTimes(find_owner(pid, clock.boot_id, str(proc.root)), str(proc.root)))
        for pid in (ALICE, BOB)
    }
    true_uj = dict.fromkeys(parts, 0.0)
    for _ in range(SECONDS):
        clock.forward(1)
        shares = {pid: rng.choice((0.0, rng.random() / 2)) for pid in parts}
        for pid, share in shares.items():
            gpu.used_us[pid] += round(share * MICRO)
            true_uj[pid] += 230 * share * MICRO
        gpu.uj += 70 * MICRO + round(230 * sum(shares.values()) * MICRO)
        meter.refresh()
    charged = {pid: part.net() for pid, part in parts.items()}
    for pid, figure in charged.items():
        assert abs(figure.uj - true_uj[pid]) <= 0.02 * true_uj[pid]
        assert "gpu-shared" in figure.flags
    rest_uj = whole.net().uj - sum(figure.uj for figure in charged.values())
    assert 0 <= rest_uj <= 2 * SECONDS
    meter.close()

"""The energy of children is charged, whenever they are found, and what fits nowhere is said."""

from __future__ import annotations

import multiprocessing
import shutil
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.config import Settings
from cryoflux.energy.attribution import _Shared, _spread
from cryoflux.energy.baseline import Baseline, Idle
from cryoflux.energy.interface import Reading
from cryoflux.energy.meter import Meter
from cryoflux.energy.processes import MachineTimes, ProcessTimes, VisibleTimes, find_owner
from cryoflux.energy.sources.discovery import find_sources
from cryoflux.energy.uncertainty import ErrorTerms
from cryoflux.energy.window import exactly
from cryoflux.settings import EnergySettings
from energy_fakes import FakeClock, FakeProc, ReplaySource

OWNER, CHILD, GRANDCHILD = 7, 8, 9
IDLE_W, WORKING_W = 20, 70


class Family:
    """A process of which a child burns one of two CPUs from second 1 to 12: 11 s of 50 W above idle."""

    def __init__(self, root, *, lists=True):
        self.proc, self.clock, self.lists = FakeProc(root), FakeClock(), lists
        self.energy_uj = 0
        self.proc.process(OWNER, 0.05)
        self.list_children(OWNER)
        source = ReplaySource([Reading(0, 0, "a")], name="counter")
        source.read = lambda: Reading(self.energy_uj, self.clock.now_ns, "a")
        idle = Idle(source.name, source.tier, "", IDLE_W * 10**6, 0, 30, "settled", "")
        self.meter = Meter([source], Baseline((idle,)), MachineTimes(str(root)), self.clock)
        process = ProcessTimes(find_owner(OWNER, "boot-1", str(root)), str(root))
        self.charged = self.meter.attribute(process)

    def list_children(self, pid, *children):
        if self.lists:
            listing = self.proc.root / str(pid) / "task" / str(pid) / "children"
            listing.parent.mkdir(parents=True, exist_ok=True)
            listing.write_text(" ".join(map(str, children)))

    def second(self, at, *, alive, waited_s=0.0, read=True):
        """The machine at the end of a second; the child burnt it, if it lived by then."""
        busy_s = min(max(at - 1, 0), 11)
        self.clock.forward(1.0)
        self.energy_uj += (WORKING_W if 1 < at <= 12 else IDLE_W) * 10**6
        self.proc.run(busy_s - self.proc.busy_s)
        self.proc.process(OWNER, 0.05, waited_s=waited_s)
        if alive:
            self.proc.process(CHILD, busy_s, start=101, parent=OWNER)
            self.list_children(CHILD)
        elif CHILD in self.proc.own:
            self.proc.end(CHILD)
            shutil.rmtree(self.proc.root / str(CHILD))
        self.list_children(OWNER, *([CHILD] if alive else []))
        if read:
            self.meter.refresh(last=read == "last")


@pytest.mark.parametrize("lists", [True, False], ids=["listed", "no lists of children"])
@pytest.mark.parametrize("waited", [True, False], ids=["waited for", "alive at the end"])
def test_a_child_is_charged_what_it_caused(tmp_path, waited, lists):
    family = Family(tmp_path, lists=lists)
    for at in range(1, 15):
        gone = waited and at >= 13
        family.second(at, alive=not gone, waited_s=11.0 if gone else 0.0)
    net = family.charged.net()
    assert net.joules == pytest.approx(550, abs=1)
    assert net.lo_uj < 550e6 < net.hi_uj
    assert net.flags == ()
    assert family.charged.cpu_us == 11_000_000


def test_a_child_that_is_alive_when_the_work_ends_is_found_then(tmp_path):
    family = Family(tmp_path)
    family.second(1, alive=False)
    family.clock.forward(0.5)
    family.energy_uj += 35 * 10**6
    family.proc.run(0.5)
    family.proc.process(CHILD, 0.5, start=101, parent=OWNER)
    family.list_children(CHILD)
    family.list_children(OWNER, CHILD)
    family.meter.refresh()  # too soon to look for children again
    assert family.charged.net().uj == 0
    family.meter.refresh(last=True)
    assert family.charged.net().joules == pytest.approx(25, abs=0.5)


def test_time_that_is_found_late_is_charged_in_the_seconds_since_the_last_look(tmp_path, monkeypatch):
    family = Family(tmp_path)
    monkeypatch.setattr("cryoflux.energy.processes._LOOK_EVERY_NS", 60 * 10**9)
    for at in range(1, 13):
        family.second(at, alive=True)
    assert family.charged.net().uj == 0
    family.second(13, alive=True, read="last")
    assert family.charged.net().joules == pytest.approx(550, abs=1)
    assert family.charged.net().flags == ()


def test_time_that_fits_nowhere_widens_the_interval_and_is_flagged(tmp_path):
    family = Family(tmp_path)
    for at in range(1, 13):
        family.second(at, alive=False)  # somebody else burnt the CPU while it could be seen who did
    assert family.charged.net().uj == 0
    family.second(13, alive=False, waited_s=11.0)
    net = family.charged.net()
    assert net.flags == ("cpu-time-unplaced",)
    assert net.uj < 1e6
    assert net.hi_uj > 550e6


def blocks():
    amounts = st.tuples(st.integers(-(10**7), 10**9), st.integers(0, 4 * 10**6), st.integers(0, 4 * 10**6))
    return st.lists(amounts, min_size=1, max_size=8)


@given(blocks())
def test_spreading_charges_no_more_than_there_was_and_loses_no_time(rows):
    shared = [_Shared(ErrorTerms(exactly(net)), own, busy) for net, own, busy in rows]
    charged, left_us = _spread(shared)
    assert sum(max(0, net) for net, _, _ in rows) >= charged.amount.uj
    assert charged.amount.uj >= sum(min(0, net) for net, _, _ in rows) - len(rows)
    own_us, busy_us = (sum(row[at] for row in rows) for at in (1, 2))
    assert max(0, own_us - busy_us) <= left_us <= own_us
    if all(own <= busy for _, own, busy in rows):
        assert left_us == 0


def _burn(seconds):
    began = time.process_time()
    while time.process_time() - began < seconds:
        pass
    return time.process_time() - began


def test_a_pool_that_is_alive_when_a_block_ends_counts(tmp_path):
    times = ProcessTimes(find_owner(multiprocessing.current_process().pid, "b"))
    start_us = times.read_us(1)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        used_s = sum(pool.map(_burn, [0.5, 0.5]))
        assert times.read_us() - start_us >= used_s * 1e6 - 50_000


def test_where_the_kernel_holds_zeros_the_processes_that_can_be_seen_are_the_machine(tmp_path):
    proc, clock = FakeProc(tmp_path / "proc"), FakeClock()
    proc.process(OWNER, 1.0)
    proc.process(CHILD, 0.5, start=101, parent=OWNER)
    (proc.root / "stat").write_text("cpu  0 0 0 0 0 0 0 0 0 0\ncpu0 0 0 0 0 0 0 0 0 0 0\n")
    energy = EnergySettings(
        proc_root=str(proc.root),
        powercap_root=str(tmp_path / "none"),
        hwmon_root="/nowhere",
        nvml=False,
        tdp_w=100,
    )
    found = find_sources(Settings(energy=energy), clock)
    assert "busy-time-unseen" in found.flags
    (source,) = found.sources
    idle = Idle(source.name, source.tier, source.curve, source.idle_uw, 0, 0, "modelled", "")
    meter = Meter([source], Baseline((idle,)), found.times, clock, flags=found.flags)
    charged = meter.attribute(ProcessTimes(find_owner(OWNER, "boot-1", str(proc.root)), str(proc.root)))
    for second in range(1, 5):  # 4 CPU-s, which read as nothing before
        clock.forward(1.0)
        proc.process(OWNER, 1.0 + second)
        (proc.root / "stat").write_text("cpu  0 0 0 0 0 0 0 0 0 0\n")
        meter.refresh()
    net = meter.qualified(charged.net(), charged.elapsed_ns)
    assert net.lo_uj > 10e6
    assert net.flags == ("busy-time-unseen",)


def test_time_of_processes_that_are_gone_is_not_lost_nor_counted_twice(tmp_path):
    proc = FakeProc(tmp_path)
    proc.process(OWNER, 1.0)
    proc.process(CHILD, 2.0, start=101, parent=OWNER)
    proc.process(9, 4.0, start=102, parent=1)
    times = VisibleTimes(str(tmp_path))
    assert times.read().all_us == 7_000_000
    proc.end(CHILD)
    proc.process(OWNER, 1.0, waited_s=2.5)  # it lived on a little, and was waited for
    proc.end(9)  # nobody who can be seen waited for it
    assert times.read().all_us == 7_500_000


def family_in_threes(proc, *, grandchild=True, shell=True, waited_s=0.0):
    """The owner, a shell that it started, and what that started."""
    for pid in (CHILD, GRANDCHILD):
        if pid in proc.own:
            proc.end(pid)
            shutil.rmtree(proc.root / str(pid))
    proc.process(OWNER, 1.0, waited_s=waited_s)
    if shell:
        proc.process(CHILD, 0.25, start=101, parent=OWNER)
    if grandchild:
        proc.process(GRANDCHILD, 2.0, start=102, parent=CHILD)


@pytest.mark.parametrize(
    ("waited_s", "total_s"),
    [(0.25, 3.25), (2.25, 3.25), (2.5, 3.5), (0.0, 3.25)],
    ids=["by somebody else", "by the shell", "and more was spent", "nobody waits at all"],
)
def test_time_of_an_orphan_whose_shell_ended_since_the_last_look_is_kept_once(tmp_path, waited_s, total_s):
    proc = FakeProc(tmp_path)
    family_in_threes(proc)
    times = ProcessTimes(find_owner(OWNER, "boot-1", str(tmp_path)), str(tmp_path))
    assert times.read_us() == 3_250_000
    family_in_threes(proc, grandchild=False, shell=False, waited_s=waited_s)
    assert times.read_us() == total_s * 10**6
    proc.process(OWNER, 2.0, waited_s=waited_s)  # what it does from then on counts from the first tick
    assert times.read_us() == (total_s + 1) * 10**6

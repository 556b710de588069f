"""Who caused how much: nobody's time is counted twice, and the shares never come to more than there is."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from test_local_agent import Bench

from cryoflux.energy.attribution import Snapshot
from cryoflux.energy.owner_times import (
    CgroupOwners,
    Owned,
    OwnerName,
    ProcessGroupOwners,
    find_owner_times,
)
from cryoflux.energy.owners import OwnerShares, _of_device

TICK_US = 1_000_000 // os.sysconf("SC_CLK_TCK")


class Kernel:
    """Processes as the kernel tells of them, in plain files."""

    def __init__(self, root):
        self.root = Path(root)
        self.processes = {}
        self.burnt = 0
        self.start(1, parent=0, group=1, command="init")

    def start(self, pid, *, parent, group, command="sh"):
        self.processes[pid] = {"parent": parent, "group": group, "own": 0, "waited": 0, "command": command}
        self.processes[pid]["start"] = self.burnt * 1000 + pid
        self.write(pid)

    def write(self, pid):
        one = self.processes[pid]
        fields = ["S", one["parent"], one["group"], 1, 0, -1, 0, 0, 0, 0, 0, one["own"], 0, one["waited"], 0]
        (self.root / f"{pid}").mkdir(exist_ok=True)
        line = f"{pid} ({one['command']}) {' '.join(map(str, fields))} 20 0 1 0 {one['start']} 0 0\n"
        (self.root / f"{pid}" / "stat").write_bytes(line.encode("utf-8", "surrogateescape"))

    def run(self, pid, ticks):
        self.processes[pid]["own"] += ticks
        self.burnt += ticks
        self.write(pid)

    def end(self, pid, *, waited=True):
        gone = self.processes.pop(pid)
        (self.root / f"{pid}" / "stat").unlink()
        if waited:
            self.processes[gone["parent"]]["waited"] += gone["own"] + gone["waited"]
            self.write(gone["parent"])
        for child, one in self.processes.items():
            if one["parent"] == pid:
                one["parent"] = 1
                self.write(child)


def ticks(owned):
    return {(name.owner, name.command): us // TICK_US for name, us in owned.used_us.items() if us}


def test_time_is_the_process_groups_and_that_of_short_lives_is_their_parents(tmp_path):
    kernel = Kernel(tmp_path)
    kernel.start(10, parent=1, group=10, command="make (all) \udcff")
    kernel.start(11, parent=10, group=10, command="cc")
    kernel.start(20, parent=1, group=20, command="train")
    kernel.run(20, 7)
    times = ProcessGroupOwners(str(tmp_path))
    kernel.run(10, 1)
    kernel.run(11, 2)
    kernel.run(20, 3)
    owned = times.advance()
    assert ticks(owned) == {("10", "make (all) \ufffd"): 3, ("20", "train"): 3}
    assert owned.pids[11] == OwnerName("process-group", "10", "make (all) \ufffd")
    kernel.run(11, 4)
    kernel.end(11)  # seen, and waited for: two of its ticks were counted before
    kernel.start(12, parent=10, group=10)
    kernel.run(12, 5)
    kernel.end(12)  # never seen
    assert ticks(times.advance()) == {("10", "make (all) \ufffd"): 9}
    assert ticks(times.advance()) == {}


def test_an_orphan_is_not_counted_once_more_by_who_took_it_in(tmp_path):
    kernel = Kernel(tmp_path)
    times = ProcessGroupOwners(str(tmp_path))
    kernel.start(10, parent=1, group=10)
    kernel.start(11, parent=10, group=10)
    kernel.run(11, 50)
    assert ticks(times.advance()) == {("10", "sh"): 50}
    kernel.end(10)
    kernel.end(11)
    assert ticks(times.advance()) == {}


def test_a_number_that_is_given_again_is_another_process(tmp_path):
    kernel = Kernel(tmp_path)
    kernel.start(10, parent=1, group=10, command="first")
    kernel.run(10, 50)
    times = ProcessGroupOwners(str(tmp_path))
    kernel.end(10, waited=False)
    times.advance()
    kernel.start(10, parent=1, group=10, command="second")
    kernel.run(10, 3)
    assert ticks(times.advance()) == {("10", "second"): 3}


class AnyKernel(RuleBasedStateMachine):
    """Whatever processes do: what is counted is never more than what was spent."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.kernel = Kernel(self.folder.name)
        self.times = ProcessGroupOwners(self.folder.name)
        self.counted, self.next = 0, 10

    def some(self, number):
        return sorted(self.kernel.processes)[number % len(self.kernel.processes)]

    @rule(number=st.integers(0, 9), group=st.booleans())
    def start(self, number, group):
        parent, self.next = self.some(number), self.next + 1
        groups = self.next if group else self.kernel.processes[parent]["group"]
        self.kernel.start(self.next, parent=parent, group=groups)

    @rule(number=st.integers(0, 9), amount=st.integers(1, 50))
    def run(self, number, amount):
        self.kernel.run(self.some(number), amount)

    @rule(number=st.integers(0, 9), waited=st.booleans())
    def end(self, number, waited):
        if self.some(number) != 1:
            self.kernel.end(self.some(number), waited=waited)

    @rule()
    def look(self):
        self.counted += sum(ticks(self.times.advance()).values())

    @invariant()
    def never_more_than_there_is(self):
        assert self.counted <= self.kernel.burnt

    def teardown(self):
        self.folder.cleanup()


TestAnyKernel = AnyKernel.TestCase
TestAnyKernel.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def cgroup(root, path, used_us, pids=()):
    folder = root / path
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cpu.stat").write_text(f"usage_usec {used_us}\nuser_usec 1\nsystem_usec 1\n")
    (folder / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))


def test_a_control_group_has_what_is_not_in_one_within_it_and_what_is_gone_stays_with_the_one_around(
    tmp_path,
):
    cgroup(tmp_path, "user.slice", 1_000)
    cgroup(tmp_path, "user.slice/job", 600, [42])
    cgroup(tmp_path, "system.slice", 50)
    times = find_owner_times(cgroup_root=str(tmp_path))
    assert isinstance(times, CgroupOwners)
    cgroup(tmp_path, "user.slice", 2_000)
    cgroup(tmp_path, "user.slice/job", 1_300, [42])
    cgroup(tmp_path, "user.slice/new", 100, [43])
    owned = times.advance()
    assert {name.owner: us for name, us in owned.used_us.items()} == {
        "/user.slice": 200,
        "/user.slice/job": 700,
        "/user.slice/new": 100,
        "/system.slice": 0,
    }
    assert owned.pids[42] == OwnerName("cgroup", "/user.slice/job", "")
    (tmp_path / "user.slice/job/cpu.stat").unlink()
    cgroup(tmp_path, "user.slice", 2_500)
    cgroup(tmp_path, "user.slice/new", 30)  # another one of the same name
    used = {name.owner: us for name, us in times.advance().used_us.items()}
    assert used == {"/user.slice": 470, "/user.slice/new": 30, "/system.slice": 0}


def test_a_machine_that_is_not_divided_is_looked_at_by_process_groups(tmp_path):
    cgroup(tmp_path, "alone", 5)
    assert isinstance(find_owner_times(cgroup_root=str(tmp_path)), ProcessGroupOwners)
    assert isinstance(find_owner_times(cgroup_root=str(tmp_path / "nowhere")), ProcessGroupOwners)


class Scripted:
    """What somebody says that everybody used."""

    def __init__(self):
        self.next = Owned({}, {})

    def advance(self):
        found, self.next = self.next, Owned({}, {})
        return found


def name(owner):
    return OwnerName("process-group", owner, "")


@pytest.fixture
def bench(tmp_path):
    machine = Bench(tmp_path)
    machine.agent = machine.open()
    yield machine
    machine.agent.close()


def look(bench, shares, times, power_w, busy_s, **used_s):
    bench.second(power_w, busy_s=busy_s)
    bench.agent.sample()
    times.next = Owned({name(owner): round(s * 1e6) for owner, s in used_s.items()}, {})
    return {one.owner: uj for one, uj in shares.read()}


def test_net_energy_is_shared_by_cpu_time_and_the_rest_is_nobodys(bench):
    times = Scripted()
    shares = OwnerShares(bench.agent._meter, times, 3)
    assert look(bench, shares, times, 60.0, 1.0, a=0.5, b=0.25) == {"a": 20_000_000, "b": 10_000_000}
    assert shares.read() == shares.read()
    # More than the machine was busy for, since one is read after the other: never more than there is.
    assert look(bench, shares, times, 50.0, 1.0, a=3.0) == {"a": 50_000_000, "b": 10_000_000}
    # At rest the noise of the machine is shared too, with its sign.
    assert look(bench, shares, times, 10.0, 1.0, b=1.0) == {"a": 50_000_000, "b": 0}


def test_those_that_caused_most_are_named_and_who_has_ended_is_forgotten(bench):
    times = Scripted()
    shares = OwnerShares(bench.agent._meter, times, 2)
    assert list(look(bench, shares, times, 60.0, 1.0, a=0.5, b=0.3, c=0.2)) == ["a", "b"]
    assert list(look(bench, shares, times, 60.0, 1.0, c=1.0)) == ["c", "a"]
    assert set(shares._shares) == {name("a"), name("c")}  # b has ended, and is not named
    bench.clock.forward(601)
    assert list(look(bench, shares, times, 60.0, 1.0, c=1.0)) == ["c"]


def test_however_many_come_and_go_few_are_kept(bench):
    times = Scripted()
    shares = OwnerShares(bench.agent._meter, times, 2)
    for number in range(30):
        look(bench, shares, times, 60.0, 1.0, **{f"job-{number}-{part}": 0.01 for part in range(10)})
    assert len(shares._shares) <= 12
    assert len(shares.read()) == 2


DEVICES = [
    ({1: 100, 2: 100}, {1: 400, 2: 200, 3: 100}, {"a": (300, 500), "b": (100, 500)}),  # 3 is nobody's
    ({1: 100}, {1: 100}, {"a": (1, 1)}),
    ({}, {}, {}),
    ({1: 100}, None, {}),
    (None, {1: 100, 2: 50}, {}),
    ({3: 0}, {3: 9}, {}),
]


@pytest.mark.parametrize(("before", "users", "due"), DEVICES)
def test_a_device_is_shared_by_time_on_it_where_that_is_told(before, users, due):
    then, now = (Snapshot((), None, 0, {"gpu": told}) for told in (before, users))
    parts = _of_device("gpu", then, now, {1: name("a"), 2: name("b")})
    assert Counter({one.owner: part for one, part in parts.items()}) == due

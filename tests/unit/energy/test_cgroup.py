"""Control groups: what is in one counts, whoever its parent was; where none can be made there is none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cryoflux.energy.cgroup import CgroupTimes, own_cgroup
from cryoflux.energy.processes import Owner, tick_us
from energy_fakes import FakeProc

ME = Owner(7, 100, "b")


def test_version_two_counts_microseconds_and_version_one_nanoseconds(tmp_path):
    new, old = tmp_path / "new", tmp_path / "old"
    new.mkdir()
    old.mkdir()
    (new / "cpu.stat").write_text("usage_usec 1234567\nuser_usec 1000000\nsystem_usec 234567\n")
    (old / "cpu.stat").write_text("nr_periods 0\nnr_throttled 0\nthrottled_time 0\n")
    (old / "cpuacct.usage").write_text("1234567890\n")
    assert CgroupTimes(str(new), ME).read_us() == 1_234_567
    assert CgroupTimes(str(old), ME).read_us() == 1_234_567


def test_it_never_falls_and_is_gone_when_the_group_is(tmp_path):
    (tmp_path / "cpu.stat").write_text("usage_usec 500\n")
    times = CgroupTimes(str(tmp_path), ME)
    assert times.read_us() == 500
    (tmp_path / "cpu.stat").write_text("usage_usec 400\n")
    assert times.read_us() == 500
    (tmp_path / "cpu.stat").write_text("usage_usec \n")
    assert times.read_us() is None
    (tmp_path / "cpu.stat").unlink()
    assert times.read_us() is None


def test_members_and_age_are_those_of_the_group_and_its_owner(tmp_path):
    times = CgroupTimes(str(tmp_path), ME)
    assert times.pids == frozenset()
    (tmp_path / "cgroup.procs").write_text("12\n13\n")
    assert times.pids == {12, 13}
    assert times.age_s(60.0) == pytest.approx(60.0 - 100 * tick_us() / 1e6)


def machine(tmp_path, line):
    FakeProc(tmp_path / "proc").process(7, 0.0)
    (tmp_path / "proc/self").mkdir()
    (tmp_path / "proc/self/cgroup").write_text(line)
    mount = tmp_path / "cgroup"
    (mount / "user").mkdir(parents=True)
    (mount / "cgroup.procs").write_text("")
    return {"root": str(mount), "proc_root": str(tmp_path / "proc")}


@pytest.mark.parametrize("line", ["", "0::/user\n", "2:cpuacct:/user\n", "0::/../outside\n", "nonsense"])
def test_where_the_kernel_does_not_count_there_is_no_group_and_nothing_is_left(tmp_path, line):
    where = machine(tmp_path, line)
    before = sorted(path.name for path in Path(where["root"]).rglob("*"))
    with own_cgroup(7, **where) as group:
        assert group is None
    assert sorted(path.name for path in Path(where["root"]).rglob("*")) == before


def test_for_a_process_that_is_gone_there_is_no_group(tmp_path):
    where = machine(tmp_path, "0::/user\n")
    with own_cgroup(8, **where) as group:
        assert group is None


def test_groups_that_a_killed_process_left_are_removed_and_those_of_the_living_are_not(tmp_path):
    where = machine(tmp_path, "0::/user\n")
    user = Path(where["root"]) / "user"
    for name in ("cryoflux-8-aa", "cryoflux-7-bb", "cryoflux-9-cc", "other-8-dd"):
        (user / name).mkdir()
    (user / "cryoflux-9-cc" / "member").write_text("")
    with own_cgroup(7, **where):
        left = {folder.name for folder in user.iterdir()}
    assert left == {"cryoflux-7-bb", "cryoflux-9-cc", "other-8-dd"}


# A child that nobody waits for, orphaned at once, and many that live for a moment.
RESTLESS = """
import os, time
def burn(seconds):
    while time.process_time() < seconds:
        pass
read, write = os.pipe()
if os.fork() == 0:
    if os.fork() == 0:
        burn(0.6)
        os.write(write, b"done")
    os._exit(0)
os.wait()
for _ in range(20):
    if os.fork() == 0:
        burn(0.02)
        os._exit(0)
    os.wait()
os.read(read, 4)
"""


def version_one_only(tmp_path):
    """This machine's groups, as a process sees them that has none of version 2."""
    FakeProc(tmp_path).process(os.getpid(), 0.0)
    (tmp_path / "self").mkdir()
    lines = Path("/proc/self/cgroup").read_text().splitlines(keepends=True)
    (tmp_path / "self/cgroup").write_text("".join(line for line in lines if "cpuacct" in line))
    return {"proc_root": str(tmp_path)}


@pytest.mark.parametrize("where", [lambda _: {}, version_one_only], ids=["best", "version-1"])
def test_real_orphans_and_short_lives_count_in_a_real_group(tmp_path, where):
    with own_cgroup(os.getpid(), **where(tmp_path)) as group:
        if group is None:
            pytest.skip("no control group may be made here")
        before_us = group.read_us()
        child = subprocess.Popen([sys.executable, "-c", RESTLESS], preexec_fn=group.join)  # noqa: PLW1509
        assert child.wait() == 0
        used_us = group.read_us() - before_us
        folder = Path(group.folder)
        assert folder.is_dir()
    assert 1_000_000 - tick_us() <= used_us <= 3_000_000
    assert not folder.exists()
    assert group.read_us() is None


def test_a_group_is_removed_although_something_still_runs_in_it():
    with own_cgroup(os.getpid()) as group:
        if group is None:
            pytest.skip("no control group may be made here")
        sleeper = subprocess.Popen(["sleep", "100000"], preexec_fn=group.join)  # noqa: PLW1509
        assert sleeper.pid in group.pids
    try:
        assert not Path(group.folder).exists()
        assert sleeper.poll() is None
    finally:
        sleeper.kill()
        sleeper.wait()

"""CPU time of the machine and of a process with all that it starts, from files and from real processes."""

from __future__ import annotations

import gc
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cryoflux.energy.counter_file import CounterFile
from cryoflux.energy.processes import MachineTimes, ProcessTimes, find_owner, tick_us
from energy_fakes import TICKS, FakeProc

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
A_TICK_OR_SO_US = 5 * tick_us()
BURN = """
def burn(seconds):
    while time.process_time() < seconds:
        pass
"""


def descriptors():
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


def stat(path, rows):
    path.mkdir(exist_ok=True)
    (path / "stat").write_text("".join(f"{row}\n" for row in [*rows, "intr 1 2 3", "ctxt 5"]))
    return str(path)


def test_of_cpus_that_are_not_allowed_only_the_machine_knows(tmp_path):
    rows = [
        "cpu  60 6 6 9 9 6 6 9 9 9",
        "cpu0 10 1 1 9 9 1 1 9 9 9",
        "cpu1 20 2 2 9 9 2 2 9 9 9",
        "cpu10 30 3 3 9 9 3 3 9 9 9",
    ]
    times = MachineTimes(stat(tmp_path, rows), frozenset({0, 10}))
    busy = times.read()
    assert times.all_cpus == 3
    assert busy.all_us * TICKS == 84 * 1_000_000
    assert busy.allowed_us * TICKS == 56 * 1_000_000


def test_where_all_cpus_are_allowed_the_first_line_tells_all(tmp_path):
    rows = ["cpu  30 3 3 9 9 3 3 9 9 9", "cpu0 10 1 1 9 9 1 1 9 9 9", "cpu1 20 2 2 9 9 2 2 9 9 9"]
    busy = MachineTimes(stat(tmp_path, rows), frozenset({0, 1, 2})).read()
    assert busy.all_us == busy.allowed_us
    assert busy.all_us * TICKS == 42 * 1_000_000


@pytest.mark.parametrize("text", ["", "cpu", "cpu  1 2 3", "cpu  a b c d e f g h", "intr 1 2 3 4 5 6 7 8 9"])
def test_a_file_that_is_no_cpu_table_is_a_failed_read(tmp_path, text):
    (tmp_path / "stat").write_text(text)
    assert MachineTimes(str(tmp_path), frozenset({0})).read() is None


@linux
def test_the_busy_time_of_this_machine_grows_with_work_and_agrees_with_its_parts():
    some = sorted(os.sched_getaffinity(0))[:1]
    one, every = MachineTimes(cpus=frozenset(some)), MachineTimes()
    before = every.read().all_us
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass
    after = every.read().all_us
    assert after - before >= 200_000 - A_TICK_OR_SO_US
    assert 0 < one.read().allowed_us <= every.read().all_us + A_TICK_OR_SO_US


def children(root, pid, *kids):
    listing = root / str(pid) / "task" / str(pid) / "children"
    listing.parent.mkdir(parents=True, exist_ok=True)
    listing.write_text(" ".join(map(str, kids)))


def test_a_child_whose_number_is_given_to_another_process_counts_no_more(tmp_path):
    proc = FakeProc(tmp_path)
    proc.process(7, 1.0)
    proc.process(8, 2.0, start=200)
    children(tmp_path, 7, 8)
    times = ProcessTimes(find_owner(7, "b", str(tmp_path)), str(tmp_path))
    assert times.read_us() == 3_000_000
    assert times.pids == {7, 8}
    proc.process(8, 50.0, start=999)
    assert times.read_us() == 3_000_000
    assert times.pids == {7}


def test_an_orphan_that_was_seen_is_followed_to_its_end_and_then_not_forgotten(tmp_path):
    proc = FakeProc(tmp_path)
    proc.process(7, 1.0)
    proc.process(8, 2.0)
    children(tmp_path, 7, 8)
    times = ProcessTimes(find_owner(7, "b", str(tmp_path)), str(tmp_path))
    times.read_us()
    children(tmp_path, 7)
    proc.process(8, 4.0)
    for _ in range(20):
        assert times.read_us() == 5_000_000
    proc.end(8)
    proc.process(7, 1.5)
    assert times.read_us() == 5_500_000


def test_more_children_than_are_kept_open_all_count(tmp_path):
    proc = FakeProc(tmp_path)
    proc.process(7, 0.0)
    kids = range(100, 250)
    for kid in kids:
        proc.process(kid, 1.0)
    children(tmp_path, 7, *kids)
    gc.collect()  # so that nobody else's are closed meanwhile
    before = descriptors()
    times = ProcessTimes(find_owner(7, "b", str(tmp_path)), str(tmp_path))
    assert times.read_us() == 150_000_000
    assert len(descriptors() - before) < 70
    times.close()
    assert descriptors() <= before


@linux
def test_reads_go_on_without_free_descriptors():
    times, machine = ProcessTimes(find_owner(os.getpid(), "b")), MachineTimes()
    assert times.read_us() is not None
    assert machine.read() is not None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        readings = [times.read_us(), machine.read()]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert None not in readings


@linux
def test_a_real_process_is_gone_once_it_ended_and_never_another_one():
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100_000)"])
    times = ProcessTimes(find_owner(sleeper.pid, "b"))
    assert times.read_us() is not None
    sleeper.kill()
    sleeper.wait()
    assert times.read_us() is None
    assert find_owner(sleeper.pid, "b") is None


# The command forks a child that forks a burner and ends at once, so that the burner has no parent any more.
# Each process says what it used, by the kernel's finest clock.
MEASURER = f"""
import os, subprocess, sys, time
from cryoflux.energy.processes import ProcessTimes, become_subreaper, find_owner
{BURN}
def say():
    os.write(int(sys.argv[2]), b"%d " % round(time.process_time() * 1e6))
if sys.argv[1] == "command":
    if os.fork() == 0:
        if os.fork() == 0:
            burn(1.0)
        say()
        os._exit(0)
    os.wait()
    say()
    os._exit(0)
assert become_subreaper()
times = ProcessTimes(find_owner(os.getpid(), "b"))
read, write = os.pipe()
start, own = times.read_us(), time.process_time()
subprocess.run([sys.executable, sys.argv[0], "command", str(write)], check=True, pass_fds=[write])
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
    times.read_us()
used = sum(map(int, os.read(read, 200).split())) + (time.process_time() - own) * 1e6
print(times.read_us() - start, round(used))
"""


@linux
def test_an_orphaned_burner_counts_for_the_subreaper(tmp_path):
    script = tmp_path / "measurer.py"
    script.write_text(MEASURER)
    done = subprocess.run([sys.executable, script, "measure"], capture_output=True, text=True, check=True)
    counted_us, used_us = map(int, done.stdout.split())
    assert used_us > 1_000_000
    assert abs(counted_us - used_us) <= 2 * A_TICK_OR_SO_US


def test_a_file_that_is_read_often_is_opened_once(tmp_path):
    (tmp_path / "counter").write_text("1\n")
    file = CounterFile(str(tmp_path / "counter"))
    for value in range(5):
        (tmp_path / "counter").write_text(f"{value}\n")
        assert file.read() == b"%d\n" % value
    assert file.openings == 1
    file.close()
    assert file.read() == b"4\n"
    assert file.openings == 2
    assert CounterFile(str(tmp_path / "none")).read() is None


@pytest.mark.parametrize("cpus", [{0, 1}, {1, 2}, {0, 5}, {12, 13}])
def test_cpus_that_a_container_numbers_anew_all_count(tmp_path, cpus):
    rows = {"cpu": (2000, 5000), "cpu0": (1000, 2500), "cpu1": (1000, 2500)}
    lines = (f"{name} {busy} 0 0 {idle} 0 0 0 0 0 0" for name, (busy, idle) in rows.items())
    (tmp_path / "stat").write_text("\n".join(lines) + "\n")
    times = MachineTimes(str(tmp_path), frozenset(cpus))
    busy = times.read()
    assert busy.allowed_us == busy.all_us == 2000 * tick_us()
    assert times.all_cpus == 2
    assert not times.renumbered


def test_of_more_cpus_numbered_anew_than_are_allowed_all_count_and_it_is_said(tmp_path):
    rows = "".join(f"cpu{n} 500 0 0 9 0 0 0 0 0 0\n" for n in range(4))
    (tmp_path / "stat").write_text(f"cpu  2000 0 0 36 0 0 0 0 0 0\n{rows}")
    hidden = MachineTimes(str(tmp_path), frozenset({2, 5}))
    assert hidden.renumbered
    assert hidden.read().allowed_us == 2000 * tick_us()
    plain = MachineTimes(str(tmp_path), frozenset({2, 3}))
    assert not plain.renumbered
    assert plain.read().allowed_us == 1000 * tick_us()

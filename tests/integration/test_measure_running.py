"""The joules of what runs already: of processes that somebody else started, and of a control group."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from cryoflux.config import load_settings
from cryoflux.energy.of_running import StoppedBy, find_processes, measure_running
from cryoflux.energy.of_work import EnergyMeasurement
from cryoflux.energy.processes import Owner, ProcessTimes
from cryoflux.errors import UsageError
from running import cryoflux, ended, start
from waiting import until

BURN = """
import sys, time
begun = time.process_time()
print("burns", flush=True)
while time.process_time() < begun + float(sys.argv[1]): pass
"""
WITH_CHILD = f"""
import subprocess, sys
sys.exit(subprocess.call([sys.executable, "-c", {BURN!r}, sys.argv[1]]))
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CRYOFLUX_TDP_W", "50")


@contextmanager
def burning(code: str, seconds: float) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", code, str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "burns\n"
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # its child too


def measurement(tmp_path: Path) -> EnergyMeasurement:
    return EnergyMeasurement(settings=load_settings().settings, state=tmp_path / "state")


def test_a_process_is_measured_with_its_children_until_it_ends(tmp_path: Path) -> None:
    with burning(WITH_CHILD, 1.0) as process:
        found, ending = measure_running(measurement(tmp_path), find_processes([process.pid]))
    assert ending is StoppedBy.ENDED
    assert 0.3 < found.cpu_seconds <= 1.2
    assert 0 < found.energy.lo_uj < found.energy.uj < found.energy.hi_uj
    # Its parent has not waited for it yet: what it did last was read after its end.
    assert "process-gone" not in found.energy.flags


def test_what_nobody_saw_of_an_end_widens_the_interval_and_is_said(tmp_path: Path) -> None:
    # The kernel reaps a child whose parent ignores its end: on no machine is there a zombie to be seen.
    started = "import signal, subprocess, sys\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
    started += "child = subprocess.Popen([sys.executable, '-c', {0!r}, sys.argv[1]])\n"
    reaps = started.format(BURN) + "child.wait()"
    with burning(reaps, 1.0) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        (child,) = map(int, until(children.read_text, "the child").split())
        found, ending = measure_running(measurement(tmp_path), find_processes([child]))
    assert ending is StoppedBy.ENDED
    assert found.cpu_seconds > 0.3
    assert "process-gone" in found.energy.flags
    seen = sum(source.energy.hi_uj for source in found.sources)
    assert found.energy.hi_uj == seen > found.energy.uj


def test_what_runs_on_is_measured_for_so_long_or_until_somebody_asks_and_left_running(tmp_path: Path) -> None:
    with burning(BURN, 1000) as process:
        file = tmp_path / "result.json"
        outcome = cryoflux("energy", "measure", "--pid", process.pid, "--for", "1s", "-o", file)
        assert outcome.code == 0, outcome.stderr
        found = json.loads(file.read_text())
        assert (found["ending"], found["pids"]) == ("time", [process.pid])
        assert found["cpu_seconds"] > 0
        asked = start("energy", "measure", "--pid", process.pid, "--json")
        assert asked.stderr
        assert "Ctrl-C ends that" in asked.stderr.readline()
        asked.send_signal(signal.SIGINT)
        outcome = ended(asked)
        assert (outcome.code, json.loads(outcome.stdout)["ending"]) == (0, "interrupted")
        assert process.poll() is None


def test_a_later_process_with_the_same_number_is_not_taken_for_it() -> None:
    with burning(BURN, 1000) as process:
        times = find_processes([process.pid])
        assert not times.over
        owner = times.owner
        earlier = ProcessTimes(Owner(owner.pid, owner.start_ticks - 1, owner.boot_id))
        assert earlier.read_us() is None
        before = until(times.read_us, "CPU time")
        process.kill()
        process.wait()
        assert times.read_us() >= before
        assert times.over


def test_what_is_not_there_or_would_count_twice_is_refused(tmp_path: Path) -> None:
    with burning(WITH_CHILD, 1000) as process, burning(BURN, 1000) as other:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        (child,) = map(int, until(children.read_text, "the child").split())
        with pytest.raises(UsageError, match=f"Process {child} was started by process {process.pid}"):
            find_processes([child, process.pid])
        both = find_processes([process.pid, other.pid, process.pid])
        assert both.pids == {child, process.pid, other.pid}
        one = find_processes([other.pid])
        until(lambda: both.read_us() > one.read_us() > 0, "CPU time of both")
    for arguments, said in [
        (["--pid", process.pid], "There is no process"),
        (["--pid", "0"], "There is no process 0"),
        (["--cgroup", tmp_path], "is not a control group"),
        (["--cgroup", "no/such"], "There is no control group"),
        ([], "one of a command, --pid and --cgroup"),
        (["--pid", os.getpid(), "--", "true"], "one of a command, --pid and --cgroup"),
        (["--for", "3s", "--", "true"], "--for goes with"),
        (["--pid", os.getpid(), "--for", "3"], "is not a duration"),
    ]:
        outcome = cryoflux("energy", "measure", *arguments)
        assert (outcome.code, outcome.stdout) == (2, "")
        assert said in outcome.stderr


def test_a_process_of_another_user_that_is_hidden_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_pid: int, _number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refused)
    with pytest.raises(UsageError, match="hidden from you"):
        find_processes([4711], str(tmp_path))


def test_a_control_group_is_measured_until_it_is_empty(tmp_path: Path) -> None:
    from cryoflux.energy.cgroup import own_cgroup
    from cryoflux.energy.of_running import find_group

    with own_cgroup(os.getpid()) as group:
        if group is None:
            pytest.skip("no control group can be made here")
        inner = Path(group.folder) / "inner"
        inner.mkdir()
        try:
            with burning(BURN, 0.8) as process:
                (inner / "cgroup.procs").write_text(f"{process.pid}\n")
                times = find_group(group.folder)
                assert process.pid in times.pids
                found, ending = measure_running(measurement(tmp_path), times)
        finally:
            inner.rmdir()
    assert (ending, found.counted_by) == (StoppedBy.ENDED, "cgroup")
    assert 0.2 < found.cpu_seconds <= 1.0
    assert found.energy.uj > 0


def test_a_group_made_of_files_is_read_whichever_version_it_has(tmp_path: Path) -> None:
    from cryoflux.energy.of_running import find_group

    new, old, silent = (tmp_path / name for name in ("system.slice/web.service", "cpuacct/box", "silent"))
    for folder in (new, old, silent):
        folder.mkdir(parents=True)
        (folder / "cgroup.procs").write_text("")
    (new / "cpu.stat").write_text("usage_usec 1500\nuser_usec 1\n")
    (new / "cgroup.events").write_text("populated 1\nfrozen 0\n")
    (old / "cpuacct.usage").write_text("2500000\n")
    web = find_group("/system.slice/web.service", root=str(tmp_path))
    assert (web.read_us(), web.over) == (1500, False)
    (new / "cgroup.events").write_text("populated 0\nfrozen 0\n")
    assert web.over
    assert find_group("box", root=str(tmp_path)).read_us() == 2500
    with pytest.raises(UsageError, match="tells no CPU time"):
        find_group("silent", root=str(tmp_path))

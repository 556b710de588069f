"""Documents of a state, and of others, that are pipes or claim to be larger than anything.

Beside each of them its innocent twin is read as before.
"""

from __future__ import annotations

import ast
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bounded import bounded
from cryoflux.energy.baseline import load_baseline
from cryoflux.energy.trace import read_trace
from cryoflux.errors import StateTamperedError, UsageError
from cryoflux.runs.fork import fork_state
from cryoflux.runs.inputs import stored_origins
from cryoflux.runs.open_session import _read
from cryoflux.state import StateFolder
from synthetic_state import SyntheticState, open_state

pytestmark = pytest.mark.slow

SOURCE = Path(__file__).parents[2] / "src" / "cryoflux"

READ = """
from cryoflux.energy.baseline import load_baseline
from cryoflux.energy.trace import read_trace
from cryoflux.errors import CryoFluxError
from cryoflux.runs.inputs import stored_origins
from cryoflux.runs.open_session import _read
from cryoflux.state import StateFolder
folder = Path(sys.argv[3])
reads = {
    "origin.json": lambda path: stored_origins(StateFolder(path.parent)),
    "baseline.json": load_baseline,
    "session.json": _read,
    "trace": read_trace,
}
for name, read in reads.items():
    try:
        print(name, read(folder / name))
    except CryoFluxError as error:
        print(name, type(error).__name__)
"""
NAMES = ("origin.json", "baseline.json", "session.json", "trace")


def begun(path: Path) -> SyntheticState:
    made = open_state(path)
    made.write_origin()
    made.attempt(0.05)
    made.finish()
    return made


@pytest.mark.parametrize("kind", ["pipe", "hollow", "long", "deep", "/dev/zero"])
def test_no_document_is_waited_for_or_read_without_end(tmp_path: Path, kind: str) -> None:
    for name in NAMES:
        path = tmp_path / name
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "hollow":
            path.touch()
            os.truncate(path, 2**40)
        elif kind == "long":
            path.write_bytes(b" " * 30_000_000)
        elif kind == "deep":
            path.write_bytes(b"[" * 1_000_000)
        else:
            path.symlink_to(kind)
    # a pipe or a device as origin is none at all
    origin = "{}" if kind in {"pipe", "/dev/zero"} else "StateTamperedError"
    due = [origin, "StateTamperedError", "StateTamperedError", "UsageError"]
    said = bounded(READ, tmp_path, mib=1024, cpu_s=20, wall_s=60).splitlines()
    assert said == [f"{name} {word}" for name, word in zip(NAMES, due, strict=True)]


def test_a_fork_of_a_state_with_an_origin_without_end_is_refused(tmp_path: Path) -> None:
    made = begun(tmp_path / "state")
    state = StateFolder(made.path)
    twin = fork_state(made.path, tmp_path / "twin", datetime.now(UTC))
    assert twin.path.is_dir()
    os.truncate(state.origin, 2**40)
    with pytest.raises(StateTamperedError, match="is damaged"):
        fork_state(made.path, tmp_path / "fork", datetime.now(UTC))
    assert not (tmp_path / "fork").exists()


def test_a_fork_takes_what_many_names_lead_to_once(tmp_path: Path) -> None:
    made = begun(tmp_path / "state")
    losses = StateFolder(made.path).cache / "losses"
    losses.mkdir(parents=True)
    (losses / "0x").write_bytes(os.urandom(2**20))
    for number in range(200):
        (losses / f"{number}").symlink_to("0x")
    forked = fork_state(made.path, tmp_path / "fork", datetime.now(UTC))
    found = list((StateFolder(forked.path).cache / "losses").iterdir())
    assert len(found) == 201
    assert len({path.stat().st_ino for path in found}) == 1


def test_honest_documents_are_read(tmp_path: Path) -> None:
    made = begun(tmp_path / "state")
    shutil.move(StateFolder(made.path).origin, tmp_path / "kept")
    StateFolder(made.path).origin.symlink_to(tmp_path / "kept")
    assert stored_origins(StateFolder(made.path))
    assert load_baseline(tmp_path / "missing").idles == ()
    assert _read(tmp_path / "missing") is None
    with pytest.raises(UsageError, match="No such file"):
        read_trace(tmp_path / "missing")


ALLOWED = {
    # what the kernel, the package or the standard library says
    "data/fold.py",
    "data/stdlib_docs.py",
    "energy/cgroup.py",
    "energy/clock.py",
    "energy/earlier.py",
    "energy/of_running.py",
    "energy/owner_times.py",
    "energy/processes.py",
    "energy/sources/advice.py",
    "energy/sources/cpu_power.py",
    "energy/sources/discovery.py",
    "energy/sources/hwmon.py",
    "energy/sources/power_bounds.py",
    "energy/sources/rapl.py",
    "evaluation/machine.py",
    "pages/static_files.py",
    "pages/document.py",
    "receipts/bundle.py",
    "tasks/causal/stdlib_pairs.py",
    "tasks/lora/embedded.py",
    # what the user names and may hand over through a pipe, or wrote on this machine
    "cli/witness.py",
    "config.py",
    "data/bytes_in.py",
    "runs/rebuilding.py",
    "energy/trace_writer.py",
    "verification/verified.py",
    # what other commands of the demonstration print, and an update that it fetched within bounds
    "cli/node_demo.py",
    "network/demo/fork.py",
    "network/demo/rogue.py",
    # compared with what has just been written, and only if it is as long
    "receipts/tiles.py",
    # machine-id and cpuinfo; the baseline itself is read with a bound
    "energy/baseline.py",
}


def test_nothing_of_a_state_is_read_without_a_bound() -> None:
    found = set()
    for path in SOURCE.rglob("*.py"):
        calls = (node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call))
        names = {call.func.attr for call in calls if isinstance(call.func, ast.Attribute)}
        if names & {"read_bytes", "read_text", "copyfile", "copy2", "copytree"}:
            found.add(path.relative_to(SOURCE).as_posix())
    assert found <= ALLOWED

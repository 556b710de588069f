"""What a run leaves for whoever watches it, in a folder where somebody else has put something."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from acting_run import ActingRun
from browser import Dashboard, dashboard
from cryoflux.attempt.watch import Step
from cryoflux.quantities import MICRO, Energy, Tier
from cryoflux.queries.activity import read_activity
from cryoflux.queries.power import power_of_attempt, power_since
from cryoflux.runs.activity_files import ROWS_A_FILE, ActivityFiles
from cryoflux.runs.activity_form import NOW, OLDER_ROWS, ROW_BYTES, ROWS, SampleRow, pack_row
from cryoflux.state import StateFolder
from synthetic_state import make_state

MOST = 2**63 - 1
LATEST_S = 253_402_300_799
PAGES = ("/", "/attempts", "/attempts/1", "/energy", "/models", "/receipts")
LARGEST_PAGE = 60_000
MOST_BYTES = 250_000_000
"""of memory, for a server that has 110 MB without all this"""
ENERGY = {"uj": 5, "lo_uj": 4, "hi_uj": 6, "tier": "modelled"}
SOURCE = {"name": "cpu", "kind": "cpu", "tier": "modelled", "power_w": 1.7e308, "idle_w": -1.7e308}
METER = {"at": 0.0, "net_w": 1.7e308, "bucket_uj": 9, "gross": ENERGY, "net": ENERGY}
METER |= {"baseline_state": "settled", "flags": [], "sources": [SOURCE] * 3}
BUDGET = ("spendable_uj", "attempts_uj", "session_uj", "closing_uj", "reserve_uj")
TRAINING = {"step": 2**53, "planned": 1, "loss": 1.7e308, "spent_uj": MOST, "reserved_uj": -MOST}
HTML = "</title><hostile-tag onhostile=1>\x1b[2J\u202e"


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_state(tmp_path_factory.mktemp("activity") / "state").path


@pytest.fixture(scope="module")
def served(state: Path) -> Iterator[Dashboard]:
    with dashboard(state) as running:
        yield running


@pytest.fixture
def folder(state: Path) -> Iterator[Path]:
    """The folder of a state, with an honest document of a run that goes on."""
    ActingRun(state, time.time() - 60).attempt(3, Step.TRAIN, time.time() - 20, arm="lean")
    yield state / "activity"
    shutil.rmtree(state / "activity")


def row(number: int, at_us: int, uj: int, *, first: bool = False, attempt: int = 1) -> bytes:
    energy = Energy(uj, uj, uj, Tier.MODELLED)
    return pack_row(SampleRow(number, at_us, energy, energy, 0, attempt, Step.TRAIN, first))


def rows(count: int, step_us: int, uj: Callable[[int], int], *, every: int = 0, ends: float = 0) -> bytes:
    """So many rows, the last of them now, each of them first that is a multiple of some number."""
    end_us = round((ends or time.time()) * MICRO)
    return b"".join(
        row(n + 1, end_us - (count - n) * step_us, uj(n), first=bool(every) and n % every == 0)
        for n in range(count)
    )


def changed(folder: Path, **changes: Any) -> bytes:
    return json.dumps({**json.loads((folder / NOW).read_text()), **changes}).encode()


def attempt(folder: Path, **changes: Any) -> bytes:
    said = json.loads((folder / NOW).read_text())["attempt"]
    return changed(folder, attempt={**said, **changes})


DOCUMENTS: dict[str, Callable[[Path], bytes]] = {
    "watts without measure": lambda folder: changed(folder, meter={**METER, "at": time.time()}),
    "an infinite number": lambda folder: changed(folder, deadline_at=7).replace(b": 7", b": 1e999"),
    "no number": lambda folder: changed(folder, written_at=float("nan")),
    "joules without measure": lambda folder: changed(folder, budget=dict.fromkeys(BUDGET, MOST)),
    "joules below nothing": lambda folder: changed(folder, budget=dict.fromkeys(BUDGET, -MOST)),
    "a budget below nothing": lambda folder: changed(
        folder, budget={**dict.fromkeys(BUDGET, 0), BUDGET[0]: -1}
    ),
    "spent below nothing": lambda folder: attempt(folder, spent_uj=-MOST),
    "steps without measure": lambda folder: attempt(folder, training=TRAINING, spent_uj=MOST),
    "times to come": lambda folder: changed(
        folder, began_at=LATEST_S, deadline_at=LATEST_S, written_at=LATEST_S
    ),
    "times of long ago": lambda folder: changed(folder, began_at=0, deadline_at=0, written_at=0),
    "markup": lambda folder: attempt(folder, task=HTML, arm=HTML, why=HTML),
    "half a pair": lambda folder: changed(folder, waiting_for="?").replace(b'"?"', b'"\\ud800"'),
    "half a document": lambda folder: changed(folder)[:300],
    "nested without end": lambda folder: b'{"more":' + b"[" * 65_000,
    "nested to an end": lambda folder: (
        changed(folder)[:-1] + b',"more":' + b"[" * 30_000 + b"]" * 30_000 + b"}"
    ),
    "nested too deep to be read": lambda _: b"[" * 100_000 + b"]" * 100_000,
    "large": lambda folder: changed(folder) + b" " * 50_000_000,
}
SERIES: dict[str, Callable[[], bytes]] = {
    "more joules than there are": lambda: rows(50, MICRO, lambda n: MOST if n % 2 else -MOST),
    "the same within a moment": lambda: rows(50, 1, lambda n: MOST if n % 2 else -MOST),
    "a time to come": lambda: rows(50, MICRO, lambda n: n * MICRO, ends=LATEST_S),
    "gaps and nothing else": lambda: rows(40_000, 1000, lambda n: n, every=1),
    "gap after gap": lambda: rows(40_000, 1000, lambda n: n * 1000, every=3),
    "longer than a run keeps": lambda: rows(150_000, 1000, lambda n: n * 1000),
    "noise": lambda: os.urandom(16_000_001),
}


def answers(served: Dashboard) -> dict[str, str]:
    """All pages, each of them one that is there, small, and without markup of somebody else."""
    found = {}
    for path in PAGES:
        answer = served.get(path)
        assert answer.status_code == 200, path
        assert len(answer.content) < LARGEST_PAGE, path
        assert "<hostile-tag" not in answer.text
        assert not re.search(r"\b(inf|nan)\b", answer.text), path
        found[path] = answer.text
    with Path(f"/proc/{served.process.pid}/status").open(encoding="ascii") as said:
        most = next(line for line in said if line.startswith("VmHWM"))
    assert int(most.split()[1]) * 1024 < MOST_BYTES
    return found


@pytest.mark.parametrize("content", DOCUMENTS)
def test_pages_are_there_whatever_a_run_is_said_to_do(served: Dashboard, folder: Path, content: str) -> None:
    (folder / NOW).write_bytes(DOCUMENTS[content](folder))
    said = answers(served)["/"]
    if "below nothing" in content:
        assert "budget-end" not in said, "what is spent is not known"
    if content.startswith(
        ("an infinite", "no number", "half a doc", "nested without", "large", "nested too")
    ):
        assert read_activity(StateFolder(folder.parent)) is None


@pytest.mark.parametrize("content", SERIES)
def test_pages_are_there_whatever_a_meter_is_said_to_show(
    served: Dashboard, folder: Path, content: str
) -> None:
    (folder / ROWS).write_bytes(SERIES[content]())
    said = answers(served)
    assert not re.search(r"\d{12}(\.\d)? W", said["/"] + said["/attempts/1"])
    if content in {"more joules than there are", "the same within a moment", "a time to come"}:
        assert "unknown" in said["/"]


@pytest.mark.parametrize("name", [NOW, ROWS, OLDER_ROWS])
@pytest.mark.parametrize("kind", ["a folder", "a pipe", "a device", "a circle", "another file"])
def test_what_is_no_file_of_a_run_is_not_waited_for(
    served: Dashboard, folder: Path, tmp_path: Path, name: str, kind: str
) -> None:
    path = folder / name
    path.unlink(missing_ok=True)
    if kind == "a folder":
        path.mkdir()
    elif kind == "a pipe":
        os.mkfifo(path)
    else:
        (tmp_path / "other").write_bytes(os.urandom(100_000))
        path.symlink_to({"a device": "/dev/zero", "a circle": path, "another file": tmp_path / "other"}[kind])
    answers(served)
    if name == NOW:
        assert read_activity(StateFolder(folder.parent)) is None


def test_a_folder_of_activity_that_is_none_is_nothing(served: Dashboard, state: Path, tmp_path: Path) -> None:
    place = state / "activity"
    for make in (
        lambda: place.write_bytes(b"mine"),
        lambda: place.symlink_to("/dev"),
        lambda: os.mkfifo(place),
    ):
        make()
        answers(served)
        place.unlink()


def test_a_file_that_grows_without_end_costs_no_more_than_one_that_has_ended(folder: Path) -> None:
    """As much of it as a run keeps is looked at, from its end, and never what came before."""
    state = StateFolder(folder.parent)
    content = rows(1000, MICRO, lambda n: n * MICRO)
    with (folder / ROWS).open("wb") as stream:
        for _ in range(200):
            stream.write(os.urandom(1_000_000 // ROW_BYTES * ROW_BYTES))
        stream.write(content)
    assert len(power_since(state, 0).points) == 600
    assert power_of_attempt(state, 1).left_out > 0
    (folder / ROWS).write_bytes(content + os.urandom(2 * ROWS_A_FILE * ROW_BYTES))
    assert power_since(state, 0).points == power_of_attempt(state, 1).points == ()


def test_what_is_left_of_an_attempt_is_found_also_beside_rows_that_are_out_of_order(folder: Path) -> None:
    state, at_us = StateFolder(folder.parent), round(time.time() * MICRO) - 3600 * MICRO
    series = [row(n, at_us + n * MICRO, n * MICRO, attempt=n // 10) for n in range(1, 400)]
    honest = power_of_attempt(_left(state, series), 7)
    assert [point.sequence for point in honest.points] == list(range(70, 80))
    strange = [row(5, at_us, 0, attempt=7), *series, row(2**32 - 1, 0, 0, attempt=3), os.urandom(ROW_BYTES)]
    assert power_of_attempt(_left(state, strange), 7).points == honest.points


def _left(state: StateFolder, series: list[bytes]) -> StateFolder:
    half = len(series) // 2
    (state.activity / OLDER_ROWS).write_bytes(b"".join(series[:half]))
    (state.activity / ROWS).write_bytes(b"".join(series[half:]))
    return state


@pytest.mark.parametrize("link", ["symbolic", "hard", "of the folder"])
def test_a_run_writes_into_no_file_of_somebody_else(tmp_path: Path, link: str) -> None:
    """Names that lead to a file of the run's owner, set by whoever may write to the folder."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    names = (ROWS, OLDER_ROWS, NOW, f".{NOW}.new")
    for name in names:
        (theirs / name).write_bytes(b"x" * (ROWS_A_FILE * ROW_BYTES + 7))
    before = {path.name: path.read_bytes() for path in theirs.iterdir()}
    folder = tmp_path / "activity"
    if link == "of the folder":
        folder.symlink_to(theirs)
    else:
        folder.mkdir()
        for name in names:
            (folder / name).hardlink_to(theirs / name) if link == "hard" else (folder / name).symlink_to(
                theirs / name
            )
    files = ActivityFiles(folder)
    for _ in range(2):
        for write in (lambda: files.append(row(1, 1, 1)), lambda: files.write_now(b"{}")):
            try:
                write()
            except OSError:
                continue
    assert {path.name: path.read_bytes() for path in theirs.iterdir()} == before
    if link != "of the folder":
        assert (folder / ROWS).stat().st_size == 2 * ROW_BYTES
        assert (folder / NOW).read_bytes() == b"{}"

"""The joules of a command, of a block and of a function, in real processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

import cryoflux as package
from cryoflux.cli.console import emit_json
from running import cryoflux, ended, python
from waiting import until

BURN = "import time\nend = time.process_time() + {0}\nwhile time.process_time() < end: pass\n"
ORPHAN = """
import os, time
alive, held = os.pipe()
if os.fork() == 0:
    if os.fork() == 0:
        end = time.process_time() + 0.6
        while time.process_time() < end: pass
        os._exit(0)
    os._exit(0)
os.wait()
os.close(held)
os.read(alive, 1)
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CRYOFLUX_TDP_W", "50")


def measured(*command: str, **extra: str) -> dict[str, object]:
    outcome = cryoflux("energy", "measure", "--json", "--", *command, CRYOFLUX_TDP_W="50", **extra)
    return outcome.events[-1]


def test_the_joules_of_a_command_grow_with_its_work_and_its_output_and_code_are_its_own() -> None:
    code = BURN.format(0.5) + "print('mine')\nraise SystemExit(7)"
    outcome = cryoflux("energy", "measure", "--json", "--", sys.executable, "-c", code, CRYOFLUX_TDP_W="50")
    assert outcome.code == 7
    found = json.loads(outcome.stdout)
    assert outcome.stderr == "mine\n"
    assert found["exit_code"] == 7
    assert 0.5 <= found["cpu_seconds"] < 2
    energy = found["energy"]
    assert 0 < energy["lo_uj"] < energy["uj"] < energy["hi_uj"]
    assert energy["range_kind"] == "plausible"
    assert energy["tier"] == "modelled"
    assert sum(source["energy"]["uj"] for source in found["sources"]) == energy["uj"]
    little = measured(sys.executable, "-c", "pass")
    assert little["energy"]["uj"] < energy["uj"]


def test_orphans_that_outlive_their_parent_are_counted() -> None:
    assert measured(sys.executable, "-c", ORPHAN)["cpu_seconds"] >= 0.55


def test_a_table_goes_to_stderr_and_says_what_is_modelled() -> None:
    outcome = cryoflux("energy", "measure", "--", "echo", "hello", CRYOFLUX_TDP_W="50")
    assert (outcome.code, outcome.stdout) == (0, "hello\n")
    assert "cpu-model" in outcome.stderr
    assert "in brackets: of cpu-model, modelled and not measured, what is plausible" in outcome.stderr
    assert "95 %" not in outcome.stderr


def test_a_command_that_is_not_there_is_a_clear_error() -> None:
    outcome = cryoflux("energy", "measure", "--", "no-such-command")
    assert outcome.code == 2
    assert "no-such-command cannot be run" in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_ctrl_c_ends_the_command_and_its_joules_are_still_told() -> None:
    measure = ["energy", "measure", "--json", "--", "sleep", "10000"]
    process = python("-m", "cryoflux", *measure, start_new_session=True)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    until(children.read_text, "the command that is measured")
    os.killpg(process.pid, signal.SIGINT)
    outcome = ended(process)
    assert outcome.code == 130
    assert outcome.events[-1]["exit_code"] == 130


def test_a_trace_adds_up_to_what_was_measured_to_the_microjoule_each_time_and_each_measurement(
    tmp_path: Path,
) -> None:
    trace, said = tmp_path / "trace.jsonl", []
    for seconds in (0.3, 0.1):
        command = [sys.executable, "-c", BURN.format(seconds)]
        measure = ["energy", "measure", "--json", "--trace", trace, "--", *command]
        said.append(cryoflux(*measure, CRYOFLUX_TDP_W="50").events[-1])
    again = cryoflux("energy", "replay", trace, "--json", CRYOFLUX_TDP_W="9")
    assert [(one["net"], one["gross"], one["seconds"]) for one in again.events] == [
        (one["machine_net"], one["gross"], one["seconds"]) for one in said
    ]
    for one, live in zip(again.events, said, strict=True):
        rows = [(source["name"], source["net"], source["gross"]) for source in one["sources"]]
        assert rows == [(use["name"], use["machine_net"], use["gross"]) for use in live["sources"]]
        assert sum(source["gross"]["uj"] for source in one["sources"]) == one["gross"]["uj"] > 0
    assert cryoflux("energy", "replay", trace, "--json").stdout == again.stdout


def test_a_result_goes_into_a_file_and_the_output_of_the_command_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    file.write_text("of yesterday")
    outcome = cryoflux(
        "energy", "measure", "-o", file, "--", "sh", "-c", "printf out; printf err >&2; exit 3"
    )
    assert (outcome.code, outcome.stdout) == (3, "out")
    assert outcome.stderr.startswith("err")
    assert "cpu-model" in outcome.stderr
    found = json.loads(file.read_text())
    assert (found["exit_code"], found["command"][0]) == (3, "sh")
    assert found["energy"]["lo_uj"] <= found["energy"]["uj"] <= found["energy"]["hi_uj"]
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["result.json"]


@pytest.mark.parametrize("where", ["nowhere/result.json", ".", "pipe", "a-file/result.json"])
def test_a_result_that_could_not_be_kept_is_refused_before_the_command_starts(
    tmp_path: Path, where: str
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "a-file").write_text("")
    outcome = cryoflux("energy", "measure", "-o", tmp_path / where, "--", "touch", tmp_path / "started")
    assert outcome.code == 2
    assert "cannot be written" in outcome.stderr
    assert not (tmp_path / "started").exists()


def test_a_block_and_a_function_are_measured() -> None:
    with package.measure_energy() as measurement:
        exec(BURN.format(0.2))
    block = measurement.result
    assert block is not None
    assert block.cpu_seconds >= 0.15
    assert block.energy.lo_uj <= block.energy.uj <= block.energy.hi_uj
    results: list[package.Measured] = []

    @package.measure_energy(report=results.append)
    def work(seconds: float) -> str:
        exec(BURN.format(seconds))
        return "done"

    assert [work(0.1), work(0.4)] == ["done", "done"]
    assert results[0].cpu_seconds < results[1].cpu_seconds
    emit_json("energy.measure/1", results[1].to_dict())


def test_a_block_that_fails_is_measured_and_its_error_goes_on() -> None:
    measurement = package.measure_energy()
    with pytest.raises(RuntimeError, match="diverged"), measurement:
        raise RuntimeError("diverged")
    assert measurement.result is not None


def test_a_block_inside_can_be_looked_at_and_has_windows_by_name() -> None:
    with package.measure_energy() as measurement:
        for _ in range(2):
            with measurement.window("epoch"):
                exec(BURN.format(0.2))
        before = measurement.so_far()
        exec(BURN.format(0.1))
    whole = measurement.result
    assert whole is not None
    epochs = measurement.windows["epoch"]
    assert [epoch.cpu_seconds >= 0.15 for epoch in epochs] == [True, True]
    assert sum(epoch.cpu_seconds for epoch in epochs) <= before.cpu_seconds + 0.001 < whole.cpu_seconds
    said = whole.to_dict()
    assert said["energy"]["uj"] == whole.energy.uj
    assert json.loads(json.dumps(said)) == said
    assert not {"derived", "rates", "job"} & set(said)
    with pytest.raises(package.CryoFluxError, match="Nothing is measured"):
        measurement.so_far()


def test_functions_of_every_kind_are_measured_while_they_work(capsys: pytest.CaptureFixture[str]) -> None:
    @package.measure_energy
    async def waits() -> str:
        await asyncio.sleep(0)
        exec(BURN.format(0.2))
        return "done"

    @package.measure_energy
    def counts() -> Iterator[int]:
        exec(BURN.format(0.2))
        yield 1

    @package.measure_energy
    async def streams() -> AsyncIterator[int]:
        exec(BURN.format(0.2))
        yield 1

    @package.measure_energy
    def calls() -> None:
        exec(BURN.format(0.2))

    async def drained() -> list[int]:
        return [item async for item in streams()]

    assert asyncio.run(waits()) == "done"
    assert (list(counts()), asyncio.run(drained()), calls()) == ([1], [1], None)
    for work in (waits, counts, streams, calls):
        assert work.measured.cpu_seconds >= 0.15  # type: ignore[attr-defined]
    said = capsys.readouterr().err
    assert [line.partition(": ")[0].rpartition(".")[2] for line in said.splitlines()] == [
        "waits",
        "counts",
        "streams",
        "calls",
    ]


def test_what_is_set_is_derived_and_a_batch_job_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYOFLUX_CARBON_G_PER_KWH", "360")
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    monkeypatch.setenv("SLURM_PROCID", "2")
    with package.measure_energy() as measurement:
        exec(BURN.format(0.1))
    assert measurement.result is not None
    said = measurement.result.to_dict()
    assert said["derived"]["carbon_g"] == pytest.approx(said["energy"]["uj"] / 1e10)
    assert said["derived"]["carbon_source"] is None
    assert (said["job"]["id"], said["job"]["rank"]) == (4711, 2)


@pytest.mark.parametrize("obstacle", ["an unwritable home", "a misspelt setting", "no process files"])
def test_whatever_is_in_its_way_the_work_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, obstacle: str
) -> None:
    if obstacle == "an unwritable home":
        (tmp_path / "home").write_text("a file, not a folder")
    elif obstacle == "a misspelt setting":
        (tmp_path / "cryoflux.toml").write_text("[energy]\ntdpw = 3\n")
        monkeypatch.chdir(tmp_path)
    else:
        monkeypatch.setenv("CRYOFLUX_PROC_ROOT", str(tmp_path / "nowhere"))
    with pytest.warns(RuntimeWarning, match="Measured with less"), package.measure_energy() as measurement:
        exec(BURN.format(0.3))
    found = measurement.result
    assert found is not None
    assert found.cpu_seconds >= 0.25
    assert found.energy.uj > 0
    assert found.energy.lo_uj < found.energy.uj < found.energy.hi_uj
    assert "own-time-only" in found.energy.flags


def test_one_that_is_used_again_and_again_or_inside_itself_keeps_its_results_apart() -> None:
    measurement = package.measure_energy()
    with measurement:
        exec(BURN.format(0.2))
        with measurement:
            exec(BURN.format(0.2))
        inner = measurement.result
    outer = measurement.result
    assert inner is not None
    assert outer is not None
    assert inner.cpu_seconds < outer.cpu_seconds


def test_what_comes_into_an_asynchronous_generator_comes_to_it() -> None:
    ended: list[str] = []

    async def work() -> AsyncGenerator[object, object]:
        said: object = "begun"
        try:
            while True:
                try:
                    said = yield said
                except KeyError as error:
                    said = repr(error)
        finally:
            ended.append("closed")

    async def told(make: Callable[[], AsyncGenerator[object, object]]) -> list[object]:
        generator = make()
        said = [await anext(generator), await generator.asend("sent"), await generator.athrow(KeyError("no"))]
        await generator.aclose()
        return [*said, ended.pop()]

    measured = package.measure_energy(report=lambda _: None)(work)
    assert asyncio.run(told(measured)) == ["begun", "sent", "KeyError('no')", "closed"]


def test_a_static_and_a_class_method_stay_what_they_are() -> None:
    measure = package.measure_energy(report=lambda _: None)

    class Work:
        plain = measure(staticmethod(lambda *said: said))
        of_class = measure(classmethod(lambda cls, *said: (cls, *said)))

    assert Work().plain(1) == Work.plain(1) == (1,)
    assert Work().of_class(1) == Work.of_class(1) == (Work, 1)


class _Closed:
    def write(self, _: str) -> int:
        raise ValueError("I/O operation on closed file")


@pytest.mark.parametrize("stream", [None, _Closed()])
def test_a_figure_that_cannot_be_printed_takes_no_result_away(
    stream: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = package.measure_energy(lambda: 42)
    monkeypatch.setattr(sys, "stderr", stream)
    assert work() == 42


@pytest.mark.filterwarnings("error")
def test_where_warnings_are_errors_the_work_goes_on(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("no folder")
    with package.measure_energy(state=tmp_path / "state") as measurement:
        pass
    assert measurement.result is not None


def test_where_no_thread_can_be_started_it_is_measured_at_both_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    warned = pytest.warns(RuntimeWarning, match="at the beginning and at the end")
    with warned, package.measure_energy() as measurement:
        pass
    assert measurement.result is not None
    assert "meter-stumbled" in measurement.result.energy.flags


def test_work_that_closes_all_descriptors_keeps_its_result() -> None:
    # In a process of its own: others need theirs.
    work = "import os, cryoflux\n@cryoflux.measure_energy\ndef work(): os.closerange(3, 256); return 42\n"
    outcome = ended(python("-c", f"{work}print(work())"))
    assert outcome.stdout == "42\n"


def test_a_last_reading_that_fails_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    @package.measure_energy
    def work() -> int:
        monkeypatch.setattr("cryoflux.energy.of_work.measured_between", None)
        return 42

    with pytest.warns(RuntimeWarning, match="could not be read: TypeError"):
        assert work() == 42

"""What works where nothing is metered, and the sentence that says so; systems are made believe."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

import cryoflux as package
from cryoflux.config import Settings
from cryoflux.energy.of_command import measure_command
from cryoflux.energy.of_work import EnergyMeasurement
from cryoflux.energy.sources import zeus_devices
from cryoflux.settings import EnergySettings
from running import environment, exit_code_of
from synthetic_state import make_state

POSES = """
import os, sys, time
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None
for name in ("O_DIRECTORY", "O_CLOEXEC", "sysconf", "sched_getaffinity"):
    delattr(os, name)
del time.CLOCK_BOOTTIME
# What others make of the system is not ours.
import asyncio, concurrent.futures, pathlib, ssl, subprocess, sysconfig, zoneinfo
import pydantic.fields, rich.console, typer.testing, cryptography.hazmat.primitives.asymmetric.ed25519
sys.platform = "win32"
from cryoflux.cli.main import main
sys.argv[0] = "cryoflux"
main()
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))


@pytest.fixture(params=[("darwin", "macOS"), ("win32", "Windows"), ("freebsd14", "freebsd14")])
def name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    platform, name = request.param
    with monkeypatch.context() as posing:
        posing.setattr(sys, "platform", platform)
        yield name


@pytest.mark.parametrize(
    "arguments",
    [
        ["energy", "measure", "--", "true"],
        ["energy", "measure", "--pid", "1"],
        ["energy", "baseline", "--learn"],
        ["energy", "fit-curve"],
        ["doctor"],
        ["run", "--budget", "900J"],
    ],
    ids=" ".join,
)
def test_what_would_measure_says_in_a_sentence_that_this_system_is_not_metered(
    arguments: list[str], name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code_of(monkeypatch, *arguments) == 3
    said = capsys.readouterr().err
    assert f"error: CryoFlux meters Linux; this is {name}." in said
    assert "cryoflux verify" in said
    assert ("CRYOFLUX_ZEUS=true" in said) == (name == "macOS")


def test_a_block_is_still_measured_by_its_own_time_and_warns(name: str) -> None:
    said = pytest.warns(RuntimeWarning, match=f"meters Linux; this is {name}")
    with said, package.measure_energy() as measurement:
        sum(range(10**6))
    assert measurement.result is not None
    assert "own-time-only" in measurement.result.energy.flags


class AppleSilicon:
    """The chip as zeus shows it: a counter that goes up by a joule a reading."""

    cpu_mj = 0

    def get_total_energy_consumption(self) -> SimpleNamespace:
        self.cpu_mj += 1000
        return SimpleNamespace(cpu_total_mj=self.cpu_mj, dram_mj=None, gpu_mj=None, ane_mj=None)


@pytest.mark.parametrize("name", [("darwin", "macOS")], indirect=True)
def test_on_apple_silicon_zeus_measures_the_machine_and_whose_it_was_stays_open(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chip = AppleSilicon()
    facade = SimpleNamespace(get_soc=lambda: chip, get_gpus=None)
    monkeypatch.setattr(zeus_devices, "load_zeus", lambda: facade)
    nowhere = str(tmp_path / "proc")
    settings = Settings(energy=EnergySettings(zeus=True, nvml=False, proc_root=nowhere, baseline_seconds=1))
    measurement = EnergyMeasurement(settings=settings, state=tmp_path / "state")
    found, code = measure_command(measurement, [sys.executable, "-c", "pass"])
    assert code == 0
    (source,) = found.sources
    assert (source.name, source.tier.value) == ("zeus:apple:cpu", "counter")
    assert source.gross.uj > 0
    assert "unattributed" in found.energy.flags
    assert found.energy.lo_uj <= 0 <= found.machine_net.uj <= found.energy.hi_uj
    monkeypatch.setattr(zeus_devices, "load_zeus", lambda: None)
    with pytest.raises(package.CryoFluxError, match="zeus is not installed"):
        measure_command(measurement, ["true"])


def test_a_log_is_read_and_verified_where_there_are_no_locks_and_no_files_of_the_kernel(
    tmp_path: Path,
) -> None:
    import subprocess

    state = make_state(tmp_path / "state").path

    def posing(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", POSES, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)

    for arguments in (["verify"], ["receipts", "list"], ["report"]):
        outcome = posing(*arguments, "--state", state)
        assert (outcome.returncode, outcome.stderr) == (0, "")
    measured = posing("energy", "measure", "--", "true")
    assert measured.returncode == 3
    assert measured.stderr.startswith("error: CryoFlux meters Linux; this is Windows.")

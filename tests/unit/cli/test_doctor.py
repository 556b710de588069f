"""``doctor``: which source was taken, why not a better one, and lines that make it better when followed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cryoflux.cli.main import app
from cryoflux.energy.interface import Problem
from cryoflux.energy.sources import rapl
from cryoflux.energy.sources.advice import TMPFILES_RULES, UDEV_RULE, fixes, next_step, surroundings

NOBODY = 65534
GROUP = 4242
CODES = (
    "unreadable-zone",
    "covered-zone",
    "still-counter",
    "covered-counter",
    "no-counter-range",
    "no-powercap",
    "no-psys",
    "no-zeusd",
    "zeusd-refused",
    "zeusd-remote",
    "zeusd-without-cpu",
    "no-nvml-library",
    "no-nvidia-driver",
    "gpu-refused",
    "gpu-without-power",
    "nvml-off",
    "hwmon-unreadable",
    "hwmon-unknown-rail",
    "board-with-gpu",
    "several-boards",
)


@pytest.fixture(autouse=True)
def _plain_machine(monkeypatch, tmp_path):
    monkeypatch.setenv("CRYOFLUX_POWERCAP_ROOT", str(tmp_path / "powercap"))
    monkeypatch.setenv("CRYOFLUX_HWMON_ROOT", str(tmp_path / "hwmon"))
    monkeypatch.setenv("CRYOFLUX_NVML", "false")
    monkeypatch.chdir(tmp_path)


def doctor(*words):
    done = CliRunner().invoke(app, ["doctor", *words])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stdout


def zone(folder, name, mode=0o644):
    folder.mkdir(parents=True)
    for file, text in (("name", name), ("energy_uj", "5"), ("max_energy_range_uj", "262143328850")):
        (folder / file).write_text(f"{text}\n")
        (folder / file).chmod(0o444 if file == "name" else mode)


def test_one_line_says_what_was_taken_and_what_would_be_better(tmp_path):
    assert doctor().splitlines()[0].startswith("CPU joules come from cpu-model (modelled); better: ")
    zone(tmp_path / "powercap/intel-rapl:0", "package-0")
    first = doctor().splitlines()[0]
    assert first == "CPU joules come from rapl:package-0 (counter); there is nothing better here"


def test_what_is_proposed_is_the_power_of_the_cpus_that_may_be_used_and_a_range_says_of_what_kind_it_is():
    cpus = len(os.sched_getaffinity(0))
    text = doctor()
    assert (
        f"TDP × {cpus} / its threads (of an EPYC 9654: 360 × {cpus} / 192 = {360 * cpus / 192:.3g})" in text
    )
    assert "(plausible range)" in text
    assert "95 %" not in text
    (source,) = json.loads(doctor("--json"))["sources"]
    assert source["range_kind"] == "plausible"


def test_a_counter_has_a_95_percent_interval(tmp_path):
    zone(tmp_path / "powercap/intel-rapl:0", "package-0")
    assert "×0.95 … ×1.05 (95 % interval)" in doctor()
    assert json.loads(doctor("--json"))["sources"][0]["range_kind"] == "interval-95"


def test_beside_a_sensor_of_the_board_no_tdp_is_asked_for(tmp_path):
    meter = tmp_path / "hwmon/hwmon0"
    meter.mkdir(parents=True)
    (meter / "name").write_text("power_meter\n")
    (meter / "power1_average").write_text("90000000\n")
    text = doctor()
    assert text.startswith("CPU joules come from hwmon:power_meter (power-integrated); better: a counter")
    assert "TDP" not in text


def test_the_tdp_is_shown_with_where_it_is_from(monkeypatch):
    (source,) = json.loads(doctor("--json"))["sources"]
    assert source["tdp_w"] > 0
    assert source["tdp_source"]
    monkeypatch.setenv("CRYOFLUX_TDP_W", "65")
    assert "TDP 65 W (as set)" in doctor()
    (source,) = json.loads(doctor("--json"))["sources"]
    assert (source["tdp_source"], source["tdp_guessed"]) == ("setting", False)


@pytest.mark.parametrize("here", [frozenset(), frozenset({"virtual machine"}), frozenset({"container"})])
@pytest.mark.parametrize("code", CODES)
def test_every_problem_has_a_fix_wherever_it_is_met(code, here):
    lines = fixes(Problem("x", "y", code), here, cpus=2)
    assert lines
    assert not [line for line in lines if "\n" in line]


def test_the_codes_in_the_sources_all_have_a_fix():
    energy = Path(rapl.__file__).parent
    text = "".join(
        (energy / name).read_text("utf-8") for name in ("rapl.py", "zeusd.py", "nvml.py", "hwmon.py")
    )
    assert [code for code in CODES if f'"{code}"' not in text and code != "nvml-off"] == []


def test_in_a_container_the_counters_are_to_be_mounted_and_in_a_virtual_machine_they_are_not(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root/.dockerenv").write_text("")
    proc = tmp_path / "proc"
    proc.mkdir()
    assert surroundings(str(proc), str(tmp_path / "root")) == {"container"}
    (proc / "cpuinfo").write_text("flags : fpu hypervisor\n")
    assert surroundings(str(proc), str(tmp_path)) == {"virtual machine"}
    problem = Problem("rapl", "there is none", "no-powercap")
    mount, plain = fixes(problem, frozenset({"container"})), fixes(problem, frozenset())
    assert any("powercap:ro" in line and "CRYOFLUX_POWERCAP_ROOT" in line for line in mount)
    assert any("modprobe" in line for line in plain)
    assert not any("modprobe" in line for line in fixes(problem, frozenset({"virtual machine"})))


def test_without_any_source_of_cpu_joules_that_is_said():
    assert next_step([], [], frozenset()) == "there are no CPU joules here"


READ_AS_A_USER = """
import os, sys
from cryoflux.energy.clock import SystemClock
from cryoflux.energy.sources import rapl
from cryoflux.energy.sources.rapl import find_rapl
rapl.standing_still = lambda *_: frozenset()  # nobody moves the counter here
clock = SystemClock()
os.setgroups([int(sys.argv[2])])
os.setgid(65534)
os.setuid(65534)
sources, problems = find_rapl(sys.argv[1], clock)
print([(source.name, source.read().energy_uj, source.range_uj) for source in sources])
"""


def read_as_a_user(root, group):
    done = subprocess.run(
        [sys.executable, "-c", READ_AS_A_USER, str(root), str(group)],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take rights away from a user")
@pytest.mark.skipif(shutil.which("systemd-tmpfiles") is None, reason="needs systemd-tmpfiles")
def test_the_permission_lines_let_the_group_read_and_nobody_else(tmp_path, tmp_path_factory):
    root = tmp_path_factory.mktemp("machine")
    for folder in (root, *root.parents):
        if not folder.stat().st_mode & 0o001:
            folder.chmod(0o711)
    powercap = root / "sys/devices/virtual/powercap"
    zone(powercap / "intel-rapl/intel-rapl:0", "package-0", mode=0o400)
    zone(powercap / "intel-rapl/intel-rapl:0/intel-rapl:0:0", "dram", mode=0o400)
    assert read_as_a_user(powercap, GROUP) == "[]"
    (root / "etc").mkdir()
    (root / "etc/passwd").write_text("root:x:0:0:::\n")
    (root / "etc/group").write_text(f"root:x:0:\nrapl:x:{GROUP}:\n")
    rules = root / "etc/rules.conf"
    rules.write_text("\n".join(TMPFILES_RULES) + "\n")
    subprocess.run(["systemd-tmpfiles", f"--root={root}", "--create", str(rules)], check=True)
    counted = "[('rapl:package-0', 5, 262143328850), ('rapl:package-0:dram', 5, 262143328850)]"
    assert read_as_a_user(powercap, GROUP) == counted
    assert read_as_a_user(powercap, NOBODY) == "[]"


def test_the_udev_rule_names_zones_and_not_the_driver():
    assert 'KERNEL=="intel-rapl*:*"' in UDEV_RULE
    assert "/sys%p/energy_uj" in UDEV_RULE
    assert "'" not in UDEV_RULE, "it is given to a shell between quotes"

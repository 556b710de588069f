from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.cli.main import app
from cryoflux.config import SECTION_OF, Settings, Sourced, load_settings
from cryoflux.errors import ConfigError

ROOT = Path(__file__).parents[2]
TOO_LOW_OR_HIGH = {
    "adopt_share": (-0.1, 1.1),
    "workers": (-1, 13),
    "worker_silence": (4, 86_401),
    "candidates": (0, 49),
    "seed": (-1, 2**32),
    "query_count": (29, 1025),
    "document_tokens": (15, 513),
    "index_reserve": ("19J", "nothing"),
    "min_delta_mrr": (0, 1.5),
    "max_tokens": (3, 8193),
    "threads": (-1, 1025),
    "holdout_size": (0, 29),
    "most_dropped": (-0.1, 1.1),
    "balance": (-1, 1_000_001),
    "spare_holdouts": (-1, 17),
    "leak_guard": (0.499, 1.001),
    "cache_mb": (-1, 1_000_001),
    "error_budget": (0.0, 1.1),
    "rank": (0, 1025),
    "alpha": (0, 4097),
    "dropout": (-0.1, 1.0),
    "learning_rate": (0.0, 1.1),
    "batch_size": (0, 65_537),
    "max_steps": (0, 1_000_001),
    "slice_size": (-1, 0),
    "min_delta": (-0.001, 101),
    "min_accuracy_gain": (-0.01, 1.01),
    "z": (-0.1, 10.1),
    "tdp_w": (0, 10_001),
    "baseline_seconds": (0.5, 3601),
    "baseline_wait_seconds": (-1, 86_401),
    "carbon_g_per_kwh": (-1, 10_001),
    "price_per_kwh": (-0.1, 1.1e9),
    "port": (-1, 65_536),
    "timeout": (0, 601),
    "metrics_owners": (-1, 201),
    "witness_timeout": (0, 601),
    "keep": (-1, 1_000_001),
    "monitor_size": (-2, -1),
    "monitor_error_budget": (0.0, 1.1),
}
NO_CHOICE = {
    "device": "gpu",
    "train": "a\0b",
    "holdout": "a\0b",
    "audit": "a\0b",
    "index": "a\0b",
    "queries": "a\0b",
    "reading": "tail",
    "class_weights": "inverse",
    "rule": "evidence/v9",
    "policy": "greedy-eta/v1",
    "credit": "loan",
    "nvml": "perhaps",
    "zeus": "perhaps",
    "rapl_zones": "core",
    "reserve": "120",
    "state": "",
    "trust": "a\0b",
    "witnessing": "perhaps",
    "adopt": "perhaps",
    "new_head": "random",
    "prune": "always",
}
FLOATS = [
    name
    for name, section in SECTION_OF.items()
    if "float" in str(Settings.model_fields[section].annotation.model_fields[name].annotation)
]
UNSET = {
    "tdp_w": 65.5,
    "carbon_g_per_kwh": 380.5,
    "price_per_kwh": 0.25,
    "learning_rate": 0.5,
    "dropout": 0.5,
    "class_weights": "sqrt",
}
"""Values for settings that are unset by default and take no 1."""
RUN_ARGUMENTS = {
    *("budget", "carry", "duration", "attempts", "watch", "log"),
    *("explain", "verbose", "dry_run", "debug", "as_json", "dashboard"),
}
"""Of one run, not settings: they say how much to spend now."""
WITHOUT_FLAG = {
    "powercap_root",  # what this machine is does not change from run to run
    "proc_root",  # the same
    "nvml",  # the same
    "baseline_seconds",  # learned once for a state and frozen
    "baseline_wait_seconds",  # the same
    "host",  # of the daemon: `cryoflux agent --host`
    "port",  # of the daemon: `cryoflux agent --port`
    "socket",  # of the daemon: `cryoflux agent --socket`
    "metrics_owners",  # of the daemon, and of what scrapes it
    "rapl_zones",  # what this machine is
    "hwmon_root",  # the same
    "zeusd",  # the same
    "zeus",  # the same
    "carbon_g_per_kwh",  # where this machine stands
    "carbon_source",  # the same
    "price_per_kwh",  # the same
    "keep",  # of a state: what it keeps does not change from run to run
    "prune",  # the same
    "adopt",  # what a node takes of others does not change from run to run
    "adopt_share",  # the same
    "candidates",  # the same
    "guards",  # the same
    "fleet_home",  # where workers keep their accounts does not change from run to run
    "currency",  # the same
    "replay",  # the same
    "monitor_error_budget",  # promised for the life of a log
    "witness_timeout",  # how far away the witnesses are does not change from run to run
}


@pytest.fixture(autouse=True)
def nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable, no user's file and no ``cryoflux.toml`` of whoever runs the tests."""
    for variable in [name for name in os.environ if name.startswith("CRYOFLUX_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def user_file(tmp_path: Path) -> Path:
    path = tmp_path / "home" / "cryoflux" / "cryoflux.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def refused(*args: Any, **kwargs: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_settings(*args, **kwargs)
    return caught.value


def value_of(sourced: Sourced, name: str) -> object:
    return getattr(getattr(sourced.settings, SECTION_OF[name]), name)


# Where a value comes from


@pytest.mark.parametrize("layers", list(itertools.product([False, True], repeat=4)))
def test_the_nearest_layer_wins_and_is_named(layers: tuple[bool, ...], tmp_path: Path) -> None:
    flagged, exported, local, personal = layers
    here, home = tmp_path / "here" / "cryoflux.toml", user_file(tmp_path)
    if personal:
        home.write_text("[attempt]\nrank = 1\n")
    if local:
        here.write_text("[attempt]\nrank = 2\n")
    environ = {"CRYOFLUX_RANK": "3"} if exported else {}
    sourced = load_settings({"rank": 4 if flagged else None}, environ=environ)
    where = [(4, "--rank"), (3, "CRYOFLUX_RANK"), (2, str(here)), (1, str(home))]
    expected = next((place for given, place in zip(layers, where, strict=True) if given), (None, "default"))
    assert (sourced.settings.attempt.rank, sourced.origins["attempt.rank"]) == expected
    others = {origin for name, origin in sourced.origins.items() if name != "attempt.rank"}
    assert others == {"default"}


def test_layers_are_mixed_setting_by_setting(tmp_path: Path) -> None:
    user_file(tmp_path).write_text("[attempt]\nrank = 2\nalpha = 3\n[energy]\ncredit = 'net'\n")
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "cryoflux.toml").write_text("[attempt]\nrank = 4\ndropout = 0\n")
    environ = {"CRYOFLUX_MAX_STEPS": "7", "CRYOFLUX_TDP_W": "65", "CRYOFLUX_NVML": "false"}
    sourced = load_settings({"z": 1.5, "seed": None}, environ={**environ, "RANK": "9"}, folder=folder)
    attempt, energy = sourced.settings.attempt, sourced.settings.energy
    assert (attempt.rank, attempt.alpha, attempt.dropout, attempt.max_steps) == (4, 3, 0.0, 7)
    assert (energy.credit, energy.tdp_w, energy.nvml) == ("net", 65.0, False)
    assert sourced.settings.decision.z == 1.5
    changed = {name: origin for name, origin in sourced.origins.items() if origin != "default"}
    assert changed == {
        "attempt.rank": str(folder / "cryoflux.toml"),
        "attempt.dropout": str(folder / "cryoflux.toml"),
        "attempt.alpha": str(user_file(tmp_path)),
        "energy.credit": str(user_file(tmp_path)),
        "attempt.max_steps": "CRYOFLUX_MAX_STEPS",
        "energy.tdp_w": "CRYOFLUX_TDP_W",
        "energy.nvml": "CRYOFLUX_NVML",
        "decision.z": "--z",
    }


def test_the_process_s_own_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYOFLUX_LEARNING_RATE", "1e-3")
    sourced = load_settings({"learning_rate": None})
    assert sourced.settings.attempt.learning_rate == 1e-3
    assert sourced.origins["attempt.learning_rate"] == "CRYOFLUX_LEARNING_RATE"
    assert load_settings({"learning_rate": 0.1}).origins["attempt.learning_rate"] == "--learning-rate"


def test_the_user_s_file_is_in_the_home_folder_unless_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "house"))
    path = tmp_path / "house" / ".config" / "cryoflux" / "cryoflux.toml"
    path.parent.mkdir(parents=True)
    path.write_text("[run]\nseed = 5\n")
    assert load_settings().origins["run.seed"] == "default"
    for unset in ("", None):
        if unset is None:
            monkeypatch.delenv("XDG_CONFIG_HOME")
        else:
            monkeypatch.setenv("XDG_CONFIG_HOME", unset)
        sourced = load_settings()
        assert (sourced.settings.run.seed, sourced.origins["run.seed"]) == (5, str(path))


def test_every_setting_has_an_origin_and_its_name_is_unique() -> None:
    sections = {s: field for s, field in Settings.model_fields.items() if s != "recipe"}
    names = [f"{s}.{n}" for s, field in sections.items() for n in field.annotation.model_fields]
    assert len(names) == len(SECTION_OF)
    assert load_settings(environ={}).origins == dict.fromkeys(names, "default")
    assert load_settings(environ={}).settings == Settings()


@pytest.mark.parametrize("name", SECTION_OF)
def test_every_setting_can_be_written_in_every_place(name: str, tmp_path: Path) -> None:
    section, value = SECTION_OF[name], value_of(load_settings(environ={}), name)
    value = UNSET.get(name, 1) if value is None else value
    written = json.dumps(value)  # of these values TOML writes the same
    (tmp_path / "here" / "cryoflux.toml").write_text(f"[{section}]\n{name} = {written}\n")
    from_file = load_settings(environ={})
    assert value_of(from_file, name) == value
    assert from_file.origins[f"{section}.{name}"] == str(tmp_path / "here" / "cryoflux.toml")
    text = value if isinstance(value, str) else written
    from_variable = load_settings(environ={f"CRYOFLUX_{name.upper()}": text})
    assert value_of(from_variable, name) == value
    assert value_of(load_settings({name: value}, environ={}), name) == value


def test_a_recipe_of_ones_own_is_a_table(tmp_path: Path) -> None:
    (tmp_path / "here" / "cryoflux.toml").write_text("[recipe.mine]\nlayers = 2\nscales = '1 0.5'\n")
    assert load_settings(environ={}).settings.recipe == {"mine": {"layers": 2, "scales": "1 0.5"}}
    assert Settings().recipe == {}


# What is refused


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("[attempt]\nrnak = 3\n", "'rank'"),
        ("[attempt]\nlearning-rate = 3\n", "'learning_rate'"),
        ("[attemt]\nrank = 3\n", "'[attempt]'"),
        ("[run]\nsede = 3\n", "'seed'"),
        ("attempt = 3\n", "'[attempt]'"),
        ("[[model]]\ndevice = 'cpu'\n", "'[model]'"),
    ],
)
def test_a_slip_in_a_file_names_the_file_and_the_nearest_name(
    text: str, nearest: str, tmp_path: Path
) -> None:
    for path in (user_file(tmp_path), tmp_path / "here" / "cryoflux.toml"):
        path.write_text(text)
        error = refused(environ={})
        assert str(path) in error.what
        assert error.hint == f"Did you mean {nearest}?"
        path.unlink()


@pytest.mark.parametrize(
    "text", ["rank = 3\n", "[decision]\nrank = 3\n", "[qqqqqqqq]\n", "[run.seed]\nx = 1\n"]
)
def test_a_setting_outside_its_section_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "here" / "cryoflux.toml").write_text(text)
    assert refused(environ={}).hint


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("CRYOFLUX_RNAK", "CRYOFLUX_RANK"),
        ("CRYOFLUX_LEARNINGRATE", "CRYOFLUX_LEARNING_RATE"),
        ("CRYOFLUX_TDP", "CRYOFLUX_TDP_W"),
    ],
)
def test_a_slip_in_a_variable_names_the_nearest_one(variable: str, nearest: str) -> None:
    error = refused(environ={variable: "3"})
    assert repr(variable) in error.what
    assert error.hint == f"Did you mean {nearest!r}?"


@pytest.mark.parametrize(
    "variable", ["CRYOFLUX_", "CRYOFLUX__RANK", "CRYOFLUX_ATTEMPT.RANK", "CRYOFLUX_\udcff"]
)
def test_a_variable_that_is_no_setting_is_refused(variable: str) -> None:
    assert "there is no setting" in refused(environ={variable: ""}).what


@given(st.text(min_size=1, max_size=12))
def test_no_unknown_variable_passes(rest: str) -> None:
    if rest.lower() not in SECTION_OF:
        assert refused(environ={f"CRYOFLUX_{rest}": "1"}).what.startswith("Environment: there is no setting")


def test_every_bounded_setting_is_tried() -> None:
    bounded = {
        name
        for name, section in SECTION_OF.items()
        if re.search(
            r"(Ge|Gt|Le|Lt|Literal|AfterValidator|bool)",
            repr(Settings.model_fields[section].annotation.model_fields[name]),
        )
    }
    assert bounded == {*TOO_LOW_OR_HIGH, *NO_CHOICE}


@pytest.mark.parametrize(
    ("name", "value"),
    [*((name, value) for name, pair in TOO_LOW_OR_HIGH.items() for value in pair), *NO_CHOICE.items()],
)
def test_a_value_out_of_range_names_the_setting_and_its_origin(
    name: str, value: object, tmp_path: Path
) -> None:
    here = tmp_path / "here" / "cryoflux.toml"
    by_flag = refused({name: value}, environ={})
    by_variable = refused(environ={f"CRYOFLUX_{name.upper()}": str(value)})
    here.write_text(f"[{SECTION_OF[name]}]\n{name} = {json.dumps(value)}\n")
    by_file = refused(environ={})
    for error, origin in (
        (by_flag, f"--{name.replace('_', '-')}"),
        (by_variable, f"CRYOFLUX_{name.upper()}"),
        (by_file, str(here)),
    ):
        assert error.what.startswith(f"{SECTION_OF[name]}.{name} = ")
        assert error.why == f"It was set by {origin}."
        assert "cryoflux config show" in error.hint


@pytest.mark.parametrize("name", FLOATS)
def test_no_setting_is_infinite_or_not_a_number(name: str, tmp_path: Path) -> None:
    for text in ("nan", "inf", "-inf"):
        (tmp_path / "here" / "cryoflux.toml").write_text(f"[{SECTION_OF[name]}]\n{name} = {text}\n")
        for error in (
            refused(environ={}),
            refused(environ={f"CRYOFLUX_{name.upper()}": text}, folder=tmp_path),
            refused({name: float(text)}, environ={}, folder=tmp_path),
        ):
            assert f"{SECTION_OF[name]}.{name} = " in error.what


@pytest.mark.parametrize("reserve", ["", "120", "-5J", "0J", "nanJ", "1e999999J", "1e9999999J", "٣J"])
def test_an_energy_that_cannot_be_reserved_is_a_config_error(reserve: str) -> None:
    error = refused(environ={"CRYOFLUX_RESERVE": reserve})
    assert error.what.startswith(f"attempt.reserve = {reserve!r}: ")
    assert error.why == "It was set by CRYOFLUX_RESERVE."


@pytest.mark.parametrize("value", [12_345_678, ["12345678"]])
def test_a_token_is_not_repeated_in_a_message(value: object) -> None:
    error = refused({"token": value}, environ={})
    assert "agent.token = (secret)" in error.what
    assert "12345678" not in "".join(error.lines())


@pytest.mark.parametrize("content", [b"[run\n", b"[run]\nseed = \n", b"\xff", b"[run]\nseed = 1\nseed = 2\n"])
def test_a_file_that_is_no_toml_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "here" / "cryoflux.toml"
    path.write_bytes(content)
    assert refused(environ={}).what.startswith(f"{path} cannot be read: ")


def test_a_file_that_cannot_be_read_is_not_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "here" / "cryoflux.toml"
    path.mkdir()
    assert refused(environ={}).what.startswith(f"{path} cannot be read: ")
    path.rmdir()
    path.symlink_to(path)
    assert refused(environ={}).what.startswith(f"{path} cannot be read: ")


def test_a_working_directory_that_is_gone_is_said(tmp_path: Path) -> None:
    Path.cwd().rmdir()
    assert "working directory" in refused(environ={}).what
    assert load_settings(environ={}, folder=tmp_path).settings == Settings()


# The command line


def run_options() -> dict[str, typer.core.TyperOption]:
    commands = typer.main.get_command(app).commands
    return {option.name: option for option in commands["run"].params}


def test_every_flag_of_a_run_is_a_setting_of_that_name() -> None:
    for name, option in run_options().items():
        if name not in RUN_ARGUMENTS:
            assert name in SECTION_OF
            assert option.opts == [f"--{name.replace('_', '-')}"]
            assert option.default is None, f"{name} has its default in config.py"


def test_every_setting_is_a_flag_of_a_run_unless_there_is_a_reason() -> None:
    assert set(SECTION_OF) - set(run_options()) == WITHOUT_FLAG
    assert not {n for n in WITHOUT_FLAG if SECTION_OF[n] in {"run", "model", "data", "attempt", "decision"}}


def test_what_is_typed_reaches_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = {n: str(number) for number, n in enumerate(set(SECTION_OF) & set(run_options()), start=2)}
    arguments = [part for name, value in typed.items() for part in (f"--{name.replace('_', '-')}", value)]
    seen: dict[str, object] = {}

    def load(flags: dict[str, object]) -> None:
        seen.update(flags)
        raise ConfigError("enough")

    monkeypatch.setattr("cryoflux.config.load_settings", load)
    with pytest.raises(ConfigError, match="enough"):
        app(["run", "--budget", "2kJ", "--for", "1h", "--attempts", "3", *arguments], standalone_mode=False)
    assert {name: str(value).removesuffix(".0") for name, value in seen.items()} == typed


def test_config_show_lists_every_setting_with_its_origin(tmp_path: Path) -> None:
    (tmp_path / "here" / "cryoflux.toml").write_text("[attempt]\nrank = 4\n")
    command = [sys.executable, "-m", "cryoflux", "config", "show", "--json", "--state", "elsewhere"]
    secrets = {"CRYOFLUX_TOKEN": "hush-hush", "CRYOFLUX_WORKER_AGENT": "http://me:hush@127.0.0.1:1"}
    environ = {**os.environ, **secrets, "CRYOFLUX_TDP_W": "65"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    assert (done.returncode, done.stderr) == (0, "")
    assert "hush" not in done.stdout
    shown = json.loads(done.stdout)["settings"]
    secrets = {"CRYOFLUX_TOKEN": "(secret)", "CRYOFLUX_WORKER_AGENT": "http://127.0.0.1:1"}
    expected = load_settings({"state": "elsewhere"}, environ={**secrets, "CRYOFLUX_TDP_W": "65"})
    document = expected.settings.model_dump()
    assert shown == {
        name: {"value": document[name.split(".")[0]][name.split(".")[1]], "origin": origin}
        for name, origin in expected.origins.items()
    }
    assert shown["attempt.rank"] == {"value": 4, "origin": str(tmp_path / "here" / "cryoflux.toml")}
    assert shown["run.state"]["origin"] == "--state"


def test_a_slip_ends_the_command_with_the_usage_code(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cryoflux", "config", "show"]
    environ = {**os.environ, "CRYOFLUX_RNAK": "3"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Did you mean 'CRYOFLUX_RANK'?" in done.stderr
    assert "Traceback" not in done.stderr


def test_every_variable_that_we_speak_of_exists() -> None:
    texts = [ROOT / "README.md", *(ROOT / "src").rglob("*.py"), *(ROOT / "docs").rglob("*.md")]
    spoken = {
        (p.name, v) for p in texts for v in re.findall(r"CRYOFLUX_([A-Z_]*[A-Z])\b", p.read_text("utf-8"))
    }
    assert {name for _, name in spoken}
    assert not {(file, name) for file, name in spoken if name.lower() not in SECTION_OF}


def test_what_all_variables_begin_with_makes_no_two_of_them_alike() -> None:
    assert "Did you mean" not in refused(environ={"CRYOFLUX_BUDGT": "3"}).hint
    assert "'CRYOFLUX_SEED'" in refused(environ={"CRYOFLUX_SED": "3"}).hint


def test_a_name_that_no_state_can_keep_is_refused_where_it_was_typed(tmp_path: Path) -> None:
    error = refused({"train": "\udcff.csv"}, environ={}, folder=tmp_path)
    assert "bytes that are no UTF-8" in error.what
    assert "--train" in error.why

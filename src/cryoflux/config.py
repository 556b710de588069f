"""Settings: flag over ``CRYOFLUX_*`` over ``./cryoflux.toml`` over the user's file over the default.

Every setting has one name wherever it is written: ``learning_rate`` in the section ``[attempt]`` of
``cryoflux.toml`` is ``CRYOFLUX_LEARNING_RATE`` in the environment and ``--learning-rate`` on the command
line. Each value knows where it came from. An unknown name is an error, so that a slip of the pen is
not a silent default.
"""

from __future__ import annotations

__all__ = ["Settings", "Sourced", "load_settings"]

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from cryoflux.errors import ConfigError, UsageError
from cryoflux.settings import (
    AgentSettings,
    AttemptSettings,
    DataSettings,
    DecisionSettings,
    EnergySettings,
    FleetSettings,
    IndexSettings,
    ModelSettings,
    ModelsSettings,
    MonitorSettings,
    NetworkSettings,
    RunSettings,
    SettingsSection,
    WitnessSettings,
)

PREFIX = "CRYOFLUX_"
FILE_NAME = "cryoflux.toml"
_BOUNDS = {
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
}
"""kind of an error → how its bound is said, and where it stands"""


class Settings(SettingsSection):
    """All settings, by section."""

    run: RunSettings = RunSettings()
    model: ModelSettings = ModelSettings()
    data: DataSettings = DataSettings()
    attempt: AttemptSettings = AttemptSettings()
    decision: DecisionSettings = DecisionSettings()
    monitor: MonitorSettings = MonitorSettings()
    index: IndexSettings = IndexSettings()
    energy: EnergySettings = EnergySettings()
    agent: AgentSettings = AgentSettings()
    witness: WitnessSettings = WitnessSettings()
    models: ModelsSettings = ModelsSettings()
    network: NetworkSettings = NetworkSettings()
    fleet: FleetSettings = FleetSettings()
    recipe: dict[str, dict[str, bool | int | float | str]] = Field(default_factory=dict)
    """``[recipe.NAME]``: recipes of one's own, or changes to built-in ones"""


@dataclass(frozen=True, slots=True)
class Sourced:
    """The settings, and where each came from."""

    settings: Settings
    origins: dict[str, str]
    """``section.name`` → ``default``, a file, an environment variable or a flag; ``recipe.NAME`` → where its
    table is"""


SECTION_OF = {
    name: section
    for section, field in Settings.model_fields.items()
    if section != "recipe"
    for name in field.annotation.model_fields  # type: ignore[union-attr]
}
"""Setting name → section; names are unique over all sections."""


def _unknown(name: str, where: str, known: list[str]) -> ConfigError:
    # What all variables begin with would make any two of them alike.
    said = {other.removeprefix(PREFIX): other for other in known}
    close = difflib.get_close_matches(name.removeprefix(PREFIX), said, n=1, cutoff=0.75)
    return ConfigError(
        f"{where}: there is no setting {name!r}.",
        why="A misspelt setting would otherwise be a silent default.",
        hint=f"Did you mean {said[close[0]]!r}?" if close else "`cryoflux config show` lists every setting.",
    )


def _from_file(path: Path) -> dict[str, tuple[Any, str]]:
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"{path} cannot be read: {error}.",
            why="Settings that cannot be read would be ignored.",
            hint="Mend the file, or move it away.",
        ) from error
    found: dict[str, tuple[Any, str]] = {}
    if "recipe" in document:
        found["recipe"] = (document.pop("recipe"), str(path))
    for section, values in document.items():
        if section not in Settings.model_fields or not isinstance(values, dict):
            raise _unknown(section, str(path), [f"[{name}]" for name in Settings.model_fields])
        for name, value in values.items():
            if SECTION_OF.get(name) != section:
                names = [n for n, s in SECTION_OF.items() if s == section]
                raise _unknown(name, f"{path} [{section}]", names)
            found[name] = (value, str(path))
    return found


def _from_environment(environ: Mapping[str, str]) -> dict[str, tuple[Any, str]]:
    found: dict[str, tuple[Any, str]] = {}
    for variable, value in environ.items():
        if variable.startswith(PREFIX):
            name = variable.removeprefix(PREFIX).lower()
            if name not in SECTION_OF:
                raise _unknown(variable, "Environment", [PREFIX + known.upper() for known in SECTION_OF])
            found[name] = (value, variable)
    return found


def _from_flags(flags: Mapping[str, Any]) -> dict[str, tuple[Any, str]]:
    for name in flags:
        if name not in SECTION_OF and name != "recipe":
            raise _unknown(name, "Arguments", list(SECTION_OF))
    given = ((name, value) for name, value in flags.items() if value is not None)
    return {name: (value, f"--{name.replace('_', '-')}") for name, value in given}


def _user_file() -> Path:
    home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(home).expanduser() / "cryoflux" / FILE_NAME


def _working_folder() -> Path:
    try:
        return Path.cwd()
    except OSError as error:
        raise ConfigError(
            "The working directory does not exist any more.",
            why=f"{FILE_NAME} is looked for in it.",
            hint="Change to a folder that exists, then run the same command again.",
        ) from error


def _explain(error: ValidationError, origins: dict[str, str]) -> ConfigError:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"][:2])
    message = first["msg"].removeprefix("Value error, ")
    given = "(secret)" if name == "agent.token" else repr(first["input"])
    bound, most = _BOUNDS.get(first["type"], ("", ""))
    within = f"Say {bound} {first['ctx'][most]}; " if bound else ""
    return ConfigError(
        f"{name} = {given}: {message.rstrip('.')}.",
        why=f"It was set by {origins.get(name, 'default')}.",
        hint=f"{within}`cryoflux config show` lists every setting with its origin.",
    )


def load_settings(
    flags: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Sourced:
    """The settings in force.

    Args:
        flags: setting name → value; ``None`` values were not given.
        environ: the environment; the process's own by default.
        folder: where ``cryoflux.toml`` is looked for; the working directory by default.

    Raises:
        ConfigError: an unknown name, or a value out of range.
    """
    layers: dict[str, tuple[Any, str]] = {}
    for path in (_user_file(), (folder or _working_folder()) / FILE_NAME):
        layers |= _from_file(path)
    layers |= _from_environment(os.environ if environ is None else environ)
    layers |= _from_flags(flags or {})
    document: dict[str, Any] = {}
    origins = {f"{section}.{name}": "default" for name, section in SECTION_OF.items()}
    if "recipe" in layers:
        document["recipe"], origin = layers.pop("recipe")
        origins |= {f"recipe.{name}": origin for name in document["recipe"]}
    for name, (value, origin) in layers.items():
        document.setdefault(SECTION_OF[name], {})[name] = value
        origins[f"{SECTION_OF[name]}.{name}"] = origin
    try:
        return Sourced(Settings.model_validate(document), origins)
    except ValidationError as error:
        raise _explain(error, origins) from error
    except UsageError as error:  # raised by a validator that speaks for itself
        raise ConfigError(error.what, why=error.why, hint=error.hint) from error

"""The settings: name, default, range, unit, meaning, and where else each can be set."""

from __future__ import annotations

__all__ = ["settings_page"]

import re
from collections.abc import Iterator
from typing import Any

import typer

from cryoflux.cli.groups import SettingsCommand
from cryoflux.cli.main import app
from cryoflux.config import PREFIX, Settings
from cryoflux.settings import EnergyText, SettingsSection
from reference_from.beside import said_beside, summary_of
from reference_from.markdown import table, worded

_BY_NAME = {
    "_g_per_kwh": "g/kWh",
    "_per_kwh": "currency/kWh",
    "_w": "W",
    "_seconds": "s",
    "_mb": "MB",
    "_tokens": "tokens",
    "_size": "examples",
}
"""end of a name → unit"""
_BY_WORDS = re.compile(r", (W|s|MB|nats|g)(?=;|$)")
_LIMITS = (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"))


def settings_page() -> str:
    """Each section with its settings."""
    flags = dict(_flags())
    parts = []
    for name, field in Settings.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, SettingsSection):
            parts.append(f"## `[{name}]`\n\n{worded(summary_of(section))}\n\n{_section(section, flags)}")
    return "\n\n".join(parts)


def _flags() -> Iterator[tuple[str, str]]:
    """Setting → the commands that have it as an option."""
    found: dict[str, list[str]] = {}
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        if isinstance(command, SettingsCommand):
            for option in command.params:
                found.setdefault(str(option.name), []).append(name)
    for setting, commands in found.items():
        yield setting, f"`--{setting.replace('_', '-')}` of {' and '.join(f'`{name}`' for name in commands)}"


def _section(section: type[SettingsSection], flags: dict[str, str]) -> str:
    meanings = said_beside(section)
    schemas = section.model_json_schema()["properties"]
    rows = [
        (
            f"`{name}`",
            _default(field.default),
            _range(schemas[name]),
            _unit(name, field, meanings[name]),
            worded(meanings[name]),
            f"`{PREFIX}{name.upper()}`",
            flags.get(name, "none"),
        )
        for name, field in section.model_fields.items()
    ]
    return table(("setting", "default", "range", "unit", "meaning", "variable", "option"), rows)


def _default(value: object) -> str:
    if value is None:
        return "unset"
    if value == "":
        return "empty"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _range(schema: dict[str, Any]) -> str:
    choices = [one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]
    return " or ".join(_one_range(one) for one in choices)


def _one_range(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{choice}`" for choice in schema["enum"])
    limits = [f"{sign} {schema[key]:.15g}" for key, sign in _LIMITS if key in schema]
    kind = {"integer": "whole number", "number": "number", "boolean": "`true`, `false`", "string": "text"}
    return ", ".join([kind[schema["type"]], *limits])


def _unit(name: str, field: Any, meaning: str) -> str:
    if any(part in EnergyText.__metadata__ for part in field.metadata):
        return "J, kJ, kWh…"
    by_name = next((unit for end, unit in _BY_NAME.items() if name.endswith(end)), "")
    by_words = _BY_WORDS.search(meaning)
    return by_name or (by_words[1] if by_words else "")

"""``cryoflux config``: every setting, and where its value comes from."""

from __future__ import annotations

__all__ = ["app"]

import typer

from cryoflux.cli.console import JsonOption, StateOption, emit_json, stdout

app = typer.Typer(help="Settings and their origins.", no_args_is_help=True, rich_markup_mode=None)


@app.command("show")
def show(state: StateOption = None, as_json: JsonOption = False) -> None:
    """Every setting with its value and origin: flag, CRYOFLUX_* variable, file or default."""
    from cryoflux.config import load_settings

    sourced = load_settings({"state": state})
    document = sourced.settings.model_dump()
    rows = {
        name: {"value": _shown(name, document[section][key]), "origin": origin}
        for name, origin in sourced.origins.items()
        for section, key in [name.split(".")]
    }
    if as_json:
        emit_json(rows)
        return
    for name, row in rows.items():
        value = "unset" if row["value"] in {None, ""} else row["value"]
        stdout.print(f"{name:<28} {value!s:<24} {row['origin']}", markup=False)


def _shown(name: str, value: object) -> object:
    return "(secret)" if name == "agent.token" and value else value

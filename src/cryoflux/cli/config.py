"""``cryoflux config``: every setting and recipe, and where it comes from."""

from __future__ import annotations

__all__ = ["app"]

from typing import TYPE_CHECKING, Any

import typer

from cryoflux.cli.console import JsonOption, StateOption, emit_json, stdout

if TYPE_CHECKING:
    from cryoflux.config import Sourced

app = typer.Typer(help="Settings and their origins.", no_args_is_help=True, rich_markup_mode=None)


@app.command("show")
def show(state: StateOption = None, as_json: JsonOption = False) -> None:
    """Every setting with its value and origin: flag, CRYOFLUX_* variable, file or default; every recipe."""
    from cryoflux.config import load_settings

    sourced = load_settings({"state": state})
    document = sourced.settings.model_dump()
    rows = {
        name: {"value": _shown(name, document[section][key]), "origin": origin}
        for name, origin in sourced.origins.items()
        for section, _, key in [name.partition(".")]
        if section != "recipe"
    }
    recipes = _recipes(sourced)
    if as_json:
        emit_json("config.show/1", {"settings": rows, "recipes": recipes})
        return
    for name, row in rows.items():
        value = "unset" if row["value"] in {None, ""} else row["value"]
        stdout.print(f"{name:<28} {value!s:<24} {row['origin']}")
    for name, recipe in recipes.items():
        stdout.print(f"{f'recipe.{name}':<28} {_fields(recipe['value']):<24} {recipe['origin']}", indent=29)


def _shown(name: str, value: object) -> object:
    if name == "agent.token" and value:
        return "(secret)"
    if name in {"agent.agent", "fleet.worker_agent"}:
        from cryoflux.agent.token import without_password

        return without_password(str(value))
    return value


def _recipes(sourced: Sourced) -> dict[str, dict[str, Any]]:
    """Name → the fields in which a recipe differs from what a recipe is where nothing says otherwise."""
    from cryoflux.tasks.lora.recipe import RECIPES, Recipe, find_recipe

    found = {}
    for name in (*RECIPES, *(name for name in sourced.settings.recipe if name not in RECIPES)):
        plain = Recipe(name).as_receipt()
        fields = find_recipe(name, sourced.settings.recipe, {}).as_receipt()
        changed = {key: value for key, value in fields.items() if value != plain.get(key)}
        found[name] = {"value": changed, "origin": sourced.origins.get(f"recipe.{name}", "built in")}
    return found


def _fields(value: dict[str, Any]) -> str:
    return "  ".join(f"{key}={' '.join(str(said).split(' '))}" for key, said in value.items())

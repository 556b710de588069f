"""Recipes as intents write them, and as tables of settings give them."""

from __future__ import annotations

__all__ = ["as_written", "kinds_of", "typed"]

from collections.abc import Mapping
from dataclasses import asdict, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def as_written(recipe: DataclassInstance) -> dict[str, str | int]:
    """What an intent says of a recipe: integers as they are, ratios as decimal text."""
    return {key: _plain(value) for key, value in asdict(recipe).items()}


def _plain(value: object) -> str | int:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, StrEnum):
        return value.value
    return value if isinstance(value, int | str) else repr(value)


def kinds_of(recipe: type[DataclassInstance]) -> dict[str, str]:
    """Name of a field → its type, by name."""
    return {field.name: str(field.type) for field in fields(recipe)}


def typed(kinds: Mapping[str, str], key: str, value: Any) -> Any:
    """A field of a recipe as a table of settings gives it.

    Raises:
        ValueError: there is no such field, or it is of another type.
    """
    if key not in kinds:
        raise ValueError(f"it has no field {key!r}; its fields are {', '.join(kinds)}")
    if kinds[key] == "float" and type(value) is int:
        value = float(value)
    if type(value).__name__ != kinds[key]:
        raise ValueError(f"{key} is {value!r}, not of type {kinds[key]}")
    return value

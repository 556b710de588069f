"""The fields of an entry, from the published schema."""

from __future__ import annotations

__all__ = ["receipt_fields"]

import json
from typing import Any

from cryoflux.receipts.schema import receipt_schema
from reference_from.markdown import slug, table, worded

_REF = "#/$defs/"
_LIMITS = (
    ("minimum", "≥"),
    ("maximum", "≤"),
    ("minLength", "length ≥"),
    ("maxLength", "length ≤"),
    ("minItems", "entries ≥"),
    ("maxItems", "entries ≤"),
    ("pattern", "matches"),
)


def receipt_fields() -> str:
    """What an entry may be, then every part of one."""
    schema = receipt_schema()
    kinds = [f"- {_kind(one)}" for one in schema["oneOf"]]
    parts = [_part(name, one) for name, one in schema["$defs"].items()]
    return "\n\n".join(["An entry is one of:\n\n" + "\n".join(kinds), *parts])


def _part(name: str, schema: dict[str, Any]) -> str:
    said = schema.get("description", "")
    head, *listed = said.split("\n- ")
    text = "\n".join([worded(head), *(["", *(f"- {worded(line)}" for line in listed)] if listed else [])])
    parts = [f"## {name}", text.strip()]
    if "properties" in schema:
        needed = schema.get("required", [])
        rows = [
            (f"`{field}`", _kind(one), "yes" if field in needed else _left_out(one), _meaning(one))
            for field, one in schema["properties"].items()
        ]
        parts.append(table(("field", "is", "always there", ""), rows))
    elif "enum" in schema and not listed:
        parts.append(_kind(schema))
    return "\n\n".join(part for part in parts if part)


def _left_out(schema: dict[str, Any]) -> str:
    default = schema.get("default")
    return f"left out: `{_spelt(default)}`" if "default" in schema else "no"


def _spelt(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _meaning(schema: dict[str, Any]) -> str:
    return worded(schema.get("description", ""))


def _kind(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(_REF)
        return f"[`{name}`](#{slug(name)})"
    for several, word in (("allOf", " and "), ("anyOf", " or "), ("oneOf", " or ")):
        if several in schema:
            return word.join(_kind(one) for one in schema[several])
    if "enum" in schema:
        return ", ".join(f"`{_spelt(value)}`" for value in schema["enum"])
    limits = [f"{word} `{schema[key]}`" for key, word in _LIMITS if key in schema]
    return ", ".join([_shape(schema), *limits])


def _shape(schema: dict[str, Any]) -> str:
    kind = schema.get("type", "anything")
    if kind == "array":
        inner = schema.get("items")
        return f"list of {_kind(inner)}" if isinstance(inner, dict) else "list"
    if kind == "object":
        inner = next(iter(schema.get("patternProperties", {}).values()), schema.get("additionalProperties"))
        return f"names, each with {_kind(inner)}" if isinstance(inner, dict) and inner else "object"
    return " or ".join(kind) if isinstance(kind, list) else str(kind)

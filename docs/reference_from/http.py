"""The HTTP API of the JouleAgent, of a witness and of a node, from the tables that routes are made from."""

from __future__ import annotations

__all__ = ["http_parts"]

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from cryoflux import __version__
from cryoflux.agent import app, schemas, taken
from cryoflux.network import serving
from cryoflux.serving.openapi import Operation, describe
from cryoflux.witness import server
from reference_from.beside import said_beside, summary_of
from reference_from.markdown import slug, table, worded

_REF = "#/components/schemas/"
_LIMITS = (
    ("minimum", "≥"),
    ("exclusiveMinimum", ">"),
    ("maximum", "≤"),
    ("exclusiveMaximum", "<"),
    ("minLength", "length ≥"),
    ("maxLength", "length ≤"),
    ("pattern", "matches"),
)


def http_parts() -> dict[str, str]:
    """The parts of the page, by name."""
    return {
        "http.agent": _operations(app.OPERATIONS),
        "http.agent.fields": _fields(),
        "http.witness": _operations(server.OPERATIONS),
        "http.node": _operations(serving.OPERATIONS),
    }


def _operations(operations: Iterable[Operation]) -> str:
    rows = [
        (
            f"`{one.method} {one.path}`",
            worded(one.summary),
            ", ".join(f"`?{name}=`" for name in one.query),
            _named(one.body) if one.body else ("text" if one.raw else ""),
            _named(one.reply) if one.reply else f"`{one.media}`",
            ", ".join(str(status) for status in one.refusals),
        )
        for one in operations
    ]
    return table(("", "does", "query", "body", "answer", "may refuse with"), rows)


def _named(model: type[BaseModel]) -> str:
    """A model by its name, which leads to its fields where the page has them."""
    return _link(model) if model.__name__ in _models() else f"`{model.__name__}`"


def _link(model: type[BaseModel]) -> str:
    return f"[`{model.__name__}`](#{slug(model.__name__)})"


def _models() -> dict[str, type[BaseModel]]:
    named = {**vars(schemas), **vars(taken)}
    return {
        n: found for n, found in named.items() if isinstance(found, type) and issubclass(found, BaseModel)
    }


def _fields() -> str:
    document = describe(
        app.OPERATIONS,
        title="",
        version=__version__,
        refusal=schemas.ErrorReply,
        token=False,
        always=(),
    )
    models = _models()
    parts = []
    for name, schema in sorted(document["components"]["schemas"].items()):
        if name not in models:
            continue
        said = said_beside(models[name])
        needed = schema.get("required", [])
        rows = [
            (f"`{field}`", _kind(one), "yes" if field in needed else "", worded(said.get(field, "")))
            for field, one in schema["properties"].items()
        ]
        parts.append(
            f"#### {name}\n\n{worded(summary_of(models[name]))}\n\n"
            + table(("field", "is", "always there", ""), rows)
        )
    return "\n\n".join(parts)


def _kind(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(_REF)
        return f"[`{name}`](#{slug(name)})" if name in _models() else f"`{name}`"
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{str(schema['const']).lower()}`"
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}"
    limits = [f"{word} `{schema[key]}`" for key, word in _LIMITS if key in schema]
    return ", ".join([schema.get("type", "anything"), *limits])

"""What a server answers, as a table, and the OpenAPI 3.1 document that is made from the same table.

The routes are made from the table and the document is made when it is asked for, so the two cannot drift
apart, and a server that nobody asks for it does not pay for it.
"""

from __future__ import annotations

__all__ = ["JSON", "Operation", "describe"]

from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

from pydantic import BaseModel

JSON = "application/json"
_SCHEMAS = "#/components/schemas/{model}"


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    method: Literal["GET", "POST"]
    path: str
    """with what varies of it in braces; ``{path...}`` at its end is all that is left of a path"""
    name: str
    summary: str
    reply: type[BaseModel] | None = None
    """none: text of the type ``media``"""
    media: str = JSON
    body: type[BaseModel] | None = None
    raw: bool = False
    """whether a body of any type is taken as it comes"""
    refusals: tuple[int, ...] = ()
    """beside those that any request can meet"""
    query: tuple[str, ...] = ()


def describe(
    operations: Iterable[Operation],
    *,
    title: str,
    version: str,
    refusal: type[BaseModel],
    token: bool,
    always: tuple[int, ...],
) -> Any:
    """The OpenAPI document.

    Args:
        operations: the table.
        title: of the interface.
        version: of the software.
        refusal: what every refusal looks like.
        token: whether a bearer token is asked for.
        always: statuses that any request can be refused with.
    """
    from pydantic.json_schema import models_json_schema

    operations = tuple(operations)
    sent = [operation.body for operation in operations if operation.body]
    received = [operation.reply for operation in operations if operation.reply] + [refusal]
    wanted: list[tuple[type[BaseModel], Literal["validation", "serialization"]]] = []
    wanted += [(model, "validation") for model in dict.fromkeys(sent)]
    wanted += [(model, "serialization") for model in dict.fromkeys(received)]
    refs, schemas = models_json_schema(wanted, ref_template=_SCHEMAS)
    paths: dict[str, Any] = {}
    for operation in operations:
        paths.setdefault(operation.path.replace("...}", "}"), {})[operation.method.lower()] = _operation(
            operation, refs, refs[refusal, "serialization"], always
        )
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {"schemas": schemas["$defs"]},
    }
    if token:
        document["components"]["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"bearer": []}]
    return document


def _operation(operation: Operation, refs: Any, refused: Any, always: tuple[int, ...]) -> dict[str, Any]:
    if operation.reply is None:
        content: dict[str, Any] = {operation.media: {"schema": {"type": "string"}}}
        if operation.media == JSON:
            content = {JSON: {"schema": {"type": "object"}}}
    else:
        content = {operation.media: {"schema": refs[operation.reply, "serialization"]}}
    refusal = {JSON: {"schema": refused}}
    responses = {"200": {"description": "OK", "content": content}}
    for status in sorted({*operation.refusals, *always}):
        responses[str(status)] = {"description": HTTPStatus(status).phrase, "content": refusal}
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "responses": responses,
    }
    parameters = _parameters(operation)
    if parameters:
        described["parameters"] = parameters
    if operation.body:
        schema = refs[operation.body, "validation"]
        described["requestBody"] = {"required": True, "content": {JSON: {"schema": schema}}}
    elif operation.raw:
        described["requestBody"] = {"required": True, "content": {"*/*": {}}}
    return described


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    text = {"type": "string"}
    named = [part[1:-1].removesuffix("...") for part in operation.path.split("/") if part.startswith("{")]
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": text | {"minLength": 1}} for name in named
    ]
    in_query = [{"name": name, "in": "query", "schema": text} for name in operation.query]
    return in_path + in_query

"""The JSON Schema of a log entry, made from the same models that read one.

It says what a well-formed entry is, field by field. It cannot say everything: bytes have to be canonical
(RFC 8785), base64 has one spelling, and whether claims hold is for a verifier to find out.
"""

from __future__ import annotations

__all__ = ["SCHEMA_ID", "receipt_schema", "schema_bytes"]

import json
from typing import Any

from pydantic.json_schema import models_json_schema

from cryoflux.receipts.key_statement import KeyRevocationStatement, KeyRootStatement, KeyRotationStatement
from cryoflux.receipts.statement import IntentStatement, ReceiptStatement
from cryoflux.signing.envelope import EnvelopeDocument

SCHEMA_ID = "https://cryoflux.dev/schema/receipt/v1"
_STATEMENTS = (
    IntentStatement,
    ReceiptStatement,
    KeyRootStatement,
    KeyRotationStatement,
    KeyRevocationStatement,
)


def receipt_schema() -> dict[str, Any]:
    """The schema: a document is an envelope, or one of the statements that its payload holds."""
    models = [(model, "validation") for model in (EnvelopeDocument, *_STATEMENTS)]
    _, made = models_json_schema(models, by_alias=True)  # type: ignore[arg-type]
    names = [model.__name__ for model in (EnvelopeDocument, *_STATEMENTS)]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "CryoFlux log entry",
        "description": "A DSSE envelope, or the in-toto statement that its payload holds (base64, RFC 8785 "
        "bytes). Integers only: losses in nano-nats, energy in microjoules.",
        "oneOf": [{"$ref": f"#/$defs/{name}"} for name in names],
        "$defs": _completed(made["$defs"]),
    }


def _completed(definitions: dict[str, Any]) -> dict[str, Any]:
    # A constant is a default to the reader of a model, but it has to be there on the wire; and the title
    # that is made of a field's name says nothing.
    for name, definition in definitions.items():
        properties = definition.get("properties", {})
        for field in properties.values():
            field.pop("title", None)
        if name in {model.__name__ for model in _STATEMENTS}:
            definition["required"] = sorted(properties)
            for field in properties.values():
                field.pop("default", None)
    return definitions


def schema_bytes() -> bytes:
    """The schema as it is published."""
    return (json.dumps(receipt_schema(), indent=1, ensure_ascii=False) + "\n").encode()

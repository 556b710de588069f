"""The JSON Schema of a log entry, made from the same models that read one.

It says what a well-formed entry is, field by field, in the words that stand beside the fields in the source.
It cannot say everything: bytes have to be canonical (RFC 8785), base64 has one spelling, and whether claims
hold is for a verifier to find out.

It is of draft 4, the last one whose integer is "a number without a fraction or exponent part". Since draft 6
1.0 is an integer, and no keyword refuses it; an entry that says 1.0 is no entry here. A validator that reads
numbers into one kind, as those in JavaScript do, cannot tell the two apart under any draft.
"""

from __future__ import annotations

__all__ = ["SCHEMA_ID", "receipt_schema", "schema_bytes"]

import ast
import inspect
import json
import sys
from collections.abc import Iterable, Iterator
from enum import Enum
from functools import cache
from itertools import pairwise
from typing import Any, get_args

import msgspec

from cryoflux.decision.reason import Reason
from cryoflux.quantities import Tier
from cryoflux.receipts import (
    charged,
    contract_parts,
    contract_statement,
    fork_parts,
    judgement_parts,
    key_statement,
    network_parts,
    network_statement,
    parts,
    session,
    statement,
    statement_v1,
)
from cryoflux.registry import composition, mixture
from cryoflux.signing import envelope
from cryoflux.signing.fields import END_OF_TEXT

SCHEMA_ID = "https://cryoflux.dev/schema/receipt/v2"
_STATEMENTS = (
    statement.IntentStatement,
    statement.ReceiptStatement,
    statement.HeadStatement,
    session.SessionStatement,
    key_statement.KeyRootStatement,
    key_statement.KeyRotationStatement,
    key_statement.KeyRevocationStatement,
    statement.ForkStatement,
    statement.JudgementStatement,
    *get_args(network_statement.NetworkStatement),
    *get_args(contract_statement.ContractStatement),
    statement_v1.IntentStatementV1,
    statement_v1.ReceiptStatementV1,
)
_MODULES = (
    charged,
    parts,
    fork_parts,
    judgement_parts,
    network_parts,
    contract_parts,
    mixture,
    composition,
    statement,
    network_statement,
    contract_statement,
    session,
    statement_v1,
    key_statement,
    envelope,
)


def receipt_schema() -> dict[str, Any]:
    """The schema: a document is an envelope, or one of the statements that its payload holds."""
    made, components = msgspec.json.schema_components(
        (envelope.EnvelopeDocument, *_STATEMENTS), ref_template="#/$defs/{name}"
    )
    classes = _classes()
    for name, component in components.items():
        _complete(component, classes[name])
    # The published schema keeps the name that it gave this part first.
    components = json.loads(json.dumps(components).replace(parts.AttemptName.__name__, "Task"))
    return {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "id": SCHEMA_ID,
        "title": "CryoFlux log entry",
        "description": "A DSSE envelope, or the in-toto statement that its payload holds (base64, RFC 8785 "
        "bytes). Integers only: losses in billionths of a named unit, energy in microjoules. A field that "
        "says what it says by default is left out. Read with a parser that keeps 1.0 apart from 1: that "
        "one is refused.",
        "oneOf": list(made),
        "$defs": {name: _draft_4(_portable(component)) for name, component in sorted(components.items())},
    }


def schema_bytes() -> bytes:
    """The schema as it is published."""
    return (json.dumps(receipt_schema(), indent=1, ensure_ascii=False) + "\n").encode()


def _classes() -> dict[str, type]:
    named = {name: found for module in _MODULES for name, found in vars(module).items()}
    return {
        **{name: found for name, found in named.items() if isinstance(found, type)},
        **{found.__name__: found for found in (Reason, Tier)},
    }


def _complete(component: dict[str, Any], found: type) -> None:
    """Add to a component what its class says and msgspec leaves out."""
    if issubclass(found, Enum):
        said = _said_beside(found)
        values = [f"`{found[name].value}`: {text.rstrip('.')}" for name, text in said.items()]
        component["description"] = "\n- ".join((component["description"], *values))
        return
    properties = component["properties"]
    if "_type" in properties:
        component["required"] = ["_type", *component["required"]]
        properties["_type"].pop("default", None)
        properties["predicateType"]["description"] = "What the predicate is, and its version."
    for name, text in _fields_of(found):
        properties[name]["description"] = text
    for field in properties.values():
        if "default" in field:
            field["not"] = {"const": field["default"]}


def _fields_of(found: type) -> Iterator[tuple[str, str]]:
    fields: Iterable[str] = getattr(found, "__struct_fields__", ())
    spelt: Iterable[str] = getattr(found, "__struct_encode_fields__", ())
    names = dict(zip(fields, spelt, strict=True))
    for owner in reversed(found.__mro__):
        if owner.__module__.startswith("cryoflux."):
            yield from ((names[name], text) for name, text in _said_beside(owner).items() if name in names)


@cache
def _bodies(module: str) -> dict[str, list[ast.stmt]]:
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: node.body for node in tree.body if isinstance(node, ast.ClassDef)}


def _said_beside(found: type) -> dict[str, str]:
    """What the literal after each field of a class says; Python itself keeps none of it."""
    body = _bodies(found.__module__)[found.__name__]
    said = {}
    for field, beside in pairwise(body):
        match field, beside:
            case (
                ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                said[name] = " ".join(text.split())
    return said


def _portable(component: Any) -> Any:
    """The same without what only Python needs at the end of a pattern, and other readers may not know."""
    if isinstance(component, dict):
        return {
            name: said.removesuffix(END_OF_TEXT) + "$"
            if name == "pattern" and isinstance(said, str)
            else _portable(said)
            for name, said in component.items()
        }
    return [_portable(said) for said in component] if isinstance(component, list) else component


def _draft_4(said: Any) -> Any:
    """The same in the keywords of draft 4."""
    if isinstance(said, list):
        return [_draft_4(part) for part in said]
    if not isinstance(said, dict):
        return said
    made = {name: _draft_4(part) for name, part in said.items()}
    if set(made) == {"const"}:
        return {"enum": [said["const"]]}
    if "$ref" in made and len(made) > 1:  # what stands beside a reference is not read
        made = {"allOf": [{"$ref": made.pop("$ref")}], **made}
    if "propertyNames" in made:
        names = made.pop("propertyNames")
        pattern = names.get("pattern") or rf"^[\s\S]{{0,{names['maxLength']}}}$"
        made["patternProperties"] = {pattern: made["additionalProperties"]}
        made["additionalProperties"] = False
    return made

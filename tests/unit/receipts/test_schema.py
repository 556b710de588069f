from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cryoflux.receipts.schema import receipt_schema, schema_bytes
from cryoflux.signing.fields import SAFE
from plain_log import PlainLog

ROOT = Path(__file__).parents[3]
PUBLISHED = ROOT / "docs" / "reference" / "receipt.schema.json"
VECTORS = json.loads((ROOT / "tests" / "vectors" / "entries.json").read_text("utf-8"))["cases"]


def test_the_published_schema_is_the_one_that_the_code_reads_by() -> None:
    assert PUBLISHED.read_bytes() == schema_bytes(), (
        "write it again: cryoflux receipts schema > docs/reference/receipt.schema.json"
    )


def parts(schema: object) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
    for part in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from parts(part)


def test_it_allows_no_unknown_field_and_no_float_anywhere() -> None:
    for name, definition in receipt_schema()["$defs"].items():
        if definition.get("type") == "object":
            assert definition["additionalProperties"] is False, name
    for part in parts(receipt_schema()):
        assert part.get("type") != "number"
        if part.get("type") == "integer":
            assert abs(part["maximum"]) <= SAFE
            assert abs(part["minimum"]) <= SAFE
        assert "(?" not in str(part.get("pattern", "")), "not every reader knows what may stand there"


def test_it_says_what_the_source_says_beside_a_field() -> None:
    definitions = receipt_schema()["$defs"]
    holdout = definitions["Holdout"]["properties"]["useIndex"]
    assert holdout["description"].startswith("how many attempts were announced on this holdout")
    assert definitions["IntentStatement"]["properties"]["subject"]["description"]
    assert "`exhausted`: the reservation did not pay" in definitions["Cause"]["description"]
    assert all(definition["description"] for definition in definitions.values())
    assert not any("." in name for name in definitions)


def test_a_statement_names_its_type_and_predicate(log: PlainLog) -> None:
    definitions = receipt_schema()["$defs"]
    for entry in log.entries:
        said = json.loads(entry.signed.payload)
        definition = definitions[type(entry.statement).__name__]
        assert set(definition["required"]) == set(said)
        assert definition["properties"]["predicateType"]["enum"] == [said["predicateType"]]


def test_an_independent_validator_accepts_what_was_signed_and_refuses_the_rest(log: PlainLog) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft4Validator.check_schema(receipt_schema())
    validator = jsonschema.Draft4Validator(receipt_schema())
    for entry in log.entries:
        said = json.loads(entry.signed.payload)
        assert validator.is_valid(said)
        assert validator.is_valid(json.loads(entry.envelope))
        assert not validator.is_valid({**said, "note": 1})
        for number in (0.5, float(said["predicate"]["sequence"])):
            assert not validator.is_valid({**said, "predicate": {**said["predicate"], "sequence": number}})
        assert not validator.is_valid({**said, "predicateType": "https://cryoflux.dev/receipt/v3"})
        assert not validator.is_valid({name: part for name, part in said.items() if name != "_type"})
    receipt = json.loads(log.entries[1].signed.payload)
    assert not validator.is_valid({**receipt, "predicate": {**receipt["predicate"], "cause": ""}})


BYTES = {"not canonical (RFC 8785)", "duplicate key", "does not fit into a tile", "not JSON", "payload type"}
BYTES |= {"base64 in its one spelling", "64 bytes", "a line feed at the end"}
"""what a schema cannot see: it is about values, not about how they are spelt"""
TO_PYTHON = ("line feed",)
"""what a validator in Python does not see: ``$`` stands before a last line feed too"""
VALIDATOR = pytest.importorskip("jsonschema").Draft4Validator(receipt_schema())


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in VECTORS])
def test_it_gives_the_verdict_of_the_vectors_where_a_schema_can(case: dict[str, str]) -> None:
    envelope = json.loads(base64.b64decode(case["envelope"]))
    stage, _, why = case["why"].partition(": ")
    try:
        said = json.loads(base64.b64decode(envelope["payload"]))
    except ValueError:
        said = None
    valid = VALIDATOR.is_valid(envelope) and VALIDATOR.is_valid(said)
    if stage in {"", "signature"}:
        assert valid
    elif why not in BYTES and not any(words in case["name"] for words in TO_PYTHON):
        assert not valid

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cryoflux.receipts.fields import SAFE
from cryoflux.receipts.schema import receipt_schema, schema_bytes
from synthetic_state import SyntheticState

PUBLISHED = Path(__file__).parents[3] / "docs" / "reference" / "receipt.schema.json"


def test_the_published_schema_is_the_one_that_the_code_reads_by() -> None:
    assert PUBLISHED.read_bytes() == schema_bytes(), (
        "write it again: cryoflux receipts schema > docs/reference/receipt.schema.json"
    )


def test_it_allows_no_unknown_field_and_no_float_anywhere() -> None:
    kinds = set()
    for name, definition in receipt_schema()["$defs"].items():
        if definition["type"] == "object":
            assert definition["additionalProperties"] is False, name
        for field, said in definition.get("properties", {}).items():
            kinds.add(said.get("type"))
            if said.get("type") == "integer":
                assert abs(said["maximum"]) <= SAFE, (name, field)
    assert "number" not in kinds
    assert "number" not in schema_bytes().decode().split('"')


def test_a_statement_names_its_type_and_predicate(pristine: SyntheticState) -> None:
    definitions = receipt_schema()["$defs"]
    for entry in pristine.entries:
        said = json.loads(entry.signed.payload)
        definition = definitions[type(entry.statement).__name__]
        assert set(definition["required"]) == set(said)
        assert definition["properties"]["predicateType"]["const"] == said["predicateType"]


def test_an_independent_validator_accepts_what_was_signed_and_refuses_the_rest(
    pristine: SyntheticState,
) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(receipt_schema())
    for entry in pristine.entries:
        said = json.loads(entry.signed.payload)
        assert validator.is_valid(said)
        assert validator.is_valid(json.loads(entry.envelope))
        assert not validator.is_valid({**said, "note": 1})
        assert not validator.is_valid({**said, "predicate": {**said["predicate"], "sequence": 0.5}})
        assert not validator.is_valid({**said, "predicateType": "https://cryoflux.dev/receipt/v2"})

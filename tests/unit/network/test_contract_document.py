"""The file of a contract has one spelling, and terms that nobody could settle are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from contract_world import World
from cryoflux.errors import UsageError, VerificationError
from cryoflux.network.contracts.document import (
    MAX_CONTRACT_BYTES,
    parse_contract,
    read_contract,
    refuse_terms,
)
from cryoflux.receipts.contract_parts import AgreedTerms

TERMS = World().agree().terms


def test_a_contract_is_read_as_it_was_written() -> None:
    assert parse_contract(TERMS.content) == TERMS
    refuse_terms(TERMS)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        TERMS.content + b"\n",
        json.dumps(json.loads(TERMS.content), indent=1).encode(),
        json.dumps({**json.loads(TERMS.content), "more": 1}).encode(),
        TERMS.content.replace(b'"alphaPpm":10000', b'"alphaPpm":1e4'),
        TERMS.content.replace(b'"alphaPpm":10000', b'"alphaPpm":0'),
        b" " * (MAX_CONTRACT_BYTES + 1),
    ],
)
def test_another_spelling_is_another_contract_and_is_refused(content: bytes) -> None:
    with pytest.raises(VerificationError):
        parse_contract(content)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_contract(tmp_path / "none")


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        (TERMS.but(clauses=("available", "available")), "twice"),
        (TERMS.but(clauses=("delta >= 0.05",)), "no unit"),
        (TERMS.but(parties=(TERMS.buyer, TERMS.buyer)), "one party"),
        (TERMS.but(parties=("log.example/x", TERMS.buyer)), "does not name the log log.example/x"),
        (TERMS.but(verifiers=TERMS.verifiers.but(sha256="0" * 64)), "another digest"),
        (TERMS.but(joules=TERMS.joules.but(counted="gross")), "gross joules could never be settled"),
    ],
)
def test_terms_that_nobody_could_settle_are_refused(terms: AgreedTerms, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        refuse_terms(terms)

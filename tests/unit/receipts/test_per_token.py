"""Δ for each target token: read from a receipt of a language model, said to people, unknown elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cryoflux.log_view import open_log
from cryoflux.queries.marks import mark_of
from cryoflux.receipts.per_token import TARGET_TOKENS, per_token_text, tokens_per_example
from cryoflux.receipts.statement import Receipt
from cryoflux.report.attempt_words import attempt_text
from cryoflux.report.decision_words import attempt_headline
from synthetic_state import open_state


@pytest.fixture
def receipt(tmp_path: Path) -> Receipt:
    state = open_state(tmp_path / "state")
    return state.attempt(0.05).statement.predicate


def saying(receipt: Receipt, tokens: object) -> Receipt:
    section = receipt.training.section
    fields = {**section.fields, TARGET_TOKENS: tokens}
    return receipt.but(training=receipt.training.but(section=section.but(fields=fields)))


def test_a_document_has_as_many_as_the_holdout_has_on_average(receipt: Receipt) -> None:
    count = receipt.holdout.count
    assert tokens_per_example(saying(receipt, 40 * count)) == 40
    assert tokens_per_example(receipt) is None
    assert tokens_per_example(saying(receipt, 0)) is None
    assert tokens_per_example(saying(receipt, "many")) is None


def test_it_is_said_with_its_unit_and_only_where_it_is_known(receipt: Receipt) -> None:
    assert per_token_text(9.6, "nats", 40) == "+0.24 nats a target token"
    assert per_token_text(-0.2, None, 40) == "-0.005 a target token"
    assert per_token_text(None, "nats", 40) == per_token_text(9.7, "nats", None) == ""
    assert "a target token" not in attempt_text(1, receipt)
    delta = receipt.evaluation.delta_sum / receipt.evaluation.read / 1e9
    said = attempt_text(1, saying(receipt, 40 * receipt.holdout.count))
    assert f"  {delta / 40:+.3g} nats a target token  " in said


def test_attempts_and_totals_say_it_too(receipt: Receipt, tmp_path: Path) -> None:
    log = open_log(tmp_path / "state")
    (attempt,) = log
    (total,) = log.summary().tasks
    assert (attempt.delta_per_token, total.delta_per_token) == ("", "")
    document = replace(attempt, tokens_per_example=40.0)
    said = f"{attempt.delta / 40:+.3g} nats a target token"
    assert document.delta_per_token == replace(total, tokens_per_example=40.0).delta_per_token == said
    for words in (document.delta_text, attempt_headline(document), mark_of(document).says):
        assert said in words
    assert document.row()["tokens_per_example"] == 40

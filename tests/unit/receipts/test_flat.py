from __future__ import annotations

from pathlib import Path

import pytest

from cryoflux.errors import UsageError
from cryoflux.receipts.flat import flat_intent, flat_view
from cryoflux.receipts.reading import find_entry, read_entries
from cryoflux.receipts.statement import ReceiptStatement
from synthetic_parts import COUNT, figure, training
from synthetic_state import SyntheticState, open_state


def test_the_flat_view_has_the_names_and_numbers_of_the_whitepaper(pristine: SyntheticState) -> None:
    entry = pristine.entries[1]
    assert isinstance(entry.statement, ReceiptStatement)
    said = entry.statement.predicate
    assert said.evaluation is not None
    view = flat_view(entry.statement, entry.leaf_hash)
    assert view["task_id"] == "a0001"
    assert view["task_name"] == "lora_delta"
    assert view["joules_spent"] == 100.0
    assert view["base_loss"] == said.evaluation.base_loss_nano_nat_sum / COUNT / 1e9
    assert view["delta"] == pytest.approx(view["base_loss"] - view["new_loss"])
    assert view["delta"] == pytest.approx(0.05, rel=0.2)
    assert view["accepted"] is True
    assert view["adapter_hash"] == entry.statement.subject[0].digest.sha256
    assert view["base_model_hash"] == said.base.digest
    assert view["timestamp"] == 1_795_395_723
    assert view["receipt_hash"] == entry.leaf_hash
    assert (view["tier"], view["joules_lo"], view["joules_hi"]) == ("modelled", 90.0, 110.0)
    assert view["eta"] == pytest.approx(view["delta"] / 100)
    assert view["eta_low"] == pytest.approx(view["delta"] / 110)


def test_an_aborted_attempt_has_no_numbers_that_it_does_not_know(pristine: SyntheticState) -> None:
    entry = pristine.entries[5]
    assert isinstance(entry.statement, ReceiptStatement)
    view = flat_view(entry.statement, entry.leaf_hash)
    assert view["outcome"] == "aborted"
    unknown = ("base_loss", "new_loss", "delta", "accepted", "adapter_hash", "eta", "eta_low")
    assert all(view[name] is None for name in unknown)


def test_no_joules_give_no_efficiency(pristine: SyntheticState) -> None:
    statement = pristine.entries[1].statement
    assert isinstance(statement, ReceiptStatement)
    free = statement.predicate.model_copy(update={"energy": figure(microjoules=0, lo_microjoules=-1)})
    view = flat_view(statement.model_copy(update={"predicate": free}), "00")
    assert view["eta"] is None


def test_an_impossible_time_is_no_time(pristine: SyntheticState) -> None:
    statement = pristine.entries[1].statement
    assert isinstance(statement, ReceiptStatement)
    late = statement.predicate.model_copy(update={"finished_at": "2026-13-45T99:99:99Z"})
    assert flat_view(statement.model_copy(update={"predicate": late}), "00")["timestamp"] is None


def test_an_intent_shows_what_was_announced(pristine: SyntheticState) -> None:
    view = flat_intent(pristine.entries[0])
    assert (view["outcome"], view["joules_reserved"], view["task_id"]) == ("announced", 120.0, "a0001")
    with pytest.raises(TypeError):
        flat_intent(pristine.entries[1])


def test_an_entry_is_found_by_index_task_or_hash(pristine: SyntheticState) -> None:
    entries = read_entries(pristine.path)
    assert entries == pristine.entries
    assert find_entry(entries, "3") is entries[3]
    assert find_entry(entries, "a0002") is entries[3]
    assert find_entry(entries, entries[6].leaf_hash[:12]) is entries[6]
    assert find_entry(entries[:7], "a0004") is entries[6]
    for text in ("8", "a0009", "zz", "", "-1", "٣", "9" * 400, entries[6].leaf_hash[:2]):
        with pytest.raises(UsageError):
            find_entry(entries, text)


def test_a_reading_that_stopped_early_is_shown_over_what_was_read(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    entry = made.conclude_attempt(
        made.announce(), -0.01, read=32, training=training(saved_microjoules=2_500_000)
    )
    made.finish()
    assert isinstance(entry.statement, ReceiptStatement)
    view = flat_view(entry.statement, entry.leaf_hash)
    said = entry.statement.predicate.evaluation
    assert said is not None
    assert (view["outcome"], view["examples_read"], view["training_saved_joules_modelled"]) == (
        "rejected",
        32,
        2.5,
    )
    assert view["delta"] == said.delta_nano_nat_sum / 32 / 1e9
    assert view["screen_delta"] == pytest.approx(0.0547, abs=1e-4)


def test_what_was_not_read_screened_or_saved_is_not_made_up(pristine: SyntheticState) -> None:
    views = []
    for entry in (pristine.entries[1], pristine.entries[5]):
        assert isinstance(entry.statement, ReceiptStatement)
        views.append(flat_view(entry.statement, entry.leaf_hash))
    assert [view["examples_read"] for view in views] == [COUNT, None]
    assert "training_saved_joules_modelled" not in views[0]
    assert "screen_delta" not in views[1]

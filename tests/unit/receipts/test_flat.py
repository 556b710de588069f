from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from cryoflux.errors import UsageError
from cryoflux.receipts.charged import PhaseFigure
from cryoflux.receipts.flat import flat_receipt, flat_view
from cryoflux.receipts.log import ReceiptLog
from cryoflux.receipts.numbering import number_rounds
from cryoflux.receipts.reading import find_entry, read_entries
from cryoflux.receipts.rotation import enrol_root
from cryoflux.receipts.statement import ReceiptStatement, Screen
from node_log import NodeLog
from plain_log import COUNT, KEY, PlainLog, StoredLog, evaluation, figure, model, training

WHITEPAPER = {
    *("task_id", "task_name", "joules_spent", "base_loss", "new_loss", "delta", "accepted"),
    *("adapter_hash", "base_model_hash", "timestamp", "receipt_hash"),
}


def receipt_of(log: PlainLog, index: int) -> ReceiptStatement:
    statement = log.entries[index].statement
    assert isinstance(statement, ReceiptStatement)
    return statement


def test_the_flat_view_has_the_names_and_numbers_of_the_whitepaper(log: PlainLog) -> None:
    entry, said = log.entries[1], receipt_of(log, 1).predicate
    assert said.evaluation is not None
    view = flat_view(entry)
    assert set(view) >= WHITEPAPER
    assert (view["index"], view["kind"]) == (1, "receipt")
    assert (view["task_id"], view["task_name"], view["arm"]) == ("lora_delta_0", "lora_delta", "lean")
    assert view["joules_spent"] == 100.0
    assert view["base_loss"] == said.evaluation.base_loss_sum / COUNT / 1e9
    assert view["delta"] == pytest.approx(0.05)
    assert (view["metric"], view["unit"]) == ("cross-entropy", "nats")
    assert (view["accepted"], view["outcome"], view["cause"]) == (True, "kept", None)
    assert view["reason"].startswith("Kept: Δ +0.0500 nats, ")
    assert view["adapter_hash"] == entry.statement.subject[0].digest.sha256
    assert view["base_model_hash"] == said.base.digest
    assert view["timestamp"] == 1_795_395_723
    assert view["receipt_hash"] == entry.leaf_hash
    assert (view["tier"], view["joules_lo"], view["joules_hi"]) == ("modelled", 90.0, 110.0)
    assert view["eta_nats_per_kj"] == pytest.approx(1000 * view["delta"] / 100)
    assert view["eta_low_nats_per_kj"] == pytest.approx(1000 * view["delta"] / 110)
    assert view["delta_lo_95"] <= view["delta"] <= view["delta_hi_95"]
    hits = said.evaluation.hits
    assert (view["accuracy_before"], view["accuracy_after"]) == (hits.base / COUNT, hits.new / COUNT)


def test_every_entry_can_be_shown_as_json(log: PlainLog) -> None:
    views = [flat_view(entry) for entry in log.entries]
    assert [view["kind"] for view in views] == [*["intent", "receipt"] * 4, "head"]
    assert all(view["reason"] and view["receipt_hash"] for view in views)
    assert json.loads(json.dumps(views)) == views


def test_an_aborted_attempt_has_no_numbers_that_it_does_not_know(log: PlainLog) -> None:
    view = flat_view(log.entries[5])
    assert (view["outcome"], view["cause"]) == ("aborted", "interrupted")
    assert view["reason"] == "Aborted: interrupted before training; nothing was kept."
    unknown = "base_loss new_loss delta metric unit accepted adapter_hash eta_nats_per_kj eta_low_nats_per_kj"
    unknown += " delta_lo_95 delta_hi_anytime accuracy_after"
    assert all(view[name] is None for name in unknown.split())


def test_no_joules_give_no_efficiency(log: PlainLog) -> None:
    statement = receipt_of(log, 1)
    free = statement.predicate.but(energy=figure(microjoules=0, lo_microjoules=-1))
    view = flat_receipt(statement.but(predicate=free), "00")
    assert view["eta_nats_per_kj"] is None


def test_phases_are_told_in_joules_and_unknown_ones_as_unknown(log: PlainLog) -> None:
    statement = receipt_of(log, 1)
    assert flat_receipt(statement, "00")["phases"] is None
    parts = [
        PhaseFigure(name=name, microjoules=uj, lo_microjoules=uj - 1, hi_microjoules=uj + 2)
        for name, uj in (("train", 60_000_000), ("settle", 40_000_000))
    ]
    told = statement.predicate.but(energy=figure(phases=parts))
    assert flat_receipt(statement.but(predicate=told), "00")["phases"] == [
        {"phase": "train", "joules": 60.0, "joules_lo": 59.999999, "joules_hi": 60.000002},
        {"phase": "settle", "joules": 40.0, "joules_lo": 39.999999, "joules_hi": 40.000002},
    ]


def test_an_impossible_time_is_no_time(log: PlainLog) -> None:
    statement = receipt_of(log, 1)
    late = statement.predicate.but(finished_at="2026-13-45T99:99:99Z")
    assert flat_receipt(statement.but(predicate=late), "00")["timestamp"] is None


def test_an_intent_shows_what_was_announced(log: PlainLog) -> None:
    view = flat_view(log.entries[0])
    assert (view["outcome"], view["joules_reserved"], view["task_id"]) == (
        "announced",
        120.0,
        "lora_delta_0",
    )
    assert view["reason"] == "lean was drawn from 1 arm."


def test_a_moved_head_shows_from_where_to_where(log: PlainLog) -> None:
    view = flat_view(log.entries[8])
    assert (view["kind"], view["task_name"], view["outcome"]) == ("head", "lora_delta", "rollback")
    assert view["base_model_hash"] == model("made by 0").digest
    assert view["result_model_hash"] == model("first lora_delta").digest
    assert view["reason"] == "Rolled back: It was worse."


def test_a_key_shows_what_happened_to_it(tmp_path: Path) -> None:
    stored = ReceiptLog.open(tmp_path)
    entry = enrol_root(stored, tmp_path, KEY.public_key(), "2026-11-23T02:00:00Z")
    stored.close()
    view = flat_view(entry)
    assert (view["kind"], view["outcome"]) == ("key", "root named")
    assert view["timestamp"] == 1_795_399_200
    assert len(view["key_id"]) == 64


def test_an_entry_is_found_by_index_task_or_hash(tmp_path: Path) -> None:
    stored = ReceiptLog.open(tmp_path)
    made = PlainLog(store=stored.append)
    made.conclude(made.announce())
    made.conclude(made.announce(), kept=False)
    made.announce()
    stored.close()
    entries = read_entries(tmp_path)
    assert entries == made.entries
    assert find_entry(entries, "3") is entries[3]
    assert find_entry(entries, "lora_delta_2") is entries[3]
    assert find_entry(entries, entries[2].leaf_hash[:12]) is entries[2]
    assert find_entry(entries, "lora_delta_4") is entries[4]
    assert [find_entry(entries, f"#{n}").index for n in (1, 2, 3)] == [1, 3, 4], "3 has no receipt yet"
    for text in (
        "#4",
        "#0",
        "#",
        "#None",
        "#01",
        "8",
        "a0009",
        "zz",
        "",
        "-1",
        "٣",
        "9" * 400,
        entries[2].leaf_hash[:2],
    ):
        with pytest.raises(UsageError):
            find_entry(entries, text)
    with pytest.raises(UsageError) as refused:
        find_entry(entries, "#4")
    assert refused.value.hint == "Entry 4 of the log (intent) is called by its number alone: 4."


def test_a_reading_that_stopped_early_is_shown_over_what_was_read() -> None:
    made = PlainLog()
    screen = Screen(count=16, base_loss_sum=16 * 10**9, new_loss_sum=15 * 10**9, delta_squared_sum="1")
    judged = evaluation(model("x"), -64_000_000, read=32)
    entry = made.conclude(
        made.announce(),
        kept=False,
        evaluation=judged,
        training=training(screen=screen, saved_microjoules=2_500_000),
    )
    view = flat_view(entry)
    shown = (view["outcome"], view["examples_read"], view["training_saved_joules_modelled"])
    assert shown == ("rejected", 32, 2.5)
    assert view["delta"] == judged.delta_sum / 32 / 1e9
    assert view["screen_delta"] == 0.0625


def test_what_was_not_read_screened_or_saved_is_not_made_up(log: PlainLog) -> None:
    views = [flat_view(log.entries[index]) for index in (1, 5)]
    assert [view["examples_read"] for view in views] == [COUNT, None]
    assert "training_saved_joules_modelled" not in views[0]
    assert "screen_delta" not in views[1]


def test_rounds_have_numbers_of_their_own_by_their_records(tmp_path: Path) -> None:
    with closing(StoredLog(tmp_path / "s")) as stored:
        node = NodeLog(stored)
        node.train()
        node.introduce()
        node.enter()
        for _ in range(2):
            node.record(node.announce([node.candidate()]))
        node.announce([node.candidate()])
    entries = read_entries(tmp_path / "s")
    numbers = number_rounds(entries)
    said = [(entry.kind, number) for entry, number in zip(entries, numbers, strict=True) if number]
    pairs = [(kind, number) for number in (1, 2) for kind in ("round-intent", "round")]
    assert said == [*pairs, ("round-intent", 3)]
    assert [find_entry(entries, f"#r{n}").kind for n in (1, 2, 3)] == ["round", "round", "round-intent"]
    assert find_entry(entries, "#r1") is next(entry for entry in entries if entry.round is not None)
    views = [flat_view(entry, round_number=n) for entry, n in zip(entries, numbers, strict=True)]
    assert [view["round_number"] for view in views if "round_number" in view] == [1, 1, 2, 2, 3]
    assert number_rounds(entries[:3]) == numbers[:3], "whoever reads a part sees the same"
    for text in ("#r0", "#r4", "#r", "#r01"):
        with pytest.raises(UsageError, match="There is no round"):
            find_entry(entries, text)

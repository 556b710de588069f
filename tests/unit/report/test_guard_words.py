"""What a leak guard left out, as people and programs are told."""

from __future__ import annotations

from cryoflux.report.guard_words import guard_document, guard_lines

RULE = {"rule": "cosine/v1", "least_milli": 850, "encoder": "e" * 64, "dropped": 3}


def test_each_set_is_named_with_its_count() -> None:
    counts = {"holdout": 2, "monitor": 1}
    (line,) = guard_lines(RULE, counts)
    assert line.endswith(
        "for a cosine of 0.85 or more with a text that judges: 3 (2 of holdout, 1 of monitor)"
    )
    assert guard_document(RULE, counts) == {"leak_guard": 0.85, "similar_dropped": counts}


def test_a_guard_that_left_nothing_out_is_said_and_none_is_not() -> None:
    assert guard_lines(RULE, {}) == [
        "leak guard: no training text has a cosine of 0.85 or more with a text that judges"
    ]
    assert guard_lines(None, {}) == []
    assert guard_document(None, {}) == {"leak_guard": None, "similar_dropped": {}}

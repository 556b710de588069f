"""What is said of a file that arrived."""

from __future__ import annotations

from cryoflux.report.arrival_words import joined_document, joined_line
from cryoflux.runs.watch import Joined


def test_rows_that_lack_something_are_counted_with_their_lines() -> None:
    joined = Joined(
        "more.csv", task="lora_delta", joined=90, refused={"lacking": 3}, lines={"lacking": [7, 9, 12]}
    )
    said = joined_line(joined)
    assert (
        "90 examples join lora_delta; 3 do not: without a text or without one label (line 7, 9, 12)" in said
    )
    assert joined_document(joined)["refused"] == {"lacking": 3}


def test_lines_that_are_not_named_are_hinted_at() -> None:
    joined = Joined("more.csv", task="lora_delta", refused={"lacking": 8}, lines={"lacking": [2, 3, 4, 5, 6]})
    assert "(line 2, 3, 4, 5, 6, …)" in joined_line(joined)

"""Texts that say nearly the same are found, whatever their words; honest ones are left alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cryoflux.data.prepared import open_prepared, render_sets, store
from cryoflux.state import StateFolder
from cryoflux.tasks.index.leaks import find_leaks

TRAIN = [
    "The bucket holds the joules that were granted and not spent yet.",
    "Set the current event loop policy. If policy is None, the default policy is restored.",
    "Emperor penguins breed on the sea ice of Antarctica in winter.",
]
PARAPHRASE = "Sets the policy of the event loop; None restores the default policy."
HONEST = "Bread is made of flour, water, salt and a little yeast."


def line(text: str) -> bytes:
    return json.dumps({"label": "x", "text": text}).encode()


@pytest.mark.slow
def test_a_paraphrase_is_found_with_its_row_and_that_of_the_original(tmp_path: Path) -> None:
    sets = {"train": TRAIN, "holdout": [HONEST, PARAPHRASE], "audit": [HONEST], "monitor": [PARAPHRASE]}
    files, digest = render_sets({name: [line(text) for text in texts] for name, texts in sets.items()})
    state = StateFolder(tmp_path)
    data = open_prepared(store(files, digest, state.data(digest).parent), "planted")
    counts, leaks = find_leaks(state, data, 0.75)
    assert {one.part: one.near for one in counts} == {"holdout": 1, "audit": 0, "monitor": 1}
    assert [(leak.part, leak.row, leak.train_row) for leak in leaks] == [
        ("holdout", 2, 2),
        ("monitor", 1, 2),
    ]

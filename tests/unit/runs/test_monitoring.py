"""What a file that is fed speaks for while somebody writes to it."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

import tiny
from cryoflux.data.columns import Wishes
from cryoflux.data.examples import Example
from cryoflux.data.growing import grow
from cryoflux.data.prepared import open_prepared, render, store
from cryoflux.data.split import Splits
from cryoflux.runs.monitoring import Monitoring
from cryoflux.settings import MonitorSettings
from cryoflux.state import StateFolder

ROWS = [Example(text, label) for text, label in tiny.sentences(300, 5)]


class Fed:
    """A monitor over a file, and what was told of it."""

    def __init__(self, folder: Path) -> None:
        splits = Splits(tuple(ROWS[:60]), tuple(ROWS[60:90]), tuple(ROWS[90:120]), tuple(tiny.TOPICS), {}, ())
        files, digest = render(splits)
        self.file, self.told = folder / "fed.csv", list[str]()
        self.opened: Any = SimpleNamespace(
            task=SimpleNamespace(name="lora_delta"),
            data=open_prepared(store(files, digest, folder / "state" / "data"), "toy", {}),
        )
        context: Any = SimpleNamespace(state=StateFolder(folder / "state"))
        settings = MonitorSettings(monitor=str(self.file))
        self.monitoring = Monitoring(
            context,
            settings,
            lambda *_: None,
            lambda _: None,
            lambda _task, why: self.told.append(why),
            Wishes(),
        )
        self._written = 0

    def write(self, text: str) -> None:
        self.file.write_text(text)
        self._written += 1
        os.utime(self.file, (self._written, self._written))

    def count(self) -> int | None:
        found = self.monitoring._examples(cast("Any", self.opened))
        return found.count if found is not None else None


def rows(count: int) -> str:
    return "text,label\n" + "".join(f"{row.text},{row.label}\n" for row in ROWS[120 : 120 + count])


@pytest.fixture
def fed(tmp_path: Path) -> Fed:
    return Fed(tmp_path)


def test_what_was_read_before_counts_until_a_broken_file_is_mended(fed: Fed) -> None:
    fed.write(rows(40))
    assert fed.count() == 40
    fed.write(rows(60) + '"half a ro')
    assert [fed.count(), fed.count()] == [40, 40]
    assert len(fed.told) == 1, "each content is told of once"
    assert "what was read before counts" in fed.told[0]
    fed.file.unlink()
    assert fed.count() == 40
    assert "No such file" in fed.told[1]
    fed.write(rows(60))
    assert fed.count() == 60
    assert len(fed.told) == 2


def test_what_shrinks_below_what_is_needed_speaks_for_nothing_and_that_is_said(fed: Fed) -> None:
    fed.write(rows(40))
    assert fed.count() == 40
    fed.write(rows(7))
    assert fed.count() is None
    assert fed.told[0].startswith("7 examples count, and 30 are needed")
    fed.write("a,b,c\n")
    assert fed.count() is None
    assert "held against nothing" in fed.told[1]


def test_a_data_set_that_grew_while_the_file_is_broken_has_no_monitor_until_it_is_mended(fed: Fed) -> None:
    fed.write(rows(40))
    assert fed.count() == 40
    fed.opened.data = grow(fed.opened.data, [Example("a wholly new text to learn", "tools")])
    fed.write("text,label\nbroken\n")
    assert fed.count() is None
    fed.write(rows(40))
    assert fed.count() == 40

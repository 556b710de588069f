"""Two are judged on examples that decide on a run, in a file of another form: no budget counts that look."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cryoflux.digests import sha256_hex
from cryoflux.state import StateFolder
from cryoflux.verification.judged import judged_and_deciding
from cryoflux.verification.read_sets import AUDIT, HOLDOUT, TRAIN, ReadSets, TextLine
from cryoflux.verification.result import Status

SHAPES: dict[str, dict[str, Any]] = {
    "prompt and completion": {"prompt": "Who rings? ", "completion": "The  bells, twice"},
    "text": {"text": "who rings? the bells, twice", "label": "calm"},
    "messages": {"messages": [{"role": "user", "content": "Who rings?"}, {"content": "the bells, TWICE"}]},
}


def told(
    folder: Path, rows: list[Any], *, file: str = HOLDOUT, more: str = ""
) -> list[tuple[Status, str, str]]:
    """What is said of a judgement on these rows, where one text decides on updates."""
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    digest, state = sha256_hex(content), StateFolder(folder)
    state.judged(digest).parent.mkdir(exist_ok=True)
    state.judged(digest).write_bytes(content)
    lines = {
        TRAIN: [TextLine("other", True)],
        HOLDOUT: [TextLine("one", True)],
        AUDIT: [TextLine("two", True)],
    }
    lines[file] = [TextLine(f"Who rings? The bells, twice{more}", True)]
    sets = ReadSets("data/x", None, lines, dict.fromkeys(lines, ""))
    memory = SimpleNamespace(judged={digest: None, "0" * 64: None})
    findings = judged_and_deciding(state, memory, [sets])  # type: ignore[arg-type]
    return [(found.status, found.subject, found.detail) for found in findings]


@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
@pytest.mark.parametrize("file", [HOLDOUT, "holdout-2.jsonl"])
def test_the_same_text_in_another_form_is_found(shape: dict[str, Any], file: str, tmp_path: Path) -> None:
    ((status, subject, detail),) = told(tmp_path, [{"text": "something else"}, shape], file=file)
    assert status is Status.FAIL
    assert subject.startswith("judged/")
    assert f"1 of its examples decide on updates in data/x/{file}, which does not count" in detail


@pytest.mark.parametrize("file", [TRAIN, AUDIT])
def test_what_is_learned_or_audited_decides_on_nothing(file: str, tmp_path: Path) -> None:
    assert told(tmp_path, list(SHAPES.values()), file=file) == []


def test_ids_and_lines_that_are_nothing_are_no_texts(tmp_path: Path) -> None:
    assert told(tmp_path, ["Who rings? The bells, twice", 3, None, {}, {"messages": 3}]) == []


def test_a_file_that_is_not_the_signed_one_is_not_read(tmp_path: Path) -> None:
    rows = [SHAPES["text"]]
    assert told(tmp_path, rows)
    (path,) = (tmp_path / "judged").iterdir()
    path.write_bytes(path.read_bytes() + b"\n")
    sets = ReadSets("data/x", None, {HOLDOUT: [TextLine(rows[0]["text"], True)]}, {HOLDOUT: ""})
    memory = SimpleNamespace(judged={path.stem: None})
    assert list(judged_and_deciding(StateFolder(tmp_path), memory, [sets])) == []  # type: ignore[arg-type]


def test_a_text_that_pythons_read_otherwise_is_a_question(tmp_path: Path) -> None:
    strange = " \U0001fae9"
    row = {"text": f"Who rings? The bells, twice{strange}"}
    assert [status for status, *_ in told(tmp_path, [row], more=strange)] == [Status.UNKNOWN]

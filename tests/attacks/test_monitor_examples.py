"""The examples that a head is held against: taught or judged by before, changed since, or exchanged."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest
from test_grown_data import regrown
from test_monitor_looks import Watched

from cryoflux.digests import sha256_hex
from cryoflux.quantities import NANO
from cryoflux.receipts.statement import Metric
from cryoflux.state import StateFolder
from cryoflux.verification.result import Check, Status
from rolled_back import COUNT, WORSE, Rollback, three_heads
from synthetic_parts import label_of
from synthetic_state import SyntheticState, open_state
from verifying import verify_target

DRAW = random.Random(4)


def fresh(count: int = COUNT) -> list[str]:
    """Texts that nobody has seen."""
    letters = "abcdefghijklmnoprstuvw"
    words = ["".join(DRAW.choices(letters, k=7)) for _ in range(20 * count)]
    return [" ".join(DRAW.sample(words, 12)) for _ in range(count)]


def content_of(texts: list[str]) -> bytes:
    return "".join(json.dumps({"label": label_of(text), "text": text}) + "\n" for text in texts).encode()


def feed(made: SyntheticState, texts: list[str], *, kept: bool = True) -> str:
    """Let a file of texts be a monitor of the state; its SHA-256."""
    content = content_of(texts)
    path = StateFolder(made.path).monitor(sha256_hex(content))
    if kept:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    return sha256_hex(content)


def texts_in(made: SyntheticState, name: str) -> list[str]:
    lines = (made.path / "data" / made.data.digest / f"{name}.jsonl").read_text().splitlines()
    return [json.loads(line)["text"] for line in lines]


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(three_heads(tmp_path / "state"))


@pytest.fixture
def rollback(watched: Watched) -> Rollback:
    to = watched.made.entries[1].receipt.result
    return Rollback(watched.made, WORSE, [loss - NANO for loss in WORSE], to)


def open_or_bad(made: SyntheticState) -> list[Check]:
    checks = verify_target(made.finish()).checks
    known = ("is not what", "were drawn", "near to training", "the log does not say")
    return [
        c
        for c in checks
        if c.status in {Status.FAIL, Status.UNKNOWN} and not any(word in c.detail for word in known)
    ]


def said(made: SyntheticState, status: Status) -> str:
    return " | ".join(f"{c.subject} {c.detail}" for c in open_or_bad(made) if c.status is status)


def gone_back(rollback: Rollback, digest: str, **changes: object) -> SyntheticState:
    rollback.write(evidence=[rollback.measurement(sha256=digest, **changes)])
    return rollback.made


def test_a_rollback_on_examples_that_nobody_has_seen(rollback: Rollback) -> None:
    assert open_or_bad(gone_back(rollback, feed(rollback.made, fresh()))) == []


@pytest.mark.parametrize("which", ["holdout", "audit", "train"])
@pytest.mark.parametrize("how", ["rollback", "look"])
def test_what_decisions_or_training_read_is_no_monitor(
    watched: Watched, rollback: Rollback, which: str, how: str
) -> None:
    made, data = watched.made, watched.made.data
    digest = {"holdout": data.holdout.sha256, "audit": data.audit, "train": data.train}[which]
    count = data.train_count if which == "train" else COUNT
    folder = made.path / "data" / data.digest
    assert feed(made, texts_in(made, which)) != digest, (
        "the same texts, spelled otherwise, are found as copies"
    )
    StateFolder(made.path).monitor(digest).write_bytes((folder / f"{which}.jsonl").read_bytes())
    if how == "look":
        watched.end(watched.look(sha256=digest, count=count))
    else:
        gone_back(rollback, digest)
    assert "what training or decisions have read" in said(made, Status.FAIL)


@pytest.mark.parametrize("which", ["holdout", "audit", "train"])
@pytest.mark.parametrize("how", ["rollback", "look"])
def test_copies_of_what_was_read_are_no_monitor(
    watched: Watched, rollback: Rollback, which: str, how: str
) -> None:
    copies = [text.upper() for text in texts_in(watched.made, which)[:2]]
    digest = feed(watched.made, [*fresh()[:-2], *copies])
    if how == "look":
        watched.end(watched.look(sha256=digest))
    else:
        gone_back(rollback, digest)
    assert f"2 of its {COUNT} texts are copies of texts in {which}" in said(watched.made, Status.FAIL)


def test_a_monitor_of_near_copies_is_asked_about(rollback: Rollback, tmp_path: Path) -> None:
    texts = fresh(3 * COUNT)
    made = open_state(tmp_path / "other", texts)
    made.policy = "uniform/v1"
    made.attempt(0.05)
    made.attempt(0.02)
    near = [f"{text} indeed" for text in texts_in(made, "train")]
    rollback = Rollback(made, rollback.head, rollback.other, made.entries[1].receipt.result)
    gone_back(rollback, feed(made, near))
    checks = verify_target(made.finish()).checks
    asked = [c.detail for c in checks if c.status is Status.UNKNOWN and "monitor" in c.subject]
    assert any("near to training examples" in detail for detail in asked)


def test_what_joined_training_after_the_look_is_no_lie(watched: Watched, rollback: Rollback) -> None:
    texts = fresh()
    watched.end(watched.look(sha256=feed(watched.made, texts)))
    made = watched.made
    made.data = regrown(made, lambda lines: [*lines, content_of(texts[:1]).decode()])
    made.attempt(0.03)
    made.session()
    assert open_or_bad(made) == []


def test_what_joined_training_in_the_session_of_the_look_is_asked_about(watched: Watched) -> None:
    texts = fresh()
    look = watched.look(sha256=feed(watched.made, texts))
    watched.made.data = regrown(watched.made, lambda lines: [*lines, content_of(texts[:1]).decode()])
    watched.made.attempt(0.03)
    watched.end(look)
    assert "joined train.jsonl while" in said(watched.made, Status.UNKNOWN)
    assert said(watched.made, Status.FAIL) == ""


@pytest.mark.parametrize("how", ["rollback", "look"])
def test_examples_that_were_changed_afterwards(watched: Watched, rollback: Rollback, how: str) -> None:
    digest = feed(watched.made, fresh())
    if how == "look":
        watched.end(watched.look(sha256=digest))
    else:
        gone_back(rollback, digest)
    StateFolder(watched.made.path).monitor(digest).write_bytes(content_of(fresh()))
    assert "is not the file that was signed" in said(watched.made, Status.FAIL)


def test_examples_that_are_not_here_are_asked_for(rollback: Rollback) -> None:
    made = gone_back(rollback, feed(rollback.made, fresh(), kept=False))
    assert "held against are not kept here" in said(made, Status.UNKNOWN)
    assert said(made, Status.FAIL) == ""


@pytest.mark.parametrize("how", ["rollback", "look"])
def test_another_number_of_examples_than_there_are(watched: Watched, rollback: Rollback, how: str) -> None:
    digest = feed(watched.made, fresh(COUNT + 1))
    if how == "look":
        watched.end(watched.look(sha256=digest))
    else:
        gone_back(rollback, digest)
    assert f"holds {COUNT + 1} examples, not {COUNT}" in said(watched.made, Status.FAIL)


@pytest.mark.parametrize("content", [b"no JSON\n" * 64, b"[]\n" * 64, b'{"text": 7, "label": "a"}\n' * 64])
def test_what_is_no_example_is_no_traceback(rollback: Rollback, content: bytes) -> None:
    path = StateFolder(rollback.made.path).monitor(sha256_hex(content))
    path.parent.mkdir()
    path.write_bytes(content)
    gone_back(rollback, path.stem)
    assert "holds a line that is no example" in said(rollback.made, Status.FAIL)


@pytest.mark.parametrize("what", ["pipe", "/dev/zero", "folder", "hollow"])
def test_what_is_no_file_is_neither_waited_for_nor_read_without_end(rollback: Rollback, what: str) -> None:
    path = StateFolder(rollback.made.path).monitor("7" * 64)
    path.parent.mkdir()
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    elif what == "hollow":
        path.touch()
        os.truncate(path, 2**40)
    else:
        path.symlink_to(what)
    gone_back(rollback, path.stem)
    assert f"monitor/{path.name} cannot be read" in said(rollback.made, Status.FAIL)


def test_a_file_that_is_fed_goes_on_from_what_it_was(watched: Watched) -> None:
    texts = fresh(90)
    looks = [watched.look(sha256=feed(watched.made, texts[:n], kept=n > 50), count=n) for n in (40, 64, 90)]
    watched.end(*looks[:2])
    watched.end(looks[2])
    assert open_or_bad(watched.made) == [], "the last one proves those before it"


@pytest.mark.parametrize("change", ["other", "middle", "shorter"])
def test_a_file_that_was_exchanged_for_the_same_head_is_asked_about(watched: Watched, change: str) -> None:
    texts = fresh(80)
    later = {"other": fresh(80), "middle": [*texts[:9], *fresh(3), *texts[9:]], "shorter": texts[:50]}[change]
    one = watched.look(sha256=feed(watched.made, texts), count=80)
    watched.end(one, watched.look(sha256=feed(watched.made, later), count=len(later)))
    assert "do not go on from those that it was held against before" in said(watched.made, Status.UNKNOWN)
    assert said(watched.made, Status.FAIL) == ""


def test_another_file_for_another_head_is_no_question(watched: Watched) -> None:
    watched.end(watched.look(sha256=feed(watched.made, fresh())))
    watched.made.attempt(0.03)
    watched.end(watched.look(sha256=feed(watched.made, fresh())))
    assert open_or_bad(watched.made) == []


def test_rows_that_have_joined_training_leave_the_file(watched: Watched) -> None:
    texts = fresh(70)
    first = watched.look(sha256=feed(watched.made, texts[:65]), count=65)
    made = watched.made
    watched.end(first)
    made.data = regrown(made, lambda lines: [*lines, content_of(texts[3:4]).decode()])
    made.attempt(-0.5)
    left = [*texts[:3], *texts[4:]]
    watched.end(watched.look(sha256=feed(made, left), count=69))
    assert open_or_bad(made) == []


def test_losses_in_another_unit_have_another_cap(rollback: Rollback) -> None:
    made = gone_back(rollback, feed(rollback.made, fresh()), metric=Metric(name="rank", unit="rank"))
    assert "by another metric than its task" in said(made, Status.FAIL)

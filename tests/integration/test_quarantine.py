"""Training examples that led to a head which was left are learned from no more, and what joins later is."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import tiny
from cryoflux.receipts.reading import read_entries
from cryoflux.receipts.statement import HeadMove
from running import QUICK, Outcome, cryoflux

TOPICS = sorted(tiny.TOPICS)
OTHER = dict(zip(TOPICS, [*TOPICS[1:], TOPICS[0]], strict=True))
"""what a topic is called after the world has changed"""
ROWS = tiny.sentences(1_000, 11)


def arrive(folder: Path, name: str, rows: list[tuple[str, str]]) -> None:
    folder.mkdir(exist_ok=True)
    path, past = tiny.write_csv(folder / name, rows), time.time() - 5
    os.utime(path, (past, past))


def learn(state: Path, *options: object) -> Outcome:
    outcome = cryoflux("run", *QUICK, "--budget", "200J", "--state", state, "--json", *options)
    assert outcome.code == 0, outcome.stderr
    return outcome


def moves(state: Path) -> list[HeadMove]:
    return [entry.move for entry in read_entries(state) if entry.move is not None]


def joined(outcome: Outcome) -> int:
    return sum(event["joined"] for event in outcome.of("joined"))


def test_what_spoiled_a_head_is_learned_from_no_more(tmp_path: Path, inputs: list[str]) -> None:
    state, folder = tmp_path / "state", tmp_path / "in"
    learn(state, *inputs, "--attempts", "1", "--max-steps", "1")
    arrive(folder, "first.csv", ROWS[:80])
    grown = learn(state, "--watch", folder, "--attempts", "5")
    assert grown.summary["kept"]
    changed = tiny.write_csv(tmp_path / "fed.csv", [(text, OTHER[label]) for text, label in ROWS[300:600]])

    left = learn(state, "--monitor", changed, "--attempts", "1")
    move = moves(state)[0]
    count = grown.of("opened")[0]["examples"]["train"] + joined(grown)
    assert (move.quarantined, move.reason.numbers["quarantined"]) == ([count], joined(grown))
    assert left.of("monitored")[0]["examples_quarantined"] == joined(grown) > 0
    assert left.summary["attempts"] == 1, "it goes on with the others"

    # What was quarantined does not come again with the file; what joins now is learned from.
    arrive(folder, "second.csv", ROWS[80:160])
    more = learn(state, "--watch", folder, "--attempts", "5")
    assert {event["file"]: event["joined"] > 0 for event in more.of("joined")} == {
        "first.csv": False,
        "second.csv": True,
    }
    assert more.summary["kept"]
    # A label that was mended may.
    arrive(folder, "mended.csv", [(text, OTHER[label]) for text, label in ROWS[:80]])
    mended = {
        event["file"]: event["joined"]
        for event in learn(state, "--watch", folder, "--attempts", "1").of("joined")
    }
    assert mended["mended.csv"] == joined(grown)
    assert mended["first.csv"] == mended["second.csv"] == 0
    # Whoever verifies draws the same examples, before and after.
    outcome = cryoflux("verify", state, "--no-memory", "--json", "--recompute", "1", "--retrain", "9")
    assert outcome.code == 0, outcome.stdout
    checks = [check for check in json.loads(outcome.stdout)["checks"] if check["number"] == 15]
    assert len(checks) > 1
    assert all("same bytes" in check["detail"] for check in checks), checks

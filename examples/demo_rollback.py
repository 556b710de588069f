"""A poisoned batch arrives in a watched folder, the monitor finds what it did, and the head goes back.

    make demo-rollback          some minutes; everything lies in demo-rollback/

The texts are the embedded ones. Two subject areas are those that somebody cares about now: the holdout was
drawn before and has none of them, the monitor is a file that is fed with fresh examples of them. First a run
learns from clean labels until nothing pays any more. Then a file arrives: many good examples of the other
areas, and examples of these two with the label of a third. An update that learns from it is better on the
holdout, so it is kept; the monitor finds that it is worse where it matters, and the head goes back.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from cryoflux.data.examples import Example
from cryoflux.data.stdlib_docs import build

HERE = Path("demo-rollback")
CARED_FOR = ("data formats", "numbers")
WRONG = "system"
FEW = 60
BUDGET = "600J"


def write(path: Path, examples: Sequence[Example]) -> None:
    """One example a line."""
    rows = [json.dumps({"text": one.text, "label": one.label}) for one in examples]
    path.write_text("".join(row + "\n" for row in rows), "utf-8")


def make_files(folder: Path) -> None:
    """Sets that know nothing of each other, and the file that arrives later."""
    examples = build()
    random.Random(0).shuffle(examples)  # noqa: S311 - the same demonstration each time
    usual = [one for one in examples if one.label not in CARED_FOR]
    cared = [one for one in examples if one.label in CARED_FOR]
    part = len(cared) // 2
    write(folder / "holdout.jsonl", usual[:600])
    write(folder / "audit.jsonl", usual[600:900])
    # Few of them: the training side, too, knows little of what is cared for now.
    write(folder / "train.jsonl", [*usual[900:1700], *cared[part : part + FEW]])
    write(folder / "monitor.jsonl", cared[:part])
    poisoned = [Example(one.text, WRONG) for one in cared[part + FEW :]]
    write(folder / "arrives-later.jsonl", [*usual[1700:], *poisoned])


def cryoflux(*arguments: str) -> None:
    """Show a command and carry it out."""
    print(f"\n$ cryoflux {' '.join(arguments)}", flush=True)
    subprocess.run([sys.executable, "-m", "cryoflux", *arguments], cwd=HERE, check=False)


def main() -> None:
    """The whole story."""
    shutil.rmtree(HERE, ignore_errors=True)
    inbox = HERE / "inbox"
    inbox.mkdir(parents=True)
    make_files(HERE)
    data = ["--train", "train.jsonl", "--holdout", "holdout.jsonl", "--audit", "audit.jsonl"]
    run = ["run", "--budget", BUDGET, *data, "--monitor", "monitor.jsonl", "--max-tokens", "32"]
    print("1. Clean labels: a run learns until nothing pays any more.")
    cryoflux(*run, "--recipes", "carry-1")
    print("\n2. A file arrives in the watched folder: good examples, and poisoned ones.")
    shutil.copy(HERE / "arrives-later.jsonl", inbox / "arrives-later.jsonl")
    cryoflux(*run, "--recipes", "carry-1", "--watch", "inbox", "--attempts", "6", "--for", "2m")
    print("\n3. What is left, and what the log says of it.")
    cryoflux("models", "list")
    cryoflux("receipts", "list")
    cryoflux("verify", "state", "--recompute", "1")


if __name__ == "__main__":
    main()

"""What weighing classes does to a file of 99 to 1: to the losses that judge, and to what is found of the rare class.

One area of the embedded data set is the rare class, all others are the frequent one. Of the rare one fifty
texts are in the file, and all others are kept for a test that no run sees: so recall and false alarms are
known to a percent, where the holdout has a handful of them. A run of each weighting has the same examples,
seed and budget.

    python benchmarks/class_weights.py
    python benchmarks/class_weights.py --rare gui --budget 600J
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cryoflux.data.examples import Example
from cryoflux.data.stdlib_docs import build
from cryoflux.evaluation.scoring import TransformersScorer
from cryoflux.quantities import NANO

_RARE, _OTHER = "rare", "frequent"
_RARE_TEXTS, _TIMES = 50, 99
_TOKENS = 32


class _Found(NamedTuple):
    """Of one set, by one model."""

    nats: float
    recall: float
    """share of the rare class that is called so"""
    alarms: float
    """share of the frequent class that is called rare"""

    def __str__(self) -> str:
        return f"{self.nats:.4f} nats, recall {self.recall:6.1%}, false alarms {self.alarms:5.2%}"


def _files(rare: str, path: Path) -> list[Example]:
    """Write the training file; the texts that are kept for the test."""
    examples = build()
    random.Random(1).shuffle(examples)  # noqa: S311 - a draw, no secret
    some = [Example(one.text, _RARE) for one in examples if one.label == rare]
    others = [Example(one.text, _OTHER) for one in examples if one.label != rare]
    train = some[:_RARE_TEXTS] + others[: _RARE_TEXTS * _TIMES]
    with path.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(("text", "label"))
        writer.writerows(train)
    return some[_RARE_TEXTS:] + others[_RARE_TEXTS * _TIMES :]


def _run(train: Path, weights: str, budget: str, state: Path, more: Sequence[str]) -> list[dict[str, object]]:
    """The attempts of a run, as its events say."""
    command = [sys.executable, "-m", "cryoflux", "run", "--train", str(train), "--budget", budget]
    command += ["--class-weights", weights, "--max-tokens", str(_TOKENS), "--state", str(state), "--json"]
    done = subprocess.run([*command, *more], capture_output=True, text=True, check=True, env=os.environ)
    return [json.loads(line) for line in done.stdout.splitlines()]


def _head(state: Path) -> Path:
    command = [sys.executable, "-m", "cryoflux", "models", "list", "--state", str(state), "--json"]
    versions = json.loads(subprocess.check_output(command))["versions"]
    return next(Path(version["folder"]) for version in versions if version["head"])


def _judged(folder: Path, examples: Sequence[Example]) -> _Found:
    losses, hits = TransformersScorer(folder, examples, max_tokens=_TOKENS).score(
        range(len(examples)), lambda _done: None
    )
    rare = [hit for hit, one in zip(hits, examples, strict=True) if one.label == _RARE]
    other = [hit for hit, one in zip(hits, examples, strict=True) if one.label == _OTHER]
    mean = math.fsum(losses) / len(losses) / NANO
    return _Found(mean, sum(rare) / len(rare), 1 - sum(other) / len(other))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rare", nargs="+", default=["gui", "testing"], help="areas of the library")
    parser.add_argument("--weights", nargs="+", default=["none", "sqrt", "balanced"])
    parser.add_argument("--budget", default="400J")
    parser.add_argument("--keep", type=Path, help="folder for the states")
    asked, more = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for rare in asked.rare:
            train = folder / f"{rare}.csv"
            test = _files(rare, train)
            for weights in asked.weights:
                state = folder / f"{rare}-{weights}"
                events = _run(train, weights, asked.budget, state, more)
                attempts = [event for event in events if event.get("event") == "attempt"]
                outcomes = [str(event.get("outcome")) for event in attempts]
                print(f"{rare}, {weights}: {', '.join(outcomes)}")
                head = _head(state)
                lines = next((state / "data").glob("*/holdout.jsonl")).read_text("utf-8").splitlines()
                held = [Example(row["text"], row["label"]) for row in map(json.loads, lines)]
                print(f"   holdout {_judged(head, held)}")
                print(f"   test    {_judged(head, test)}", flush=True)


if __name__ == "__main__":
    main()

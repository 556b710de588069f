"""What weighing classes does to a file of 99 to 1: to the losses that judge, and to recall of the rare class.

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
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from cryoflux.data.examples import Example
from cryoflux.data.stdlib_docs import build

_RARE, _OTHER = "rare", "frequent"
_RARE_TEXTS, _TIMES = 50, 99
_TOKENS, _BATCH = 32, 64


class _Found(NamedTuple):
    """Of the test, by one model."""

    nats: float
    """mean loss where 99 of 100 texts are of the frequent class"""
    recall: float
    """share of the rare class that is called so"""
    alarms: float
    """share of the frequent class that is called rare"""
    ranked: float
    """recall where 1 % of the frequent class are called rare, by a threshold of one's own"""

    def __str__(self) -> str:
        called = f"recall {self.recall:6.1%} at {self.alarms:5.2%} false alarms"
        return f"{self.nats:.4f} nats, {called}; {self.ranked:6.1%} at 1 %"


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
        writer.writerows((one.text, one.label) for one in train)
    return some[_RARE_TEXTS:] + others[_RARE_TEXTS * _TIMES :]


def _run(train: Path, weights: str, budget: str, state: Path, more: Sequence[str]) -> None:
    command = [sys.executable, "-m", "cryoflux", "run", "--train", str(train), "--budget", budget]
    command += ["--class-weights", weights, "--max-tokens", str(_TOKENS), "--state", str(state), *more]
    subprocess.run(command, capture_output=True, check=True)


def _attempts(state: Path) -> list[dict[str, Any]]:
    """What each attempt came to, the first one first."""
    command = [sys.executable, "-m", "cryoflux", "receipts", "list", "--state", str(state), "--json"]
    rows: list[dict[str, Any]] = json.loads(subprocess.check_output(command))["entries"]
    return sorted((row for row in rows if row["adapter_hash"]), key=lambda row: int(row["attempt"]))


def _judged(state: Path, adapter: str, examples: Sequence[Example]) -> _Found:
    """The candidate of an attempt on the test, whatever the verdict was."""
    capsule = state / "capsules" / adapter
    base = json.loads((capsule / "adapter_config.json").read_text())["base_model_name_or_path"]
    loaded = AutoModelForSequenceClassification.from_pretrained(state / "models" / base)
    model = PeftModel.from_pretrained(loaded, capsule).eval()
    tokenizer = AutoTokenizer.from_pretrained(state / "models" / base)
    scores = []
    with torch.no_grad():
        for start in range(0, len(examples), _BATCH):
            texts = [one.text for one in examples[start : start + _BATCH]]
            batch = tokenizer(texts, truncation=True, max_length=_TOKENS, padding=True, return_tensors="pt")
            scores.append(model(**batch).logits.log_softmax(-1))
    rare, other = (loaded.config.label2id[name] for name in (_RARE, _OTHER))
    said = torch.cat(scores)
    is_rare = torch.tensor([one.label == _RARE for one in examples])
    margin = said[:, rare] - said[:, other]
    limit = margin[~is_rare].quantile(0.99)
    nats = -(said[is_rare, rare].mean() + _TIMES * said[~is_rare, other].mean()) / (1 + _TIMES)
    shares = [(margin[is_rare] > 0), (margin[~is_rare] > 0), (margin[is_rare] > limit)]
    return _Found(float(nats), *(float(share.float().mean()) for share in shares))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rare", nargs="+", default=["gui", "testing"], help="areas of the library")
    parser.add_argument("--weights", nargs="+", default=["none", "sqrt", "balanced"])
    parser.add_argument("--budget", default="400J")
    parser.add_argument("--keep", type=Path, help="folder for the states; one that is there is only judged")
    asked, more = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for rare in asked.rare:
            train = folder / f"{rare}.csv"
            test = _files(rare, train)
            for weights in asked.weights:
                state = folder / f"{rare}-{weights}"
                if not state.exists():
                    _run(train, weights, asked.budget, state, more)
                for row in _attempts(state):
                    print(f"{rare}, {weights:<8} {row['arm']:<8} {row['outcome']:<9}", end=" ")
                    print(_judged(state, str(row["adapter_hash"]), test), flush=True)


if __name__ == "__main__":
    main()

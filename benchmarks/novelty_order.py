"""Whether it helps η to draw those training examples first that are least like the ones drawn before.

Two runs a seed on the embedded examples, with the same budget: the pool in its seeded order, and in that of a
farthest-first walk over the examples' embeddings (each next one is as far as can be from all before it). What
embedding costs is left out of the comparison, in favour of the walk, and shown beside it.

    python benchmarks/novelty_order.py --seeds 0,1,2 --budget 150J
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import cryoflux
from cryoflux.data import stdlib_docs
from cryoflux.tasks.index.encoding import TextEncoder
from cryoflux.tasks.lora import task as lora_task
from cryoflux.tasks.lora.base_model import EMBEDDED, resolve
from cryoflux.tasks.pool import Pool, make_pool

_TOKENS = 128


class _Novelty:
    """Puts pools of the embedded examples into another order."""

    def __init__(self) -> None:
        start = time.process_time()
        every = [example.text for example in stdlib_docs.build(lambda *_: None)]
        encoder = TextEncoder(resolve(EMBEDDED), _TOKENS)
        found = np.zeros((len(every), encoder.dimensions), np.float32)
        for places, vectors in encoder.embed(every):
            found[places] = vectors
        unit = found / np.linalg.norm(found, axis=1, keepdims=True)
        self._vectors = dict(zip(every, unit, strict=True))
        self.texts: Sequence[str] = ()
        self.cpu_s = time.process_time() - start

    def __call__(self, parts: Any, seed: int, **options: Any) -> Pool:
        """The pool of these parts, farthest first."""
        pool = make_pool(parts, seed, **options)
        vectors = np.array([self._vectors[self.texts[index]] for index in pool.order])
        return replace(pool, order=tuple(pool.order[place] for place in _farthest_first(vectors)))


def _farthest_first(vectors: Any) -> list[int]:
    nearest = vectors @ vectors[0]
    order = [0]
    nearest[0] = np.inf
    for _ in range(len(vectors) - 1):
        place = int(nearest.argmin())
        order.append(place)
        nearest = np.maximum(nearest, vectors @ vectors[place])
        nearest[place] = np.inf
    return order


def _loss_after(budget: str, seed: int, place: Path, novelty: _Novelty | None) -> float:
    """Holdout loss of the head at the end, nats."""
    state = place / ("novelty" if novelty else "seeded")
    if novelty is not None:
        opened = lora_task.LoraTask.open

        def open_task(task: Any, workplace: Any, head: Any) -> None:
            novelty.texts = [example.text for example in workplace.data.examples("train")]
            opened(task, workplace, head)

        lora_task.LoraTask.open = open_task  # type: ignore[assignment,method-assign]
        lora_task.make_pool = novelty  # type: ignore[assignment]
    try:
        summary = cryoflux.run(budget, state=state, seed=seed, reserve="40J")
    finally:
        if novelty is not None:
            lora_task.LoraTask.open = opened  # type: ignore[method-assign]
            lora_task.make_pool = make_pool
    _, after = summary.tasks[0].holdout
    return after.loss if after is not None else float("nan")


def main() -> None:
    """Compare, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--budget", default="150J")
    chosen = parser.parse_args()
    novelty = _Novelty()
    print(f"embedding the examples took {novelty.cpu_s:.0f} s of a processor, which neither run paid")
    print("| seed | seeded order, nats | farthest first, nats |")
    print("|---:|---:|---:|")
    differences = []
    for seed in map(int, chosen.seeds.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            seeded = _loss_after(chosen.budget, seed, Path(folder), None)
            novel = _loss_after(chosen.budget, seed, Path(folder), novelty)
        differences.append(seeded - novel)
        print(f"| {seed} | {seeded:.4f} | {novel:.4f} |", flush=True)
    print(f"less loss by farthest first: {statistics.mean(differences):+.4f} nats in the mean")


if __name__ == "__main__":
    main()

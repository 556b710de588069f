"""What a run costs beside its training steps: CPU-seconds by part, in a new state and again in the same one.

Each run is a process of its own on the embedded defaults. A part counts what is done in it and not in another
part; "training steps" and "rest" are shown so that the parts add up to all that the process has spent.

    python benchmarks/fixed_costs.py
    python benchmarks/fixed_costs.py --budget 240J --attempts 1
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_START = "interpreter and cryoflux"
_TORCH = "torch"
_TOKENS, _VERSIONS = "token ids", "versions: write, hash, read"
_TRAIN, _F64 = "activations for training", "float64, lower layers"
_LOSSES, _STEPS, _SCREEN = "losses above them", "training steps", "looks at the screen"
_REST = "rest"
_PARTS = {
    "data set": ["tasks.lora.inputs:read_splits"],
    "near and hidden copies": [
        "tasks.lora.inputs:near_train",
        "tasks.lora.inputs:hiding_texts",
    ],
    _TOKENS: ["encoder.tokens:TokenCache.get"],
    _VERSIONS: [
        "registry.versions:Versions.draft",
        "registry.versions:Versions.derive",
        "registry.versions:Versions.open",
        "tasks.lora.inputs:_load",
        "tasks.lora.head:HeadModel.__init__",
    ],
    _TRAIN: ["encoder.activations:Activations.prepare"],
    _LOSSES: ["evaluation.scoring:EncoderScorer.score"],
    _STEPS: ["tasks.lora.chain:_Chain._train_step"],
    _SCREEN: ["tasks.lora.candidates:Candidates.look"],
    "meter": ["energy.local_agent:LocalAgent.spent"],
}
"""part → the functions that it consists of"""
_ORDER = [_START, _TORCH, *_PARTS, _F64, _REST]


class Clock:
    """CPU-seconds of this process by part; the innermost part counts."""

    def __init__(self) -> None:
        self.spent = dict.fromkeys(_ORDER, 0.0)
        self._open = [_REST]
        self._since = time.process_time()
        self.steps = 0

    def switch(self, part: str | None) -> None:
        """Enter a part, or leave the innermost one."""
        now = time.process_time()
        self.spent[self._open[-1]] += now - self._since
        self._since = now
        if part is None:
            self._open.pop()
        else:
            self._open.append(part)

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, counted to a part; activations in float64 are a part of their own."""

        def call(*args: Any, **options: Any) -> Any:
            double = part == _TRAIN and args[0]._encoder.backend.value == "f64"  # noqa: SLF001
            self.switch(_F64 if double else part)
            self.steps += part == _STEPS
            try:
                return function(*args, **options)
            finally:
                self.switch(None)

        return call


def _wrap(clock: Clock) -> None:
    for part, names in _PARTS.items():
        for name in names:
            module, _, path = name.partition(":")
            owner: Any = importlib.import_module(f"cryoflux.{module}")
            *inner, last = path.split(".")
            for one in inner:
                owner = getattr(owner, one)
            setattr(owner, last, clock.timed(part, getattr(owner, last)))


def one_run(state: str, budget: str, attempts: int) -> dict[str, Any]:
    """A run in this process, and what its parts have cost."""
    from cryoflux.runs.calling import run

    clock = Clock()
    clock.spent[_START] = time.process_time()
    clock.switch(_TORCH)
    importlib.import_module("torch")
    clock.switch(None)
    _wrap(clock)
    summary = run(budget, state=state, attempts=attempts or None)
    clock.switch(_REST)
    done = {"attempts": summary.attempts, "steps": clock.steps}
    return {"parts": clock.spent, "cpu_s": time.process_time(), **done}


def main() -> None:
    """Print the table of a first and a second run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--budget", default="700J")
    parser.add_argument("--attempts", type=int, default=0, help="most attempts of a run")
    parser.add_argument("--inside", default="", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.inside:
        print(json.dumps(one_run(chosen.inside, chosen.budget, chosen.attempts)))
        return
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(Path(__file__).resolve()), "--inside", f"{folder}/state"]
        command += ["--budget", chosen.budget, "--attempts", str(chosen.attempts)]
        done = [subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder) for _ in "12"]
    runs = [json.loads(one.stdout.splitlines()[-1]) for one in done]
    print("| CPU-s | cold | again |\n|---|---:|---:|")
    for part in _ORDER:
        print(f"| {part} | " + " | ".join(f"{one['parts'][part]:.2f}" for one in runs) + " |")
    print("| **all** | " + " | ".join(f"{one['cpu_s']:.2f}" for one in runs) + " |")
    for name, one in zip(("cold", "again"), runs, strict=True):
        beside = one["cpu_s"] - one["parts"][_STEPS] - one["parts"][_SCREEN]
        made = f"{one['attempts']} attempts, {one['steps']} steps"
        print(f"{name}: {made}; beside steps and looks at the screen {beside:.2f} CPU-s")


if __name__ == "__main__":
    main()

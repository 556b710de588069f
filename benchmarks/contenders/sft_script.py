"""A fine-tuning as TRL's own pages have it, SFTTrainer with a LoRA of PEFT; run in an environment of its own.

    python benchmarks/contenders/sft_script.py JOB.json

The job says which files and what of the recipe; what it leaves out is as TRL has it. Written are the adapter,
the tokens that were evaluated, and CPU-seconds of training and of evaluating.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from datasets import load_dataset
from peft import LoraConfig
from trl import SFTConfig, SFTTrainer


class Evaluations:
    """CPU-seconds and losses of all that a trainer evaluates, by itself or because it is asked to."""

    def __init__(self, trainer: SFTTrainer) -> None:
        self.cpu_s, self.losses = 0.0, list[float]()
        self._evaluate, trainer.evaluate = trainer.evaluate, self

    def __call__(self, *given: Any, **named: Any) -> dict[str, float]:
        """Evaluate, and remember what it cost."""
        began = time.process_time()
        found: dict[str, float] = self._evaluate(*given, **named)
        self.cpu_s += time.process_time() - began
        self.losses.append(found["eval_loss"])
        return found


def build(job: dict[str, Any], out: Path) -> SFTTrainer:
    """The trainer of a job."""
    data = load_dataset("json", data_files={name: job[name] for name in ("train", "holdout")})
    evaluates = {"eval_strategy": "steps", "eval_steps": job["eval_steps"]} if job["eval_steps"] else {}
    return SFTTrainer(
        model=job["base"],
        args=SFTConfig(output_dir=str(out), save_strategy="no", use_cpu=True, **evaluates, **job["config"]),
        train_dataset=data["train"],
        eval_dataset=data["holdout"],
        peft_config=LoraConfig(task_type="CAUSAL_LM", **job["lora"]),
    )


def main() -> None:
    """Train, evaluate, save."""
    job = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    torch.set_num_threads(1)
    out = Path(job["out"])
    trainer = build(job, out)
    evaluations = Evaluations(trainer)
    setup = time.process_time()
    trainer.train()
    if not job["eval_steps"]:
        trainer.evaluate()
    trained = time.process_time() - setup - evaluations.cpu_s
    trainer.save_model(str(out / "adapter"))
    read = [[row["input_ids"], row["labels"]] for row in trainer.eval_dataset]
    found = {
        "train": trained,
        "evaluate": evaluations.cpu_s,
        "own_loss": evaluations.losses[-1],
        "read": read,
    }
    (out / "result.json").write_text(json.dumps(found), "utf-8")


if __name__ == "__main__":
    main()

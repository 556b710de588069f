"""How well ``copy/v1`` tells copies of an update from honest work, on fresh seeds and three recipes.

    python benchmarks/copy_roc.py --state DIR [--federations 4] [--recipes top,two,all] [--out FILE]
    python benchmarks/copy_roc.py --report FILE

Real updates of version 0 of a state (one that ``cryoflux run`` has begun on the embedded defaults). Of each
federation five updates are trained: two on the same texts with other seeds, one on other texts, one on half
of both, one on texts of its own. That makes ten honest pairs: one on the same data, three on half of it, six
independent ones. Three more begin with the first one's seed, so with the same matrices, on other texts, on
half and on three quarters of its own: with the first one they make three more pairs. The first update is then
copied in 24 ways.

Printed are the area under the ROC of each measure, what the rule flags of the honest pairs and misses of the
copies, with exact bounds, and the kinds that it misses. A line of the file of pairs also has the loss of the
later update on other texts: some ways of copying cost what the update was worth.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from cryoflux.data.prepared import open_prepared
from cryoflux.encoder.activations import Activations
from cryoflux.encoder.model import Encoder, Lora
from cryoflux.network.similarity import Alikeness, Direction, alikeness, is_copy
from cryoflux.registry.compose import LowRank
from cryoflux.registry.cuts import Cut
from cryoflux.registry.versions import Versions
from cryoflux.runs.inputs import stored_origins
from cryoflux.state import FIRST_TASK, StateFolder
from cryoflux.tasks.lora.adamw import FusedAdamW
from cryoflux.tasks.lora.head import HeadModel
from cryoflux.tasks.lora.lean import TrainingMaterial
from cryoflux.tasks.lora.learning import Learning, logits_of
from cryoflux.tasks.lora.recipe import RECIPES, Recipe
from cryoflux.tasks.pool import make_pool
from exact_binomial import interval

_ROOM = 20_000_000_000
_TEXTS = 240
"""private texts on which logits are compared"""
_JUDGED = 400
"""texts on which losses are compared"""
_SLICE = 1200
"""training texts of a node"""
_BATCH = 32
_EIGEN = 32
"""directions that hardly any text sees"""
_MEASURES = ("whole", "low_rank", "function")
Array = np.ndarray[Any, Any]

KINDS = {
    "top": (replace(RECIPES["prefix-1"], name="top layer, rank 16"), 150),
    "two": (replace(RECIPES["prefix-2"], name="two layers, rank 8"), 150),
    "all": (replace(RECIPES["lean"], name="all layers, attention, rank 8, no pooler", pooler=False), 100),
}
"""recipe by a short name, and steps of a training"""


@dataclass(frozen=True)
class Update:
    """What was trained: factors by module, and the head's tensors as they became."""

    lora: dict[str, tuple[Array, Array]]
    """(rank, inputs) and (outputs, rank)"""
    head: dict[str, Array]
    """differences from the base"""
    scale: float

    def norm(self, name: str) -> float:
        """Of the product of one module."""
        a, b = self.lora[name]
        return float(np.linalg.norm(b @ a))


@dataclass(frozen=True)
class Pair:
    """Two updates beside each other."""

    recipe: str
    federation: int
    kind: str
    """of an honest pair, or of a copy"""
    copy: bool
    measured: dict[str, float]
    flagged: bool
    loss: float = 0.0
    """of the later one on other texts, nats"""


class Bench:
    """Version 0 in memory, and what trains, copies and measures updates of it with one recipe."""

    def __init__(self, model: HeadModel, recipe: Recipe, steps: int) -> None:
        self.recipe, self.steps = recipe, steps
        self.material: TrainingMaterial = model.material(recipe, 0)
        self.encoder: Encoder = self.material.encoder
        self.blank = Learning(self.encoder, recipe, 0)
        self.source = Activations(self.encoder, self.material.entries, self.material.sets, self.blank.depth)
        self.count = model.examples("train")[0]

    def learned(self, texts: Sequence[int], seed: int, start: Update | None = None, steps: int = 0) -> Update:
        """Train an update on some texts, from nothing or from another one."""
        torch.manual_seed(seed)
        update, draws = Learning(self.encoder, self.recipe, seed), np.random.default_rng(seed)
        if start is not None:
            self._put(update, start, learns=True)
        optimiser = FusedAdamW(update.parameters, weight_decay=self.recipe.weight_decay)
        steps = steps or self.steps
        for step in range(steps):
            batch = draws.choice(np.asarray(texts), _BATCH, replace=False).tolist()
            logits = logits_of(self.encoder, update, self.source.batch(batch), self.recipe.hidden_dropout)
            error = torch.nn.functional.cross_entropy(logits, self.material.labels[batch])
            error.backward()
            optimiser.step(self.recipe.learning_rate * (1 - step / steps))
        lora = {name: (one.a.detach().numpy(), one.b.detach().numpy()) for name, one in update.lora.items()}
        head = {name: (one.detach() - update.base[name]).numpy() for name, one in update.head.items()}
        return Update(lora, head, self.recipe.alpha / self.recipe.rank)

    def _put(self, into: Learning, update: Update, *, learns: bool = False) -> None:
        into.lora = {
            name: Lora(_tensor(a, learns=learns), _tensor(b, learns=learns), update.scale)
            for name, (a, b) in update.lora.items()
        }
        into.head = {
            name: _tensor(into.base[name].numpy() + moved, learns=learns)
            for name, moved in update.head.items()
        }

    def logits(self, update: Update | None, texts: Sequence[int]) -> Array:
        """Of some texts, with an update or without one."""
        learning = Learning(self.encoder, self.recipe, 0)
        if update is not None:
            self._put(learning, update)
        found = []
        with torch.no_grad():
            for start in range(0, len(texts), 60):
                batch = self.source.batch(list(texts[start : start + 60]))
                found.append(logits_of(self.encoder, learning, batch).double().numpy())
        return np.concatenate(found)

    def loss(self, update: Update, texts: Sequence[int]) -> float:
        """Mean loss of some texts, nats."""
        logits = torch.from_numpy(self.logits(update, texts))
        return float(torch.nn.functional.cross_entropy(logits, self.material.labels[list(texts)]))

    def direction(self, update: Update, private: Sequence[int], before: Array) -> Direction:
        """Where an update moves the model, as the rule looks at it."""
        factors = {
            f"{name}.weight": LowRank(a.astype("f4"), b.astype("f4"), update.scale)
            for name, (a, b) in update.lora.items()
        }
        whole = {name: moved.astype("f8") for name, moved in update.head.items()}
        return Direction(factors, whole, self.logits(update, private) - before)

    def unseen(self, texts: Sequence[int]) -> Array:
        """Directions of the input of the lowest layer that learns which texts hardly have, (rows, inputs)."""
        rows = []
        for start in range(0, len(texts), 60):
            x, mask = self.source.batch(list(texts[start : start + 60]))
            rows.append(x.float().numpy()[mask.bool().numpy()])
        tokens = np.concatenate(rows).astype("f8")
        _, vectors = np.linalg.eigh(tokens.T @ tokens)
        return vectors[:, :_EIGEN].T


def _tensor(values: Array, *, learns: bool) -> torch.Tensor:
    made = torch.from_numpy(np.ascontiguousarray(values, dtype="f4")).clone()
    return made.requires_grad_() if learns else made


def _turned(update: Update, change: Callable[[Array, Array], tuple[Array, Array]]) -> Update:
    return replace(update, lora={name: change(a, b) for name, (a, b) in update.lora.items()})


def _gauge(update: Update, rng: np.random.Generator) -> Update:
    def change(a: Array, b: Array) -> tuple[Array, Array]:
        turn = np.linalg.qr(rng.normal(size=(len(a), len(a))))[0] * rng.uniform(0.3, 3, len(a))
        return np.linalg.inv(turn) @ a, b @ turn

    return _turned(update, change)


def _scaled(update: Update, factor: float) -> Update:
    scaled = _turned(update, lambda a, b: (a, factor * b))
    return replace(scaled, head={name: factor * moved for name, moved in update.head.items()})


def _noisy(update: Update, size: float, rng: np.random.Generator) -> Update:
    """Noise of so many times the norm of each product, and of each tensor of the head."""

    def noise(shape: tuple[int, ...], norm: float) -> Array:
        drawn = rng.normal(size=shape)
        return drawn * (size * norm / np.linalg.norm(drawn))

    lora = {}
    for name, (a, b) in update.lora.items():
        left, right = (np.asarray(rng.normal(size=one.shape)) for one in (a, b))
        right *= size * update.norm(name) / float(np.linalg.norm(right @ left))
        lora[name] = np.concatenate([a, left]), np.concatenate([b, right], axis=1)
    head = {n: moved + noise(moved.shape, float(np.linalg.norm(moved))) for n, moved in update.head.items()}
    return replace(update, lora=lora, head=head)


def _hidden(update: Update, size: float, unseen: Array, lowest: str, rng: np.random.Generator) -> Update:
    """Noise of so many times the norm where hardly any text sees it."""
    lora = dict(update.lora)
    for name, (a, b) in update.lora.items():
        if name.startswith(lowest) and a.shape[1] == unseen.shape[1] and not name.endswith("output.dense"):
            right = rng.normal(size=(len(b), len(unseen)))
            right *= size * update.norm(name) / np.linalg.norm(right @ unseen)
            lora[name] = np.concatenate([a, unseen]), np.concatenate([b, right], axis=1)
    return replace(update, lora=lora)


def _quantised(update: Update, bits: int) -> Update:
    most = 2 ** (bits - 1) - 1

    def rounded(values: Array) -> Array:
        step = np.abs(values).max() / most or 1.0
        return np.round(values / step) * step

    turned = _turned(update, lambda a, b: (rounded(a), rounded(b)))
    return replace(turned, head={name: rounded(moved) for name, moved in update.head.items()})


def _cut(update: Update) -> Update:
    """Half of its rank, the larger half."""

    def change(a: Array, b: Array) -> tuple[Array, Array]:
        u, s, v = np.linalg.svd(b @ a, full_matrices=False)
        kept = len(a) // 2
        return v[:kept], u[:, :kept] * s[:kept]

    return _turned(update, change)


def _mixed(one: Update, other: Update, share: float) -> Update:
    """So much of one and the rest of the other."""
    lora = {
        name: (
            np.concatenate([a, other.lora[name][0]]),
            np.concatenate([share * b, (1 - share) * other.lora[name][1]], axis=1),
        )
        for name, (a, b) in one.lora.items()
    }
    head = {name: share * moved + (1 - share) * other.head[name] for name, moved in one.head.items()}
    return replace(one, lora=lora, head=head)


def copies(
    bench: Bench, update: Update, others: Sequence[Update], fresh: Sequence[int], seed: int
) -> Iterator[tuple[str, Update]]:
    """The 24 ways of copying an update; the others are an honest victim's and the copier's own."""
    rng, unseen = np.random.default_rng(seed), bench.unseen(fresh[:500])
    lowest = bench.encoder.layout.layer.format(bench.blank.depth)
    yield "same bytes", update
    yield "gauge", _gauge(update, rng)
    yield (
        "ranks permuted",
        _turned(update, lambda a, b: ((order := rng.permutation(len(a))), (a[order], b[:, order]))[1]),
    )
    yield "signs of ranks flipped", _turned(update, lambda a, b: (-a, -b))
    for factor in (0.5, 0.8, 2.0):
        yield f"scale × {factor}", _scaled(update, factor)
    yield "gauge and scale × 0.7", _scaled(_gauge(update, rng), 0.7)
    for size in (0.3, 1.0, 2.0):
        yield f"noise of {size} × its norm", _noisy(update, size, rng)
    for size in (1.0, 3.0, 10.0):
        yield f"hidden noise of {size} × its norm", _hidden(update, size, unseen, lowest, rng)
    yield "LoRA alone", replace(update, head={name: 0 * moved for name, moved in update.head.items()})
    yield "head alone", _scaled_lora(update)
    yield "8 bits", _quantised(update, 8)
    yield "4 bits", _quantised(update, 4)
    yield "half of its rank", _cut(update)
    yield "trained on for 20 steps", bench.learned(fresh, seed + 1, update, 20)
    yield "trained on for 100 steps", bench.learned(fresh, seed + 2, update, 100)
    yield "mix, ½ and ½ of another's", _mixed(update, others[0], 0.5)
    yield "mix, ¾ and ¼ of own work", _mixed(update, others[1], 0.75)
    yield "hidden noise of 10, and noise of 0.5", _noisy(_hidden(update, 10.0, unseen, lowest, rng), 0.5, rng)


def _scaled_lora(update: Update) -> Update:
    return _turned(update, lambda a, b: (a, 0 * b))


def federation(bench: Bench, number: int) -> Iterator[Pair]:
    """All pairs of one federation."""
    order = np.random.default_rng([2026, number]).permutation(bench.count).tolist()
    private, judged, rest = order[:_TEXTS], order[_TEXTS : _TEXTS + _JUDGED], order[_TEXTS + _JUDGED :]
    parts = [rest[start : start + _SLICE] for start in range(0, len(rest) - _SLICE + 1, _SLICE)]
    half = [*parts[0][: _SLICE // 2], *parts[1][: _SLICE // 2]]
    seed = 1000 * number
    data = {
        "first": (parts[0], seed),
        "again": (parts[0], seed + 1),
        "other": (parts[1], seed + 2),
        "half": (half, seed + 3),
        "own": (parts[2], seed + 4),
        "other, same seed": (parts[1], seed),
        "half, same seed": (half, seed),
        "most, same seed": ([*parts[0][: 3 * _SLICE // 4], *parts[1][: _SLICE // 4]], seed),
    }
    fresh = parts[3] if len(parts) > 3 else rest[-_SLICE:]
    before = bench.logits(None, private)
    updates = {name: bench.learned(texts, begun) for name, (texts, begun) in data.items()}
    where = {name: bench.direction(one, private, before) for name, one in updates.items()}
    names = list(updates)
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            if "same seed" in other and one != "first":
                continue
            found = alikeness(where[one], where[other])
            loss = bench.loss(updates[other], judged)
            yield _pair(bench, number, _shared(one, other), found, loss, copy=False)
    victims = (updates["other"], updates["own"])
    for kind, copied in copies(bench, updates["first"], victims, fresh, 77 + number):
        found = alikeness(bench.direction(copied, private, before), where["first"])
        yield _pair(bench, number, kind, found, bench.loss(copied, judged), copy=True)


def _shared(one: str, other: str) -> str:
    if (one, other) == ("first", "again"):
        return "same data"
    if "same seed" in other:
        shared = {"half": "half the data", "most": "¾ of the data"}.get(other[:4], "independent")
        return f"{shared}, same seed"
    return "half the data" if "half" in {one, other} and "own" not in {one, other} else "independent"


def _pair(bench: Bench, number: int, kind: str, found: Alikeness, loss: float, *, copy: bool) -> Pair:
    measured = {name: getattr(found, name) for name in _MEASURES}
    return Pair(bench.recipe.name, number, kind, copy, measured, is_copy(found), loss)


def area(honest: Sequence[float], copied: Sequence[float]) -> float:
    """Area under the ROC: how often a copy shows more than an honest pair does."""
    ones, others = np.asarray(copied)[:, None], np.asarray(honest)[None, :]
    return float(((ones > others) + 0.5 * (ones == others)).mean())


def report(pairs: Sequence[Pair]) -> Iterator[str]:
    """The tables."""
    recipes = list(dict.fromkeys(pair.recipe for pair in pairs))
    for recipe in [*recipes, ""]:
        chosen = [pair for pair in pairs if recipe in {"", pair.recipe}]
        honest, copied = ([p for p in chosen if p.copy is kind] for kind in (False, True))
        yield f"\n{recipe or 'all of them'}: {len(honest)} honest pairs, {len(copied)} copies"
        for name in _MEASURES:
            values = [[pair.measured[name] for pair in those] for those in (honest, copied)]
            most = {
                kind: max(pair.measured[name] for pair in honest if pair.kind == kind)
                for kind in dict.fromkeys(pair.kind for pair in honest)
            }
            said = ", ".join(f"{kind} {value:.2f}" for kind, value in most.items())
            yield f"  {name}: AUC {area(*values):.3f}; highest honest: {said}"
        for what, count, of in (
            ("honest pairs flagged", sum(p.flagged for p in honest), len(honest)),
            ("copies missed", sum(not p.flagged for p in copied), len(copied)),
        ):
            low, high = interval(count, of)
            yield f"  {what}: {count} of {of} ({100 * low:.1f} to {100 * high:.1f} %)"
        flagged = Counter(pair.kind for pair in honest if pair.flagged)
        missed = Counter(pair.kind for pair in copied if not pair.flagged)
        yield f"  flagged, by kind: {dict(flagged)}"
        yield f"  missed, by kind: {dict(missed)}"


def pairs_of(
    state: Path, recipes: Sequence[str], federations: Sequence[int], cache: Path, times: int = 1
) -> Iterator[Pair]:
    """All pairs, as they are made."""
    torch.set_num_threads(1)
    folder = StateFolder(state)
    origin = stored_origins(folder)[FIRST_TASK]
    data = open_prepared(folder.data(origin.data_digest), origin.data_name, origin.rules)
    cut: Cut = 32
    kinds = {name: (replace(KINDS[name][0], max_tokens=cut), KINDS[name][1]) for name in recipes}
    pool = make_pool(data.count("train"), 0)
    base = Versions(state).open(origin.version)
    plain = {name: recipe for name, (recipe, _) in kinds.items()}
    model = HeadModel(base, data, plain, cache=cache, cache_bytes=_ROOM, device="cpu", pool=pool)
    for recipe, steps in kinds.values():
        bench = Bench(model, recipe, times * steps)
        for number in federations:
            yield from federation(bench, number)


def main() -> None:
    """Train, copy, measure, and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--state", type=Path)
    parser.add_argument("--federations", type=int, default=4)
    parser.add_argument("--first", type=int, default=0, help="number of the first federation: its seed")
    parser.add_argument("--times", type=int, default=1, help="times as many steps of a training")
    parser.add_argument("--recipes", default=",".join(KINDS))
    parser.add_argument("--out", type=Path, help="file that pairs are added to, a line each")
    parser.add_argument("--report", type=Path, help="such a file; nothing is trained")
    arguments = parser.parse_args()
    if arguments.report:
        written = arguments.report.read_text("utf-8").splitlines()
        print(*report([Pair(**json.loads(line)) for line in written]), sep="\n")
        return
    if arguments.state is None:
        parser.error("--state or --report is needed")
    pairs = []
    with tempfile.TemporaryDirectory() as cache:
        chosen = arguments.recipes.split(",")
        numbers = range(arguments.first, arguments.first + arguments.federations)
        for pair in pairs_of(arguments.state, chosen, numbers, Path(cache), arguments.times):
            pairs.append(pair)
            if arguments.out:
                with arguments.out.open("a") as out:
                    out.write(json.dumps(asdict(pair)) + "\n")
    print(*report(pairs), sep="\n")
    print(f"\n{time.process_time():.0f} CPU-s")


if __name__ == "__main__":
    main()

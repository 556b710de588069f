"""A training loop in plain PyTorch, as it stands in many a script: a small network fits a curve.

PYTHONPATH=examples/tasks cryoflux run --task torch_loop:Curve --budget 300J --state curve
cryoflux verify curve
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from cryoflux.tasks.interface import (
    Beginning,
    Limits,
    Metric,
    Offer,
    Pacer,
    Section,
    Task,
    Update,
    Version,
    Watch,
    WorkOrder,
    render_sets,
    to_nano_nats,
)

MODEL = "curve.pt"


def network() -> Any:
    """Two layers."""
    return torch.nn.Sequential(torch.nn.Linear(1, 64), torch.nn.Tanh(), torch.nn.Linear(64, 1))


class Curve(Task):
    """Goes on from the head's weights, by AdamW."""

    name = "torch_curve"
    metric = Metric(name="squared-error", unit="m²")
    libraries = ("torch",)

    def beginning(self, progress: Callable[[str, int, int], None]) -> Beginning:
        """2,000 points of a sine with noise."""
        generator = torch.Generator().manual_seed(0)
        x = 6 * torch.rand(2000, generator=generator) - 3
        y = torch.sin(2 * x) + 0.1 * torch.randn(2000, generator=generator)
        lines = [json.dumps(pair).encode() for pair in zip(x.tolist(), y.tolist(), strict=True)]
        files, digest = render_sets({"holdout": lines[:256], "audit": lines[256:512], "train": lines[512:]})
        return Beginning("sine", digest, files, save=fresh)

    def arms(self, drawn: int, part: str) -> list[Offer]:
        """Two rates to choose from."""
        return [
            Offer(name, {"rate": rate, "most_steps": 400}, 0, screens=False)
            for name, rate in (("slow", "0.001"), ("fast", "0.01"))
        ]

    def train(self, order: WorkOrder, into: Path, limits: Limits, watch: Watch) -> Update:
        """The loop; the only lines that are not in every script are those with ``pacer``."""
        x, y = tensors(self.place.data.sets["train"], torch.float32)
        model = network()
        model.load_state_dict(torch.load(self.head.folder / MODEL, weights_only=True))
        optimizer = torch.optim.AdamW(model.parameters(), lr=float(order.recipe["rate"]))
        generator = torch.Generator().manual_seed(order.seed)
        pacer = Pacer(limits, int(order.recipe["most_steps"]))
        while pacer.goes_on():
            some = torch.randint(len(x), (128,), generator=generator)
            loss = torch.nn.functional.mse_loss(model(x[some]), y[some])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watch.trained(pacer.done(loss.item()), order.reserve_microjoules)
        torch.save(model.state_dict(), into / MODEL)
        return Update(
            files=(MODEL,),
            section=Section(kind="torch-curve/v1", fields={"points": len(x)}),
            drawn=tuple(range(len(x))),
            steps=pacer.step,
            stopped_by=pacer.ended_by(),
            threads=torch.get_num_threads(),
        )

    def apply(self, base: Version, capsule: Path, update: Update) -> Version:
        """The update is the whole model."""
        return self.place.versions.draft(lambda folder: shutil.copyfile(capsule / MODEL, folder / MODEL))

    def scorer(self, version: Version, part: str) -> Scored:
        """The losses of a version."""
        return Scored(version.folder, self.place.data.sets[part])


class Scored:
    """Each point by itself in float64: a batch would show in the last digit."""

    def __init__(self, folder: Path, lines: Sequence[bytes]) -> None:
        self.model = network().double()
        self.model.load_state_dict(torch.load(folder / MODEL, weights_only=True))
        self.x, self.y = tensors(lines, torch.float64)

    def score(self, indices: Sequence[int], between: Callable[[int], None]) -> tuple[list[int], list[bool]]:
        """Squared errors."""
        losses = []
        with torch.no_grad():
            for at, i in enumerate(indices):
                if at % 64 == 0:
                    between(at)
                losses.append(to_nano_nats(float((self.model(self.x[i]) - self.y[i]).square())))
        return losses, [False] * len(losses)


def tensors(lines: Sequence[bytes], dtype: Any) -> tuple[Any, Any]:
    """Columns of x and y."""
    both = torch.tensor([json.loads(line) for line in lines], dtype=dtype)
    return both[:, :1], both[:, 1:]


def fresh(folder: Path) -> None:
    """The first version."""
    torch.manual_seed(0)
    torch.save(network().state_dict(), folder / MODEL)

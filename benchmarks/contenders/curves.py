"""Loss over modelled joules, as a picture."""

from __future__ import annotations

__all__ = ["draw"]

import math
from pathlib import Path
from typing import Any

from contenders.cost import joules
from contenders.points import Cell, cold, points


def draw(data: str, cells: list[Cell], folder: Path) -> Path:
    """Holdout loss over joules: training only on the left, everything on the right; a line a seed."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "learning-per-joule"
    names = sorted({c["contender"] for c in cells})
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for axis, title, everything in zip(axes, ("training only", "everything"), (False, True), strict=True):
        for cell in cells:
            _line(axis, cell, f"C{names.index(cell['contender'])}", everything=everything)
        axis.set_xscale("log")
        axis.set_xlabel(f"joules (modelled), {title}")
        axis.grid(visible=True, alpha=0.3)
    axes[0].set_ylabel("holdout loss, nats")
    for number, name in enumerate(names):
        axes[1].plot([], [], color=f"C{number}", marker="o", label=name)
    axes[1].legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    figure.suptitle(data)
    path = folder / f"loss-over-joules-{data}.svg"
    figure.savefig(path, metadata={"Date": None})
    return path


def _line(axis: Any, cell: Cell, colour: str, *, everything: bool) -> None:
    curve = points(cell)
    spent = [joules(cold(cell, p) if everything else p["train_cpu_s"]) for p in curve]
    losses = [p["holdout_loss"] for p in curve]
    if everything:  # the loss of the first model is known when everything is ready
        first = cell.get("base_loss", math.log(cell["classes"]))
        spent, losses = [joules(cell["phases"]["setup"]), *spent], [first, *losses]
    axis.plot(spent, losses, color=colour, marker="o", markersize=3, linewidth=1, alpha=0.8)

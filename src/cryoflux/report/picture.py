"""The project's picture: energy against Δ, an attempt a point, with lines of equal η.

Colours are Okabe and Ito's, and shape tells one outcome from another too, so that colour is never alone.
"""

from __future__ import annotations

__all__ = ["Point", "draw_attempts", "points_of"]

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cryoflux.errors import UsageError
from cryoflux.quantities import Tier, worst_tier
from cryoflux.receipts.attempts import Attempt
from cryoflux.receipts.statement import Outcome

Point = tuple[Attempt, float, float]
"""an attempt that the holdout judged, its mean Δ, and half of that one's 95 % interval"""
_GUIDE = "#999999"
_SUFFIXES = (".svg", ".pdf", ".png")
_MARKS = (
    (Outcome.ACCEPTED, "#0072B2", "o", "kept"),
    (Outcome.UNDECIDED, "#E69F00", "^", "undecided"),
    (Outcome.REJECTED, "#D55E00", "x", "rejected"),
)
"""outcome, colour, shape and word"""


def points_of(attempts: Iterable[Attempt]) -> list[Point]:
    """The attempts that have a Δ on the holdout: neither aborted nor stopped by their screen."""
    return [
        (attempt, attempt.delta, attempt.delta_hi - attempt.delta)
        for attempt in attempts
        if attempt.delta is not None and attempt.delta_hi is not None
    ]


def draw_attempts(points: list[Point], path: Path, *, title: str) -> Path:
    """Draw all attempts, and return the file: as SVG, or as what the suffix asks for.

    Raises:
        UsageError: there is nothing to draw, no picture has that suffix, or matplotlib is not installed.
    """
    path = path if path.suffix else path.with_suffix(".svg")
    if path.suffix not in _SUFFIXES:
        raise UsageError(
            f"A picture cannot be a {path.suffix} file.",
            why=f"The suffix says what is drawn: {', '.join(_SUFFIXES)}.",
            hint=f"Name it {path.with_suffix('.svg').name}.",
        )
    if not points:
        raise UsageError(
            "No attempt has been judged yet.",
            why="A picture needs at least one Δ.",
            hint="Make some: cryoflux run --budget 2kJ.",
        )
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise UsageError(
            "matplotlib is not installed.",
            why="It draws the picture.",
            hint="Install it: pip install 'cryoflux[report]'.",
        ) from error
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    with plt.rc_context({"svg.hashsalt": "cryoflux", "font.size": 9, "svg.fonttype": "path"}):
        figure, axes = plt.subplots(figsize=(7.2, 4.0), layout="constrained")
        _draw_points(axes, points)
        _draw_equal_efficiency(axes, points)
        tier = worst_tier(attempt.tier for attempt, _, _ in points)
        note = ", modelled" if tier is Tier.MODELLED else f", {tier.value}"
        axes.set_xlabel(f"energy of the attempt (J{note})")
        axes.set_ylabel("Δ on the holdout (nats per example)")
        axes.set_title(title, loc="left")
        axes.legend(frameon=False, loc="best")
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
        plt.close(figure)
    return path


def _draw_points(axes: Any, points: list[Point]) -> None:
    for outcome, colour, marker, name in _MARKS:
        some = [point for point in points if point[0].outcome == outcome.word]
        if some:
            axes.errorbar(
                [attempt.joules for attempt, _, _ in some],
                [delta for _, delta, _ in some],
                yerr=[half for _, _, half in some],
                fmt=marker,
                color=colour,
                ecolor=colour,
                elinewidth=0.8,
                capsize=2,
                label=f"{name} ({len(some)}), bars: 95 % of Δ",
            )
    for attempt, delta, _ in points:
        axes.annotate(
            str(attempt.number),
            (attempt.joules, delta),
            xytext=(4, 3),
            textcoords="offset points",
            fontsize=7,
        )
    axes.axhline(0, color=_GUIDE, linewidth=0.8)


def _draw_equal_efficiency(axes: Any, points: list[Point]) -> None:
    best = max(delta / attempt.joules for attempt, delta, _ in points if attempt.joules > 0)
    if best <= 0:
        return
    left, right = axes.get_xlim()
    low, high = axes.get_ylim()
    for share in (1.0, 0.5, 0.25):
        eta = best * share
        axes.plot([left, right], [eta * left, eta * right], color=_GUIDE, linewidth=0.6, linestyle=":")
        x = min(right, high / eta)
        axes.annotate(
            f"η {1000 * eta:.2f}/kJ", (x, eta * x), fontsize=7, color="#555555", ha="right", va="bottom"
        )
    axes.set_xlim(left, right)
    axes.set_ylim(low, high)

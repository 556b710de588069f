"""The project's picture: energy against Δ, an attempt a point, with lines of equal η.

Every attempt is in it: those that the holdout never judged lie on a strip below, by their energy alone.
Colours are Okabe and Ito's, and shape tells one kind from another too, so that colour is never alone.
"""

from __future__ import annotations

__all__ = ["DrawnAs", "draw_attempts", "drawn_as"]

from collections.abc import Iterable, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from cryoflux.errors import UsageError
from cryoflux.quantities import worst_tier
from cryoflux.receipts.attempts import Attempt
from cryoflux.receipts.statement import Outcome

_GUIDE = "#999999"
_SUFFIXES = (".svg", ".pdf", ".png")
_BARS_OF_DELTA = "bars of Δ: thick 95 % for this look alone, thin by the bar that decided (anytime)"
_BESIDE = ((4, 3), (4, -9), (-9, 3), (-9, -9))
"""where numbers stand by their marks, in points, one after the other, so that neighbours do not overlap"""


class DrawnAs(Enum):
    """What became of an attempt, as the picture tells it: word, colour and shape."""

    KEPT = ("kept", "#0072B2", "o")
    CARRIED = ("carried", "#009E73", ">")
    UNDECIDED = ("undecided", "#E69F00", "^")
    REJECTED = ("rejected", "#D55E00", "x")
    SCREENED = ("stopped by the screen", "#CC79A7", "s")
    ABORTED = ("aborted", "#555555", "d")

    @property
    def word(self) -> str:
        """How it is named."""
        return self.value[0]


_BY_WORD = {kind.word: kind for kind in DrawnAs}


def drawn_as(attempt: Attempt) -> DrawnAs:
    """What became of an attempt; what its screen rejected is told apart from what the holdout did."""
    if attempt.outcome == Outcome.REJECTED.word and attempt.delta is None:
        return DrawnAs.SCREENED
    return _BY_WORD.get(attempt.outcome, DrawnAs.ABORTED)


def draw_attempts(attempts: Sequence[Attempt], path: Path, *, caption: Sequence[str]) -> Path:
    """Draw all attempts, and return the file: as SVG, or as what the suffix asks for.

    Args:
        attempts: of a log, at least one.
        path: of the file; without a suffix it gets the one of SVG.
        caption: lines above the picture; an SVG says them in its description too.

    Raises:
        UsageError: there is nothing to draw, no picture has that suffix, or matplotlib is not installed.
    """
    path = path if path.suffix else path.with_suffix(".svg")
    if path.suffix.lower() not in _SUFFIXES:
        raise UsageError(
            f"A picture cannot be a {path.suffix} file.",
            why=f"The suffix says what is drawn: {', '.join(_SUFFIXES)}.",
            hint=f"Name it {path.with_suffix('.svg').name!r}.",
        )
    if not attempts:
        raise UsageError(
            "No attempt has ended yet.",
            why="A picture needs at least one.",
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
        figure = plt.figure(figsize=(7.2, 4.4), layout="constrained")
        _draw_panels(figure, attempts)
        figure.suptitle("\n".join(caption), x=0.01, ha="left", fontsize=9)
        said = {"Date": None, "Description": "\n".join(caption)} if path.suffix.lower() == ".svg" else None
        figure.savefig(path, metadata=said)
        plt.close(figure)
    return path


def _draw_panels(figure: Any, attempts: Sequence[Attempt]) -> None:
    """A panel for each task, since each has its own unit; below it a strip of what has no Δ."""
    judged = [attempt for attempt in attempts if attempt.delta is not None]
    others = [attempt for attempt in attempts if attempt.delta is None]
    tasks = list(dict.fromkeys(attempt.task for attempt in judged))
    rows = [kind for kind in DrawnAs if any(drawn_as(attempt) is kind for attempt in others)]
    heights = [4.0] * len(tasks) + ([0.5 * len(rows) + 0.1] if rows else [])
    panels = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axes, task in zip(panels, tasks, strict=False):
        some = [attempt for attempt in judged if attempt.task == task]
        _draw_judged(axes, some)
        name = f"{task}: " if len(tasks) > 1 else ""
        axes.set_ylabel(f"{name}Δ on the holdout\n({some[0].unit} per example)")
    if rows:
        _draw_strip(panels[-1], others, rows)
    tier = worst_tier(attempt.tier for attempt in attempts)
    panels[-1].set_xlabel(f"energy that paid for it, J ({tier.value}; a bar is its {tier.range_kind.words})")
    panels[-1].set_xlim(left=min(0.0, *(_paid(attempt)[1] for attempt in attempts)))
    for axes, task in zip(panels, tasks, strict=False):
        _draw_equal_efficiency(axes, [attempt for attempt in judged if attempt.task == task])
    figure.legend(
        handles=[found for axes in panels for found in axes.get_legend_handles_labels()[0]],
        loc="outside lower left",
        ncols=len(DrawnAs),
        frameon=False,
        fontsize=8,
        handletextpad=0.3,
        columnspacing=1.2,
        title=_BARS_OF_DELTA if judged else None,
        title_fontsize=8,
        alignment="left",
    )


def _paid(attempt: Attempt) -> tuple[float, float, float]:
    """Joules that paid for its Δ, with both ends; its own where it has none."""
    if attempt.delta is None:
        return attempt.joules, attempt.joules_lo, attempt.joules_hi
    return attempt.chain_joules, attempt.chain_joules_lo, attempt.chain_joules_hi


def _energies(attempts: Iterable[Attempt]) -> dict[str, Any]:
    """Where they lie on the axis of joules, and how far their intervals reach."""
    found = [_paid(attempt) for attempt in attempts]
    return {
        "x": [joules for joules, _, _ in found],
        "xerr": [[joules - low for joules, low, _ in found], [high - joules for joules, _, high in found]],
    }


def _style(kind: DrawnAs) -> dict[str, Any]:
    _, colour, marker = kind.value
    return {"fmt": marker, "color": colour, "ecolor": colour, "elinewidth": 0.8, "capsize": 2}


def _draw_judged(axes: Any, attempts: Sequence[Attempt]) -> None:
    for kind in DrawnAs:
        some = [attempt for attempt in attempts if drawn_as(attempt) is kind]
        if some:
            axes.errorbar(
                y=[attempt.delta for attempt in some],
                label=f"{kind.word} ({len(some)})",
                **_energies(some),
                **_style(kind),
            )
            _draw_deltas(axes, some, kind.value[1])
    for attempt in attempts:
        _name(axes, attempt, attempt.delta or 0.0)
    axes.axhline(0, color=_GUIDE, linewidth=0.8)


def _draw_deltas(axes: Any, attempts: Sequence[Attempt], colour: str) -> None:
    """Two intervals of each Δ: thick the one of this look alone, thin the one that the bar decides by."""
    for low, high, width in (("delta_lo_anytime", "delta_hi_anytime", 0.8), ("delta_lo", "delta_hi", 2.4)):
        for attempt in attempts:
            ends = (getattr(attempt, low), getattr(attempt, high))
            if None not in ends:
                axes.vlines(attempt.chain_joules, *ends, color=colour, linewidth=width)


def _draw_strip(axes: Any, attempts: Sequence[Attempt], rows: Sequence[DrawnAs]) -> None:
    for row, kind in enumerate(rows):
        some = [attempt for attempt in attempts if drawn_as(attempt) is kind]
        axes.errorbar(
            y=[row] * len(some), label=f"{kind.word} ({len(some)})", **_energies(some), **_style(kind)
        )
        for place, attempt in enumerate(sorted(some, key=lambda one: one.joules)):
            _name(axes, attempt, row, _BESIDE[place % len(_BESIDE)])
    axes.set_yticks([])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_ylabel("no Δ", rotation=0, ha="right", va="center")


def _name(axes: Any, attempt: Attempt, height: float, beside: tuple[int, int] = (4, 3)) -> None:
    axes.annotate(
        str(attempt.number),
        (_paid(attempt)[0], height),
        xytext=beside,
        textcoords="offset points",
        fontsize=7,
    )


def _draw_equal_efficiency(axes: Any, attempts: Sequence[Attempt]) -> None:
    found = [(a.delta or 0.0, a.chain_joules) for a in attempts if a.chain_joules > 0]
    best = max((delta / joules for delta, joules in found), default=0.0)
    if best <= 0:
        return
    left, right = axes.get_xlim()
    low, high = axes.get_ylim()
    for share in (1.0, 0.5, 0.25):
        eta = best * share
        axes.plot([left, right], [eta * left, eta * right], color=_GUIDE, linewidth=0.6, linestyle=":")
        x = min(right, high / eta)
        axes.annotate(
            f"η {1000 * eta:.2f} {attempts[0].unit}/kJ",
            (x, eta * x),
            fontsize=7,
            color="#555555",
            ha="right",
            va="bottom",
        )
    axes.set_xlim(left, right)
    axes.set_ylim(low, high)

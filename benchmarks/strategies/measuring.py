"""What layer S1 measures: a row a strategy, defences taken away, whole rounds, power, what gets through."""

from __future__ import annotations

__all__ = [
    "Row",
    "books_row",
    "leak",
    "looks_row",
    "mixed_federations",
    "power_rows",
    "quorum_rows",
    "rare_harm",
    "rounds_row",
    "twin_rows",
]

import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cryoflux.decision.levels import LEVELS, RoundBudget
from cryoflux.decision.power import power
from exact_binomial import upper_bound
from strategies import adaptive
from strategies.bookkeeping import BOOKS, Life, never_opened
from strategies.looks import ALPHA_PPM, Ended, Lives, Protocol, Strategy, levels_of
from strategies.registry import TWINS, Entry
from strategies.rounds import CHEATS, Counted, Federation
from strategies.world import Array

_NUMBERS = 12_000_000
"""of the noise that is drawn at once"""
SPREAD_BY_ROOT = 1.3
"""spread of δ over the root of Δ, nats: as updates of the embedded model have it"""


@dataclass(frozen=True)
class Row:
    """What a layer counted of a strategy."""

    layer: str
    lives: int
    harmful: int
    note: str = ""

    @property
    def bound(self) -> float:
        """Upper bound of the share of harmful lives, at 95 %."""
        return upper_bound(self.harmful, self.lives)


def lived(
    name: str, strategy: Strategy, flat: int, seeds: int, looks: int, protocol: Protocol | None = None
) -> Ended:
    """So many lives of a strategy, some at a time."""
    protocol = protocol or Protocol()
    at_once = max(1, min(seeds, _NUMBERS // (protocol.count * (flat + 9))))
    ended = Ended(0)
    for start in range(0, seeds, at_once):
        seed = zlib.crc32(f"{name}/{start}".encode())
        ended += Lives(seed, min(at_once, seeds - start), flat, protocol).lived(strategy, looks)
    return ended


def looks_row(entry: Entry, seeds: int, looks: int) -> Row:
    """A strategy against one guest holdout."""
    if entry.looks is None:
        raise ValueError(f"{entry.name} is not seen by looks")
    ended = lived(entry.name, entry.looks, entry.flat, seeds, looks)
    note = f"a level was overstated in {ended.overstated}" if ended.overstated > ended.harmful else ""
    return Row("looks", ended.lives, ended.harmful, note)


def rounds_row(entry: Entry, seeds: int) -> Row:
    """Two of its cheats among four honest offers, in two rounds."""
    counted = Counted()
    for seed in range(seeds):
        Federation(seed, [entry.rounds] * 2).two_rounds(counted)
    taken = sum(counted.by_kind.values())
    note = f"{taken:,} of {2 * seeds:,} taken" if taken else ""
    return Row("rounds", seeds, counted.harmful, note)


def books_row(name: str, seeds: int) -> Row:
    """A life in the books, after openings and before."""
    harmful = early = 0
    noted: dict[str, list[int]] = {}
    for seed in range(seeds):
        life = Life(np.random.default_rng([seed, zlib.crc32(name.encode())]))
        harmful += BOOKS[name](life)
        for key, value in life.noted.items():
            noted.setdefault(key, []).append(value)
        early += BOOKS[name](Life(np.random.default_rng([seed, zlib.crc32(name.encode())]), opened=False))
    said = [f"before openings {early:,} of {seeds:,}"] if early != harmful else []
    said += [f"{key} {sum(values) / len(values):,.0f} in the mean" for key, values in noted.items()]
    return Row("books", seeds, harmful, "; ".join(said))


def quorum_rows(seeds: int) -> Iterator[tuple[int, list[Row]]]:
    """Of ten verifiers so many lie and never open, by the quorum that a reader asks for."""
    for liars in range(5):
        rows = []
        for quorum in (2, 3, 4, 5, 6):
            lives = (Life(np.random.default_rng([seed, liars, quorum])) for seed in range(seeds))
            harmful = sum(never_opened(life, liars, quorum) for life in lives)
            rows.append(Row("books", seeds, harmful))
        yield liars, rows


def twin_rows(seeds: int, looks: int) -> Iterator[tuple[str, Row, Row]]:
    """Each defence: what is without it, and with it."""
    for twin in TWINS:
        ended = [
            lived(twin.without, twin.strategy, twin.flat, seeds, looks, protocol)
            for protocol in (twin.protocol, twin.same)
        ]
        without, with_it = (Row("looks", one.lives, one.harmful) for one in ended)
        yield twin.without, without, with_it


def leak(seeds: int, most: Sequence[int] = (10, 20, 40, 60, 100)) -> Iterator[tuple[int, Row, Row]]:
    """So many null updates, added up by the sign of a published Δ, or by one bit."""
    for probes in most:

        def strategy(seat: object, probes: int = probes) -> Array:
            return adaptive.boosting_from_delta(seat, probes)  # type: ignore[arg-type]

        ended = [
            lived(f"leak {probes}", strategy, probes, seeds, probes + 1, Protocol(1024, publishes_delta=told))
            for told in (True, False)
        ]
        published, bit = (Row("looks", one.lives, one.harmful) for one in ended)
        yield probes, published, bit


def power_rows(
    counts: Sequence[int] = (512, 1024, 4096),
    deltas: Sequence[float] = (0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15),
) -> Iterator[tuple[float, list[tuple[float, float]]]]:
    """By true marginal: how often look 1, and look 2 after an acceptance, find it; drawn and computed."""
    bars = [RoundBudget(ALPHA_PPM, looks, looks).needed_milli for looks in (0, 1)]
    rng, draws = np.random.default_rng(3), 4000
    for delta in deltas:
        row = []
        for count in counts:
            spread = SPREAD_BY_ROOT * math.sqrt(delta)
            total = rng.normal(count * delta, spread * math.sqrt(count), draws)
            squares = spread**2 * rng.chisquare(count - 1, draws) + total**2 / count
            for bar in bars:
                found = float((levels_of(total, squares, count, np.full(draws, bar)) > 0).mean())
                said = power(count, spread, delta - LEVELS[0] / 1e9, bar)
                row.append((found, said))
        yield delta, row


def rare_harm(lives: int, counts: Sequence[int] = (512, 4096)) -> Iterator[tuple[float, float, list[Row]]]:
    """Updates that gain 0.05 nats nearly everywhere and lose so much elsewhere that their true Δ is −0.01."""
    bar, rng = RoundBudget(ALPHA_PPM).needed_milli, np.random.default_rng(4)
    for share in (0.1, 0.03, 0.01, 0.003, 0.001, 0.0003):
        lost = 0.06 / share
        rows = []
        for count in counts:
            rare = rng.binomial(count, share, lives)
            gains = rng.normal(0.05 * (count - rare), 0.1 * np.sqrt(count))
            spread = 0.01 * rng.chisquare(count - 1, lives) + (0.05**2) * (count - rare)
            total, squares = gains - rare * (lost - 0.05), spread + rare * (lost - 0.05) ** 2
            level = levels_of(total, squares, count, np.full(lives, bar))
            rows.append(Row("looks", lives, int((level > 0).sum())))
        yield share, lost, rows


def mixed_federations(seeds: int, *, copies: bool = True, apart: float = 1.0) -> Counted:
    """Federations of four honest offers and four cheats of any kind, in two rounds."""
    counted, names = Counted(), list(CHEATS)
    for seed in range(seeds):
        kinds = np.random.default_rng([9, seed]).choice(len(names), 4, replace=False)
        Federation(seed, [names[kind] for kind in kinds], copies=copies, apart=apart).two_rounds(counted)
    return counted

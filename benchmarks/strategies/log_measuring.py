"""What layer S2 counts: lives of a strategy in real logs, how many were harmful, and who came through."""

from __future__ import annotations

__all__ = ["LIVES", "LYING", "THROUGH", "TWINS_OF_LOGS", "LogRow", "LogTwin", "lived"]

import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

from exact_binomial import upper_bound
from strategies.log_books import BOOK_LIVES
from strategies.log_lives import LOG_LIVES, dates_back, dates_forward
from strategies.log_node import undurable
from strategies.log_peers import PEER_LIVES
from strategies.log_verdicts import VERDICT_LIVES, never_opens, seals_inventions
from strategies.log_world import Defences, LogWorld

_ALL = Defences()
Life = Callable[[LogWorld, int], None]
LIVES: dict[str, Life] = {**LOG_LIVES, **BOOK_LIVES, **VERDICT_LIVES, **PEER_LIVES}
"""name of a strategy → its life in real logs"""


@dataclass
class LogRow:
    """What was counted of a strategy."""

    lives: int = 0
    harmful: int = 0
    convicted: int = 0
    """lives in which a reader has evidence against a liar's log"""
    through: int = 0
    """offers of honest nodes that every reader can use in the end"""
    due: int = 0
    """all of them"""
    entries: int = 0
    harms: Counter[str] = field(default_factory=Counter)
    """what was harmful → in how many lives"""
    told: Counter[str] = field(default_factory=Counter)

    @property
    def bound(self) -> float:
        """Upper bound of the share of harmful lives, at 95 %."""
        return upper_bound(self.harmful, self.lives)

    def take(self, world: LogWorld) -> None:
        """Count a life that has been judged."""
        harms = [what for what, times in world.harms.items() if times]
        through, due = world.through
        self.lives += 1
        self.harmful += bool(harms)
        self.harms.update(harms)
        self.told.update(world.told)
        self.through, self.due = self.through + through, self.due + due
        self.entries += world.entries
        self.convicted += any(
            reader.record(cheat).mirror.evidence for reader in world.readers for cheat in world.cheats
        )


@dataclass(frozen=True)
class LogTwin:
    """A strategy against a network that lacks something."""

    without: str
    strategy: str
    lacking: Defences
    same: Defences = _ALL
    """the same with the defence"""


TWINS_OF_LOGS = [
    LogTwin("what says that it was first is first", "bytes", Defences(dated_by_witnesses=False)),
    LogTwin("one witness of three dates a commitment", "back-dating", Defences(quorum=1)),
    LogTwin(
        "one witness of three is a quorum, and readers ask none", "per-reader view",
        Defences(quorum=1, asks_witnesses=False),
    ),
    LogTwin("a log shows what nobody has cosigned", "front-run intent", Defences(shown_once_cosigned=False)),
    LogTwin(
        "clocks of witnesses say who was first, and are wrong by up to 300 s", "front-run intent",
        Defences(clocks_s=300, seen_first=False), Defences(clocks_s=300),
    ),
    LogTwin("openings are not held against seals", "opening altered", Defences(openings=False)),
]  # fmt: skip
"""each defence, taken away"""
_LIES: list[tuple[str, Life]] = [
    ("dates a copy within five minutes back", partial(dates_back, after_s=(5, 300))),
    ("dates originals an hour ahead", dates_forward),
]
"""what a witness does, in words → its life"""
_OTHERS = "another one does not always answer"
LYING: list[tuple[str, Life, Defences]] = [
    (f"one witness of {count} {lies}, {_OTHERS}; quorum {quorum}", life,
     Defences(quorum=quorum, seers=count))
    for quorum, count in ((2, 3), (3, 4), (4, 5), (4, 6))
    for lies, life in _LIES
]  # fmt: skip
"""a witness that lies, by how many there are → its life"""
THROUGH: list[tuple[str, Life, Defences]] = [
    *(
        (f"one witness of 3 {lies}, {_OTHERS}; times alone", life, Defences(seen_first=False))
        for lies, life in _LIES
    ),
    ("a quorum of verifiers confirms what is worth nothing, and never opens", never_opens, Defences()),
    ("a quorum of verifiers seals sums that it invents, and opens those", seals_inventions, Defences()),
]  # fmt: skip
"""what is beyond what logs can show, in words → its life"""


@cache
def lived(name: str, life: Life, seeds: int, offers: int, defences: Defences = _ALL) -> LogRow:
    """So many lives of a strategy.

    Args:
        name: of it, from which all chance follows.
        life: its life.
        seeds: how many.
        offers: updates that honest nodes offer in each.
        defences: of the network.
    """
    row = LogRow()
    for number in range(seeds):
        seed = zlib.crc32(f"{name}/{number}".encode())
        with undurable(), TemporaryDirectory(prefix="logs") as folder:
            world = LogWorld(Path(folder), seed, defences=defences)
            try:
                life(world, offers)
                world.judge()
                row.take(world)
            finally:
                world.close()
    return row

"""What a page is made from, and what one is."""

from __future__ import annotations

__all__ = ["STARTING", "Page", "Scene"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryoflux.energy.derived import Rates
from cryoflux.queries.activity import Activity, read_activity
from cryoflux.queries.followed import Followed
from cryoflux.report.now_words import doing_words, state_words
from cryoflux.state import StateFolder

STARTING = "checking its settings, its model and its data"
"""what a run does before it writes anything"""


@dataclass(frozen=True, slots=True)
class Scene:
    """A state at a moment, for one request; made while nobody else reads its log further."""

    followed: Followed
    name: str
    """of the state, as its folder is called"""
    root: str
    """what paths of its pages begin with: empty, or ``/s/NAME`` where there are several states"""
    states: Sequence[str]
    """names of all states that are shown"""
    rates: Rates
    query: Mapping[str, str]
    form_token: str
    """what a form has to send back; empty where nothing may be changed"""
    now: float
    """wall time, seconds since 1970"""
    beside_since: float | None = None
    """when the pages were opened beside a run; none where they are beside none, or it is over"""
    size: int = field(init=False)
    """entries that the log had when this was made"""
    head: str = field(init=False)
    """leaf hash of the last of them; empty before the first"""

    def __post_init__(self) -> None:
        # A page is written after the log's lock is let go: what it says of the log is what it was made from.
        object.__setattr__(self, "size", self.followed.size)
        object.__setattr__(self, "head", self.followed.head)

    @property
    def about(self) -> str:
        """Names of model and data of its tasks, for the line over a headline; empty where it says none."""
        origins = self.followed.origins().values()
        said = (" on ".join(filter(None, (one.model_name, one.data_name))) for one in origins)
        return ", ".join(dict.fromkeys(filter(None, said)))

    @property
    def activity(self) -> Activity | None:
        """What the last run of the state does; none where nothing is known of it."""
        return read_activity(StateFolder(self.followed.state), now=self.now)

    def starting(self, activity: Activity | None) -> bool:
        """Whether the run that the pages are beside has not said a word in the state yet."""
        if self.beside_since is None:
            return False
        return activity is None or (not activity.alive and activity.written_at < self.beside_since)

    @property
    def going(self) -> str:
        """What a run does that has nothing to show yet, as a clause; empty where none goes on."""
        activity = self.activity
        if self.starting(activity):
            return STARTING
        if activity is None or not activity.alive:
            return ""
        word, doing = state_words(activity), doing_words(activity)
        return f"{word}: {doing}" if doing else word

    def link(self, path: str) -> str:
        """The address of a page of this state."""
        return self.root + path


@dataclass(frozen=True, slots=True)
class Page:
    """What is to be rendered."""

    template: str
    title: str
    section: str
    """name of the page in the navigation"""
    values: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    live: bool = True
    """whether it follows what happens, where there is a script"""

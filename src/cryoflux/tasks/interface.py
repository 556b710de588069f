"""What a task is: the one thing that knows what is trained.

Everything else (joules, the announcement, evaluation in looks, the decision, merge, receipt, verification)
is the same for every task. A task says what it starts from, which arms there are and what they should cost,
trains as an order says, makes a version of an update, and scores versions example by example in integers.

An order of work is frozen and can be written down, so that another process can carry it out. What it may
use is asked of whoever carries it out (`tasks.pacing.Limits`).

A task of one's own derives from `Task` and has to say five things: ``name``, `beginning`, `train`, `apply`
and `scorer`. It is found by the entry point group ``cryoflux.tasks``, or by ``module:Class``
(`cryoflux.tasks.registry`). All that it needs can be imported from here (docs/how-to/add-a-task.md).
"""

from __future__ import annotations

__all__ = [
    "Beginning",
    "Limits",
    "Metric",
    "Offer",
    "Origin",
    "Pacer",
    "Scorer",
    "Section",
    "Task",
    "Update",
    "Version",
    "Watch",
    "WorkOrder",
    "Workplace",
    "render_sets",
    "to_nano_nats",
]

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from cryoflux.config import Settings, Sourced
from cryoflux.data.prepared import PreparedData, render_sets
from cryoflux.decision.evidence import Evidence
from cryoflux.evaluation.losses import LARGEST_NANO_NAT, to_nano_nats
from cryoflux.evaluation.scoring import Scorer
from cryoflux.quantities import parse_energy
from cryoflux.receipts.profiles import REPEATABLE
from cryoflux.receipts.statement import CROSS_ENTROPY, Metric, Rule, Section
from cryoflux.registry.composition import Composition
from cryoflux.registry.versions import Version, Versions
from cryoflux.state import StateFolder
from cryoflux.task_tallies import EVERYTHING, PoolParts
from cryoflux.tasks.order import WorkOrder
from cryoflux.tasks.pacing import Limits, Pacer, Progress
from cryoflux.verification.sections import Sections

if TYPE_CHECKING:
    from cryoflux.tasks.composing import Composing
    from cryoflux.tasks.elsewhere import Elsewhere

_FIRST_SHARE = 0.3
"""of a reservation: what evaluating and merging are thought to cost before either was measured"""
_FORGET = 0.8
"""a dear evaluation is remembered for some attempts: a busy machine is often still busy"""


@dataclass(frozen=True, slots=True)
class Update:
    """What training has made, and how it came about; its files lie in one folder."""

    files: tuple[str, ...]
    """that a receipt names; the digest of the first one names the capsule"""
    section: Section
    """what only the task knows of it"""
    drawn: tuple[int, ...] = ()
    """indices of the training examples that it learned from"""
    fresh: int = 0
    """how many of them no attempt had drawn before"""
    steps: int = 0
    stopped_by: str = "joules"
    """``joules``, ``steps``, ``interrupt``, ``hopeless``, or the task's own word"""
    saved_uj: int = 0
    """joules that stopping early saved, by the cost of the steps made; modelled, µJ"""
    screening: Evidence | None = None
    """what it did to training-side examples that it was not trained on; none where none were set aside"""
    threads: int = 0
    device: str = "cpu"
    working: str = ""
    """digest of what the next attempt goes on from (`state.StateFolder.working`); empty where it cannot"""


@dataclass(frozen=True, slots=True)
class Offer:
    """An arm: a way of making an update, and what one attempt of it should cost."""

    arm: str
    recipe: Mapping[str, str | int]
    """what an intent says of it: integers, and ratios as decimal text"""
    prior_uj: int
    """by its floating-point operations, µJ; modelled"""
    screens: bool
    """whether it sets training-side examples aside to try an update on"""
    carries: bool = False
    """whether an attempt goes on from what the one before it left"""
    after: str = ""
    """an arm whose chain has to have come to its end first; empty where none has"""
    least_uj: int = 0
    """what an attempt has to reserve so that it can finish, µJ; 0 where the task does not know"""


@dataclass(frozen=True, slots=True)
class Origin:
    """What a state was begun with, for one task."""

    data_name: str
    data_digest: str
    model_name: str
    model_source: str
    """digest of the weights that version 0 was made from"""
    version: str
    """digest of version 0"""
    dropped: dict[str, int] = field(default_factory=dict)
    """set → examples dropped as duplicates"""
    rules: dict[str, Any] = field(default_factory=dict)
    """by which rules the sets were made, as `PreparedData.rules`; empty in older states"""
    similar: dict[str, int] = field(default_factory=dict)
    """set that judges → training examples that its leak guard left out as like one of its texts"""
    near: int = 0
    """holdout texts that have a near duplicate among those that are trained on"""
    hiding: int = 0
    """texts of all sets that have characters that show nothing"""
    cut: int | str = 0
    """how much of a text is read, as `Task.cut` says it; 0 where a state does not say, as older ones"""
    longer_ppm: int | None = None
    """share of the training texts that are longer, by a sample, in millionths; none where nobody counted"""
    found: list[str] = field(default_factory=list)
    """what was found in files that are not exactly text,label, in words; nothing in older states"""


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a task starts from, checked; nothing of it is on the disk yet."""

    data_name: str
    data_digest: str
    files: Mapping[str, bytes]
    """of the data set, as `cryoflux.data.prepared.render` makes them"""
    save: Callable[[Path], None]
    """writes version 0 into a folder"""
    model_name: str = ""
    model_source: str = ""
    dropped: Mapping[str, int] = field(default_factory=dict)
    rules: Mapping[str, Any] = field(default_factory=dict)
    """as `Origin.rules`, which are signed into every intent; empty where a task does not say"""
    similar: Mapping[str, int] = field(default_factory=dict)
    keep: Callable[[Path], None] = lambda _cache: None
    """puts what was computed on the way into the cache of a state"""
    near: int = 0
    hiding: int = 0
    cut: int | str = 0
    longer_ppm: int | None = None
    found: Sequence[str] = ()
    """as `Origin.found`"""


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where a task works: a state, and the data set that it was begun with."""

    state: StateFolder
    versions: Versions
    data: PreparedData
    pool_seed: int
    composed: Composition | None = None
    """what the head is composed of; none where its list begins at it"""
    pool: PoolParts = EVERYTHING
    """the training examples to draw from"""
    pool_of: Callable[[str], int] = lambda _arm: 0
    """arm → training examples that its chain draws from; 0 where none goes on"""

    @property
    def parts(self) -> PoolParts:
        """What the pool is made of; of everything at once, where nobody says when it joined."""
        return self.pool if self.pool.counts else PoolParts((self.data.count("train"),))


class Watch(Protocol):
    """Is told how training goes; whatever it does must not matter to the training."""

    def prepared(self, done: int, count: int) -> None:
        """Something that is computed before the first step is done for so many examples of so many."""

    def trained(self, progress: Progress, reserved_uj: int) -> None:
        """A training step is done."""


class Task(ABC):
    """Something that can be improved, attempt by attempt.

    One object serves one run; `open` comes before anything that needs the state.
    """

    name: ClassVar[str]
    """in intents and receipts: ``lora_delta``"""
    metric: ClassVar[Metric] = CROSS_ENTROPY
    """of the losses that `scorer` gives"""
    hits: ClassVar[bool] = False
    """whether an example can be right or wrong, and `scorer` says which"""
    read_again: ClassVar[int] = 16
    """examples whose losses have to repeat exactly when they are read again after an evaluation, drawn at
    random; 0 for ours alone, whose own tests show that all of them do"""
    largest: ClassVar[int] = LARGEST_NANO_NAT
    """loss of an example, in billionths, beyond which a version is broken rather than wrong"""
    libraries: ClassVar[tuple[str, ...]] = ()
    """packages that it computes with: receipts name their versions; a run sets the threads of ``torch``"""
    trained_by: ClassVar[str] = ""
    """``module:Class`` of the `Trainer` that trains it in other processes; empty where none does"""
    sections: ClassVar[Sections] = {}
    """kind of its receipts' sections → what checks them when somebody verifies"""
    place: Workplace
    head: Version
    """the version that the next attempt starts from"""
    _evaluate_uj: int = 0
    """what evaluating an update cost when it was last done, µJ; 0 before it was"""
    _apply_uj: int = 0
    """the same for making a version of one"""

    @classmethod
    def from_settings(cls, sourced: Sourced) -> Self:  # noqa: ARG003 - a task without settings of its own
        """The task that some settings describe.

        Raises:
            ConfigError: they describe none.
        """
        return cls()

    @classmethod
    def reserve_uj(cls, settings: Settings) -> int:
        """What an attempt reserves by the settings, µJ."""
        return parse_energy(settings.attempt.reserve)

    def judged_by(self, asked: Rule) -> Rule:
        """The rule of the task's updates, where ``asked`` is the one of the run."""
        return asked

    @abstractmethod
    def beginning(self, progress: Callable[[str, int, int], None]) -> Beginning:
        """What a new state of this task starts from.

        Args:
            progress: called with what takes a while, how much of it is done, and of how much.

        Raises:
            DataError: the examples cannot be trained or judged on.
            ModelError: there is no model to start from.
        """

    def confirm(self, origin: Origin) -> None:  # noqa: B027 - most tasks start from one thing
        """Make sure that the settings do not name something else than the state was begun with.

        Raises:
            StateError: they do.
        """

    def open(self, place: Workplace, head: Version) -> None:
        """Get ready to work in a state.

        Args:
            place: the state and the task's data set.
            head: the version that the next attempt starts from.
        """
        self.place, self.head = place, head

    def warm_up(self, part: str) -> None:  # noqa: B027 - most tasks have nothing to do
        """Do what a process does once, so that no attempt is charged for it.

        Args:
            part: name of the holdout in use.
        """

    def arms(self, drawn: int, part: str) -> list[Offer]:  # noqa: ARG002 - costs are the same throughout
        """The arms that there are now.

        Args:
            drawn: examples that earlier attempts drew as fresh ones.
            part: name of the holdout in use.
        """
        return [Offer("default", {}, 0, screens=False)]

    def composing(self) -> Composing | None:
        """What composes versions of lists of updates, once it is open; none where the task's are no lists."""
        return None

    def elsewhere(self) -> Elsewhere | None:
        """What takes over updates that other processes train, once it is open; none where none can."""
        return None

    def has_news(self) -> bool:
        """Whether something has come since `arms` looked that there may be another arm for."""
        return False

    def troubles(self) -> list[tuple[str, str]]:
        """Each file that could not be read since this was asked for last, and what is wrong with it."""
        return []

    def aside_uj(self, arm: str, part: str, reserve_uj: int) -> int:  # noqa: ARG002
        """What a reservation has to hold back for evaluating and merging an update, µJ."""
        return self._evaluate_uj + self._apply_uj or round(_FIRST_SHARE * reserve_uj)

    def evaluation_uj(self, part: str) -> int:  # noqa: ARG002
        """What evaluating a version on a set should cost outside of attempts, µJ; a guess before one was."""
        return self._evaluate_uj

    def share_to_compute(self, part: str) -> float:  # noqa: ARG002 - all, unless a task keeps something
        """The share of evaluating the head on a set that is still to be computed: the rest is kept."""
        return 1.0

    def evaluated(self, arm: str, part: str, uj: int, share: float) -> None:  # noqa: ARG002
        """Learn what evaluating cost.

        Args:
            arm: of the update; empty where the base was evaluated.
            part: name of the holdout.
            uj: the cost, µJ.
            share: of the evaluation that was computed.
        """
        if share > 0:
            self._evaluate_uj = max(round(uj / share), round(_FORGET * self._evaluate_uj))

    def applied(self, uj: int) -> None:
        """Learn what making a version of an update cost, µJ."""
        self._apply_uj = uj

    @abstractmethod
    def train(self, order: WorkOrder, into: Path, limits: Limits, watch: Watch) -> Update:
        """Make one update.

        Args:
            order: what to do.
            into: an empty folder; the update's files go here.
            limits: joules, and whether to stop.
            watch: is told how it goes.

        Raises:
            JoulesEndedError: the joules do not reach for anything.
            TrainingFailedError: training came to nothing usable.
        """

    @abstractmethod
    def apply(self, base: Version, capsule: Path, update: Update) -> Version:
        """A draft version: the base with an update applied, as it was read back from the disk.

        Args:
            base: the version to apply it to.
            capsule: the update's folder.
            update: the update.
        """

    @abstractmethod
    def scorer(self, version: Version, part: str) -> Scorer:
        """What scores the examples of a set with a version; the same integers whenever it is asked.

        Args:
            version: a kept version or a draft.
            part: ``holdout``, ``holdout-2``, ``audit``, …
        """

    def profile(self, part: str) -> str:  # noqa: ARG002 - the same for every set
        """The name of the arithmetic that losses are computed in (`receipts.profiles`)."""
        return REPEATABLE

    @property
    def cut(self) -> int | str:
        """How much of an input is read, the same for every arm; 0 where all of it is.

        So many tokens, or the task's own word for something else (`registry.cuts`). A recipe names it as
        ``max_tokens``, so that receipts say of what a loss is.
        """
        return 0

    def can_go_on(self, working: str) -> bool:  # noqa: ARG002 - most tasks leave nothing behind
        """Whether what an earlier attempt left is still here, whole."""
        return False

    def adopt(self, version: Version) -> None:
        """Go on from another head."""
        self.head = version

    def discard(self, version: Version, part: str) -> None:  # noqa: B027 - most tasks keep nothing
        """A draft will not be kept: throw away what was computed for it alone."""

    def compute(self) -> str:
        """How and where it computes, for people: ``cpu, 1 thread``."""
        return "cpu"

    def facts(self) -> dict[str, Any]:
        """Further facts for whoever shows a run: ``{"classes": 11}``."""
        return {}

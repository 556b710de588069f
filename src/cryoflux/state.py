"""The names of what lies in a state directory: each is spelled here and nowhere else.

`StateFolder` gives paths, and the flag that names it; it opens, makes and checks nothing.
"""

from __future__ import annotations

__all__ = ["ADAPTER", "ADAPTER_CONFIG", "DEFAULT_STATE", "FIRST_TASK", "HEAD", "OURS", "StateFolder"]

import shlex
from dataclasses import dataclass
from pathlib import Path

DEFAULT_STATE = "state"
"""the folder where no other is named"""
HEAD = "base_model"
"""the link to the head version of the first task"""
FIRST_TASK = "lora_delta"
"""the task whose head is `HEAD`; heads of others lie in ``heads/``"""
ADAPTER = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
OURS = frozenset(
    {
        *(
            "account.db",
            "activity",
            "aliases",
            "baseline.json",
            "base_model",
            "cache",
            "capsules",
            "data",
            "evidence",
            "fleet",
        ),
        *("heads", "judged", "keys", "lock", "log", "meter.lock", "models", "monitor", "network"),
        *("origin.json", "receipts.db", "session.json", "working"),
    }
)
"""what a state directory holds"""


@dataclass(frozen=True, slots=True)
class StateFolder:
    """A state directory."""

    path: Path

    def flag(self) -> str:
        """What a command needs to mean this state: `` --state mine``; nothing for the default."""
        return f" --state {shlex.quote(str(self.path))}" if str(self.path) != DEFAULT_STATE else ""

    @property
    def receipts(self) -> Path:
        """The database of exact signed bytes."""
        return self.path / "receipts.db"

    @property
    def log(self) -> Path:
        """The folder of checkpoint and tiles."""
        return self.path / "log"

    @property
    def checkpoint(self) -> Path:
        """The signed head of the log."""
        return self.log / "checkpoint"

    @property
    def witnessed(self) -> Path:
        """The last head of the log that a quorum of witnesses cosigned."""
        return self.log / "witnessed"

    @property
    def cosigned(self) -> Path:
        """All heads of the log that a quorum of witnesses cosigned, oldest first."""
        return self.log / "heads"

    @property
    def account(self) -> Path:
        """The joule account."""
        return self.path / "account.db"

    @property
    def baseline(self) -> Path:
        """The frozen idle baseline."""
        return self.path / "baseline.json"

    @property
    def keys(self) -> Path:
        """The folder of keys."""
        return self.path / "keys"

    @property
    def fleet(self) -> Path:
        """What lies here of a fleet whose coordinator this state is."""
        return self.path / "fleet"

    @property
    def workers(self) -> Path:
        """The folders of workers of this machine, by their names."""
        return self.fleet / "workers"

    @property
    def meters(self) -> Path:
        """Public keys of the meters that charge for this state's runs: its own, and those of workers."""
        return self.fleet / "meters"

    @property
    def words(self) -> Path:
        """The last signed words of workers' meters."""
        return self.fleet / "words"

    @property
    def lock(self) -> Path:
        """Held by the run that changes the state."""
        return self.path / "lock"

    @property
    def origin(self) -> Path:
        """What the state was begun with."""
        return self.path / "origin.json"

    @property
    def session(self) -> Path:
        """Whose session is open; there while a run goes on, or has died."""
        return self.path / "session.json"

    @property
    def activity(self) -> Path:
        """What a run does now, for whoever watches it; no evidence of anything, and may be deleted."""
        return self.path / "activity"

    @property
    def cache(self) -> Path:
        """What need not be computed twice, and may be deleted."""
        return self.path / "cache"

    @property
    def models(self) -> Path:
        """The folder of versions."""
        return self.path / "models"

    @property
    def capsules(self) -> Path:
        """The folder of updates."""
        return self.path / "capsules"

    def data(self, digest: str) -> Path:
        """The folder of a data set."""
        return self.path / "data" / digest

    def part(self, data: str, name: str) -> Path:
        """One set of a data set: ``train``, ``holdout``, ``holdout-2``, ``audit``."""
        return self.data(data) / f"{name}.jsonl"

    def model(self, digest: str) -> Path:
        """The folder of a version."""
        return self.models / digest

    def capsule(self, digest: str) -> Path:
        """The folder of an update."""
        return self.capsules / digest

    @property
    def workings(self) -> Path:
        """The folder of working updates."""
        return self.path / "working"

    def working(self, digest: str) -> Path:
        """What a chain of attempts goes on from."""
        return self.workings / f"{digest}.safetensors"

    @property
    def monitors(self) -> Path:
        """The folder of what was fed to hold heads against, as it was at each check that counted."""
        return self.path / "monitor"

    def monitor(self, digest: str) -> Path:
        """One of these files."""
        return self.monitors / f"{digest}.jsonl"

    def losses(self, digest: str) -> Path:
        """The file with the losses of each example behind a Δ."""
        return self.path / "evidence" / f"{digest}.bin"

    def judged(self, digest: str) -> Path:
        """What two were judged on: the holdout's examples, or where losses were handed over their ids."""
        return self.path / "judged" / f"{digest}.jsonl"

    def head(self, task: str = FIRST_TASK) -> Path:
        """The link to the head version of a task."""
        return self.path / HEAD if task == FIRST_TASK else self.heads / task

    @property
    def aliases(self) -> Path:
        """The folder of links to versions by names of one's own."""
        return self.path / "aliases"

    @property
    def heads(self) -> Path:
        """The folder of links to the heads of other tasks than the first."""
        return self.path / "heads"

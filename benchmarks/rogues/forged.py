"""What a rogue node forges, in processes of its own: as tasks of a run, or as a program.

cryoflux run --task rogues.forged:RacingTask …            takes an update the moment it can be had
python -m rogues.forged round STATE                       a round whose losses are invented
python -m rogues.forged altered-sums STATE                puts other sums in the place of those it sealed
python -m rogues.forged retire-other STATE                opens other examples than it entered
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryoflux.config import load_settings
from cryoflux.evaluation.scoring import LossesAndHits, Scorer
from cryoflux.network import guest
from cryoflux.network.demo.rogue import SOURCE, CopyingTask
from cryoflux.network.folder import NetworkFolder
from cryoflux.network.mirror import unbundled
from cryoflux.receipts.entry import parse_entry
from cryoflux.receipts.tiles import Tile
from cryoflux.registry.composition import Composition
from cryoflux.registry.versions import Version
from cryoflux.runs import guests_by_hand
from cryoflux.runs.by_hand import versions_by_hand
from cryoflux.runs.makers import RunLimits
from cryoflux.runs.session import run
from cryoflux.state import ADAPTER, ADAPTER_CONFIG
from cryoflux.tasks.interface import Limits, Update, Watch, WorkOrder
from cryoflux.tasks.lora.composing import ComposedHeads
from cryoflux.tasks.lora.task import LoraTask

RACED = "ROGUE_RACES_FOR"
"""environment variable with the URL of the node whose update is taken"""
_BUDGET_UJ = 200_000_000
_PAUSE_S, _PATIENCE_S = 0.02, 600


class RacingTask(CopyingTask):
    """Announces an update before there is one, and takes another's the moment its bytes can be had."""

    def train(self, order: WorkOrder, into: Path, limits: Limits, watch: Watch) -> Update:
        """Ask for somebody's bytes again and again, and hand in what comes under another gauge."""
        url, taken = os.environ[RACED], Path(os.environ[SOURCE])
        taken.mkdir()
        (taken.parent / "waiting").touch()
        adapter = _until(lambda: _newest(url))[0]
        seen_s = time.monotonic()
        refusals = _until(lambda: _taken(url, adapter, taken))[1]
        said = {"refusals": refusals, "after_s": time.monotonic() - seen_s}
        (taken / "race.json").write_text(json.dumps(said), encoding="utf-8")
        return super().train(order, into, limits, watch)


def _until(asked: Callable[[], str]) -> tuple[str, int]:
    """What is said at last, and how often nothing was said before."""
    tries, until = 0, time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        try:
            if said := asked():
                return said, tries
        except urllib.error.HTTPError:
            tries += 1
        time.sleep(_PAUSE_S)
    raise RuntimeError("there was nothing to take")


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=_PATIENCE_S) as reply:  # noqa: S310 - of a gate
        content: bytes = reply.read()
    return content


def _newest(url: str) -> str:
    """Digest of the update that a node's newest receipt is about; empty where it has none."""
    size = int(_get(f"{url}/log/checkpoint").split(b"\n")[1])
    tile = Tile(None, 0, size)
    entries = [
        parse_entry(at, entry) for at, entry in enumerate(unbundled(_get(f"{url}/log/{tile.path}"), tile))
    ]
    subjects = [one for entry in entries if entry.receipt for one in entry.statement.subject]
    return next((one.digest.sha256 for one in reversed(subjects) if one.name == ADAPTER), "")


def _taken(node: str, adapter: str, into: Path) -> str:
    _get(f"{node}/log/checkpoint")  # a server looks for what is new before it answers that
    for name in (ADAPTER, ADAPTER_CONFIG):
        (into / name).write_bytes(_get(f"{node}/capsules/{adapter}/{name}"))
    return adapter


class LyingTask(LoraTask):
    """Makes rounds whose every composition is said to be better than the head, by a third."""

    def composing(self) -> ComposedHeads:
        """What composes as it should, and lies about what comes of it."""
        return _LyingHeads(super().composing(), self)

    def scorer(self, version: Version, part: str) -> Scorer:
        """Losses of the head as they are; of anything else invented ones."""
        if version.digest == self.head.digest:
            return super().scorer(version, part)
        return _Invented(super().scorer(self.head, part))


class _LyingHeads(ComposedHeads):
    def __init__(self, honest: ComposedHeads, task: LyingTask) -> None:
        super().__init__(task.model, task.place)
        self._honest, self._task = honest, task

    def losses(
        self, composed: Composition, part: str, indices: Sequence[int], between: Callable[[int], None]
    ) -> Sequence[int]:
        """Two thirds of the head's losses, of whatever is not the head."""
        head = self._task.place.composed
        if head is None:
            raise RuntimeError("the head has no list")
        found = self._honest.losses(head, part, indices, between)
        return found if composed == head else [loss * 2 // 3 for loss in found]


class _Invented:
    def __init__(self, honest: Scorer) -> None:
        self._honest = honest

    def score(self, indices: Sequence[int], between: Callable[[int], None]) -> LossesAndHits:
        """Losses that nobody measured."""
        losses, right = self._honest.score(indices, between)
        return [loss * 2 // 3 for loss in losses], right


def lying_round(state: str) -> None:
    """Make the rounds that wait, with invented losses."""
    sourced = load_settings({"state": state, "task": f"{LyingTask.__module__}:{LyingTask.__name__}"})
    run(sourced, RunLimits(_BUDGET_UJ, only_rounds=True))


def alter_sums(state: str) -> None:
    """Let each look say a smaller loss than the one that it sealed."""
    for path in NetworkFolder.of(Path(state)).guests.glob("*/*.json"):
        said: dict[str, Any] = json.loads(path.read_bytes())
        said["sums"]["newLossSum"] = said["sums"]["newLossSum"] * 9 // 10
        path.write_text(json.dumps(said), encoding="utf-8")


def retire_other(state: str) -> None:
    """Open other examples than those that were entered: each text with a word more."""
    honest = guests_by_hand.open_guest

    def other(network: NetworkFolder, root: str) -> guest.GuestFolder:
        found = honest(network, root)
        examples = tuple(one.replace(b'"text":"', b'"text":"Note: ', 1) for one in found.examples)
        return replace(found, examples=examples)

    guests_by_hand.open_guest = other
    settings = load_settings({"state": state}).settings
    with versions_by_hand(Path(state), settings, "a rogue") as opened:
        guests_by_hand.retire(opened, LoraTask.name)


if __name__ == "__main__":
    {"round": lying_round, "altered-sums": alter_sums, "retire-other": retire_other}[sys.argv[1]](sys.argv[2])

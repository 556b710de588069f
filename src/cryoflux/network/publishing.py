"""Brings a node's public tree up to date from its state.

```text
node.json                       who the node is: its newest entry about that, with a proof
log/checkpoint, log/tile/…      its log up to the newest head that may be shown, as C2SP tlog-tiles
log/heads                       all heads up to it that witnesses cosigned, oldest first
capsules/<adapter>/…            updates that are offered, and those that are needed to compose others
lists/<digest>                  lists of updates that are needed for that
openings/<root>/…               guest holdouts that retired
contracts/<digest>              contracts that its log names
```

The log is shown as far as the node's rule reveals it (`public_log`, `revealing`), and what the entries up to
there commit to. What is there stays there, and what is named by its digest never changes. What a reader needs
is in place before what leads to it: tiles before the head that covers them, an adapter before its
``capsule.json``. So a publication may be broken off anywhere, and the next one goes on.
"""

from __future__ import annotations

__all__ = ["Publication", "Publisher", "publish", "publish_all"]

import json
import re
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from cryoflux.errors import CryoFluxError, ModelError, StorageError
from cryoflux.files import one_at_a_time, read_regular
from cryoflux.network.capsule import MOST_CAPSULE_BYTES
from cryoflux.network.folder import CAPSULE, EXAMPLES, NODE, NetworkFolder
from cryoflux.network.introducing import introduced_here
from cryoflux.network.node_file import MOST_PEERS, PeerHint, node_file, opening_file
from cryoflux.network.offering import capsule_content
from cryoflux.network.peers import read_peers
from cryoflux.network.public_log import ShownLog, publish_log, require_log
from cryoflux.network.public_tree import PublicTree
from cryoflux.network.reaching import Reach
from cryoflux.network.revealing import MOST_HELD_S, Commitments, OwnOffer, RevealRule
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.reading import each_entry
from cryoflux.registry.composition import Term
from cryoflux.registry.parent_lists import parent_lists
from cryoflux.state import ADAPTER, ADAPTER_CONFIG, StateFolder

OPENING = "opening.json"
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Publication:
    """What a public tree has come to."""

    size: int
    """entries of the log that it shows"""
    waiting: int
    """entries behind these, which no quorum of witnesses has seen, or one just now"""
    capsules: int
    """updates that are offered and can be fetched"""
    changed: int
    """files that are new, or others than before"""
    problems: tuple[str, ...]
    """what could not be shown, and why, in sentences"""
    held_s: float = 0.0
    """how long until more may be shown, because a quorum has seen it just now, s"""


def publish(publisher: Publisher) -> Publication:
    """Bring a tree up to date by what the node's own files say of its witnesses and peers.

    Raises:
        UsageError: the state holds no log, or its file of peers is not understood.
        StateTamperedError, StorageError: as for `Publisher.publish`.
    """
    peers = read_peers(publisher.folder.known_peers)
    rule = RevealRule(peers.policy, no_witnesses=publisher.folder.no_witnesses.is_file())
    named = [PeerHint(log_key=str(node.key), url=node.url) for node in peers.nodes]
    taken, here = {node.origin for node in peers.nodes}, introduced_here(publisher.folder, time.time())
    introduced = [PeerHint(log_key=one.key, url=one.url) for one in here if one.origin not in taken]
    match peers.introductions:
        case None:
            return publisher.publish(rule, named)
        case Reach.PUBLIC:
            return publisher.publish(rule, named, introduced)
    # Its owner vouches for what is near, as for what the file names, which gives way to nobody.
    return publisher.publish(rule, [*named, *introduced[: max(0, MOST_PEERS - len(named))]])


def publish_all(publisher: Publisher, sleep: Callable[[float], None] = time.sleep) -> Publication:
    """Bring a tree up to date, and wait for what a quorum has seen just now: two seconds at most.

    Raises:
        UsageError, StateTamperedError, StorageError: as for `publish`.
    """
    found, waited_s = publish(publisher), 0.0
    while found.held_s and waited_s < MOST_HELD_S:  # a head before the newest may be shown earlier
        sleep(found.held_s)
        waited_s += found.held_s
        found = publish(publisher)
    return found


class Publisher:
    """Publishes one state, again and again; the log is read on from where it was.

    Args:
        state: the state directory.
        capsule_json: digest of an adapter that is offered → the bytes of its ``capsule.json``, none where it
            cannot be made yet; without one it is made of the log (`cryoflux.network.offering`).
    """

    def __init__(self, state: Path, capsule_json: Callable[[str], bytes | None] | None = None) -> None:
        self._state, self._capsule_json = StateFolder(state), capsule_json
        self.folder = NetworkFolder.of(state)
        self._log = Commitments()

    def publish(
        self, rule: RevealRule, peers: Sequence[PeerHint] = (), introduced: Sequence[PeerHint] = ()
    ) -> Publication:
        """Bring the tree up to date.

        Args:
            rule: whose cosignatures the node waits for.
            peers: other nodes, as hints for who finds this one.
            introduced: nodes that have introduced themselves.

        Raises:
            UsageError: the state holds no log.
            StateTamperedError: the log is damaged, or does not continue what was shown.
            StorageError: the disk is full, read-only, or refuses.
        """
        require_log(self._state)
        with one_at_a_time(self.folder.path / "publishing.lock"):
            try:
                return self._publish(rule, peers, introduced)
            except CryoFluxError:
                self._log = Commitments()  # it may be another log by then
                raise

    def _publish(
        self, rule: RevealRule, peers: Sequence[PeerHint], introduced: Sequence[PeerHint]
    ) -> Publication:
        tree = PublicTree(self.folder.public, self.folder.staging)
        shown = publish_log(self._state, tree, rule)
        known = self._log.state.size
        for entry in islice(each_entry(self._state.path, known), max(0, shown.size - known)):
            self._log.take(entry)
        if (node := self._log.node_entry) is not None:
            note = shown.covering(node.index)
            tree.put(NODE, node_file(self._state.path, node, note, peers, introduced))
        turn = _Revealing(self._state, self.folder, self._log, tree, shown)
        turn.openings()
        turn.contracts()
        capsules = turn.capsules(self._capsule_json or self._of_the_log(shown, rule))
        problems = tuple(dict.fromkeys(turn.problems))
        return Publication(shown.size, shown.waiting, capsules, tree.changed, problems, shown.held_s)

    def _of_the_log(self, shown: ShownLog, rule: RevealRule) -> Callable[[str], bytes | None]:
        entries: list[Entry] = []

        def make(adapter: str) -> bytes | None:
            if not entries:
                entries.extend(each_entry(self._state.path))
            offer = entries[self._log.offers[adapter].index]
            return capsule_content(self._state, entries, offer, shown.heads, rule.policy)

        return make


@dataclass(slots=True)
class _Revealing:
    """One turn at what a log commits to."""

    state: StateFolder
    folder: NetworkFolder
    log: Commitments
    tree: PublicTree
    shown: ShownLog
    problems: list[str] = field(default_factory=list)

    def openings(self) -> None:
        """Guest holdouts that retired: the examples that the entry names, and the entry with its proof."""
        for root, (opening, entry) in self.log.openings.items():
            name = f"openings/{root}"
            if self.tree.has(f"{name}/{OPENING}"):
                continue
            source = self.folder.openings / root / EXAMPLES
            if not self.tree.share(f"{name}/{EXAMPLES}", source, opening.examples):
                self.problems.append(f"The examples of the guest holdout {root[:16]}… are not here.")
                continue
            note = self.shown.covering(entry.index)
            self.tree.put(f"{name}/{OPENING}", opening_file(self.state.path, entry, note))

    def contracts(self) -> None:
        """Contracts that an entry is about."""
        for path in _named_by_digest(self.folder.contracts):
            if path.name in self.log.named and not self.tree.share(f"contracts/{path.name}", path, path.name):
                self.problems.append(f"{path} is not the contract that it is called after.")

    def capsules(self, capsule_json: Callable[[str], bytes | None]) -> int:
        """Updates that are offered, after all that is needed to compose what they were trained on.

        Returns:
            how many of them can be fetched.
        """
        offers = self.log.own_offers
        needed = self.log.needed(offers, self._lists_of_others())
        self.problems += [
            f"The list {digest[:16]}… is needed, and not known here." for digest in needed.unknown
        ]
        for digest, terms in needed.lists.items():
            self.tree.put(f"lists/{digest}", "".join(term.line for term in terms).encode())
        for adapter in needed.adapters:
            if not self._files(adapter):
                self._miss(adapter)
        return sum(self._offer(found, capsule_json) for found in offers)

    def _offer(self, found: OwnOffer, capsule_json: Callable[[str], bytes | None]) -> bool:
        adapter = found.offer.update.adapter
        name = f"capsules/{adapter}/{CAPSULE}"
        if self.tree.has(name):
            return True
        if not self._files(adapter, found.offer.config):
            self._miss(adapter)
            return False
        try:
            content = capsule_json(adapter)
        except StorageError:
            raise
        except CryoFluxError as error:
            self.problems.append(f"The capsule {adapter[:16]}… cannot be offered: {error.what}")
            return False
        if content is None:
            return False
        self.tree.put(name, content)
        return True

    def _files(self, adapter: str, config: str = "") -> bool:
        """Whether both files of an update can be fetched."""
        if adapter not in self.log.made:
            return self._files_of_another(adapter)
        return self._share(adapter, self.state.capsule(adapter), self.log.made[adapter] or config)

    def _files_of_another(self, adapter: str) -> bool:
        """Those of an update that was adopted: as they came, with what proves whose it is."""
        source = self.folder.capsule(adapter)
        content = _read(source / CAPSULE, MOST_CAPSULE_BYTES)
        if not self._share(adapter, source, _config_in(content)):
            return False
        if content:
            self.tree.put(f"capsules/{adapter}/{CAPSULE}", content)
        return True

    def _share(self, adapter: str, source: Path, config: str) -> bool:
        name = f"capsules/{adapter}"
        return self.tree.share(f"{name}/{ADAPTER_CONFIG}", source / ADAPTER_CONFIG, config) and (
            self.tree.share(f"{name}/{ADAPTER}", source / ADAPTER, adapter)
        )

    def _miss(self, adapter: str) -> None:
        self.problems.append(f"The files of the update {adapter[:16]}… are not here as they were signed.")

    def _lists_of_others(self) -> dict[str, tuple[Term, ...]]:
        found, list_of = {}, parent_lists(self.state.path)
        for path in _named_by_digest(self.folder.lists):
            with suppress(ModelError):
                found[path.name] = list_of(path.name)
        return found


def _named_by_digest(folder: Path) -> Iterable[Path]:
    return sorted(path for path in folder.glob("*") if _DIGEST.fullmatch(path.name))


def _read(path: Path, most: int) -> bytes:
    """What a file has; empty where there is none, or none that is read."""
    try:
        return read_regular(path, most)
    except OSError:
        return b""


def _config_in(capsule: bytes) -> str:
    """SHA-256 of the settings that a ``capsule.json`` names; empty where it names none."""
    try:
        named = json.loads(capsule)["config"]["sha256"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
    return named if isinstance(named, str) else ""

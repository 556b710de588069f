"""The names of what lies in a node's folder ``network/``: each is spelled here and nowhere else.

```text
network/
  peers.txt                whom the node knows, in the words of a witness policy and three more
  peers/<origin>/          mirrors of peers' logs, by the SHA-256 of their origin
  incoming/<capsule>/      what was fetched of updates that are offered, by the SHA-256 of the adapter
  lists/<digest>           lists of updates that others' were trained on
  search.jsonl             examples that the search of a round composes with, never trained on; secret
  guest/<root>/            guest holdouts: examples and key, and of each look its sums and losses; secret
  openings/<root>/         guest holdouts that retired, as everybody may see them
  contracts/<digest>       contracts, the exact bytes that both parties have signed for
  public/                  all that others may see, as a tree of files: any static server serves it
  staging/                 what is about to be put there: nothing of it is served
  no-witnesses             where it is there, the node states that it has none, and waits for nobody
  hints/<origin>           which peers have said that their logs have grown, by the SHA-256 of their origin
  introduced.json          which nodes have introduced themselves here
  strangers.json           which strangers were drawn last, by which seed, and what came of each
```
"""

from __future__ import annotations

__all__ = ["CAPSULE", "EXAMPLES", "GUEST_KEY", "NODE", "NetworkFolder"]

from dataclasses import dataclass
from pathlib import Path

CAPSULE = "capsule.json"
"""beside an adapter: who offers it, with proofs"""
NODE = "node.json"
"""at the root of the public tree: who the node is"""
EXAMPLES = "examples.jsonl"
"""of a guest holdout, one a line, as they were hashed"""
GUEST_KEY = "key"
"""of a guest holdout: 32 bytes in hexadecimal, from which its salts follow"""


@dataclass(frozen=True, slots=True)
class NetworkFolder:
    """A node's folder, in its state directory."""

    path: Path

    @classmethod
    def of(cls, state: Path) -> NetworkFolder:
        """The one of a state."""
        return cls(state / "network")

    @property
    def known_peers(self) -> Path:
        """The file that names peers, verifiers and witnesses."""
        return self.path / "peers.txt"

    @property
    def incoming(self) -> Path:
        """The folder of fetched capsules."""
        return self.path / "incoming"

    def capsule(self, digest: str) -> Path:
        """What was fetched of an update, by the SHA-256 of its adapter."""
        return self.incoming / digest

    @property
    def lists(self) -> Path:
        """The folder of lists of updates, by their digests."""
        return self.path / "lists"

    @property
    def guests(self) -> Path:
        """The folder of guest holdouts."""
        return self.path / "guest"

    @property
    def search(self) -> Path:
        """The examples that the search of a round composes with."""
        return self.path / "search.jsonl"

    def guest(self, root: str) -> Path:
        """A guest holdout, by its root."""
        return self.guests / root

    @property
    def openings(self) -> Path:
        """The folder of guest holdouts that retired."""
        return self.path / "openings"

    @property
    def contracts(self) -> Path:
        """The folder of contracts."""
        return self.path / "contracts"

    @property
    def public(self) -> Path:
        """The tree that others may see."""
        return self.path / "public"

    @property
    def no_witnesses(self) -> Path:
        """The file by which a node states that it has no witnesses."""
        return self.path / "no-witnesses"

    @property
    def staging(self) -> Path:
        """Where files are until they are whole."""
        return self.path / "staging"

    @property
    def hints(self) -> Path:
        """The folder of what peers have said of their logs: only a reason to look."""
        return self.path / "hints"

    @property
    def introduced(self) -> Path:
        """The file of nodes that have introduced themselves here."""
        return self.path / "introduced.json"

    @property
    def strangers(self) -> Path:
        """The file of the lottery among strangers."""
        return self.path / "strangers.json"

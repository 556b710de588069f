"""Whom a node knows: ``network/peers.txt``, a witness policy with four more words.

    node <name> <vkey> <url>
    verifier <name of a node above>|<vkey>
    strangers 1%
    introductions public

A *node* is pulled: its log, and what it offers. A *verifier* is a node whose verdicts count in this reader's
books; nobody else's do. A node's log is a log of the policy too, so that its capsules can be checked with the
same file. Nodes that others name are hints: nobody is pulled who is not named here, unless *strangers* says
so. Then some are drawn by lottery (`cryoflux.network.lottery`), and get a hundredth of the joules together.
Where *introductions* says so, nodes may introduce themselves to this one (`cryoflux.network.introducing`):
with addresses on the internet (``public``), or ``anywhere``, which is for a network of one's own.
"""

from __future__ import annotations

__all__ = [
    "LET_IN",
    "NOBODY",
    "STRANGERS",
    "PeerNode",
    "Peers",
    "is_url",
    "parse_peers",
    "read_peers",
    "with_node",
    "without_node",
]

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from cryoflux.errors import UsageError, VerificationError
from cryoflux.files import read_regular
from cryoflux.network.node_name import is_node_name, refuse_node_name
from cryoflux.network.reaching import Reach
from cryoflux.receipts.checkpoint import KeyType, VerifierKey, parse_verifier_key
from cryoflux.witness.policy import BOM, LogLine, Policy, PolicyReader, split_items

_URL = re.compile(r"https?://[!-~]{1,180}")
_LINE_HINT = (
    "Its lines are node NAME VKEY URL, verifier NAME, strangers 1% and introductions public "
    "(docs/how-to/run-a-node.md), and those of a witness policy; `node peers add` writes some of them."
)
_KEY_HINT = "Ask for it there: cryoflux witness key prints it"
_MOST_BYTES = 2 * 1024 * 1024
_SHARE = "1%"
_NEARNESS = {"public": Reach.PUBLIC, "anywhere": Reach.HERE}
STRANGERS = f"strangers {_SHARE}"
_LOTTERY = f"# strangers by lottery, for at most {_SHARE} of the joules; else only who is named is asked"
LET_IN = f"{_LOTTERY}\n{STRANGERS}\n".encode()
"""lines by which strangers are let in"""
NOBODY = b"# whom this node knows\nquorum none\n"


@dataclass(frozen=True, slots=True)
class PeerNode:
    """A node that is pulled."""

    name: str
    """among the reader's peers only"""
    key: VerifierKey
    """of its log"""
    url: str
    """of its public tree, without a slash at the end"""
    by_lottery: bool = False
    """whether it is a stranger, that is pulled because it was drawn"""

    @property
    def origin(self) -> str:
        """Of its log."""
        return self.key.name


@dataclass(frozen=True, slots=True)
class Peers:
    """Nodes, verifiers, and the policy by which witnesses are believed."""

    nodes: tuple[PeerNode, ...]
    verifiers: tuple[VerifierKey, ...]
    policy: Policy
    """its logs are those of log lines and of nodes"""
    strangers: bool = False
    """whether some that are not named are looked at too, by lottery"""
    introductions: Reach | None = None
    """how near the addresses may be by which others introduce themselves; none where nobody may"""

    @property
    def verifier_origins(self) -> frozenset[str]:
        """Whose verdicts count."""
        return frozenset(key.name for key in self.verifiers)


@dataclass(slots=True)
class _PeersReader(PolicyReader):
    most_bytes: ClassVar[int] = _MOST_BYTES
    most_lines: ClassVar[int] = 8192
    nodes: list[PeerNode] = field(default_factory=list)
    verifiers: list[VerifierKey] = field(default_factory=list)
    strangers: bool = False
    introductions: Reach | None = None

    def words(self) -> dict[str, Callable[[Sequence[str]], None]]:
        # `super()` alone does not know a class that was made anew for its slots.
        more = {"node": self.node, "verifier": self.verifier, "strangers": self.look_at_strangers}
        more["introductions"] = self.take_introductions
        return {**PolicyReader.words(self), **more}

    def hint(self, keyword: str) -> str:
        of_policy = keyword in PolicyReader.words(self)
        return PolicyReader.hint(self, keyword) if of_policy else _LINE_HINT

    def node(self, items: Sequence[str]) -> None:
        name, vkey, url = split_items(items, 3, "node NAME VKEY URL")
        if not is_node_name(name):
            raise ValueError(f"{name[:40]!r} is not a name of lower-case letters, digits and . _ -")
        if name in {node.name for node in self.nodes}:
            raise ValueError(f"the name {name!r} is taken")
        if not is_url(url):
            raise ValueError(f"{url[:40]!r} is not an http address")
        key = self.key(vkey, KeyType.LOG)
        if key.name in {line.key.name for line in self.logs}:
            raise ValueError(f"the log {key.name} is listed twice")
        self.logs.append(LogLine(key, url))
        self.nodes.append(PeerNode(name, key, url.rstrip("/")))

    def verifier(self, items: Sequence[str]) -> None:
        (named,) = split_items(items, 1, "verifier NAME|VKEY")
        key = next((node.key for node in self.nodes if node.name == named), None)
        if key is None and "+" not in named:
            raise ValueError(f"{named[:40]!r} is no node that is defined above, and no key")
        key = key or parse_verifier_key(named)
        if key.kind is not KeyType.LOG:
            raise ValueError(f"{key.name} is not the key of a log")
        if key.name in {known.name for known in self.verifiers}:
            raise ValueError(f"{key.name} is a verifier already")
        self.verifiers.append(key)

    def look_at_strangers(self, items: Sequence[str]) -> None:
        """Take the word by which strangers are looked at."""
        if list(items) != [_SHARE]:
            raise ValueError(f"strangers get {_SHARE}: leave the line out where they should get nothing")
        self.strangers = True

    def take_introductions(self, items: Sequence[str]) -> None:
        """Take the word by which others may introduce themselves."""
        (where,) = split_items(items, 1, "introductions public|anywhere")
        if where not in _NEARNESS:
            raise ValueError(f"introductions are 'public' or 'anywhere', not {where[:40]!r}")
        self.introductions = _NEARNESS[where]


def is_url(text: str) -> bool:
    """Whether a text is an address over HTTP, of no more than usual length."""
    return _URL.fullmatch(text) is not None


def parse_peers(content: bytes, where: str = "The file of peers") -> Peers:
    """Read a file of peers, as whatever editor has written it: with a byte order mark too, or CRLF.

    Args:
        content: the file's bytes.
        where: what a message calls it.

    Raises:
        UsageError: a line of it is not understood.
    """
    reader = _PeersReader()
    policy = reader.read(content.removeprefix(BOM).replace(b"\r\n", b"\n"), where)
    if (reader.strangers or reader.introductions is not None) and policy.reached(set()):
        line = STRANGERS if reader.strangers else "introductions"
        raise UsageError(
            f"{where} lets strangers in, and needs no witness for it.",
            why="What a quorum of witnesses has not seen has no time, and could have been made up at any.",
            hint=f"Name a quorum of witnesses, or leave out the line {line!r}.",
        )
    nodes, verifiers = tuple(reader.nodes), tuple(reader.verifiers)
    return Peers(nodes, verifiers, policy, reader.strangers, reader.introductions)


def read_peers(path: Path) -> Peers:
    """Read the file of peers; where there is none, nobody is known, and nobody's cosignature is needed.

    Raises:
        UsageError: it cannot be read, or a line of it is not understood.
    """
    return parse_peers(_content(path), str(path))


def with_node(
    path: Path,
    name: str,
    vkey: str,
    url: str,
    *,
    verifier: bool = False,
    begin: bytes = NOBODY,
    own: VerifierKey | None = None,
) -> bytes:
    """The content of a file of peers with one node more; what else it says stays as it is.

    Args:
        path: the file.
        name: what the node is called here.
        vkey: key of its log.
        url: of its public tree.
        verifier: whether its verdicts count.
        begin: what the file begins with where there is none yet.
        own: key of the log of whose peers it is; none where it has no log.

    Raises:
        UsageError: an argument is none, or names the log itself or what the file has already; or the file is
            not understood, would not be with it, or cannot be read.
    """
    content = _content(path, begin)
    if own is not None and own.name == vkey.partition("+")[0]:
        raise UsageError(
            f"VKEY is the key of this node's own log, {own.name}.",
            why="A node reads its own log as it is; its peers are others.",
            hint=_KEY_HINT,
        )
    _refuse_arguments(parse_peers(content, str(path)), name, vkey, url)
    lines = [f"node {name} {vkey} {url}\n", *([f"verifier {name}\n"] if verifier else [])]
    glue = b"" if content.endswith(b"\n") or not content else b"\n"
    new = content + glue + "".join(lines).encode()
    parse_peers(new, f"{path} with this node")
    return new


def _refuse_arguments(peers: Peers, name: str, vkey: str, url: str) -> None:
    """Say which argument of a new node is wrong: whoever types them does not know lines of a file."""
    refuse_node_name(name, "cryoflux node peers add")
    if name in {node.name for node in peers.nodes}:
        raise UsageError(
            f"The name {name!r} is taken.",
            why="What you call a node means one of them.",
            hint=f"Choose another one, or remove that node first: cryoflux node peers remove {name}",
        )
    try:
        key = parse_verifier_key(vkey)
    except VerificationError as error:
        raise UsageError(
            f"VKEY is no key of a log: {vkey[:100]!r}.", why=error.what, hint=_KEY_HINT
        ) from error
    if key.kind is not KeyType.LOG:
        raise UsageError(
            f"VKEY is not the key of a log, but that of the {key.kind.name.lower()} {key.name}.",
            why="A node is known by the key of its log.",
            hint=_KEY_HINT,
        )
    if (known := next((node for node in peers.nodes if node.key.raw == key.raw), None)) is not None:
        raise UsageError(
            f"The log {key.name} is a node already: {known.name}.",
            why="Each log is pulled once.",
            hint="Show those that are named: cryoflux node peers",
        )
    if not is_url(url):
        raise UsageError(
            f"URL is no http address: {url[:100]!r}.",
            why="A node is pulled over HTTP, from the address of its public tree.",
            hint="Write it as `cryoflux node serve` shows it there, as in http://HOST:8790",
        )


def without_node(path: Path, name: str) -> bytes:
    """The content of a file of peers without a node, nor as a verifier; what else it says stays as it is.

    Raises:
        UsageError: there is no such node, or the file is not understood.
    """
    content = _content(path)
    if name not in {node.name for node in parse_peers(content, str(path)).nodes}:
        raise UsageError(
            f"{path} names no node {name[:64]!r}.", hint="Show those that it names: cryoflux node peers"
        )
    gone = {("node", name), ("verifier", name)}
    lines = content.decode("utf-8", "surrogateescape").splitlines(keepends=True)
    kept = "".join(line for line in lines if tuple(line.removeprefix("\ufeff").split()[:2]) not in gone)
    new = kept.encode("utf-8", "surrogateescape")
    parse_peers(new, f"{path} without this node")
    return new


def _content(path: Path, begin: bytes = NOBODY) -> bytes:
    try:
        return read_regular(path, _MOST_BYTES)
    except FileNotFoundError:
        return begin
    except OSError as error:
        raise UsageError(
            f"The peers {path} cannot be read: {error.strerror}.",
            hint="It is a text file; see its beginning.",
        ) from error

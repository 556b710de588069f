"""``cryoflux node pull`` and ``node peers``: whom a node knows, and what they have said since it asked."""

from __future__ import annotations

__all__ = ["begin_peers", "first_peers", "peers_app", "pull_peers"]

import shlex
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryoflux.cli.chosen import reader_state, state_of
from cryoflux.cli.console import JsonOption, StateOption, emit_json, stderr, stdout
from cryoflux.cli.groups import CommandGroup
from cryoflux.cli.node_follow import follow_peers
from cryoflux.errors import ExitCode, UsageError
from cryoflux.quantities import counted

if TYPE_CHECKING:
    from cryoflux.config import Settings
    from cryoflux.network.folder import NetworkFolder
    from cryoflux.network.gathered import Gathered, PeerGathered
    from cryoflux.receipts.checkpoint import VerifierKey

peers_app = typer.Typer(
    cls=CommandGroup,
    help="Show whom a node knows, add to them, remove from them.",
    invoke_without_command=True,
    rich_markup_mode=None,
)
_MIB = 2**20
_DEFAULT_MIB, _DEFAULT_S = 256, 60
_SHOWN = 3
"""offers that are not available, of one peer"""


def pull_peers(
    from_witnesses: Annotated[
        bool,
        typer.Option(
            "--from-witnesses", help="Ask witnesses for all heads first, then only peers that have grown."
        ),
    ] = False,
    most_mib: Annotated[
        int, typer.Option("--most-mib", min=1, help="MiB that one peer may bring in one pull.")
    ] = _DEFAULT_MIB,
    follow: Annotated[
        bool,
        typer.Option("--follow", help="Keep pulling until stopped, and at once what is said to have grown."),
    ] = False,
    every: Annotated[
        int, typer.Option("--every", min=5, max=86_400, help="With --follow: seconds between two pulls.")
    ] = _DEFAULT_S,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pull every peer: its log, the heads that witnesses cosigned of it, and what it offers."""
    from cryoflux.network.folder import NetworkFolder
    from cryoflux.network.gathering import gather
    from cryoflux.network.peers import Peers, read_peers

    folder = NetworkFolder.of(reader_state(state))
    quiet = as_json or follow or not stderr.is_terminal

    def pull(only: Collection[str] | None, stop: Callable[[], bool]) -> tuple[Peers, Gathered]:
        peers = read_peers(folder.known_peers)
        found = gather(
            folder.path,
            peers,
            most_bytes=most_mib * _MIB,
            ask_witnesses=from_witnesses,
            only=only,
            stop=stop,
            said=(lambda _: None) if quiet else stderr.print,
        )
        return peers, found

    if follow:
        follow_peers(folder, pull, partial(_show, folder=folder, as_json=as_json), every)
        return
    _, found = pull(None, lambda: False)
    _show(found, again=False, folder=folder, as_json=as_json)
    if found.accuses:
        raise typer.Exit(ExitCode.NEGATIVE_VERDICT)


def _show(found: Gathered, *, again: bool, folder: NetworkFolder, as_json: bool) -> None:
    """Print what a pull found; of one after others, as text, what of it is new."""
    if as_json:
        emit_json("node.pull/1", _document(found, folder))
        return
    if again and not (found := _news(found)).peers + found.strangers:
        return
    for line in _lines(found, folder):
        stdout.print(line)


def _news(found: Gathered) -> Gathered:
    peers, strangers = ([one for one in some if _is_news(one)] for some in (found.peers, found.strangers))
    return replace(found, peers=tuple(peers), strangers=tuple(strangers), heard=0)


def _is_news(one: PeerGathered) -> bool:
    from cryoflux.network.pulling import PullOutcome

    return bool(one.came) or not (one.known or one.outcome is PullOutcome.SAME)


def _evidence(one: PeerGathered, folder: NetworkFolder) -> Path | None:
    """Where the proof lies that a peer told two histories; none where it is not known to."""
    from cryoflux.digests import sha256_hex
    from cryoflux.network.mirror import EVIDENCE, PEERS

    path: Path = folder.path / PEERS / sha256_hex(one.origin.encode()) / EVIDENCE
    return path if path.is_file() else None


def _document(found: Gathered, folder: NetworkFolder) -> dict[str, Any]:
    return {
        "peers": [_peer_document(one, _evidence(one, folder)) for one in found.peers],
        "strangers": [_peer_document(one, _evidence(one, folder)) for one in found.strangers],
        "strangers_heard_of": found.heard,
        "witnesses": found.witnesses,
        "head_count": found.heads,
        "received_bytes": found.received + sum(one.received for one in (*found.peers, *found.strangers)),
        "accuses": found.accuses,
    }


def _peer_document(one: PeerGathered, evidence: Path | None) -> dict[str, Any]:
    return {
        "name": one.name,
        "origin": one.origin,
        "outcome": one.outcome.value,
        "why": one.why,
        "known": one.known,
        "evidence": str(evidence) if evidence is not None else None,
        "entries": one.size,
        "new": one.came,
        "witnessed_entries": one.witnessed,
        "offers": one.offers,
        "fetched": one.fetched,
        "waiting": one.waiting,
        "unavailable": [
            {"capsule": capsule, "tries": missing.tries, "why": missing.why}
            for capsule, missing in sorted(one.unavailable.items())
        ],
        "unopened": [
            {"guest": root, "tries": missing.tries, "why": missing.why}
            for root, missing in sorted(one.unopened.items())
        ],
        "received_bytes": one.received,
        "hint_count": one.hints,
    }


def _lines(found: Gathered, folder: NetworkFolder) -> list[str]:
    every = (*found.peers, *found.strangers)
    if not every:
        return [f"{folder.known_peers} names no node: cryoflux node peers add NAME VKEY URL"]
    lines = []
    if found.witnesses:
        witnesses = counted(found.witnesses, "witness", "witnesses")
        lines.append(f"{witnesses} brought {counted(found.heads, 'head', 'heads')}")
    width = max(len(one.name) for one in every)
    for one in every:
        lines.append(f"{one.name.ljust(width)}  {_said(one)}")
        if (evidence := _evidence(one, folder)) is not None:
            lines.append(f"{' ' * width}  evidence: {shlex.quote(str(evidence))}")
        missing = [(f"{capsule[:16]}…", said) for capsule, said in sorted(one.unavailable.items())]
        missing += [(f"guest holdout {root[:16]}…", said) for root, said in sorted(one.unopened.items())]
        lines += [
            f"{' ' * width}  unavailable: {what} ({counted(said.tries, 'try', 'tries')}): {said.why}"
            for what, said in missing[:_SHOWN]
        ]
        if len(missing) > _SHOWN:
            lines.append(f"{' ' * width}  and {len(missing) - _SHOWN} more")
    if found.heard:
        drawn = sum(one.by_lottery for one in found.strangers)
        lines.append(f"{counted(found.heard, 'stranger', 'strangers')} heard of, {drawn} drawn")
    return lines


def _said(one: PeerGathered) -> str:
    from cryoflux.network.pulling import PullOutcome

    parts = []
    if one.outcome not in {PullOutcome.NEW, PullOutcome.SAME}:
        known = " (known before)" if one.known else ""
        parts.append(f"{one.outcome}{known}: {one.why}")
    parts.append(f"{counted(one.size, 'entry', 'entries')}, {one.came:,} new")
    parts.append(f"{one.witnessed:,} witnessed" if one.witnessed else "not witnessed")
    if one.offers:
        waits = f", {one.waiting} not witnessed" if one.waiting else ""
        parts.append(f"{counted(one.offers, 'offer', 'offers')}, {one.fetched} fetched{waits}")
    parts.append(f"{one.received:,} bytes")
    return " · ".join(parts)


@peers_app.callback()
def show_peers(
    context: typer.Context,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show whom a node knows, whom these name, and which strangers were drawn by lottery."""
    if context.invoked_subcommand is not None:
        return
    from cryoflux.cli.peer_words import peer_lines, peers_document
    from cryoflux.network.folder import NetworkFolder
    from cryoflux.network.peers import read_peers

    folder = NetworkFolder.of(reader_state(state))
    peers = read_peers(folder.known_peers)
    if as_json:
        emit_json("node.peers/1", peers_document(folder, peers))
        return
    for line in peer_lines(folder, peers):
        stdout.print(line)


@peers_app.command("add")
def add_peer(
    name: Annotated[str, typer.Argument(help="What you call it.")],
    vkey: Annotated[str, typer.Argument(help="Key of its log: cryoflux witness key prints it there.")],
    url: Annotated[str, typer.Argument(help="Address of its public tree.")],
    verifier: Annotated[
        bool, typer.Option("--verifier", help="Let its verdicts count in your books.")
    ] = False,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a node to those that are pulled; everything else in the file stays as it is.

    The first one begins the file, with the witnesses and the quorum of the setting trust.
    """
    from cryoflux.config import load_settings
    from cryoflux.network.peers import with_node

    begin, own = first_peers(load_settings({"state": state}).settings), _own_key(state_of(state))
    _replace(
        state,
        "added",
        name,
        lambda path: with_node(path, name, vkey, url, verifier=verifier, begin=begin, own=own),
        as_json,
    )


def _own_key(state: Path) -> VerifierKey | None:
    """The key of the node's own log; none where it has none, as whoever only reads."""
    from cryoflux.witness.cosigned import log_key_of

    try:
        return log_key_of(state)
    except UsageError:
        return None


def begin_peers(settings: Settings, state: Path) -> Path | None:
    """Let a node go by the witnesses that the settings trust, before it knows anybody; the new file.

    Args:
        settings: that trust them.
        state: of the node.

    Returns:
        none where there is a file of peers, or nobody is trusted.
    """
    from cryoflux.files import one_at_a_time, write_atomic
    from cryoflux.network.folder import NetworkFolder

    path = NetworkFolder.of(state).known_peers
    if path.is_file() or not settings.witness.trust:
        return None
    with one_at_a_time(path.with_name("peers.lock")):
        write_atomic(path, first_peers(settings))
    return path


def first_peers(settings: Settings) -> bytes:
    """What a file of peers begins with: the policy that the settings trust; that of nobody without one.

    Where that needs a quorum, a line lets strangers in: whoever does not want that takes it out.
    """
    from cryoflux.files import read_regular
    from cryoflux.network.peers import LET_IN, NOBODY
    from cryoflux.witness.policy import MOST_POLICY_BYTES, read_policy

    if not (trust := settings.witness.trust):
        return NOBODY
    policy = read_policy(Path(trust))  # it says what is wrong in its own words
    content = read_regular(Path(trust), MOST_POLICY_BYTES)
    glue = b"" if content.endswith(b"\n") else b"\n"
    return content if policy.reached(set()) else content + glue + LET_IN


@peers_app.command("remove")
def remove_peer(
    name: Annotated[str, typer.Argument(help="What you call it.")],
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove a node from those that are pulled; what was mirrored of it stays."""
    from cryoflux.network.peers import without_node

    reader_state(state)
    _replace(state, "removed", name, lambda path: without_node(path, name), as_json)


def _replace(
    state: str | None, event: str, name: str, change: Callable[[Path], bytes], as_json: bool
) -> None:
    from cryoflux.files import one_at_a_time, write_atomic
    from cryoflux.network.folder import NetworkFolder
    from cryoflux.network.peers import read_peers

    path = NetworkFolder.of(state_of(state)).known_peers
    change(path)  # what cannot be used is refused before a folder is made for the lock
    with one_at_a_time(path.with_name("peers.lock")):
        write_atomic(path, change(path))
    if as_json:
        emit_json("node.peers/1", {"event": event, "name": name, "path": str(path)})
    else:
        stdout.print(f"{event} {name}: {path}")
        if read_peers(path).policy.reached(set()):
            stdout.print(
                "note: it names no witnesses, so no update of yours is shown to others, and every log is "
                "believed as it is: add the witness and quorum lines of your policy"
            )

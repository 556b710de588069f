"""A version on the Hugging Face Hub: its files, its updates, a card, and the receipts that bear it out.

What goes is listed by name: the files that a checksum file of the version or of an update names, the card, a
proof of each entry that the version rests on, and public keys. Nothing else of a state is read: no key, no
data set, no cache, no entry about anything else; and a file that holds a private key all the same is refused.
"""

from __future__ import annotations

__all__ = ["HubFile", "RepositoryParts", "files_to_push", "push_files", "write_files"]

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from cryoflux.digests import CHECKSUMS, mismatched_files
from cryoflux.errors import StateTamperedError, StorageError, UsageError
from cryoflux.files import (
    copy_regular,
    holds_something,
    open_regular,
    read_regular,
    require_regular,
    storage_errors,
    write_atomic,
)
from cryoflux.integrations.tracking import missing
from cryoflux.queries.made_of import MadeOf
from cryoflux.receipts.key_statement import public_key_of
from cryoflux.receipts.proof import format_proof, prove
from cryoflux.receipts.reading import each_entry
from cryoflux.registry.versions import Versions
from cryoflux.signing.keys import key_id, load_public_key, public_pem
from cryoflux.state import StateFolder

_PRIVATE = b"PRIVATE KEY"
_PIECE = 1 << 20
_SMALL = 1_000_000
_RECEIPTS = "cryoflux"
_SHORT = 16
"""digits of a key's id that name a folder"""


@dataclass(frozen=True, slots=True)
class RepositoryParts:
    """What of a version goes, beside its card."""

    version: bool = True
    """its own files; else its updates alone"""
    whole_log: bool = False
    """every signed entry of the state, also of what the version does not rest on"""


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file of a repository."""

    name: str
    content: bytes | Path
    """itself, or where it lies"""

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.stat().st_size


def files_to_push(
    folder: StateFolder,
    digest: str,
    made: MadeOf,
    card: str,
    parts: RepositoryParts,
    opened: ExitStack,
) -> tuple[HubFile, ...]:
    """What goes to the Hub, checked.

    Args:
        folder: the state.
        digest: of the version.
        made: what it is made of.
        card: the text of its model card.
        parts: what was asked for.
        opened: keeps the version's files until they were sent.

    Raises:
        UsageError: its files are not here, or no update where nothing else was asked for; or a file holds
            a private key.
        StateTamperedError: a file is not what its checksum says.
    """
    found = [HubFile("README.md", card.encode())]
    if not parts.version and (made.updates_missing or not made.updates):
        raise UsageError(
            f"Version {digest[:12]} is not made of updates that are here.",
            why="Version 0, versions of a fork and those of other tasks have none, or some were lost.",
            hint="Push the version itself: leave --adapter-only out.",
        )
    if parts.version:
        kept = folder.model(digest)
        here = (kept / CHECKSUMS).is_file()
        found += _listed(opened.enter_context(Versions(folder.path).opened(digest)) if here else kept, "")
    for update in made.updates:
        what = "adapters" if update.is_adapter else "updates"
        found += _listed(update.folder, f"{what}/{update.attempt}/")
    found += _proofs(folder, made)
    if parts.whole_log:
        entries = b"".join(entry.envelope + b"\n" for entry in each_entry(folder.path))
        found.append(HubFile(f"{_RECEIPTS}/receipts.jsonl", entries))
    for one in found:
        _refuse_private(one)
    return tuple(found)


def _proofs(folder: StateFolder, made: MadeOf) -> Iterator[HubFile]:
    """A proof of each entry, below the key that signed it, and the key of the log."""
    first = load_public_key(folder.keys / "receipt.pub")
    keys = [first, *map(public_key_of, made.later_keys)]
    places = {key_id(key): f"{_RECEIPTS}/{key_id(key)[:_SHORT]}" for key in keys} | {key_id(first): _RECEIPTS}
    yield HubFile(f"{_RECEIPTS}/log.pub", public_pem(load_public_key(folder.keys / "log.pub")))
    for key in keys:
        yield HubFile(f"{places[key_id(key)]}/receipt.pub", public_pem(key))
    for entry in made.entries:
        name = f"{places.get(entry.keyid, _RECEIPTS)}/receipt-{entry.index}.tlog-proof"
        yield HubFile(name, format_proof(prove(folder.path, entry.index)))


def _listed(place: Path, prefix: str) -> Iterator[HubFile]:
    """The files that a folder's checksums name, and the checksums."""
    if not (place / CHECKSUMS).is_file():
        raise UsageError(
            f"The files of {place.name[:12]} are not here.",
            why="They were freed, or never were.",
            hint="Make them again: cryoflux models rebuild VERSION; or push another version.",
        )
    if wrong := mismatched_files(place):
        raise StateTamperedError(
            f"{place / wrong[0]} is not the file that its checksum names.",
            why="Whoever loads it would not get what the receipts are about.",
            hint="See what is wrong: cryoflux verify.",
        )
    names = (line[66:] for line in read_regular(place / CHECKSUMS, _SMALL).decode().splitlines())
    for name in (*names, CHECKSUMS):
        require_regular(place / name)
        yield HubFile(f"{prefix}{name}", place / name)


def _refuse_private(one: HubFile) -> None:
    if any(_PRIVATE in piece for piece in _pieces(one)):
        raise UsageError(
            f"{one.name} holds a private key.",
            why="What is on the Hub, everybody can read.",
            hint="Take it out of the version's folder.",
        )


def _pieces(one: HubFile) -> Iterator[bytes]:
    if isinstance(one.content, bytes):
        yield one.content
        return
    with open_regular(one.content) as stream:
        before = b""
        while piece := stream.read(_PIECE):
            yield before + piece
            before = piece[-len(_PRIVATE) :]


def write_files(target: Path, files: Sequence[HubFile]) -> None:
    """Write a repository into a new folder.

    Raises:
        UsageError: the folder is not empty.
        StorageError: the disk is full, read-only, or refuses.
    """
    if holds_something(target):
        raise UsageError(
            f"{target} is not an empty folder.",
            why="What lies in it would look like a part of the version.",
            hint="Name a new one with --into DIR.",
        )
    with storage_errors(target):
        target.mkdir(parents=True, exist_ok=True)
        if (room := shutil.disk_usage(target).free) < (size := sum(one.size for one in files)):
            raise StorageError(
                f"{target} has no room: {size:,} B are to be written, and {room:,} B are free.",
                hint="Name a folder on another disk: --into DIR.",
            )
    for one in files:
        place = target / one.name
        if isinstance(one.content, bytes):
            write_atomic(place, one.content)
            continue
        with storage_errors(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            copy_regular(one.content, place)


def push_files(repository: str, files: Sequence[HubFile], *, private: bool, message: str) -> str:
    """Upload files as one commit, and say where they are.

    Args:
        repository: ``owner/name``; made where there is none.
        files: what goes.
        private: whether a repository that is made is.
        message: of the commit.

    Raises:
        UsageError: huggingface_hub is not installed.
        StorageError: the Hub did not take it.
    """
    try:
        from huggingface_hub import CommitOperationAdd, HfApi
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    except ImportError as error:
        raise missing("huggingface_hub", error) from error
    operations = [
        CommitOperationAdd(
            one.name, one.content if isinstance(one.content, bytes) else str(one.content.resolve())
        )
        for one in files
    ]
    api = HfApi(library_name="cryoflux")
    try:
        made = api.create_repo(repository, private=private or None, exist_ok=True)
        commit = api.create_commit(made.repo_id, operations, commit_message=message)
    except HFValidationError as error:
        raise UsageError(
            f"{repository!r} is no repository: {error}", hint="Name it as owner/name."
        ) from error
    except (HfHubHTTPError, OSError, ValueError, RuntimeError) as error:
        raise StorageError(
            f"The Hub did not take it: {error}",
            why=f"{len(files)} files were to go to {repository}.",
            hint="Say who you are: hf auth login; then type the same command again.",
        ) from error
    return str(commit.commit_url)

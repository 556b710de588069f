"""A version on the Hugging Face Hub: its files, its adapter, a card, and the receipts that bear it out.

What goes is listed by name: the files that a checksum file of the version or of its adapter names, the card,
the signed entries, the head of the log and the two public keys. Nothing else of a state is read: no key, no
data set, no cache; and a file that holds a private key all the same is refused.
"""

from __future__ import annotations

__all__ = ["HubFile", "files_to_push", "push_files"]

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryoflux.digests import CHECKSUMS, mismatched_files
from cryoflux.errors import StateTamperedError, StorageError, UsageError
from cryoflux.files import open_regular, read_regular, require_regular
from cryoflux.integrations.tracking import missing
from cryoflux.receipts.decoding import parse_statement
from cryoflux.receipts.reading import each_entry
from cryoflux.receipts.statement import ReceiptStatement
from cryoflux.registry.versions import Versions
from cryoflux.runs.catalogue import CataloguedVersion
from cryoflux.state import StateFolder

_PRIVATE = b"PRIVATE KEY"
_PIECE = 1 << 20
_SMALL = 1_000_000
_ADAPTER = "adapter_model.safetensors"


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
    folder: StateFolder, version: CataloguedVersion, card: str, *, adapter_only: bool = False
) -> tuple[HubFile, ...]:
    """What goes to the Hub, checked.

    Args:
        folder: the state.
        version: of which task, and made by which receipt.
        card: the text of its model card.
        adapter_only: whether the version itself stays here.

    Raises:
        UsageError: its files are not here, or no adapter where nothing else was asked for; or a file holds
            a private key.
        StateTamperedError: a file is not what its checksum says.
    """
    found = [HubFile("README.md", card.encode())]
    adapter = _adapter(folder, version)
    if adapter_only and adapter is None:
        raise UsageError(
            f"Version {version.digest[:12]} was made by no adapter that is here.",
            why="Version 0, versions of a fork and those of other tasks have none.",
            hint="Push the version itself: leave --adapter-only out.",
        )
    if not adapter_only:
        Versions(folder.path).fill(version.digest)
        found += _listed(folder.model(version.digest), "")
    if adapter is not None:
        found += _listed(adapter, "adapter/")
    entries = b"".join(entry.envelope + b"\n" for entry in each_entry(folder.path))
    found.append(HubFile("cryoflux/receipts.jsonl", entries))
    for name, path in (
        ("checkpoint", folder.checkpoint),
        ("receipt.pub", folder.path / "keys" / "receipt.pub"),
        ("log.pub", folder.path / "keys" / "log.pub"),
    ):
        if path.is_file():
            found.append(HubFile(f"cryoflux/{name}", read_regular(path, _SMALL)))
    for one in found:
        _refuse_private(one)
    return tuple(found)


def _adapter(folder: StateFolder, version: CataloguedVersion) -> Path | None:
    """The folder of the adapter that made a version, as its receipt names it."""
    for entry in each_entry(folder.path) if version.origin == "receipt" else ():
        if entry.leaf_hash != version.made_by:
            continue
        statement, _ = parse_statement(entry.signed.payload)
        subjects = statement.subject if isinstance(statement, ReceiptStatement) else []
        for subject in subjects:
            place = folder.capsule(subject.digest.sha256)
            if subject.name == _ADAPTER and place.is_dir():
                return place
    return None


def _listed(place: Path, prefix: str) -> Iterator[HubFile]:
    """The files that a folder's checksums name, and the checksums."""
    if not (place / CHECKSUMS).is_file():
        raise UsageError(
            f"The files of version {place.name[:12]} are not here.",
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

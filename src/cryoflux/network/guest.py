"""A guest holdout on the disk of its node: secret until it retires.

``guest/<root>/`` holds the examples as they were hashed, the key that all salts follow from, and of each look
its sums and losses. Whoever reads them could fit what he offers to them, so nobody else on the machine may.
"""

from __future__ import annotations

__all__ = ["GuestFolder", "enter_guest", "open_guest"]

import secrets
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from cryoflux.errors import StateTamperedError
from cryoflux.files import MOST_FILE_BYTES, read_regular, storage_errors, sync_folder, write_atomic
from cryoflux.network.folder import EXAMPLES, GUEST_KEY, NetworkFolder
from cryoflux.network.round_parts import ShownLook
from cryoflux.receipts.guest_tree import KEY_BYTES, guest_root
from cryoflux.receipts.network_parts import SealedSums
from cryoflux.signing.canonical import canonical_bytes

_SECRET = 0o600
_MOST_LOOK_BYTES = 262_144
_UNREADABLE = (OSError, ValueError, msgspec.DecodeError)


@dataclass(frozen=True, slots=True)
class GuestFolder:
    """A guest holdout that is here."""

    path: Path
    root: str
    key: bytes
    examples: tuple[bytes, ...]
    """as they were hashed, in order"""

    @property
    def content(self) -> bytes:
        """The file of its examples: one a line."""
        return b"".join(example + b"\n" for example in self.examples)

    def keep_look(self, shown: ShownLook, losses: bytes) -> None:
        """Keep what a look has shown, before anything of it is published.

        Args:
            shown: the look.
            losses: example by example, as `cryoflux.evaluation.losses.write_evidence` writes them.

        Raises:
            StorageError: the disk is full, read-only, or refuses.
        """
        write_atomic(self.path / f"{shown.intent}.losses", losses, mode=_SECRET)
        write_atomic(self.path / f"{shown.intent}.json", canonical_bytes(shown), mode=_SECRET)

    def keep_sums(self, name: str, sums: SealedSums) -> None:
        """Keep what a look for a contract has shown, before anything of it is published.

        Args:
            name: of the look (`receipts.contract_parts.look_name`).
            sums: that are sealed.

        Raises:
            StorageError: the disk is full, read-only, or refuses.
        """
        write_atomic(self.path / f"{name}.sums", canonical_bytes(sums), mode=_SECRET)

    def sums(self, name: str) -> SealedSums | None:
        """What a look for a contract has shown; none where it has shown nothing.

        Args:
            name: of the look.

        Raises:
            StateTamperedError: what is here cannot be read.
        """
        path = self.path / f"{name}.sums"
        if not path.exists():
            return None
        try:
            return msgspec.json.decode(read_regular(path, _MOST_LOOK_BYTES), type=SealedSums)
        except _UNREADABLE as error:
            raise StateTamperedError(
                f"The sums of a look for a contract cannot be read: {error}.",
                why="A look is never made twice, and an opening shows every one of them.",
                hint=f"Restore {shlex.quote(str(path))} from a backup.",
            ) from error

    def look(self, intent: str) -> ShownLook | None:
        """The look of a round; none where it has shown nothing.

        Args:
            intent: leaf hash of the announcement of the round.

        Raises:
            StateTamperedError: what is here cannot be read.
        """
        path = self.path / f"{intent}.json"
        if not path.exists():
            return None
        try:
            return msgspec.json.decode(read_regular(path, _MOST_LOOK_BYTES), type=ShownLook)
        except _UNREADABLE as error:
            raise _lost(path, str(error)) from error


def enter_guest(network: NetworkFolder, examples: Sequence[bytes]) -> GuestFolder:
    """Keep examples that shall judge what others offer, under a new key; nothing else knows them.

    Args:
        network: the node's folder.
        examples: the RFC 8785 bytes of each.

    Raises:
        StorageError: the disk is full, read-only, or refuses.
    """
    key = secrets.token_bytes(KEY_BYTES)
    root = guest_root(examples, key)
    guest = GuestFolder(network.guest(root), root, key, tuple(examples))
    draft = guest.path.with_name(f".draft-{guest.root[:16]}")
    with storage_errors(draft):
        draft.mkdir(parents=True, mode=0o700)
        write_atomic(draft / EXAMPLES, guest.content, mode=_SECRET)
        write_atomic(draft / GUEST_KEY, key.hex().encode(), mode=_SECRET)
        draft.rename(guest.path)
        sync_folder(network.guests)
    return guest


def open_guest(network: NetworkFolder, root: str) -> GuestFolder:
    """A guest holdout, every byte of it compared with its root.

    Args:
        network: the node's folder.
        root: of its salted tree, as the log names it.

    Raises:
        StateTamperedError: it is not here, or is another one.
    """
    path = network.guest(root)
    try:
        content = read_regular(path / EXAMPLES, MOST_FILE_BYTES)
        key = bytes.fromhex(read_regular(path / GUEST_KEY, 2 * KEY_BYTES).decode())
        examples = tuple(content.splitlines())
        found = guest_root(examples, key)
    except _UNREADABLE as error:
        raise _lost(path, str(error)) from error
    if found != root:
        raise _lost(path, "its root is another one")
    return GuestFolder(path, root, key, examples)


def _lost(path: Path, what: str) -> StateTamperedError:
    return StateTamperedError(
        f"{path} is not the guest holdout that the log names: {what.removesuffix('.')}.",
        why="Its verdicts are sealed under it: without it they can never be opened.",
        hint="Restore the folder from a backup. Without it: cryoflux node init enters another guest holdout.",
    )

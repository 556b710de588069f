"""Making a state of its own out of another one: the same models and data, a new log, and no joules.

The log that is new begins with one entry, which names the parent's signed head and what the parent's log had
come to there. What makes the parent a node stays with it: a guest holdout judges in one log, and as a list of
updates begins at the head here, what the parent adopted is recalled in the parent alone. The parent is only
read, at one moment, so a run may be at work in it. Everything is made in a folder beside the new one, whose
lock is held, and takes its name in one step: a new state is there or is not.
"""

from __future__ import annotations

__all__ = ["ForkedState", "fork_state"]

import base64
import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cryoflux.digests import COMPOSED, folder_digest, mismatched_files
from cryoflux.errors import CryoFluxError, StateError, StateTamperedError, StorageError, UsageError
from cryoflux.files import (
    Copying,
    files_below,
    holds_something,
    lock_exclusively,
    storage_errors,
    sync_folder,
)
from cryoflux.log_state import LogState
from cryoflux.receipts.checkpoint import Checkpoint, origin_of
from cryoflux.receipts.fork_parts import ParentLog, subject_of_parent
from cryoflux.receipts.log import ReceiptLog
from cryoflux.receipts.statement import Fork, ForkStatement
from cryoflux.receipts.voucher import sign_voucher
from cryoflux.registry.shards import link_or_copy
from cryoflux.registry.versions import Versions
from cryoflux.runs.fork_source import ForkSource, read_source
from cryoflux.signing.keys import KEYS_FOLDER, RECEIPT_KEY, load_public_key, raw_public_key
from cryoflux.state import StateFolder
from cryoflux.tasks.interface import Origin

_DRAFT = ".{name}.forking"


@dataclass(frozen=True, slots=True)
class ForkedState:
    """A state that was made out of another one."""

    path: Path
    origin: str
    """of its log"""
    parent: Checkpoint
    """the head of the parent's log that it goes on from"""
    heads: Mapping[str, str]
    """task → digest of the version that it goes on from"""
    looks: int
    """verdicts that holdouts gave in the parent, and that count here too"""
    guests: int
    """guest holdouts that stay behind: they judge nothing here"""
    linked_bytes: int
    """of models, that the two states share on the disk"""
    copied_bytes: int
    vouched: bool
    """whether the parent's receipt key says that this log goes on from its own"""


def fork_state(source: Path, target: Path, now: datetime) -> ForkedState:
    """Make a state that goes on from another one.

    Args:
        source: the state to go on from; it is not changed, and may be in use.
        target: the new state: a folder that is not there, or is empty.
        now: UTC wall time, a label.

    Raises:
        UsageError: the source is no state, or the target is in the way.
        StateTamperedError: the source is not what was signed.
        StateError: a newer version wrote it, or somebody else makes the same fork.
        StorageError: the disk is full, read-only, or refuses; then nothing is left behind.
    """
    target = target.absolute()
    _require_free(source, target)
    parent = read_source(source)
    with _draft(target) as folder:
        linked, copied = _bring(parent, folder)
        _point_heads(parent, folder)
        _begin_log(parent, folder, now)
        _take_name(folder, target)
    return ForkedState(
        path=target,
        origin=origin_of(load_public_key(target / KEYS_FOLDER / f"{RECEIPT_KEY}.pub")),
        parent=parent.point,
        heads={task: _head(parent.memory, task, origin) for task, origin in parent.origins.items()},
        looks=sum(t.looks for known in parent.memory.tasks.values() for t in known.holdouts.values()),
        guests=len(parent.memory.guests_handed_on()),
        linked_bytes=linked,
        copied_bytes=copied,
        vouched=parent.signer is not None,
    )


def _require_free(source: Path, target: Path) -> None:
    if target.is_symlink() or holds_something(target):
        raise UsageError(
            f"{target} exists and is not an empty folder.",
            why="A fork is a state of its own, and takes the place of nothing.",
            hint="Give it the name of a folder that is not there yet.",
        )
    if target.resolve().is_relative_to(source.absolute().resolve()):
        raise UsageError(
            f"{target} lies inside {source}.",
            why="A state keeps to itself, so that it can be copied, checked and thrown away as one.",
            hint="Give the fork a folder beside it.",
        )


@contextmanager
def _draft(target: Path) -> Iterator[Path]:
    """The folder that becomes the new state, under its lock; gone afterwards, unless it took its name."""
    folder = target.with_name(_DRAFT.format(name=target.name))
    with storage_errors(folder):
        target.parent.mkdir(parents=True, exist_ok=True)
    with lock_exclusively(StateFolder(folder).lock, holder="cryoflux fork"):
        try:
            _clear(folder)  # what one left that was killed
            yield folder
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        if path != StateFolder(folder).lock:
            with storage_errors(path):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _take_name(folder: Path, target: Path) -> None:
    try:
        with storage_errors(target):
            sync_folder(folder)
            folder.rename(target)  # an empty folder of that name is replaced, and nothing else
            sync_folder(target.parent)
    except StorageError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno in {errno.ENOTEMPTY, errno.EEXIST}:
            raise UsageError(
                f"{target} was made by somebody else meanwhile.",
                why="A fork takes the place of nothing.",
                hint="Give it another name.",
            ) from error
        raise


def _head(memory: LogState, task: str, origin: Origin) -> str:
    known = memory.tasks.get(task)
    return known.head.digest if known is not None else origin.version


def _firsts_and_heads(parent: ForkSource) -> dict[str, None]:
    found: dict[str, None] = {}
    for task, origin in parent.origins.items():
        found[origin.version] = found[_head(parent.memory, task, origin)] = None
    return found


def _bring(parent: ForkSource, folder: Path) -> tuple[int, int]:
    """Models, data and what else a run needs; how many bytes of it are shared, and how many were copied."""
    source, made = parent.state, StateFolder(folder)
    sizes = [0, 0]
    for digest in _firsts_and_heads(parent):
        with Versions(source.path).opened(digest, room=folder) as whole:
            _bring_folder(whole, made.model(digest), sizes, link=True)
        Versions(folder).open(digest)  # every byte of it is checked
    for task, origin in parent.origins.items():
        known = parent.memory.tasks.get(task)
        digest = known.latest.digest if known is not None else origin.data_digest
        _bring_folder(source.data(digest), made.data(digest), sizes, link=False)
        _check_data(made.data(digest), digest)
    # Both are of this machine and of these models, not of a log.
    losses = source.cache / "losses"
    if losses.is_dir():
        _bring_folder(losses, made.cache / "losses", sizes, link=False)
    for path in (*source.path.glob(f"{source.baseline.stem}*"), source.origin):
        if path.is_file():
            _bring_file(path, folder / path.name, sizes, Copying(), link=False)
    return sizes[0], sizes[1]


def _bring_folder(source: Path, target: Path, sizes: list[int], *, link: bool) -> None:
    if not source.is_dir():
        raise StateTamperedError(
            f"{source} is missing.",
            why="The fork would lack what its log says that it goes on from.",
            hint="Restore it from a backup; cryoflux verify names everything that is missing.",
        )
    copying = Copying()
    for path in files_below(source).values():
        # a write that a crash cut short; and of what it was composed: the fork's list begins at it
        if path.is_file() and not path.name.startswith(".") and path.name != COMPOSED:
            _bring_file(path, target / path.relative_to(source), sizes, copying, link=link)
    with storage_errors(target):
        target.mkdir(parents=True, exist_ok=True)
        sync_folder(target)


def _bring_file(source: Path, target: Path, sizes: list[int], copying: Copying, *, link: bool) -> None:
    with storage_errors(target):
        if link and not source.is_symlink():
            link_or_copy(source, target)
        else:
            copying.copy(source, target)
            _sync(target)
        shared = target.samefile(source)
        sizes[0 if shared else 1] += target.stat().st_size


def _sync(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def _check_data(folder: Path, digest: str) -> None:
    try:
        wrong = mismatched_files(folder)
        if not wrong and folder_digest(folder) == digest:
            return
        what = f"{wrong[0]} is not the file that was kept" if wrong else "it is another data set"
    except (OSError, ValueError) as error:
        what = f"it cannot be read ({error})"
    raise StateTamperedError(
        f"The data set {digest[:16]}… is damaged: {what}.",
        why="Δ measured on other examples cannot be added to what was measured before.",
        hint="Restore it from a backup; cryoflux verify names everything that is damaged.",
    )


def _point_heads(parent: ForkSource, folder: Path) -> None:
    versions = Versions(folder)
    for task, origin in parent.origins.items():
        versions.point_head(_head(parent.memory, task, origin), task)


def _begin_log(parent: ForkSource, folder: Path, now: datetime) -> None:
    with closing(ReceiptLog.open(folder)) as log:
        successor = log.authority.receipt_key
        assert successor is not None  # noqa: S101 - it has just been made
        said = _parent(parent, successor)

        def build(sequence: int, prev: str) -> ForkStatement:
            fork = Fork(
                sequence=sequence,
                prev=prev,
                parent=said,
                tasks=parent.memory.handed_on(),
                forked_at=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
                judged=parent.memory.judged_handed_on(),
                guests=parent.memory.guests_handed_on(),
            )
            return ForkStatement(subject=subject_of_parent(said.checkpoint), predicate=fork)

        try:
            log.append(build)
        except StorageError:
            raise
        except CryoFluxError as error:
            raise StateError(
                f"What the parent's log has come to does not fit into one entry: {error.what}",
                why="A fork that leaves some of it out would count fewer looks than there were.",
                hint="Go on with a copy of the state alone, and with the original no more.",
            ) from error


def _parent(parent: ForkSource, successor: Ed25519PublicKey) -> ParentLog:
    voucher = ""
    if parent.signer is not None:
        voucher = sign_voucher(parent.point, parent.log_key, successor, parent.signer)
    return ParentLog(
        checkpoint=parent.note.decode(),
        last=parent.memory.last,
        receipt_key=base64.b64encode(raw_public_key(parent.receipt_key)).decode(),
        log_key=base64.b64encode(raw_public_key(parent.log_key)).decode(),
        voucher=voucher,
    )

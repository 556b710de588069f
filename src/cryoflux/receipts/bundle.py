"""Everything that a stranger needs in order to check a log, in one folder, with a script to do it.

The folder holds what the signed checkpoint covers, and it is put together from the entries, not copied from
the tiles on the disk, after the root over them has been found to be the signed one. Artefacts are found by
the digests that the entries name; one that is not kept here is not in the bundle, and is named.
"""

from __future__ import annotations

__all__ = ["Bundle", "Extras", "verify_script_bytes", "write_bundle"]

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cryoflux.digests import CHECKSUMS, Hashing, copy_listed, find_listed, listed_digests
from cryoflux.errors import StateTamperedError, UsageError
from cryoflux.files import copy_regular, holds_something, read_beginning, storage_errors, write_atomic
from cryoflux.receipts.checkpoint import MAX_NOTE_BYTES, parse_checkpoint
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.key_statement import KeyRoot, KeyRotation, public_key_of
from cryoflux.receipts.log import CHECKPOINT, LOG_FOLDER
from cryoflux.receipts.log_key import refuse_other_log_key
from cryoflux.receipts.network_parts import RoundOutcome
from cryoflux.receipts.reading import read_entries
from cryoflux.receipts.schema import schema_bytes
from cryoflux.receipts.statement import Base
from cryoflux.receipts.tiles import TileTree, publish_tiles
from cryoflux.signing.keys import KEYS_FOLDER, LOG_KEY, RECEIPT_KEY, key_id, load_public_key, public_pem
from cryoflux.state import ADAPTER


@dataclass(frozen=True, slots=True)
class Extras:
    """Which artefacts go into a bundle."""

    adapters: bool = False
    models: bool = False
    """the first model and the head"""
    holdout: bool = False
    """the holdouts, and the losses of each example"""


@dataclass(frozen=True, slots=True)
class Bundle:
    """What was written."""

    entries: int
    """covered by the checkpoint"""
    uncovered: int
    """newer entries, which are not in it"""
    missing: tuple[str, ...]
    """digests of artefacts that were asked for and are not kept here"""
    heads: dict[str, str]
    """task → digest of the version that the log leaves as its head"""


def write_bundle(state: Path, target: Path, extras: Extras) -> Bundle:
    """Write the bundle of a state's log into a new folder.

    Raises:
        UsageError: the folder is not empty, or there is no log.
        StateTamperedError: the entries are not those that were signed, or the log key is another one.
        VerificationError: the checkpoint is not signed by the log's key.
        StorageError: the disk is full, read-only, or refuses.
    """
    if holds_something(target):
        raise UsageError(
            f"{target} is not an empty folder.",
            why="What lies in it would look like a part of the bundle.",
            hint="Name a new one with -o DIR.",
        )
    everything = read_entries(state)
    note = read_beginning(state / LOG_FOLDER / CHECKPOINT, MAX_NOTE_BYTES + 1)
    log_key = load_public_key(state / KEYS_FOLDER / f"{LOG_KEY}.pub")
    head = parse_checkpoint(note, log_key)
    entries = everything[: head.size]
    if entries:
        refuse_other_log_key(entries[0], log_key)
    tree = TileTree(entry.envelope for entry in entries)
    if len(entries) < head.size or tree.root() != head.root:
        raise StateTamperedError(
            "The entries of the log are not those that its checkpoint was signed over.",
            why="Nobody would accept the bundle.",
            hint="cryoflux verify names everything that is wrong.",
        )
    write_atomic(target / LOG_FOLDER / CHECKPOINT, note)
    publish_tiles(target / LOG_FOLDER, tree.contents())
    for entry in entries:
        write_atomic(target / "entries" / f"{entry.index:06}.json", entry.envelope)
    heads = _versions(entries)[1]
    lines = [f"{task} {head.digest} {head.files}\n" for task, head in sorted(heads.items())]
    write_atomic(target / "heads.txt", "".join(lines).encode())
    _write_keys(state, target, entries)
    _write_words(target)
    missing = tuple(_copy_artefacts(state, target, entries, extras))
    digests = {task: head.digest for task, head in heads.items()}
    return Bundle(len(entries), len(everything) - len(entries), missing, digests)


def verify_script_bytes() -> bytes:
    """The script that checks a bundle with stock tools, ``verify.sh``."""
    return files("cryoflux.receipts").joinpath("verify.sh").read_bytes()


def _write_words(target: Path) -> None:
    words = files("cryoflux.receipts")
    write_atomic(target / "verify.sh", verify_script_bytes(), mode=0o755)
    write_atomic(target / "README.txt", words.joinpath("bundle.txt").read_bytes())
    # The form of entries, which the script takes only by the digest that stands in it.
    write_atomic(target / "receipt.schema.json", schema_bytes())


def _write_keys(state: Path, target: Path, entries: Sequence[Entry]) -> None:
    first = load_public_key(state / KEYS_FOLDER / f"{RECEIPT_KEY}.pub")
    log = load_public_key(state / KEYS_FOLDER / f"{LOG_KEY}.pub")
    folder = target / KEYS_FOLDER
    write_atomic(folder / f"{RECEIPT_KEY}.pub", public_pem(first))
    write_atomic(folder / f"{LOG_KEY}.pub", public_pem(log))
    for key in (first, *_named_keys(entries)):
        write_atomic(folder / f"{key_id(key)}.pem", public_pem(key))


def _named_keys(entries: Iterable[Entry]) -> Iterator[Ed25519PublicKey]:
    for entry in entries:
        match entry.statement.predicate:
            case KeyRoot(root=key) | KeyRotation(successor=key):
                yield public_key_of(key)


def _copy_artefacts(state: Path, target: Path, entries: Sequence[Entry], extras: Extras) -> Iterator[str]:
    if extras.adapters:
        yield from _copy_adapters(state, target, entries)
    if extras.holdout:
        yield from _copy_holdouts(state, target, entries)
    if extras.models and entries:
        yield from _copy_models(state, target, entries)


def _copy(source: Path, target: Path, digest: str) -> Iterator[str]:
    if not _is(source, digest):
        yield digest
        return
    place = target / "artefacts" / digest / source.name
    if place.exists():  # another receipt names the same
        return
    with storage_errors(place):
        copy_regular(source, place)


def _is(source: Path, digest: str, hashing: Hashing | None = None) -> bool:
    try:
        return (hashing or Hashing()).digest(source) == digest
    except OSError:
        return False


def _copy_adapters(state: Path, target: Path, entries: Iterable[Entry]) -> Iterator[str]:
    for entry in entries:
        subjects = {subject.name: subject.digest.sha256 for subject in entry.statement.subject}
        if ADAPTER in subjects:
            for name, digest in subjects.items():
                yield from _copy(state / "capsules" / subjects[ADAPTER] / Path(name).name, target, digest)


def _copy_holdouts(state: Path, target: Path, entries: Iterable[Entry]) -> Iterator[str]:
    holdouts: dict[str, tuple[str, str]] = {}
    for entry in entries:
        intent, receipt = entry.intent, entry.receipt
        if intent is not None:
            holdouts[intent.data.holdout.sha256] = intent.data.digest, intent.data.train
        elif receipt is not None and receipt.evaluation is not None:
            losses = receipt.evaluation.per_example
            yield from _copy(state / "evidence" / f"{losses}.bin", target, losses)
        elif (judgement := entry.judgement) is not None:
            losses, examples = judgement.measured.per_example, judgement.measured.sha256
            yield from _copy(state / "evidence" / f"{losses}.bin", target, losses)
            yield from _copy(state / "judged" / f"{examples}.jsonl", target, examples)
    hashing = Hashing()
    for digest, data in holdouts.items():
        paths = find_listed(state / "data", data[0], "train.jsonl", data[1]).glob("holdout*.jsonl")
        found = next((path for path in paths if _is(path, digest, hashing)), None)
        yield from _copy(found, target, digest) if found is not None else (digest,)


def _versions(entries: Iterable[Entry]) -> tuple[dict[str, Base], dict[str, Base]]:
    """The version that each task began with, and the one that is its head after the entries."""
    firsts: dict[str, Base] = {}
    heads: dict[str, Base] = {}
    for entry in entries:
        if entry.intent is not None:
            firsts.setdefault(entry.intent.task.name, entry.intent.base)
            heads[entry.intent.task.name] = entry.intent.base
        elif entry.receipt is not None:
            heads[entry.receipt.task.name] = entry.receipt.result
        elif (moved := entry.move or entry.recall) is not None:
            heads[moved.task] = moved.result
        elif entry.round is not None and entry.round.outcome is RoundOutcome.ACCEPTED:
            heads[entry.round.task] = entry.round.result
        elif entry.fork is not None:
            firsts |= {said.task: said.first for said in entry.fork.tasks}
            heads |= {said.task: said.head for said in entry.fork.tasks}
    return firsts, heads


def _has_all(folder: Path) -> bool:
    """Whether the files that a folder lists are there; weights that are composed when opened are not."""
    try:
        return all((folder / name).exists() for name in listed_digests(folder))
    except OSError:  # it lists names that lead elsewhere: those are nothing of this version
        return False


def _copy_models(state: Path, target: Path, entries: Sequence[Entry]) -> Iterator[str]:
    firsts, heads = _versions(entries)
    for model in dict.fromkeys((*firsts.values(), *heads.values())):
        source, place = state / "models" / model.digest, target / "models" / model.digest
        if not _is(source / CHECKSUMS, model.files) or not _has_all(source):
            yield model.digest
            continue
        with storage_errors(place):
            copy_listed(source, place)

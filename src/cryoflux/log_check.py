"""What is to be checked of a log, as somebody asks for it: by flags of a command, or from Python."""

from __future__ import annotations

__all__ = ["asked_again", "demand_of", "load_receipt_key", "sections_of", "verify"]

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from cryoflux.errors import UsageError
from cryoflux.files import read_beginning
from cryoflux.quantities import parse_duration
from cryoflux.signing.keys import brought_key, load_public_key, load_public_keys
from cryoflux.witness.policy import Policy, read_policy

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from cryoflux.verification.again import Again
    from cryoflux.verification.result import Report
    from cryoflux.verification.sections import SectionCheck, Sections
    from cryoflux.verification.witnessing import Demand

_Place: TypeAlias = str | os.PathLike[str]
_MOST_KEY_BYTES = 256 * 1024
_PLUSES_OF_VKEY = 2


def verify(
    target: _Place,
    *,
    key: _Place | None = None,
    meter_key: _Place | Sequence[_Place] | None = None,
    log_key: _Place | None = None,
    policy: _Place | None = None,
    max_age: str | None = None,
    heads: _Place | None = None,
    trust_memory: bool = False,
    only_new: bool = False,
    recompute: int = 0,
    spot_check: int = 0,
    spot_receipts: int = 1,
    spot_seed: str | None = None,
    retrain: int = 0,
    tasks: Sequence[str] = (),
    parent: _Place | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Check a state, or a file of exported receipts, as ``cryoflux verify`` does, and return the report.

    Args:
        target: state directory or file.
        key: public key (PEM, or ``node.json``) that must have signed the receipts; a state brings its own.
        meter_key: public key (PEM) of the meter that must have signed every charge, several, or their folder.
        log_key: public key (PEM) that must have signed the head; the same.
        policy: file that names witnesses; they must have seen the log.
        max_age: how old their word may be: ``1d``.
        heads: folder where heads that were seen are remembered and compared; none to do neither.
        trust_memory: of entries that were verified before, by what ``heads`` says, only compare the bytes.
        only_new: do not even read them.
        recompute: receipts whose losses are evaluated again; needs the training libraries, as the next three.
        spot_check: examples that are evaluated again, drawn at random here.
        spot_receipts: of how many receipts.
        spot_seed: repeats the draw that a report shows, or ``head`` draws by the signed head of the log.
        retrain: kept updates that are trained again.
        tasks: tasks of one's own that may check their receipts: ``module:Class``.
        parent: of a fork: state, log folder or URL of the log that it goes on from.
        progress: called with entries done and entries in all.

    Raises:
        UsageError: there is no such target, or what was asked for cannot be done here.
    """
    from cryoflux.verification import steps, verified

    with _restored(again := asked_again(recompute, spot_check, spot_receipts, retrain, spot_seed)):
        return steps.verify_target(
            Path(target),
            key=load_receipt_key(Path(key)) if key is not None else None,
            meters=tuple(one for place in _places(meter_key) for one in load_public_keys(place)),
            log_key=load_public_key(Path(log_key)) if log_key is not None else None,
            again=again,
            demand=demand_of(Path(policy) if policy is not None else None, max_age),
            heads=Path(heads) if heads is not None else None,
            sections=sections_of(tasks),
            progress=progress,
            trust=verified.trust_in(trust_memory=trust_memory, only_new=only_new),
            parent=os.fspath(parent) if parent is not None else None,
        )


def _places(named: _Place | Sequence[_Place] | None) -> list[Path]:
    if named is None:
        return []
    return [Path(named)] if isinstance(named, str | os.PathLike) else [Path(place) for place in named]


@contextmanager
def _restored(again: Again | None) -> Iterator[None]:
    """Whatever training libraries change of the process is undone."""
    with ExitStack() as restored:
        if again is not None:
            from cryoflux.encoder.threads import torch_as_before
            from cryoflux.tasks.lora.libraries import libraries_as_before

            restored.enter_context(torch_as_before())
            restored.enter_context(libraries_as_before())
        yield


def asked_again(
    losses: int, spots: int, spot_receipts: int, adapters: int, spot_seed: str | None = None
) -> Again | None:
    """What is to be computed again, by the training libraries; none where nothing is.

    Args:
        losses: receipts whose losses are evaluated again.
        spots: examples that are evaluated again, drawn at random here.
        spot_receipts: of how many receipts.
        adapters: kept updates that are trained again.
        spot_seed: repeats the draw that a report shows, or ``head`` draws by the signed head of the log.

    Raises:
        UsageError: the training libraries are not installed, or the seed cannot be used.
    """
    if spot_seed is not None and not spots:
        raise UsageError(
            "--spot-seed was given without --spot-check.",
            why="It says which examples are drawn, and none are to be.",
            hint="Say how many: --spot-check 64.",
        )
    if not losses + spots + adapters:
        return None
    from cryoflux.tasks.lora.libraries import require_training

    require_training()
    from cryoflux.tasks.causal.again import CausalRecomputer
    from cryoflux.tasks.causal.section import SECTION as OF_CAUSAL
    from cryoflux.tasks.index.again import IndexRecomputer, TextEmbedder
    from cryoflux.tasks.index.section import SECTION as OF_INDEX
    from cryoflux.tasks.lora.again import TorchRecomputer
    from cryoflux.verification.again import Again
    from cryoflux.verification.challenge import own_seed, parse_seed

    return Again(
        lambda max_tokens: TorchRecomputer(max_tokens=max_tokens, threads=1),
        others={OF_INDEX: IndexRecomputer, OF_CAUSAL: CausalRecomputer},
        embedder=TextEmbedder,
        losses=losses,
        spots=spots,
        spot_receipts=spot_receipts,
        adapters=adapters,
        seed=parse_seed(spot_seed) if spot_seed is not None else own_seed(),
    )


def sections_of(tasks: Sequence[str]) -> Sections:
    """The checks of our own sections, and of tasks that whoever verifies names; none that a state names.

    Raises:
        UsageError: there is no such task.
    """
    from cryoflux.tasks.causal.section import SECTIONS as OF_CAUSAL
    from cryoflux.tasks.index.section import SECTIONS as OF_INDEX
    from cryoflux.tasks.lora.section import SECTIONS

    found: dict[str, SectionCheck] = {**SECTIONS, **OF_INDEX, **OF_CAUSAL}
    for name in tasks:
        from cryoflux.tasks.registry import find_task

        found |= find_task(name).sections
    return found


def load_receipt_key(path: Path) -> Ed25519PublicKey:
    """The key that a log's entries are signed by: of a PEM file, or as a public tree brings it.

    Args:
        path: the PEM file; or ``node.json`` or ``capsule.json`` of a tree.

    Raises:
        UsageError: there is no such key.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if str(path).count("+") >= _PLUSES_OF_VKEY and not path.exists():
        raise UsageError(
            f"--key names a file, and {str(path)[:100]} is none.",
            why="It is the key of a log's heads. Entries are signed by the key that it is named after.",
            hint="Name node.json of the log's public tree: the receipt key in it is the one of that name.",
        )
    content = _beginning(path)
    if not content.startswith(b"{"):
        return load_public_key(path)
    if not (raw := brought_key(content)):
        raise UsageError(
            f"{path} brings no receipt key.",
            why="Signatures cannot be checked without one.",
            hint="Name a PEM file, such as state/keys/receipt.pub, or node.json of a public tree.",
        )
    return Ed25519PublicKey.from_public_bytes(raw)


def _beginning(path: Path) -> bytes:
    try:
        return read_beginning(path, _MOST_KEY_BYTES)
    except OSError:  # `load_public_key` says so
        return b""


def demand_of(
    policy: Path | None, max_age: str | None, read: Callable[[Path], Policy] = read_policy
) -> Demand | None:
    """What witnesses have to say; none where no policy names any.

    Args:
        policy: file that names them.
        max_age: how old their word may be: ``1d``.
        read: what reads that file.

    Raises:
        UsageError: the policy cannot be used, or an age was given without one.
    """
    from cryoflux.verification.witnessing import Demand

    if policy is None:
        if max_age is not None:
            raise UsageError(
                "--max-age was given without --policy.",
                why="Only witnesses say when they saw a log.",
                hint="Name those whom you trust with --policy FILE.",
            )
        return None
    oldest_s = int(parse_duration(max_age)) if max_age is not None else None
    return Demand(read(policy), int(time.time()), oldest_s)

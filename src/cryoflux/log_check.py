"""What is to be checked of a log, as somebody asks for it: by flags of a command, or from Python."""

from __future__ import annotations

__all__ = ["asked_again", "demand_of", "sections_of", "verify"]

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from cryoflux.errors import UsageError
from cryoflux.quantities import parse_duration
from cryoflux.signing.keys import load_public_key

if TYPE_CHECKING:
    from cryoflux.verification.again import Again
    from cryoflux.verification.result import Report
    from cryoflux.verification.sections import SectionCheck, Sections
    from cryoflux.verification.witnessing import Demand

_Place: TypeAlias = str | os.PathLike[str]


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
        key: public key (PEM) that must have signed the receipts; a state brings its own otherwise.
        meter_key: public key (PEM) of the meter that must have signed every charge, or several of them.
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
            key=load_public_key(Path(key)) if key is not None else None,
            meters=tuple(load_public_key(path) for path in _places(meter_key)),
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


def demand_of(policy: Path | None, max_age: str | None) -> Demand | None:
    """What witnesses have to say; none where no policy names any.

    Args:
        policy: file that names them.
        max_age: how old their word may be: ``1d``.

    Raises:
        UsageError: the policy cannot be used, or an age was given without one.
    """
    from cryoflux.verification.witnessing import Demand
    from cryoflux.witness.policy import read_policy

    if policy is None:
        if max_age is not None:
            raise UsageError(
                "--max-age was given without --policy.",
                why="Only witnesses say when they saw a log.",
                hint="Name those whom you trust with --policy FILE.",
            )
        return None
    oldest_s = int(parse_duration(max_age)) if max_age is not None else None
    return Demand(read_policy(policy), int(time.time()), oldest_s)

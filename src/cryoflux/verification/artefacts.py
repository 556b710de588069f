"""Step 9: the models, adapters, losses and data on the disk are those that the receipts name.

What has to be there: the head model, the adapter of every accepted update, the per-example losses of
every evaluation, as far as it read. What may be withheld, and is then ``unknown``: older model versions,
adapters of updates that were not kept, and the data (`datasets`). Whatever is there has to be exactly what
was signed.
"""

from __future__ import annotations

__all__ = [
    "ADAPTER",
    "Losses",
    "capsule_path",
    "check_artefacts",
    "losses_path",
    "model_path",
    "read_losses",
    "tensors_of",
]

import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from cryoflux.decision.evidence import pair_losses
from cryoflux.digests import read_tensor_entries, sha256_hex, tensors_digest
from cryoflux.errors import CryoFluxError
from cryoflux.receipts.statement import Base, Evaluation, Outcome, ReceiptStatement
from cryoflux.verification.arithmetic import evidence_of, examples_read
from cryoflux.verification.datasets import data_findings
from cryoflux.verification.folders import FolderState, compare_folder
from cryoflux.verification.history import Attempt, History, said_by
from cryoflux.verification.index import INDEX, index_complaint
from cryoflux.verification.locating import said_where
from cryoflux.verification.material import HEAD_LINK
from cryoflux.verification.result import Check, Finding, Step, conclude, failed, unknown

ARTEFACTS = Step(9, "artefacts on the disk")
ADAPTER = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
_BYTES_PER_EXAMPLE = 18


@dataclass(frozen=True, slots=True)
class Losses:
    """Per-example losses in nano-nats, and which examples were right."""

    base: list[int]
    new: list[int]
    base_correct: list[bool]
    new_correct: list[bool]


def model_path(state: Path, model: Base) -> Path:
    """Where a model version lies."""
    return state / "models" / model.digest


def capsule_path(state: Path, statement: ReceiptStatement) -> Path:
    """Where the adapter of a receipt lies; its first subject is the adapter."""
    return state / "capsules" / statement.subject[0].digest.sha256


def losses_path(state: Path, evaluation: Evaluation) -> Path:
    """Where the per-example losses of an evaluation lie."""
    return state / "evidence" / f"{evaluation.per_example}.bin"


def check_artefacts(history: History) -> list[Check]:
    """Step 9."""
    state = history.material.state
    if state is None:
        return conclude(ARTEFACTS, [unknown("artefacts", "an exported file does not bring them")], "")
    if not history.entries:
        return conclude(ARTEFACTS, [], "no entry names an artefact")
    findings = list(
        chain(
            _models(history, state),
            _capsules(history, state),
            _losses(history, state),
            data_findings(history, state),
        )
    )
    return conclude(ARTEFACTS, findings, "head model, adapters, losses and data have the signed digests")


def _folder_findings(where: str, folder: Path, found: FolderState) -> Iterator[Finding]:
    for name in found.different:
        place = said_where(folder / name, found.listed[name]) if name in found.listed else ""
        yield failed(f"{where}/{name}", f"is not the file that was signed{place}")
    for name in found.missing:
        yield failed(f"{where}/{name}", "is missing")


def _models(history: History, state: Path) -> Iterator[Finding]:
    bases = [entry.statement.predicate.base for entry in history.entries]
    results = [attempt.receipt.result for attempt in history.attempts]
    head = results[-1] if results else bases[0]
    candidates = [a.receipt.evaluation.candidate for a in history.attempts if a.receipt.evaluation]
    found: dict[Base, FolderState] = {}
    versions = {*bases, *results}
    for model in dict.fromkeys([*bases, *results, *candidates]):
        folder = model_path(state, model)
        if folder.is_dir():
            found[model] = compare_folder(folder, model.files)
            yield from _model(folder, model, found[model])
        elif model == head:
            yield failed(f"models/{model.digest}", "the head model is missing")
        elif model in versions:
            yield unknown(f"models/{model.digest}", "this older model version is not kept here")
    yield from _head_link(history, head)
    yield from _intent_subjects(history, found)


def _model(folder: Path, model: Base, found: FolderState) -> Iterator[Finding]:
    where = f"models/{model.digest}"
    yield from _folder_findings(where, folder, found)
    if found.intact and tensors_of(folder) != model.digest:
        yield failed(where, "its tensors do not have the digest that names it")
    if found.intact and (complaint := index_complaint(folder, found.listed)):
        yield failed(f"{where}/{INDEX}", complaint)


def tensors_of(folder: Path) -> str:
    """The ``tensors/v1`` digest of a model folder, or a text that is none where it cannot be read."""
    try:
        files = sorted(folder.rglob("*.safetensors"))
        return tensors_digest(entry for path in files for entry in read_tensor_entries(path))
    except (CryoFluxError, OSError, OverflowError, RecursionError) as error:
        return f"unreadable: {error}"


def _head_link(history: History, head: Base) -> Iterator[Finding]:
    target = history.material.head_link
    if target == Path("models", head.digest):
        return
    last = history.attempts[-1] if history.attempts else None
    # The link is moved after the receipt is written, so a crash in between leaves it one version behind.
    if (
        last is not None
        and last.entry is history.entries[-1]
        and target == Path("models", last.receipt.base.digest)
    ):
        detail = f"still points at the base of {last.name}; the next run moves it to models/{head.digest}"
        yield unknown(HEAD_LINK, detail)
    else:
        yield failed(HEAD_LINK, f"does not point at the head model models/{head.digest}")


def _intent_subjects(history: History, found: dict[Base, FolderState]) -> Iterator[Finding]:
    for entry, intent in history.intents:
        listed = found[intent.base].listed if intent.base in found else {}
        for subject in entry.statement.subject:
            if subject.name == HEAD_LINK:
                if subject.digest.sha256 != intent.base.files:
                    yield failed(said_by(entry), "its subject is not its base model")
            elif listed and listed.get(subject.name) != subject.digest.sha256:
                yield failed(said_by(entry), f"its subject {subject.name!r} is no file of its base model")


def _capsules(history: History, state: Path) -> Iterator[Finding]:
    accepted: dict[str, str] = {}
    for attempt in history.attempts:
        digests = {subject.name: subject.digest.sha256 for subject in attempt.statement.subject}
        if ADAPTER in digests:
            yield from _capsule(attempt, state, digests)
            if attempt.receipt.outcome is Outcome.ACCEPTED:
                first = accepted.setdefault(digests[ADAPTER], attempt.name)
                if first != attempt.name:
                    yield failed(attempt.name, f"merges the adapter of {first} again")
        elif attempt.receipt.outcome is not Outcome.ABORTED:
            yield failed(attempt.name, f"has no subject {ADAPTER}")
        elif digests != {HEAD_LINK: attempt.receipt.base.files}:
            yield failed(attempt.name, "its subject is neither an adapter nor its base model")


def _capsule(attempt: Attempt, state: Path, digests: dict[str, str]) -> Iterator[Finding]:
    where = f"capsules/{digests[ADAPTER]}"
    folder = state / where
    if set(digests) != {ADAPTER, ADAPTER_CONFIG} or len(attempt.statement.subject) != len(digests):
        yield failed(attempt.name, f"its subjects are not {ADAPTER} and {ADAPTER_CONFIG}")
    elif not folder.is_dir():
        accepted = attempt.receipt.outcome is Outcome.ACCEPTED
        missing = f"the adapter of {attempt.name} is missing"
        yield failed(where, missing) if accepted else unknown(where, f"{missing}; it was not kept")
    else:
        found = _capsule_state(folder, digests)
        yield from _folder_findings(where, folder, found)
        if found.intact and not _readable(folder / ADAPTER):
            yield failed(f"{where}/{ADAPTER}", "is no safetensors file, and nothing else is an adapter")


def _readable(adapter: Path) -> bool:
    try:
        return bool(list(read_tensor_entries(adapter)))
    except (CryoFluxError, OSError, OverflowError, RecursionError):
        return False


def _capsule_state(folder: Path, digests: dict[str, str]) -> FolderState:
    # The receipt signs the two files, so their checksum file has exactly one right content.
    lines = "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))
    return compare_folder(folder, sha256_hex(lines.encode()))


def _losses(history: History, state: Path) -> Iterator[Finding]:
    for attempt in history.attempts:
        evaluation = attempt.receipt.evaluation
        if evaluation is None:
            continue
        where = f"evidence/{evaluation.per_example}.bin"
        try:
            path = losses_path(state, evaluation)
            count = examples_read(evaluation, attempt.receipt.holdout)
            losses = read_losses(path, evaluation.per_example, count)
        except ValueError as error:
            yield failed(where, f"{error} ({attempt.name}){said_where(path, evaluation.per_example)}")
            continue
        paired = pair_losses(losses.base, losses.new, losses.base_correct, losses.new_correct)
        if paired != evidence_of(evaluation, attempt.receipt.holdout):
            yield failed(where, f"its losses do not add up to the sums of {attempt.name}")


def read_losses(path: Path, digest: str, count: int) -> Losses:
    """The per-example losses of an evidence file.

    Raises:
        ValueError: it is missing, or not the file of that digest with so many examples.
    """
    try:
        size = path.stat().st_size
        content = path.read_bytes() if size == count * _BYTES_PER_EXAMPLE else b""
    except OSError as error:
        raise ValueError("the per-example losses are missing or unreadable") from error
    if sha256_hex(content) != digest:
        raise ValueError("the per-example losses are not those that were signed")
    losses, flags = array("q", content[: 16 * count]), content[16 * count :]
    if sys.byteorder == "big":
        losses.byteswap()
    if min(losses) < 0 or max(flags) > 1:
        raise ValueError("the per-example losses hold impossible values")
    correct = [flag == 1 for flag in flags]
    return Losses(list(losses[:count]), list(losses[count:]), correct[:count], correct[count:])

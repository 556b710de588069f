"""What `cryoflux verify` computes of a language model again: updates, what they add up to, and its losses.

A version is the sum of its list of updates, by byte. Losses in float64 come from our own decoder, which reads
numbers and runs nothing; those in float32 take transformers' class for the family, and a tolerance. No
template is run: the documents of a data set are rendered.
"""

from __future__ import annotations

__all__ = ["CausalRecomputer"]

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from cryoflux.digests import file_digest
from cryoflux.errors import CryoFluxError, DataError, ModelError, VerificationError
from cryoflux.evaluation.machine import software
from cryoflux.files import read_lines
from cryoflux.receipts.profiles import DOCUMENT_F32, DOCUMENT_F32_2, DOCUMENT_F64
from cryoflux.registry.adapters import read_adapter
from cryoflux.registry.compose import low_rank_update
from cryoflux.registry.composition import Composition
from cryoflux.registry.cuts import Cut, tokens_of
from cryoflux.registry.parent_lists import no_lists, updates_of
from cryoflux.registry.plain_adapter import adapter_settings
from cryoflux.registry.plain_json import read_object
from cryoflux.registry.plain_tokenizer import tokenizer_complaints
from cryoflux.state import ADAPTER
from cryoflux.tasks.again import as_then, composed_again
from cryoflux.tasks.causal.inputs import stored_rows
from cryoflux.tasks.causal.network import open_tokenizer
from cryoflux.tasks.causal.retraining import train_again
from cryoflux.tasks.causal.scoring import CausalScorer, open_losses
from cryoflux.tasks.causal.sets import read_stored
from cryoflux.tasks.lora.libraries import LIBRARIES, quieten_transformers, shielded
from cryoflux.verification.loss_comparison import Found
from cryoflux.verification.open_question import OpenQuestion
from cryoflux.verification.recomputer import Models
from cryoflux.verification.retrain import Retrained
from cryoflux.verification.temperatures import Fit
from cryoflux.verification.weights import version_digest

if TYPE_CHECKING:
    from cryoflux.verification.retrain import Plan

_THREADS = 1
_LONGEST_LINE = 8_000_000
_MOST_BYTES = 500_000
"""of one document; more than a novel has in a hundred pages"""
_MOST_CONFIG_BYTES = 4_000_000


class CausalRecomputer:
    """Makes versions of a language model again, and reads documents with them, on the CPU."""

    def __init__(self, cut: Cut, state: Path) -> None:  # noqa: ARG002 - all that it needs is handed to it
        import torch

        quieten_transformers()
        torch.set_num_threads(_THREADS)
        self._cut = tokens_of(cut)

    def evaluate(self, model: Path, holdout: Path) -> Found:
        """Losses of a version on a whole holdout, nano-nats; no document is right or wrong."""
        return self.evaluate_some(model, holdout, None, DOCUMENT_F64)

    def evaluate_some(self, model: Path, holdout: Path, indices: Sequence[int] | None, profile: str) -> Found:
        """The same for some documents, or for all, in the arithmetic of a profile."""
        if profile not in {DOCUMENT_F32, DOCUMENT_F64, DOCUMENT_F32_2}:
            raise OpenQuestion(f"documents are not read in the profile {profile!r}")
        lines = [line for line, _ in read_lines(holdout, _LONGEST_LINE) if line]
        _ask_about(model, lines)
        try:
            chosen = lines if indices is None else [lines[index] for index in indices]
            for line in chosen:
                read_stored(line)
        except ValueError as error:
            raise VerificationError("a line of its holdout is no document") from error
        try:
            with shielded():
                rows = stored_rows(chosen, open_tokenizer(model, "its version"), self._cut)
                scorer = CausalScorer(open_losses(model, profile), rows)
                return scorer.score(range(len(rows)), lambda _done: None)
        except (ModelError, DataError) as error:  # another version of a library may have read it
            raise OpenQuestion(error.what.removesuffix(".")) from error

    def target_tokens(self, holdout: Path, model: Path) -> list[int]:
        """Target tokens of each document of a holdout, as the tokenizer of a model counts them here."""
        lines = [line for line, _ in read_lines(holdout, _LONGEST_LINE) if line]
        with shielded():
            rows = stored_rows(lines, open_tokenizer(model, "its version"), self._cut)
        return [max(0, len(ids) - first) for ids, first in rows]

    def compose(self, composed: Composition, models: Models, into: Path) -> Path:
        """Add a list of updates up, from its genesis on, with nothing that the run had in memory."""
        try:
            for term in updates_of(composed.terms, models.list_of or no_lists):
                adapter_settings(models.capsule(term.adapter), "CAUSAL_LM")
        except CryoFluxError as error:
            raise OpenQuestion(error.what.removesuffix(".")) from error
        return composed_again(composed, models, into)

    def merge(self, base: Path, capsule: Path, into: Path) -> NoReturn:  # noqa: ARG002
        """No version of a language model was ever merged without a list."""
        raise OpenQuestion("its receipt names no list of updates")

    def as_kept(self, base: Path, capsule: Path, kept: Path, into: Path) -> None:
        """A sum in float64 is the same everywhere: there is nothing that a machine may have rounded."""

    def software(self) -> dict[str, str]:
        """Versions of what computes here."""
        return software(LIBRARIES)

    def retrain(self, plan: Plan, into: Path) -> Retrained:
        """Train an adapter as a plan says, for as many steps as joules paid for then.

        Raises:
            CannotRetrainError: the receipt says too little, or this machine lacks what it used.
            VerificationError: the receipt names other documents than an attempt could have drawn.
        """
        (folder := into / "retrained").mkdir()
        with as_then(plan, _THREADS) as (data, version):
            _ask_about(version.folder, data.sets["train"])
            train_again(plan, data, version, self._cut, folder)
        return Retrained(folder)

    def with_update(self, base: Path, update: Path, into: Path) -> Path:
        """A base model with an update that was trained here: a list of it alone, with the base as genesis."""
        digest = file_digest(update / ADAPTER)
        models = Models(base, base, lambda _adapter: update)
        return self.compose(Composition.rebased(version_digest(base), digest), models, into)

    def distances(self, base: Path, ours: Path, theirs: Path) -> dict[str, tuple[float, float]]:  # noqa: ARG002
        """Tensor → ‖ours - theirs‖ and ‖theirs - base‖: what each adds to the base."""
        mine, other = (read_adapter(one).low_rank for one in (ours, theirs))
        far = {}
        for name in sorted(mine.keys() | other.keys()):
            here, there = (
                low_rank_update(one[name], name) if name in one else np.zeros(()) for one in (mine, other)
            )
            far[name] = float(np.linalg.norm(here - there)), float(np.linalg.norm(there))
        return far

    def fit(self, base: Path, model: Path, train: Path, **how: Any) -> Fit:  # noqa: ARG002
        """A language model has no temperature here."""
        raise OpenQuestion("a language model has no temperature")


def _ask_about(model: Path, lines: Sequence[bytes]) -> None:
    """Leave the question open where a tokenizer may do something else here, or a document is longer than any.

    Raises:
        OpenQuestion: it says why.
    """
    if (longest := max(map(len, lines), default=0)) > _MOST_BYTES:
        raise OpenQuestion(f"a document has {longest} bytes, and at most {_MOST_BYTES} are read here")
    try:
        config = read_object(model / "config.json", _MOST_CONFIG_BYTES, ModelError)
        complaints = tokenizer_complaints(model, config)
    except ModelError as error:
        raise OpenQuestion(error.what.removesuffix(".")) from error
    if complaints:
        raise OpenQuestion(complaints[0])

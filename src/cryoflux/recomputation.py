"""What `cryoflux verify --recompute` computes with: the same losses and the same merge as a run."""

from __future__ import annotations

__all__ = ["TorchRecomputer"]

from pathlib import Path

from cryoflux.data.prepared import load_examples
from cryoflux.evaluation.scoring import TransformersScorer
from cryoflux.libraries import quieten
from cryoflux.registry.merge import merge_capsule


class TorchRecomputer:
    """Evaluates and merges on the CPU, in the profile of the receipts."""

    def __init__(self, *, max_tokens: int, threads: int = 1) -> None:
        import torch

        quieten()
        torch.set_num_threads(threads)
        self._max_tokens = max_tokens

    def evaluate(self, model: Path, holdout: Path) -> tuple[list[int], list[bool]]:
        """Per-example losses in nano-nats, and which examples are classified correctly."""
        examples = load_examples(holdout)
        scorer = TransformersScorer(model, examples, max_tokens=self._max_tokens)
        return scorer.score(range(len(examples)), lambda _done: None)

    def merge(self, base: Path, capsule: Path, into: Path) -> Path:
        """Merge an adapter into a base version."""
        merge_capsule(base, capsule, into)
        return into

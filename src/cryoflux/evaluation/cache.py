"""Losses that were measured once are never measured again.

They are kept by model digest, example-file digest, token limit and profile: whatever could change
them changes the name. A cache file that cannot be read is as good as none.
"""

from __future__ import annotations

__all__ = ["KnownLosses", "LossCache"]

import json
from dataclasses import dataclass
from pathlib import Path

from cryoflux.digests import sha256_hex
from cryoflux.evaluation.losses import PROFILE, Losses
from cryoflux.files import write_atomic


@dataclass(frozen=True, slots=True)
class KnownLosses:
    """Losses, and what it cost to measure them."""

    losses: Losses
    cost_uj: int


class LossCache:
    """Losses below ``state/cache/losses/``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _path(self, model: str, examples: str, max_tokens: int) -> Path:
        name = sha256_hex(f"{PROFILE}\n{model}\n{examples}\n{max_tokens}".encode())
        return self._folder / f"{name}.json"

    def get(self, model: str, examples: str, max_tokens: int) -> KnownLosses | None:
        """Losses of a model digest on an example-file digest, if they are known."""
        try:
            document = json.loads(self._path(model, examples, max_tokens).read_bytes())
            body = [document["nano_nats"], document["correct"], document["cost_uj"]]
            if document["sha256"] != sha256_hex(json.dumps(body).encode()):
                return None
            losses = Losses(tuple(body[0]), tuple(bool(right) for right in body[1]))
            return KnownLosses(losses, int(body[2]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, model: str, examples: str, max_tokens: int, known: KnownLosses) -> None:
        """Remember losses.

        Raises:
            StorageError: the disk is full, read-only, or refuses.
        """
        right = [int(correct) for correct in known.losses.correct]
        body = [list(known.losses.nano_nats), right, known.cost_uj]
        document = dict(zip(("nano_nats", "correct", "cost_uj"), body, strict=True))
        document["sha256"] = sha256_hex(json.dumps(body).encode())
        write_atomic(self._path(model, examples, max_tokens), json.dumps(document).encode())

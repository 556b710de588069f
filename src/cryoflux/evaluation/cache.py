"""Losses that were measured once are never measured again.

They are kept by model digest, example-file digest, token limit and profile: whatever could change
them changes the name. A cache file that cannot be read is as good as none, and whoever uses one compares it
with what the receipts have signed: a cache is no evidence.
"""

from __future__ import annotations

__all__ = ["KnownLosses", "LossCache"]

import json
from dataclasses import dataclass
from pathlib import Path

from cryoflux.digests import sha256_hex
from cryoflux.evaluation.losses import LARGEST_NANO_NAT, PROFILE, Losses
from cryoflux.files import read_regular, write_atomic
from cryoflux.registry.cuts import Cut

_MAX_BYTES = 2**28


@dataclass(frozen=True, slots=True)
class KnownLosses:
    """Losses, and what it cost to measure them."""

    losses: Losses
    cost_uj: int


class LossCache:
    """Losses below ``state/cache/losses/``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _path(self, model: str, examples: str, max_tokens: Cut, profile: str) -> Path:
        name = sha256_hex(f"{profile}\n{model}\n{examples}\n{max_tokens}".encode())
        return self._folder / f"{name}.json"

    def get(
        self,
        model: str,
        examples: str,
        max_tokens: Cut,
        count: int,
        profile: str = PROFILE,
        largest: int = LARGEST_NANO_NAT,
    ) -> KnownLosses | None:
        """Losses of a model digest on the ``count`` examples of a file digest, if they are known and sane."""
        try:
            document = json.loads(read_regular(self._path(model, examples, max_tokens, profile), _MAX_BYTES))
            body = [document["nano_nats"], document["correct"], document["cost_uj"]]
            if document["sha256"] != sha256_hex(json.dumps(body).encode()):
                return None
            nano_nats, correct, cost_uj = body
            plausible = (
                len(nano_nats) == len(correct) == count
                and all(type(loss) is int and 0 <= loss <= largest for loss in nano_nats)
                and all(type(right) is int and right in {0, 1} for right in correct)
                and type(cost_uj) is int
                and cost_uj >= 0
            )
            if not plausible:
                return None
            return KnownLosses(Losses(tuple(nano_nats), tuple(map(bool, correct))), cost_uj)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def put(
        self, model: str, examples: str, max_tokens: Cut, known: KnownLosses, profile: str = PROFILE
    ) -> None:
        """Remember losses.

        Raises:
            StorageError: the disk is full, read-only, or refuses.
        """
        right = [int(correct) for correct in known.losses.correct]
        body = [list(known.losses.nano_nats), right, known.cost_uj]
        document = dict(zip(("nano_nats", "correct", "cost_uj"), body, strict=True))
        document["sha256"] = sha256_hex(json.dumps(body).encode())
        write_atomic(self._path(model, examples, max_tokens, profile), json.dumps(document).encode())

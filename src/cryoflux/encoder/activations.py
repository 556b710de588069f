"""Activations of a set before the layers that learn, from the cache or computed into it."""

from __future__ import annotations

__all__ = ["Activations", "Sets"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from cryoflux.data.batching import bucketed
from cryoflux.digests import TensorEntry
from cryoflux.encoder.model import Encoder, attention_bias
from cryoflux.encoder.prefix import Prefix, PrefixCache, prefix_key
from cryoflux.encoder.tokens import Tokens

_BATCH = 32
"""texts computed at once: as many as still fit a processor's cache"""
_TOKENS = 2048
"""of them, tokens: what attention needs grows with the square of a text's length"""


@dataclass(frozen=True, slots=True)
class Sets:
    """Where the activations of one set of texts come from."""

    tokens: Tokens
    cache: PrefixCache
    depths: tuple[int, ...]
    """depths worth keeping on the way to a deeper one, ascending"""
    lasting: bool = False
    """whether it is a holdout, which every candidate reads: what is kept of it goes after all else"""


class Activations:
    """What an encoder makes of a set of texts with its first ``depth`` layers."""

    def __init__(
        self,
        encoder: Encoder,
        entries: Sequence[TensorEntry],
        source: Sets,
        depth: int,
        *,
        lasting: bool = True,
    ) -> None:
        """Make them of the first layers of an encoder.

        Args:
            encoder: computes what is not kept yet.
            entries: digests of its tensors.
            source: the set.
            depth: layers; 0 is never kept.
            lasting: whether the cache makes room for them: not for what is likely to be thrown away.
        """
        self._encoder = encoder
        self._lasting = lasting
        self._source = source
        self.depth = depth
        self.keys = {
            at: prefix_key(encoder.layout, entries, at, source.tokens, encoder.backend)
            for at in {*source.depths, depth}
            if 0 < at <= depth
        }
        self._opened: dict[int, Prefix] = {}
        """held, because the cache may let go of one to make room for a deeper one"""

    def lengths(self, indices: Sequence[int]) -> list[int]:
        """Tokens of some texts."""
        return self._source.tokens.lengths(indices).tolist()  # type: ignore[no-any-return]

    def forget(self, shared: set[str]) -> None:
        """Throw away what was kept, but for the names in ``shared``."""
        for key in set(self.keys.values()) - shared:
            self._source.cache.drop(key)

    def _passing(self, depth: int) -> bool:
        return depth < self.depth or not self._lasting

    def _prefix(self, depth: int) -> Prefix:
        if depth not in self._opened:
            encoder, source = self._encoder, self._source
            self._opened[depth] = source.cache.open(
                self.keys[depth],
                source.tokens,
                encoder.layout.hidden,
                encoder.backend,
                passing=self._passing(depth),
                lasting=source.lasting and self._lasting,
            )
        return self._opened[depth]

    def missing(self, indices: Sequence[int]) -> list[int]:
        """Those of some texts that would have to be computed."""
        if not self.depth:
            return []
        if self.depth not in self._opened and not self._source.cache.has(self.keys[self.depth]):
            return list(indices)  # asking makes no room, so that it evicts nothing
        return self._prefix(self.depth).missing(indices)

    def absent(self, indices: Sequence[int]) -> int:
        """How many of some texts were never computed: for estimates, because nothing is checked."""
        if not self.depth:
            return 0
        if self.depth not in self._opened and not self._source.cache.has(self.keys[self.depth]):
            return len(indices)
        return self._prefix(self.depth).absent(indices)

    def prepare(self, indices: Sequence[int], between: Callable[[int, int], None]) -> None:
        """Compute what is missing of some texts.

        Args:
            indices: of the texts.
            between: called with (texts done, texts to do) before each batch; may raise to stop.
        """
        missing = self.missing(indices)
        lengths = self._source.tokens.lengths(missing).tolist() if missing else []
        done = 0
        for group in bucketed(lengths, _BATCH, _TOKENS):
            between(done, len(missing))
            self._compute([missing[i] for i in group])
            done += len(group)
        if done:  # writing has touched them all
            for at, key in sorted(self.keys.items()):
                self._source.cache.touch(key, passing=self._passing(at))

    def _compute(self, batch: list[int]) -> torch.Tensor:
        start = self._nearest(batch)
        with torch.no_grad():
            x, mask = self._read(batch, start)
            bias = attention_bias(mask, x.dtype)
            for index in range(start, self.depth):
                x = self._encoder.layer(x, bias, index)
                if index + 1 in self.keys:
                    self._prefix(index + 1).put(batch, x)
        return x

    def _nearest(self, batch: list[int]) -> int:
        cache = self._source.cache
        depths = sorted(self.keys, reverse=True)
        known = (at for at in depths if at in self._opened or cache.has(self.keys[at]))
        return next((at for at in known if not self._prefix(at).missing(batch)), 0)

    def _read(self, batch: Sequence[int], depth: int) -> tuple[torch.Tensor, torch.Tensor]:
        if depth:
            x, mask = self._prefix(depth).batch(batch)
        else:
            ids, mask = self._source.tokens.batch(batch)
            with torch.no_grad():
                x = self._encoder.embed(ids.to(self._encoder.device))
        return x.to(self._encoder.device, non_blocking=True), mask.to(self._encoder.device, non_blocking=True)

    def batch(self, indices: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Activations (batch, longest, hidden) and mask; what there was no room for is computed again."""
        missing = set(self._prefix(self.depth).missing(indices)) if self.depth else set[int]()
        if not missing:
            return self._read(indices, self.depth)
        here = [row for row, index in enumerate(indices) if index not in missing]
        absent = [row for row, index in enumerate(indices) if index in missing]
        # what is here is read first: keeping the others may let go of it
        parts = [(here, self._read([indices[row] for row in here], self.depth)[0])] if here else []
        parts.append((absent, self._compute([indices[row] for row in absent])))
        mask = self._source.tokens.rows(indices)[1].to(self._encoder.device, non_blocking=True)
        found = parts[0][1].new_zeros(*mask.shape, parts[0][1].shape[-1])
        for rows, x in parts:
            found[rows, : x.shape[1]] = x
        return found, mask

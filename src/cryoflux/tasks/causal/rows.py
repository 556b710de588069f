"""The tokens of documents, each tokenized when it is first asked for: an attempt draws few of many."""

from __future__ import annotations

__all__ = ["TokenRows"]

from collections.abc import Sequence
from typing import Any, overload

from cryoflux.tasks.causal.inputs import stored_rows
from cryoflux.tasks.causal.tokens import TokenRow


class TokenRows(Sequence[TokenRow]):
    """The tokens of a set's lines, as far as they are read."""

    def __init__(self, lines: Sequence[bytes], tokenizer: Any, cut: int) -> None:
        self._lines, self._tokenizer, self._cut = lines, tokenizer, cut
        self._found: dict[int, TokenRow] = {}

    def __len__(self) -> int:
        return len(self._lines)

    @overload
    def __getitem__(self, at: int) -> TokenRow: ...

    @overload
    def __getitem__(self, at: slice) -> list[TokenRow]: ...

    def __getitem__(self, at: int | slice) -> TokenRow | list[TokenRow]:
        places = range(len(self))[at]
        if isinstance(places, range):
            return [self[place] for place in places]
        if places not in self._found:
            (self._found[places],) = stored_rows([self._lines[places]], self._tokenizer, self._cut)
        return self._found[places]

    def picked(self, places: Sequence[int]) -> TokenRows:
        """Some of them, in an order."""
        return TokenRows([self._lines[at] for at in places], self._tokenizer, self._cut)

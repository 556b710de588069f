"""The examples that the search of a round composes with."""

from __future__ import annotations

__all__ = ["MOST_SEARCHED", "SearchSet"]

from dataclasses import dataclass

from cryoflux.attempt.context import Opened
from cryoflux.data.prepared import SEARCH_SET
from cryoflux.files import MOST_FILE_BYTES, read_regular, storage_errors
from cryoflux.network.folder import NetworkFolder
from cryoflux.tasks.composing import Composing

MOST_SEARCHED = 512
"""examples that a round searches with"""


@dataclass(frozen=True, slots=True)
class SearchSet:
    """The examples that offers are composed with: of the node's own training side, and never trained on."""

    part: str
    """what the data set calls it"""
    indices: list[int]

    @classmethod
    def of(cls, opened: Opened, composing: Composing, network: NetworkFolder) -> SearchSet:
        """Those that the node has set aside for it; the screen of its own updates where it has none.

        The screen has chosen among the node's own updates, so it is kinder to them than to others'.

        Raises:
            StorageError: they cannot be read.
        """
        if not network.search.is_file():
            return cls("train", list(composing.screen[:MOST_SEARCHED]))
        with storage_errors(network.search):
            content = read_regular(network.search, MOST_FILE_BYTES)
        part = opened.data.add_set(SEARCH_SET, content)
        return cls(part, list(range(opened.data.count(part)))[:MOST_SEARCHED])

"""What has come and gone in a folder, beside an index of it; the folder is looked at once an attempt."""

from __future__ import annotations

__all__ = ["News"]

import time
from collections.abc import Callable

from cryoflux.errors import DataError
from cryoflux.tasks.index.documents import Folder
from cryoflux.tasks.index.names import Names
from cryoflux.tasks.index.shelf import Shelf

_APART_S = 1.0
"""an attempt asks several times for the arms that there are; a folder of many files is not free to look at"""


class News:
    """Looks at a folder, and counts.

    Args:
        folder: the documents.
        clock: monotonic seconds.
    """

    def __init__(self, folder: Folder, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._clock = folder, clock
        self._looked_s: float | None = None
        self._counted: tuple[Names, str, int, int] | None = None
        self._told_empty = False
        self._named: tuple[Names, str] | None = None
        self._troubles: list[tuple[str, str]] = []

    def begin(self) -> None:
        """Look for the first time.

        Raises:
            DataError: the folder or one of its files cannot be read.
        """
        self._folder.look()
        self._looked_s = self._clock()

    def over(self) -> None:
        """An attempt has begun: what comes after it is another look."""
        self._looked_s = None

    def has_come(self) -> bool:
        """Whether the folder is another one than was looked at; one that is away for now brings none."""
        try:
            changed = self._folder.has_changed()
        except DataError:
            return False
        if changed:
            self.over()
        return changed

    def count(self, shelf: Shelf) -> tuple[int, int]:
        """How many documents the folder has that an index has not, and the other way round.

        Of a folder that is away or has become empty none: what is not mounted is not taken out.
        """
        if self._looked_s is None or self._clock() - self._looked_s >= _APART_S:
            self._folder.look(self._trouble)
            self._looked_s = self._clock()
        if self._folder.away or self._is_empty(shelf):
            return 0, 0
        names, version = self._folder.names, shelf.folder.name
        if self._counted is None or self._counted[0] is not names or self._counted[1] != version:
            new, gone = names.count_without(shelf.names), shelf.names.count_without(names)
            self._counted = names, version, new, gone
        return self._counted[2:]

    @property
    def name(self) -> str:
        """What the folder holds, by one name: SHA-256 of the names of its documents."""
        names = self._folder.names
        if self._named is None or self._named[0] is not names:
            self._named = names, names.digest()
        return self._named[1]

    def troubles(self) -> list[tuple[str, str]]:
        """Each file that could not be read since this was asked for last, and what is wrong with it."""
        found, self._troubles = self._troubles, []
        return found

    def _is_empty(self, shelf: Shelf) -> bool:
        empty = not len(self._folder)
        if empty and shelf.manifest.documents and not self._told_empty:
            what = f"{self._folder.path} holds no document any more, so the index stays as it is."
            self._troubles.append(("", what))
        self._told_empty = empty
        return empty

    def _trouble(self, file: str, error: DataError) -> None:
        self._troubles.append((file, f"{error.what} What the index has of it stays."))

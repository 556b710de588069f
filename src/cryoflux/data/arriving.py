"""Files that have arrived, offered to a training set together."""

from __future__ import annotations

__all__ = ["Offered", "offer_together"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryoflux.data.formats import Arrived
from cryoflux.data.growing import Joining, Refusal, Refused


@dataclass(frozen=True, slots=True)
class Offered:
    """What becomes of the examples of a file."""

    file: Arrived
    joined: int
    refused: Sequence[Refused]


def offer_together(begin: Callable[[], Joining], read: Sequence[Arrived]) -> tuple[Joining, list[Offered]]:
    """What may join of some files, and what becomes of each.

    They are searched together: a search costs about as much for one file as for a thousand. Where it is not
    whole, each is searched by itself, so that one that was made to be alike keeps no other one out.

    Args:
        begin: the training set that they would join, as it is without them.
        read: the files, in order.
    """
    joining = begin()
    rows = [(file, line, example) for file in read for line, example in file.numbered]
    _, found = joining.offer("", [(place, example) for place, (_, _, example) in enumerate(rows)])
    if len(read) > 1 and any(one.why is Refusal.UNSEARCHED for one in found):
        joining = begin()
        offers = [(file, joining.offer(file.path.name, file.numbered)) for file in read]
        return joining, [Offered(file, joined, refused) for file, (joined, refused) in offers]
    refused: dict[Path, list[Refused]] = {file.path: [] for file in read}
    for one in found:
        file, line, _ = rows[one.line]
        refused[file.path].append(Refused(file.path.name, line, one.why))
    return joining, [
        Offered(file, len(file.numbered) - len(refused[file.path]), refused[file.path]) for file in read
    ]

"""What audits lacked to make looks of opened guest holdouts again, and how often it was asked for in vain.

Each thing has a count of its own, and all that is known to be lacking is asked for at once. So a verifier
that hides several files, and shows one after the other, does not begin its time anew by that.
"""

from __future__ import annotations

__all__ = ["Unmade", "UnmadeByRoot", "asked", "bounded", "in_turn", "lacked"]

from collections.abc import Mapping, Sequence

from msgspec import Struct, structs

_TRIES = 2
"""pulls that have to have asked for something in vain before it is withheld"""
_MOST_OF_ONE, _MOST_IN_ALL, _MOST_WHY = 64, 2**15, 300
"""things that are remembered of a guest holdout, and of all, and characters of a reason: together they are
less than what is read of the file (`peer_record`)"""


class Unmade(Struct, frozen=True):
    """Something for want of which the looks of an opened guest holdout cannot be made again here."""

    lacks: str
    """path, in the peer's public tree, of what an audit did not find here"""
    tries: int = 0
    """pulls that have asked for it in vain; or for what had to be shown before anybody could see this"""
    why: str = ""
    """why the last one did not bring it"""
    here: bool = False
    """whether it came since"""
    false: bool = False
    """whether what had come was found to be something else: then nobody can tell before the next audit"""

    @property
    def is_withheld(self) -> bool:
        """Whether it was asked for in vain often enough, and has not come."""
        return self.tries >= _TRIES and (self.false or not self.here)


UnmadeByRoot = dict[str, tuple[Unmade, ...]]
"""root of an opened guest holdout → what its looks cannot be made again for want of, each thing once"""


def lacked(before: Sequence[Unmade], lacking: Mapping[str, bool]) -> tuple[Unmade, ...]:
    """What is lacked of a guest holdout from now on.

    What was not known to be lacking before may be what something else had to be shown for. So it goes on from
    how often that was asked for in vain: who shows one thing after the other gains no time by it. Nor is
    anything forgotten before all looks of the guest holdout were made again.

    Args:
        before: what was known to be lacking, and may have come since.
        lacking: path of what an audit lacked now → whether something else is here in its place. Where that
            had come, it is no better than nothing.
    """
    known = {one.lacks: structs.replace(one, false=False) for one in before}
    stood = max((one.tries for one in before if one.here), default=0)
    for path, false in lacking.items():
        one = known.get(path, Unmade(path, stood))
        # What lies here without having been asked for was not shown: audits alone withhold nothing.
        tries = one.tries + (false and one.here)
        known[path] = structs.replace(one, tries=tries, here=False, false=false)
    return tuple(known.values())


def bounded(unmade: UnmadeByRoot) -> UnmadeByRoot:
    """As much as is remembered: of each guest holdout what was asked for in vain most often.

    One thing is enough to withhold it, and what is left out the next audit finds again.

    Args:
        unmade: all of it.
    """
    of_one = max(1, min(_MOST_OF_ONE, _MOST_IN_ALL // max(1, len(unmade))))

    def weight(one: Unmade) -> tuple[int, bool]:
        return -one.tries, one.here

    kept = {
        root: some if len(some) <= of_one else tuple(sorted(some, key=weight)[:of_one])
        for root, some in unmade.items()
    }
    if len(kept) <= _MOST_IN_ALL:
        return kept
    first = sorted(kept, key=lambda root: min(map(weight, kept[root])))
    return {root: kept[root] for root in first[:_MOST_IN_ALL]}


def in_turn(unmade: UnmadeByRoot) -> list[str]:
    """What has not come is asked for again, each thing once.

    Of guest holdouts that are not withheld yet comes first what was asked for in vain most often: one thing
    is enough. The rest follows, so that it can still come.

    Args:
        unmade: what is lacked.
    """

    def turn(some: tuple[Unmade, ...], one: Unmade) -> tuple[bool, int]:
        return any(other.is_withheld for other in some), -one.tries

    rows = [(turn(some, one), one.lacks) for some in unmade.values() for one in some if not one.here]
    return list(dict.fromkeys(path for _, path in sorted(rows)))


def asked(before: UnmadeByRoot, now: UnmadeByRoot, whys: Mapping[str, str]) -> UnmadeByRoot:
    """What is remembered after some of it was asked for: how often in vain stays, when it has come.

    An audit may have dropped meanwhile what had come, and noted that: then it is not known to be here.

    Args:
        before: as it was when it was asked for.
        now: as it is remembered by now.
        whys: path of what was asked for → why it did not come; empty where it did.
    """
    noted = {(root, one.lacks): (one.tries, one.false) for root, some in before.items() for one in some}

    def of(root: str, one: Unmade) -> Unmade:
        if (why := whys.get(one.lacks)) is None:
            return one
        is_same = noted.get((root, one.lacks)) == (one.tries, one.false)
        here = not why if is_same else one.here and not why
        return structs.replace(one, tries=one.tries + bool(why), why=why[:_MOST_WHY], here=here)

    return {root: tuple(of(root, one) for one in some) for root, some in now.items()}

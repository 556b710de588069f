"""Losses that were computed again, beside those that a receipt records."""

from __future__ import annotations

__all__ = ["Found", "compare", "flipped", "tolerated_flips"]

from collections.abc import Iterator, Sequence

from cryoflux.receipts.profiles import F32, TOLERANCES
from cryoflux.verification.pairing import Pairing

Found = tuple[list[int], list[bool]]
"""losses in nano-nats, and which examples are right"""


def compare(
    base: Found,
    new: Found,
    recorded: Pairing,
    profile: str,
    *,
    loose: bool = False,
    tokens: Sequence[int] = (),
) -> list[str]:
    """What is further from the recorded losses than the profile tolerates.

    Args:
        base: losses and hits of the base, computed here.
        new: the same of the candidate.
        recorded: what was signed.
        profile: in which arithmetic.
        loose: whether the candidate's weights are only known up to what float32 rounds away.
        tokens: target tokens of each example, where the profile's tolerance is for each of them.
    """
    new_profile = F32 if loose else profile
    return [
        *_differences("base", base, (recorded.base, recorded.base_correct), profile, tokens),
        *_differences("new", new, (recorded.new, recorded.new_correct), new_profile, tokens),
    ]


def tolerated_flips(count: int, profile: str, *, loose: bool) -> int:
    """How many predictions of base and candidate together may differ on so many examples; as `compare`."""
    return sum(int(TOLERANCES[one].flips_in(count)) for one in (profile, F32 if loose else profile))


def flipped(base: Found, new: Found, recorded: Pairing) -> int:
    """How many predictions of base and candidate are right or wrong otherwise than recorded."""
    said = [*recorded.base_correct, *recorded.new_correct]
    return sum(a != b for a, b in zip([*base[1], *new[1]], said, strict=True))


def _differences(which: str, found: Found, said: Found, profile: str, tokens: Sequence[int]) -> Iterator[str]:
    tolerance, count = TOLERANCES[profile], len(said[0])
    counted = tokens if tolerance.each_token else ()
    if complaint := tolerance.complaint(found[0], said[0], counted):
        off = sum(a != b for a, b in zip(found[0], said[0], strict=True))
        yield f"{off} of {count} {which} losses differ, {complaint}"
    flipped = sum(a != b for a, b in zip(found[1], said[1], strict=True))
    if flipped > tolerance.flips_in(count):
        yield f"{flipped} of {count} {which} predictions are right or wrong differently"

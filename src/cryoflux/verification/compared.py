"""What each of several versions has shown against a head, as a look or a rollback lists it."""

from __future__ import annotations

__all__ = ["best_of", "digest_of_list", "in_words", "list_complaints", "not_listed", "short_version"]

from collections.abc import Collection, Iterator, Sequence

from cryoflux.digests import sha256_hex
from cryoflux.receipts.monitor_parts import CheckedAgainst

_DIGITS = 15
"""of a digest that are remembered, as a number"""


def short_version(digest: str) -> int:
    """A version as a log remembers it that may have made very many."""
    return int(digest[:_DIGITS], 16)


def in_words(version: int) -> str:
    """The beginning of the digest of a version that is remembered so."""
    return f"{version:0{_DIGITS}x}…"


def list_complaints(listed: Sequence[CheckedAgainst], due: Collection[int]) -> Iterator[str]:
    """What is wrong with the versions of a list.

    Args:
        listed: each with what it has shown.
        due: the versions that the log compares the head with.
    """
    versions = [short_version(one.version) for one in listed]
    if len(set(versions)) < len(versions):
        yield "lists a version twice"
    if not set(versions) <= set(due):
        yield "lists a version which the log does not compare it with"


def not_listed(
    listed: Sequence[CheckedAgainst], due: Collection[int], freed: Collection[int]
) -> Iterator[str]:
    """What is to be asked about versions that a list leaves out: it may lack those that entries freed."""
    versions = {short_version(one.version) for one in listed}
    missing = [one for one in due if one not in versions and one not in freed]
    if listed and missing:
        yield f"does not say how it compares with {in_words(missing[0])}, which no entry has freed"


def best_of(listed: Sequence[CheckedAgainst], needed_milli: int) -> CheckedAgainst | None:
    """The version to go back to: of those with enough evidence the one that does best; none without any."""
    enough = [one for one in listed if one.evidence_milli >= needed_milli]
    return max(enough, key=lambda one: (one.worse_nano, one.version), default=None)


def digest_of_list(listed: Sequence[CheckedAgainst]) -> str:
    """What tells two lists apart; empty of none."""
    said = [f"{one.version} {one.evidence_milli} {one.worse_nano}" for one in listed]
    return sha256_hex("\n".join(sorted(said)).encode())[:_DIGITS] if said else ""

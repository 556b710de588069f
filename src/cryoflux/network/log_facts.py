"""What a peer's log says that others need: its offers, rounds and guest holdouts, and what all of it cost.

It is kept beside the mirror, so that the next pull reads what is new and books read nothing again. How it is
read is `log_walk`.
"""

from __future__ import annotations

__all__ = ["LogFacts", "OfferFact", "OpeningFact", "RoundFact", "receipt_key_of"]


from msgspec import Struct, field

from cryoflux.network_state import NodeState
from cryoflux.receipts.checkpoint import VerifierKey, named_after
from cryoflux.receipts.lines import Lines
from cryoflux.receipts.network_parts import MemberVerdict
from cryoflux.receipts.revocation import Reign
from cryoflux.receipts.statement import ZERO_HASH
from cryoflux.registry.mixture import OfferedUpdate
from cryoflux.signing.keys import brought_key, raw_key_id

_FORM = 7
"""of the facts: others are made anew"""


class OfferFact(Struct, frozen=True):
    """An update that a log offers, made by a receipt of it."""

    update: OfferedUpdate
    index: int
    """of the entry that offers it"""
    leaf: str
    receipt_index: int
    """of the entry that committed to it"""
    receipt_leaf: str
    config: str
    adapter_bytes: int
    upper_uj: int
    """that its receipt was charged at most, µJ"""


class RoundFact(Struct, frozen=True):
    """A round that a log records."""

    index: int
    guest_index: int
    """of the entry that entered the guest holdout"""
    root: str
    level: int
    members: dict[str, MemberVerdict]
    origins: dict[str, str]
    """capsule → the log that offered it, as the announcement says"""
    copied: dict[str, str]
    """capsule → its later copy, which the head had already"""
    shown_alone: str
    """the member that all steps are of which the guest holdout was shown; empty where there is none"""


class OpeningFact(Struct, frozen=True):
    """A guest holdout that a log opened."""

    root: str
    key: str
    examples: str
    """SHA-256 of the file of its examples"""
    count: int
    follows: bool
    """whether each seal opens to its sums, and each level follows from them"""
    index: int
    """of the entry that opens it"""


class LogFacts(Struct):
    """What a log has come to, as far as it was read."""

    form: int = _FORM
    size: int = 0
    """entries"""
    last: str = ZERO_HASH
    peaks: list[bytes] = field(default_factory=list)
    fault: str = ""
    """what is wrong with the entry behind them; nothing is read on"""
    receipt_key: bytes = b""
    """that signs the next entry; empty before the first, and after a revocation"""
    root_key: bytes = b""
    reigns: list[Reign] = field(default_factory=list)
    nodes: dict[str, NodeState] = field(default_factory=dict)
    """task → what it has come to"""
    offers: list[OfferFact] = field(default_factory=list)
    rounds: list[RoundFact] = field(default_factory=list)
    openings: list[OpeningFact] = field(default_factory=list)
    open: set[str] = field(default_factory=set)
    """leaf hashes of what was announced and has no record"""
    made: dict[str, tuple[str, int]] = field(default_factory=dict)
    """adapter of an update that was kept → digest of its settings, and the entry that says so"""
    lines: Lines = field(default_factory=Lines)
    """what its heads rest on"""
    upper_uj: int = 0
    tiers: set[str] = field(default_factory=set)
    broken: int = 0
    """rounds that do not follow their rule: another bar than is due, or verdicts that do not fit together"""
    unread: int = 0
    """entries of a newer form"""

    @property
    def current(self) -> bool:
        """Whether they are of today's form."""
        return self.form == _FORM


def receipt_key_of(document: bytes, log: VerifierKey) -> bytes:
    """The receipt key that a peer brings, if its log can be named after it; else nothing.

    Args:
        document: its ``node.json``.
        log: the key of its log.
    """
    raw = brought_key(document)
    return raw if raw and named_after(raw_key_id(raw)) == log.name else b""

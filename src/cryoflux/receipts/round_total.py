"""What the rounds of a log have come to: how many, what they adopted, what checking others' updates cost."""

from __future__ import annotations

__all__ = ["RoundTotal", "round_words", "with_round"]

from dataclasses import dataclass, replace

from cryoflux.quantities import Energy
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.network_parts import MemberVerdict, RoundOutcome
from cryoflux.receipts.network_statement import Recall, RoundResult
from cryoflux.receipts.numbering import round_name


@dataclass(frozen=True, slots=True)
class RoundTotal:
    """What they have come to."""

    rounds: int = 0
    """that have a record"""
    accepted: int = 0
    """those that moved a head"""
    considered: int = 0
    """updates that others offered, each counted in each round that said what became of it"""
    adopted: int = 0
    """those of them that a head took in"""
    recalled: int = 0
    """those that were taken out again"""
    energy: Energy | None = None
    """charged to rounds; none before the first"""


def with_round(before: RoundTotal | None, entry: Entry) -> RoundTotal | None:
    """What they have come to after an entry; the same where it is neither a round's record nor a recall."""
    record, known = entry.round, before or RoundTotal()
    if record is not None:
        charged = record.energy.energy
        return replace(
            known,
            rounds=known.rounds + 1,
            accepted=known.accepted + (record.outcome is RoundOutcome.ACCEPTED),
            considered=known.considered + len(record.members),
            adopted=known.adopted + sum(one.verdict is MemberVerdict.ADOPTED for one in record.members),
            energy=known.energy + charged if known.energy is not None else charged,
        )
    return replace(known, recalled=known.recalled + 1) if entry.recall is not None else before


def round_words(record: RoundResult | Recall, number: int) -> str:
    """What a version that it made is composed of, in words: ``composed of offers by round #r2``.

    Args:
        record: of the round, or the recall.
        number: of the round in its log.
    """
    if isinstance(record, Recall):
        return f"recall of {record.capsule[:12]}…"
    return f"composed of offers by round {round_name(number)}"

"""What a round of others' updates came to, and what rounds came to together, in words and for a program."""

from __future__ import annotations

__all__ = ["network_sentence", "round_sentence", "rounds_document", "rounds_text"]

from collections import Counter
from typing import Any

from cryoflux.quantities import NANO, counted, format_energy
from cryoflux.receipts.network_parts import RoundOutcome
from cryoflux.receipts.network_statement import (
    GuestHoldout,
    GuestOpening,
    NetworkStatement,
    Node,
    Recall,
    RoundIntent,
    RoundResult,
    UpdateOffer,
)
from cryoflux.receipts.round_total import RoundTotal
from cryoflux.report.attempt_words import energy_document

_ENDED = {
    RoundOutcome.ACCEPTED: "what was composed is the head from here on",
    RoundOutcome.REJECTED: "the guest holdout did not show that what was composed is better",
    RoundOutcome.UNSHOWN: "nothing that was composed was worth a look",
    RoundOutcome.ABORTED: "it ended before it could decide",
}


def round_sentence(record: RoundResult) -> str:
    """How a round ended, and what became of its candidates: ``…; 1 adopted, 2 screened``."""
    verdicts = Counter(one.verdict.value for one in record.members)
    members = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
    level = record.look.level if record.look is not None else 0
    certified = f", Δ > {level / NANO:g} certified" if level else ""
    return f"{_ENDED[record.outcome]}{certified}{f'; {members}' if members else ''}"


def rounds_text(total: RoundTotal) -> str:
    """What rounds came to: ``2 rounds, 1 accepted; of 3 offers considered 1 adopted; 62.1 J``."""
    said = f"{counted(total.rounds, 'round')}, {total.accepted} accepted"
    some = f"of {counted(total.considered, 'offer')} considered {total.adopted} adopted"
    back = f", {total.recalled} recalled" if total.recalled else ""
    spent = f"; {format_energy(total.energy.uj)}" if total.energy is not None else ""
    return f"{said}; {some}{back}{spent}"


def rounds_document(total: RoundTotal | None) -> dict[str, Any] | None:
    """The same for a program; none where there was no round."""
    if total is None:
        return None
    return {
        "rounds": total.rounds,
        "accepted": total.accepted,
        "considered": total.considered,
        "adopted": total.adopted,
        "recalled": total.recalled,
        "energy": energy_document(total.energy),
    }


def network_sentence(statement: NetworkStatement) -> str:
    """What an entry of a node says, in plain language."""
    said = statement.predicate
    if isinstance(said, RoundResult):
        spent = f"{format_energy(said.energy.microjoules)} ({said.energy.tier.value})"
        return f"A round was {said.outcome.value}: {round_sentence(said)}. It was charged {spent}."
    if isinstance(said, RoundIntent):
        return (
            f"A round is announced, before it is tried: {counted(len(said.candidates), 'candidate')}, with "
            f"at most {format_energy(said.reserved_microjoules)} reserved. It can no longer be left out."
        )
    return _beside_rounds(said)


def _beside_rounds(said: Node | GuestHoldout | UpdateOffer | GuestOpening | Recall) -> str:
    match said:
        case Node(name=name, task=task):
            return (
                f"This log is a node’s, {name}: it trains {task}, and whoever trains over the same "
                f"first version, {said.genesis.digest[:12]}…, can offer it updates."
            )
        case GuestHoldout(open_by=day):
            return (
                f"A guest holdout of {counted(said.count, 'example')} is entered by its root, before what it "
                f"judges is known. It gives {said.max_looks} verdicts at most, and is opened by {day}."
            )
        case UpdateOffer(receipt_at=place):
            return (
                f"The update {said.update.adapter[:12]}… of entry {place} is offered to others; that entry "
                "was the commitment."
            )
        case GuestOpening(why=why):
            looks = counted(len(said.rounds), "look")
            return f"A guest holdout retires ({why.value}) and is opened: anybody can make {looks} again."
        case Recall(base=base, result=result):
            ends = f"from {base.digest[:12]}… to {result.digest[:12]}…"
            return f"The update {said.capsule[:12]}… is taken out of the head, {ends}: {said.reason}"

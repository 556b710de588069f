"""What the judgements of a log have come to, in words and for a program."""

from __future__ import annotations

__all__ = ["judgements_document", "judgements_text", "last_judgement_text"]

from typing import Any

from cryoflux.quantities import MICRO, counted, format_energy, format_nats
from cryoflux.receipts.judgement_total import JudgementTotal


def judgements_text(total: JudgementTotal) -> str:
    """How many there are, and what was stated of their joules: ``3 judgements on 1 holdout, 1 kept``."""
    said = f"{counted(total.count, 'judgement')} on {counted(len(total.holdouts), 'holdout')}"
    stated = f"{format_energy(total.stated_uj)} stated" if total.stated_uj else "no joules stated"
    of_some = f" (nothing for {total.unstated} of them)" if total.stated_uj and total.unstated else ""
    return f"{said}, {total.kept} kept; {stated}{of_some}"


def last_judgement_text(total: JudgementTotal) -> str:
    """The newest of them: ``my-fine-tune was kept: Δ +0.0664 nats an example, look 2 at its holdout``."""
    last = total.last
    change = f"Δ {format_nats(last.delta)} {last.unit} an example"
    return f"{last.name} was {last.outcome}: {change}, look {last.look} at its holdout"


def judgements_document(total: JudgementTotal | None) -> dict[str, Any] | None:
    """The same for a program; none where nothing was judged."""
    if total is None:
        return None
    last = total.last
    return {
        "judgements": total.count,
        "kept": total.kept,
        "holdouts": len(total.holdouts),
        "looks": total.count,
        "joules_stated": total.stated_uj / MICRO,
        "unstated": total.unstated,
        "last": {
            "entry": last.entry,
            "name": last.name,
            "outcome": last.outcome,
            "delta": last.delta,
            "unit": last.unit,
            "look": last.look,
        },
    }

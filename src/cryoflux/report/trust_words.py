"""What of one attempt is proven, what can be computed again, and what somebody only says."""

from __future__ import annotations

__all__ = ["Grounds", "trust_in"]

from dataclasses import dataclass

from cryoflux.receipts.charged import UNTOLD
from cryoflux.receipts.statement import Receipt


@dataclass(frozen=True, slots=True)
class Grounds:
    """Sentences for each of the three."""

    proven: tuple[str, ...]
    """by the bytes of the log, whoever reads them"""
    recomputable: tuple[str, ...]
    """by whoever has the files, and time"""
    attested: tuple[str, ...]
    """by somebody; no check can replace it"""


def trust_in(receipt: Receipt, *, losses_here: bool) -> Grounds:
    """What applies to one receipt.

    Args:
        receipt: of an attempt.
        losses_here: whether its per-example losses are at hand.
    """
    return Grounds(_proven(receipt), _recomputable(receipt, losses_here=losses_here), _attested(receipt))


def _proven(receipt: Receipt) -> tuple[str, ...]:
    said = [
        "These bytes, their signer, and their place in the log.",
        "That it was announced before it was tried.",
    ]
    if receipt.evaluation is not None:
        said.append("That Δ and the verdict follow from the signed losses and the rule.")
    elif receipt.decision is not None:
        said.append("That the screen's verdict follows from the signed losses and the rule.")
    return tuple(said)


def _recomputable(receipt: Receipt, *, losses_here: bool) -> tuple[str, ...]:
    said = []
    if receipt.evaluation is not None:
        said.append("The merge, and the losses of base and candidate on the holdout.")
        if not losses_here:
            said.append("The losses of single examples are not at hand, so there is less to compare with.")
    if receipt.training is not None:
        said.append(
            "The training, from data, recipe and seed: to the byte on the same software and processor."
        )
    return tuple(said) or ("Nothing: no update was made.",)


def _attested(receipt: Receipt) -> tuple[str, ...]:
    energy = receipt.energy
    if energy.unmetered:
        joules = "The joules: no meter has told what this attempt used."
    elif not UNTOLD.isdisjoint(energy.flags):
        joules = "The joules: of a worker that was lost, no meter told to the end what it used."
    elif energy.parts and all(part.settlement for part in energy.parts):
        joules = "The joules: each meter signed its part with its own key, and whoever has that key can lie."
    elif energy.settlement:
        joules = "The joules: the meter signed them with a key of its own, and whoever has that key can lie."
    else:
        joules = "The joules: whoever signed the receipt says so; no meter signed them."
    return joules, "The hardware, and the times.", "That nothing was tried outside of this log."

"""A buyer's look at its guest holdout, of losses that it has computed: what is published, and what is sealed.

A bit a clause and a seal. The sums stay with the guest holdout: from published Δ, or from how close a clause
was, whoever offers learns the holdout.
"""

from __future__ import annotations

__all__ = ["look_of"]

from collections.abc import Sequence
from datetime import datetime

from cryoflux.decision.evidence import pair_losses
from cryoflux.decision.promised import needed_of_windows, promised
from cryoflux.network.contracts.document import clauses_of
from cryoflux.network.contracts.due import DueLook
from cryoflux.receipts.contract_parts import AgreedTerms, look_name
from cryoflux.receipts.contract_statement import ContractLook
from cryoflux.receipts.network_parts import SealedSums
from cryoflux.receipts.parts import Base


def look_of(
    terms: AgreedTerms,
    due: DueLook,
    compared: tuple[Base, Base],
    losses: tuple[Sequence[int], Sequence[int]] | None,
    key: bytes,
    now: datetime,
) -> tuple[ContractLook, SealedSums | None]:
    """The look at a window, to be put at the end of the buyer's log, and the sums that it seals.

    Args:
        terms: of the contract.
        due: what the window is about.
        compared: what the two lists are composed to.
        losses: of both on every example of the guest holdout, nano-nats, in its order; none where the bytes
            of what was offered could not be had.
        key: of the guest holdout.
        now: wall time, UTC; a label.

    Raises:
        ValueError: there are not as many losses as examples.
    """
    said = ContractLook(
        sequence=0,
        prev="0" * 64,
        task=terms.task,
        contract=terms.digest,
        window=due.window,
        base=due.base,
        result=due.offer.result,
        offer=due.offer.leaf,
        available=losses is not None,
        kept=(False,) * len(terms.clauses),
        upper_microjoules=due.paid.known_uj,
        sealed="",
        looked_at=now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    )
    if losses is None:
        return said, None
    evidence = pair_losses(*losses)
    if evidence.count != terms.count:
        raise ValueError(f"{evidence.count} losses, of a guest holdout of {terms.count} examples")
    sums = SealedSums(
        base=compared[0],
        candidate=compared[1],
        profile=terms.profile,
        base_loss_sum=evidence.base_loss,
        new_loss_sum=evidence.new_loss,
        delta_squared_sum=str(evidence.delta_squared),
    )
    needed = needed_of_windows(terms.alpha_ppm, terms.windows.count)
    bits = (
        clause is None or promised(clause, evidence, needed, due.paid.known_uj)
        for clause in clauses_of(terms)
    )
    sealed = sums.seal(key, look_name(terms.digest, due.window))
    return said.but(kept=tuple(bits), sealed=sealed), sums

"""A buyer's look at its guest holdout, of losses that it has computed: what is published, and what is sealed.

A bit a clause and a seal. The sums stay with the guest holdout: from published Δ, or from how close a clause
was, whoever offers learns the holdout.
"""

from __future__ import annotations

__all__ = ["look_of", "sums_of"]

from collections.abc import Sequence

from cryoflux.decision.evidence import pair_losses
from cryoflux.decision.promised import needed_of_windows, promised
from cryoflux.network.contracts.document import clauses_of
from cryoflux.network.contracts.due import DueLook
from cryoflux.receipts.contract_parts import AgreedTerms, look_name
from cryoflux.receipts.contract_statement import ContractLook
from cryoflux.receipts.network_parts import SealedSums
from cryoflux.receipts.parts import Base

_NOT_YET = "0" * 64
"""in place of what the log puts there"""


def sums_of(
    terms: AgreedTerms, compared: tuple[Base, Base], losses: tuple[Sequence[int], Sequence[int]]
) -> SealedSums:
    """What is sealed of a look.

    Args:
        terms: of the contract.
        compared: what base and result are composed to.
        losses: of both on every example of the guest holdout, nano-nats, in its order.

    Raises:
        ValueError: there are not as many losses as examples.
    """
    evidence = pair_losses(*losses)
    if evidence.count != terms.count:
        raise ValueError(f"{evidence.count} losses, of a guest holdout of {terms.count} examples")
    return SealedSums(
        base=compared[0],
        candidate=compared[1],
        profile=terms.profile,
        base_loss_sum=evidence.base_loss,
        new_loss_sum=evidence.new_loss,
        delta_squared_sum=str(evidence.delta_squared),
    )


def look_of(
    terms: AgreedTerms, due: DueLook, sums: SealedSums | None, key: bytes, looked_at: str
) -> ContractLook:
    """The look at a window, to be put at the end of the buyer's log.

    Args:
        terms: of the contract.
        due: what the window is about.
        sums: of the look; none where the bytes of what was offered could not be had.
        key: of the guest holdout.
        looked_at: wall time, as an entry writes it.
    """
    said = ContractLook(
        sequence=0,
        prev=_NOT_YET,
        task=terms.task,
        contract=terms.digest,
        window=due.window,
        base=due.base,
        result=due.offer.result,
        offer=due.offer.leaf,
        available=sums is not None,
        kept=(False,) * len(terms.clauses),
        upper_microjoules=due.paid.known_uj,
        sealed="",
        looked_at=looked_at,
    )
    if sums is None:
        return said
    evidence = sums.evidence(terms.count)
    needed = needed_of_windows(terms.alpha_ppm, terms.windows.count)
    bits = (
        clause is None or promised(clause, evidence, needed, due.paid.known_uj)
        for clause in clauses_of(terms)
    )
    return said.but(kept=tuple(bits), sealed=sums.seal(key, look_name(terms.digest, due.window)))

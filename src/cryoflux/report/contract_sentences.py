"""What an entry of a contract says, in plain language."""

from __future__ import annotations

__all__ = ["contract_sentence"]

from cryoflux.receipts.contract_statement import (
    ContractLook,
    ContractResult,
    ContractStatement,
    ProposedContract,
)


def contract_sentence(statement: ContractStatement) -> str:
    """What it says."""
    said = statement.predicate
    if isinstance(said, ContractLook):
        kept = f"{sum(said.kept)} of {len(said.kept)} clauses are kept"
        return (
            f"The buyer has looked at window {said.window + 1} of the contract {said.contract[:12]}…: "
            f"{kept}, by its word; the sums are sealed."
        )
    if isinstance(said, ContractResult):
        return (
            f"Window {said.window + 1} of the contract {said.contract[:12]}… is {said.standing.value}, as "
            "this party computed it of both logs. No money moves by that."
        )
    terms, signed = said.terms, "proposed" if isinstance(said, ProposedContract) else "accepted"
    return (
        f"The contract {terms.digest[:12]}… is {signed}: {' and '.join(terms.clauses)}, in each of "
        f"{terms.windows.count} windows; {terms.seller} sells to {terms.buyer}."
    )

"""The flat view of what a party of a contract says; everything is derived, and nothing here is signed."""

from __future__ import annotations

__all__ = ["flat_contract"]

from typing import Any

from cryoflux.quantities import MICRO, NANO
from cryoflux.receipts.contract_statement import (
    ContractLook,
    ContractResult,
    ContractStatement,
    ProposedContract,
)


def flat_contract(statement: ContractStatement) -> dict[str, Any]:
    """The fields of what a party of a contract says.

    Args:
        statement: what was signed.
    """
    said = statement.predicate
    found: dict[str, Any] = {"task_name": said.task}
    if isinstance(said, ContractLook):
        upper_uj = said.upper_microjoules
        return found | {
            "contract": said.contract,
            "window": f"{said.window + 1}",
            "available": said.available,
            "bits": list(said.kept),
            "upper_joules": None if upper_uj is None else upper_uj / MICRO,
            "sealed": said.sealed or None,
            "outcome": "contract look",
        }
    if isinstance(said, ContractResult):
        return found | {
            "contract": said.contract,
            "window": f"{said.window + 1}",
            "clauses": [f"{one.clause}: {one.standing.value} ({one.known.value})" for one in said.clauses],
            "outcome": f"contract {said.standing.value}",
        }
    terms = said.terms
    return found | {
        "contract": terms.digest,
        "seller": terms.seller,
        "buyer": terms.buyer,
        "clauses": list(terms.clauses),
        "windows": terms.windows.count,
        "examples": terms.count,
        "alpha": terms.alpha_ppm / MICRO,
        "expected_nats": terms.expected_delta_nano_nat / NANO,
        "upper_joules": terms.joules.upper_microjoules / MICRO,
        "amount": terms.amount or None,
        "outcome": "contract proposed" if isinstance(said, ProposedContract) else "contract accepted",
    }

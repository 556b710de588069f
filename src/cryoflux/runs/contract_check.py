"""Whether terms are large enough, and whether both parties signed for the same."""

from __future__ import annotations

__all__ = ["CheckedTerms", "ResultsApart", "check_terms", "results_apart"]

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cryoflux.decision.promised import adapted_alpha
from cryoflux.network.contracts.evaluation import ContractVerdict, first_difference
from cryoflux.network.contracts.power import Alternative, ContractTerms, Planned, alternatives, plan
from cryoflux.network.contracts.told import ContractTold
from cryoflux.receipts.contract_parts import ContractEvidence, ContractStanding
from cryoflux.receipts.contract_statement import ContractResult


@dataclass(frozen=True, slots=True)
class CheckedTerms:
    """Terms, and whether a window that is as expected would be called kept."""

    terms: ContractTerms
    planned: Planned
    adapted_alpha: float
    """error over all windows where offers go by the bits before"""
    alternatives: tuple[Alternative, ...]


@dataclass(frozen=True, slots=True)
class ResultsApart:
    """A window for which two parties signed different results."""

    window: int
    origin: str
    """of the log that says otherwise"""
    standing: ContractStanding
    """that it signed for"""
    mine: ContractEvidence | None
    theirs: ContractEvidence | None


def check_terms(terms: ContractTerms, measured: int) -> CheckedTerms:
    """Whether terms are large enough.

    Args:
        terms: what is asked of each window.
        measured: clauses on Δ or η; a look has one outcome more.
    """
    worst = adapted_alpha(round(terms.alpha * 1_000_000), terms.windows, measured + 1)
    return CheckedTerms(terms, plan(terms), worst, tuple(alternatives(terms)))


def results_apart(
    verdict: ContractVerdict, logs: Iterable[ContractTold], origin: str
) -> Iterator[ResultsApart]:
    """The windows for which another log has signed another result than what is computed here.

    Args:
        verdict: what is computed here.
        logs: of the parties.
        origin: of the log that this is said for.
    """
    found = {one.window: one for one in verdict.windows}
    for log in sorted(logs, key=lambda one: one.origin):
        newest: dict[int, ContractResult] = {said.window: said for _, said in log.results}
        for window, said in sorted(newest.items()):
            here = found.get(window)
            if log.origin == origin or here is None or said.standing is here.standing:
                continue
            apart = first_difference(here.evidence, said.evidence)
            mine, theirs = apart if apart is not None else (None, None)
            yield ResultsApart(window, log.origin, said.standing, mine, theirs)

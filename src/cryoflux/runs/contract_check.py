"""Whether terms are large enough, and whether both parties signed for the same."""

from __future__ import annotations

__all__ = ["CheckedTerms", "ResultsApart", "check_terms", "results_apart"]

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cryoflux.decision.promised import adapted_alpha
from cryoflux.network.contracts.evaluation import ContractVerdict, WindowVerdict, first_difference
from cryoflux.network.contracts.power import Alternative, ContractTerms, Planned, alternatives, plan
from cryoflux.network.contracts.told import ContractTold
from cryoflux.receipts.contract_parts import ClauseResult, ContractEvidence, ContractStanding
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
    clause: ClauseResult | None
    """the first one that it signed for otherwise; none where none is"""
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

    Another result says another thing of the window or of a clause; or the same by other evidence, though it
    went by the same entries. By more entries a bit becomes a sum: that is no other result.

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
            if log.origin == origin or here is None:
                continue
            apart = first_difference(here.evidence, said.evidence)
            clause = _first_clause(here, said)
            same_logs = said.logs == verdict.logs
            if said.standing is here.standing and clause is None and not (same_logs and apart):
                continue
            mine, theirs = apart if apart is not None else (None, None)
            yield ResultsApart(window, log.origin, said.standing, clause, mine, theirs)


def _first_clause(here: WindowVerdict, said: ContractResult) -> ClauseResult | None:
    """The first clause of a signed result that stands otherwise, or that is not computed here."""
    mine = [(one.clause, one.standing) for one in here.clauses]
    theirs = [(one.clause, one.standing) for one in said.clauses]
    apart = (at for at, one in enumerate(theirs) if at >= len(mine) or one != mine[at])
    return next((said.clauses[at] for at in apart), None)

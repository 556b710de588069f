"""What the commands about contracts print: whether terms are large enough, and what windows came to."""

from __future__ import annotations

__all__ = [
    "check_document",
    "evidence_document",
    "look_document",
    "print_check",
    "print_differences",
    "print_look",
    "print_verdict",
    "verdict_document",
]

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cryoflux.cli.console import stdout
from cryoflux.cli.contract_evidence import in_words
from cryoflux.expression import AVAILABLE
from cryoflux.quantities import MICRO, format_energy, utc_label

if TYPE_CHECKING:
    from cryoflux.network.contracts.evaluation import ContractVerdict
    from cryoflux.network.contracts.power import ContractTerms, Planned
    from cryoflux.receipts.contract_parts import AgreedTerms, ContractEvidence
    from cryoflux.runs.contract_check import CheckedTerms, ResultsApart
    from cryoflux.runs.contract_look import LookedAt

_MARKS = {"fulfilled": "✓", "breached": "✗"}
NO_MONEY = "No money moves: this is what both logs say, and what is owed is between the parties."
_KNOWN = {
    "logs": "follows from the logs",
    "attested": "the buyer's word, until its guest holdout is opened",
    "verified": "by sums that were sealed and opened",
}
_BY_WORD_ALONE = "the buyer's word, which no opening verifies"


def check_document(found: CheckedTerms) -> dict[str, Any]:
    """Whether terms are large enough, as JSON."""
    return {
        "event": "checked",
        "enough": found.planned.enough,
        **_planned(found.terms, found.planned),
        "alpha": found.terms.alpha,
        "adapted_alpha": found.adapted_alpha,
        "power": found.terms.power,
        "alternatives": [
            {"words": one.words, **_planned(one.terms, one.planned)} for one in found.alternatives
        ],
    }


def _planned(terms: ContractTerms, planned: Planned) -> dict[str, Any]:
    return {
        "examples": terms.count,
        "examples_needed": planned.needed,
        "windows": terms.windows,
        "chance": planned.chance,
        "asked_nats": terms.cost,
        "expected_nats": terms.delta,
        "upper_joules": terms.joules_upper,
    }


def print_check(found: CheckedTerms) -> None:
    """Whether terms are large enough, in words."""
    terms, planned = found.terms, found.planned
    mark = "✓ large enough" if planned.enough else "✗ too small"
    needs = f"{planned.needed:,}" if planned.needed is not None else "more than there can be"
    asks = f"asks for a mean Δ above {terms.cost:.4g} nats, expects {terms.delta:.4g} ± {terms.spread:.4g}"
    stdout.print(f"{mark}: a window needs {needs} examples, and there are {terms.count:,}", markup=False)
    stdout.print(f"  each of {terms.windows} windows {asks}", markup=False)
    chance = f"called kept with {planned.chance:.1%} if it is as expected; {terms.power:.1%} is asked for"
    stdout.print(f"  {chance}", markup=False)
    adapted = f"at most {found.adapted_alpha:.2%} where offers go by the bits before"
    stdout.print(f"  called kept though it is not: at most {terms.alpha:.2%}, {adapted}", markup=False)
    for one in found.alternatives:
        if not planned.enough:
            needed = f"{one.planned.needed:,}" if one.planned.needed is not None else "?"
            stdout.print(f"  would do: {one.words} (needs {needed})", markup=False)


def look_document(terms: AgreedTerms, found: LookedAt) -> dict[str, Any]:
    """A look at a window, as JSON."""
    spent = found.charged
    kept = zip(terms.clauses, found.said.kept, strict=True)
    return {
        "event": "looked",
        "contract": terms.digest,
        "number": found.said.window + 1,
        "clauses": [{"clause": text, "kept": bit} for text, bit in kept],
        "entry": found.entry.index,
        "joules_spent": spent.uj / MICRO if spent is not None else None,
        "joules_lo": spent.lo_uj / MICRO if spent is not None else None,
        "joules_hi": spent.hi_uj / MICRO if spent is not None else None,
        "tier": spent.tier.value if spent is not None else None,
    }


def print_look(terms: AgreedTerms, found: LookedAt) -> None:
    """A look at a window, in words."""
    stdout.print(f"window {found.said.window + 1}, entry {found.entry.index}:", markup=False)
    for text, bit in zip(terms.clauses, found.said.kept, strict=True):
        stdout.print(f"  {text}: {'kept' if bit else 'not kept'}", markup=False)
    if found.charged is not None:
        cost = f"{format_energy(found.charged.uj)}, {found.charged.tier.value}"
        stdout.print(f"looking has cost {cost}, which this log has as a session", markup=False)
    opens = f"cryoflux node retire --root {terms.guest_root[:16]}"
    stdout.print(f"Δ is sealed until its guest holdout is opened: {opens}", markup=False)


def verdict_document(terms: AgreedTerms, verdict: ContractVerdict) -> dict[str, Any]:
    """What a contract came to, as JSON."""
    return {
        "event": "evaluated",
        "contract": verdict.digest,
        "seller": terms.seller,
        "buyer": terms.buyer,
        "standing": verdict.standing.value,
        "windows_found": [
            {
                "number": one.window + 1,
                "begins_at": utc_label(terms.windows.end_s(one.window) - terms.windows.length_s),
                "ends_at": utc_label(terms.windows.end_s(one.window)),
                "due_at": utc_label(terms.windows.due_s(one.window)),
                "standing": one.standing.value,
                "clauses": [
                    {"clause": each.clause, "standing": each.standing.value, "known": each.known.value}
                    for each in one.clauses
                ],
                "evidence": [evidence_document(each) for each in one.evidence],
            }
            for one in verdict.windows
        ],
        "logs_read": [{"origin": log.origin, "entries": log.size, "root": log.root} for log in verdict.logs],
    }


def evidence_document(one: ContractEvidence) -> dict[str, str]:
    """One piece of evidence, as JSON."""
    return {
        "code": one.code,
        "clause": one.clause,
        "origin": one.origin,
        "receipt_hash": one.leaf,
        "said": one.value,
    }


def print_verdict(terms: AgreedTerms, verdict: ContractVerdict) -> None:
    """What a contract came to, in words."""
    name = verdict.digest[:16]
    parties = f"{terms.seller} sells to {terms.buyer}"
    stdout.print(f"contract {name}…: {verdict.standing.value} ({parties})", markup=False)
    for one in verdict.windows:
        mark = _MARKS.get(one.standing.value, "?")
        until = utc_label(terms.windows.end_s(one.window))[:16].replace("T", " ")
        stdout.print(f"{mark} window {one.window + 1} until {until} UTC: {one.standing.value}", markup=False)
        for each in one.clauses:
            by_word = each.clause == AVAILABLE and each.known.value == "attested"
            known = _BY_WORD_ALONE if by_word else _KNOWN[each.known.value]
            line = f"    {each.clause}: {each.standing.value} ({known})"
            stdout.print(line, markup=False)
        stdout.print(f"    {'; '.join(in_words(each, terms) for each in one.evidence)}", markup=False)
    for log in verdict.logs:
        stdout.print(f"read: {log.size} entries of {log.origin}, root {log.root[:16]}…", markup=False)
    stdout.print(NO_MONEY, markup=False)


def print_differences(found: Sequence[ResultsApart], terms: AgreedTerms) -> None:
    """Where the other party signed for something else."""
    for one in found:
        mine = in_words(one.mine, terms) if one.mine is not None else "nothing"
        theirs = in_words(one.theirs, terms) if one.theirs is not None else "nothing"
        stdout.print(
            f"✗ window {one.window + 1}: {one.origin} signed {_signed(one)}. "
            f"First evidence that differs: here {mine}; there {theirs}.",
            markup=False,
        )


def _signed(one: ResultsApart) -> str:
    if one.clause is None:
        return one.standing.value
    return f"{one.standing.value}, and that {one.clause.clause} is {one.clause.standing.value}"

"""What a verification shows, in one line: what was checked and holds, and what is left out of that."""

from __future__ import annotations

__all__ = [
    "MARKS",
    "key_in_words",
    "open_in_words",
    "proven_in_words",
    "recomputed_in_words",
    "verdict",
]

from pathlib import Path
from typing import TYPE_CHECKING

from cryoflux.quantities import counted
from cryoflux.verification.topics import CLAIMED, Topic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryoflux.verification.result import Report

MARKS = {"ok": "✓", "fail": "✗", "unknown": "?", "nothing": "–"}
"""the sign of each status of a check"""
_MOST_NAMED = 5
"""things that are wrong, named in one line"""


def verdict(report: Report, *, strict: bool = False) -> str:
    """One line: what was checked and holds, and what is left out of that."""
    statuses = [check.status.value for check in report.checks]
    if not report.ok:
        bad = dict.fromkeys(check.subject for check in report.checks if check.status.value == "fail")
        return f"✗ NOT VERIFIED. Failed ({statuses.count('fail')}): {', '.join(list(bad)[:_MOST_NAMED])}."
    if strict and not report.complete:
        none = "" if report.receipts else " The log holds no receipt."
        left = f" Nothing failed; open: {open_in_words(report)}." if report.open else ""
        return f"✗ NOT VERIFIED, as --strict asks for.{none}{left}"
    still_open = f" Still open (?): {statuses.count('unknown')}." if "unknown" in statuses else ""
    if not report.entries:
        named = f" Open: {'; '.join(report.exceptions)}." if report.exceptions else ""
        return f"There is nothing to verify yet: the log has no entries.{named}"
    left_out = f", except: {'; '.join(report.exceptions)}" if report.exceptions else ""
    before = f" Of {report.entries} entries, {report.remembered} by memory." if report.remembered else ""
    among = "" if report.receipts else f" in {counted(report.entries, 'entry', 'entries')}"
    return (
        f"✓ VERIFIED {counted(report.receipts, 'receipt')}{among}{left_out}.{before} "
        f"Proven: {proven_in_words(report)}. {key_in_words(report)} "
        f"Recomputed: {recomputed_in_words(report)}. "
        f"Attested, not proven: joules, hardware, and that nothing else was tried.{still_open}"
    )


def proven_in_words(report: Report, *more: str) -> str:
    """What was checked of every receipt, and holds; ``more`` is said behind bytes and order."""
    names = [topic.value for topic in report.proven]
    at = sum(name in {"bytes", "order"} for name in names)
    return _and([*names[:at], *more, *names[at:]]) or "nothing"


def key_in_words(report: Report) -> str:
    """Whose signatures these are, as far as whoever verifies knows."""
    if report.pinned:
        return "Signed by the key that you named."
    if report.signer:
        return "By whom, this does not know: the key is the one that it brings itself (pin it with --key)."
    return "By whom, this does not know: no signature was checked (name the key with --key)."


def open_in_words(report: Report) -> str:
    """Everything that is open: what a verdict leaves out, and what else ``--strict`` asks for."""
    said = list(report.exceptions)
    for topic in report.open:
        if topic is Topic.SIGNER and not report.pinned:
            why = "it brings the key itself: pin it" if report.signer else "no signature was checked: name it"
            said.append(f"{topic.words} ({why} with --key)")
        elif topic not in CLAIMED:
            said.append(topic.words)
    return "; ".join(said)


def _and(names: Sequence[str]) -> str:
    *most, last = names or [""]
    return f"{', '.join(most)} and {last}" if most else last


def recomputed_in_words(report: Report) -> str:
    """What was computed again and came out, and what did not."""
    from cryoflux.verification.apart import furthest_in_words
    from cryoflux.verification.levels import Level, Word

    said = [(Level(level), Word(word)) for one in report.levels for level, word in one["levels"].items()]
    done = [level for level, word in said if word.reproduced]
    others = [one["trained_again"] for one in report.levels if "trained_again" in one]
    but = f"; training again gave another adapter, {furthest_in_words(others)}" if others else ""
    parts = []
    if report.recomputed:
        parts.append(f"losses and Δ of {report.recomputed} of {report.evaluated} evaluated receipts")
        if near := said.count((Level.LOSSES, Word.TOLERATED)):
            parts[-1] += f" ({near} within a tolerance)"
    if spots := done.count(Level.SPOT_CHECK):
        weaker = _weaker_draw(report)
        parts.append(f"drawn examples of {spots} of {report.evaluated} evaluated receipts{weaker}")
    if trained := done.count(Level.RETRAINING):
        parts.append(f"the training of {trained} of the kept updates")
    parts += _rounds_made_again(report)
    if near := said.count((Level.MERGE, Word.TOLERATED)):
        but = f"; {near} of the candidates, up to what float32 rounds away, from base and adapter{but}"
    if parts:
        return f"{', '.join(parts)}{but}"
    return f"nothing{but or _how_to_recompute(report)}"


def _how_to_recompute(report: Report) -> str:
    """What to type to have something computed again; empty where that was asked for, or there is nothing."""
    asked = any(check.knowledge.value == "recomputed" for check in report.checks)
    if asked or not report.evaluated:
        return ""
    if (Path(report.target) / "node.json").is_file():  # a public tree has no models
        return " (cryoflux node audit NAME --recompute 1 does, of what was pulled)"
    return " (add --recompute 1)"


def _rounds_made_again(report: Report) -> list[str]:
    """Versions that rounds and recalls made, and opened looks, as far as they came out."""
    from cryoflux.verification.rounds_again import OPENED_AGAIN, ROUNDS_AGAIN

    done = [check.name for check in report.checks if check.status.value == "ok"]
    counted = {
        ("version of a round", "versions of rounds"): done.count(ROUNDS_AGAIN.name),
        ("opened look", "opened looks"): done.count(OPENED_AGAIN.name),
    }
    return [f"{count} {one if count == 1 else more}" for (one, more), count in counted.items() if count]


def _weaker_draw(report: Report) -> str:
    by = {one["draw"]["by"] for one in report.levels if "draw" in one}
    return "" if by == {"verifier"} else " (the draw was not made at random here)"

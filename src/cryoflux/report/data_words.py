"""What a check of a file of examples says, in words and as a document."""

from __future__ import annotations

__all__ = ["check_document", "check_lines", "refusal_document", "run_lines"]

from collections.abc import Mapping
from math import inf
from typing import Any

from cryoflux.errors import CryoFluxError
from cryoflux.runs.data_check import WIDE, DataCheck

_MOST_CLASSES = 12


def check_lines(check: DataCheck, command: str) -> list[str]:
    """What was found, what is odd about it, and what a run would make of it.

    Args:
        check: the check.
        command: the run that it is about.
    """
    lines = list[str]()
    for name, found in check.found.items():
        head, *more = found.lines()
        lines += [f"{name:<10} {found.file}: {head}", *(f"           {line}" for line in more)]
        lines.append(f"           {found.kept} of {found.rows} rows are examples")
    lines += [_classes(check), *_texts(check)]
    lines += [f"look at    {remark.said}" for remark in check.remarks]
    return [*lines, *_split(check, command), *_power(check), *_few(check)]


def _classes(check: DataCheck) -> str:
    shown = ", ".join(f"{name[:40]} {count}" for name, count in [*check.classes.items()][:_MOST_CLASSES])
    more = len(check.classes) - _MOST_CLASSES
    return f"classes    {len(check.classes)}: {shown}{f' and {more} more' if more > 0 else ''}"


def _texts(check: DataCheck) -> list[str]:
    lengths, total = check.lengths, sum(check.classes.values())
    conflicting = check.dropped.get("conflicting", 0)
    twice = f", {conflicting} of them with another label" if conflicting else ""
    middle, most = f"{lengths.median} in the middle", f"95 % up to {lengths.most_95}"
    lines = [
        f"texts      {check.distinct} distinct, {total - check.distinct} repeated{twice}",
        f"           characters: {middle}, {most}, the longest {lengths.longest}",
    ]
    if check.unbalanced:
        lines.append(f"           {check.unbalanced} examples of frequent classes left out (--balance)")
    return lines


def run_lines(
    refusal: CryoFluxError | None, sets: Mapping[str, int], dropped: Mapping[str, int]
) -> list[str]:
    """Whether a run would begin, and with what."""
    if refusal is not None:
        return [
            f"a run      would refuse: {refusal.what}",
            f"           {refusal.why}",
            f"           {refusal.hint}",
        ]
    named = ", ".join(f"{count} {name}" for name, count in sets.items())
    copies = sum(count for name, count in dropped.items() if name != "conflicting")
    return [f"a run      would begin with {named}; {copies} duplicates dropped"]


def _split(check: DataCheck, command: str) -> list[str]:
    lines = run_lines(check.refusal, check.sets, check.dropped)
    if check.refusal is None:
        lines.append(f"           {command}")
    if any(check.lacking.values()):
        lacking = ", ".join(f"{count} in {name}" for name, count in check.lacking.items() if count)
        lines.append(f"           classes without an example: {lacking}")
    return lines


def _power(check: DataCheck) -> list[str]:
    lines = list[str]()
    if inf in check.detectable_nats.values():
        lines.append(f"holdout    {check.holdout} examples, 15 % of the texts, could show no improvement")
    elif check.detectable_nats:
        finds = ", ".join(f"{delta:.3f} at {spread}" for spread, delta in check.detectable_nats.items())
        of = f"{check.holdout} examples{'' if check.sets else ', 15 % of the texts,'}"
        lines.append(f"holdout    {of} find Δ with 90 % power from (nats, by spread per example): {finds}")
    if check.needed:
        needed = ", ".join(f"{count} at {spread}" for spread, count in check.needed.items())
        lines.append(f"           a Δ of {check.min_delta:g} nats needs (examples, by spread): {needed}")
    return lines


def _few(check: DataCheck) -> list[str]:
    """How many texts a file would need, where it has few."""
    if not check.texts_needed:
        return []
    needed = ", ".join(f"{count} for {delta}" for delta, count in check.texts_needed.items())
    found = "Δ is found with 90 % power by a file of so many distinct texts (nats, at a spread of"
    return [f"few texts  {found} {WIDE}): {needed}"]


def refusal_document(refusal: CryoFluxError | None) -> dict[str, str] | None:
    """Why a run would refuse; nothing where it would not."""
    if refusal is None:
        return None
    return {"what": refusal.what, "why": refusal.why, "hint": refusal.hint}


def check_document(check: DataCheck, command: str) -> dict[str, Any]:
    """The same as a document."""
    lengths = check.lengths
    return {
        "would_run": check.refusal is None,
        "refusal": refusal_document(check.refusal),
        "command": command,
        "files": [{"set": name, **found.document()} for name, found in check.found.items()],
        "classes": [{"name": name, "examples": count} for name, count in check.classes.items()],
        "distinct_texts": check.distinct,
        "unbalanced": check.unbalanced,
        "median_characters": lengths.median,
        "most_95_characters": lengths.most_95,
        "longest_characters": lengths.longest,
        "examples": dict(check.sets),
        "dropped": dict(check.dropped),
        "lacking_classes": dict(check.lacking),
        "remarks": [
            {"code": one.code, "said": one.said, "classes": list(one.classes)} for one in check.remarks
        ],
        "holdout_examples": check.holdout,
        "detectable_nats": {k: v if v != inf else None for k, v in check.detectable_nats.items()},
        "min_delta_nats": check.min_delta,
        "holdout_needed": dict(check.needed),
        "texts_needed": dict(check.texts_needed),
    }

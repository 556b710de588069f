"""What a check of a file of examples says, in words and as a document."""

from __future__ import annotations

__all__ = ["check_document", "check_lines"]

from math import inf
from typing import Any

from cryoflux.runs.data_check import DataCheck

_MOST_CLASSES = 12


def check_lines(check: DataCheck) -> list[str]:
    """What was found, what is odd about it, and what a run would make of it."""
    lines = list[str]()
    for name, found in check.found.items():
        head, *more = found.lines()
        lines += [f"{name:<10} {found.file}: {head}", *(f"           {line}" for line in more)]
        lines.append(f"           {found.kept} of {found.rows} rows are examples")
    lines += [_classes(check), *_texts(check)]
    lines += [f"look at    {remark.said}" for remark in check.remarks]
    return [*lines, *_split(check), *_power(check)]


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


def _split(check: DataCheck) -> list[str]:
    if (refusal := check.refusal) is not None:
        return [
            f"a run      would refuse: {refusal.what}",
            f"           {refusal.why}",
            f"           {refusal.hint}",
        ]
    sets = ", ".join(f"{count} {name}" for name, count in check.sets.items())
    dropped = sum(count for name, count in check.dropped.items() if name != "conflicting")
    lines = [f"a run      would begin with {sets}; {dropped} duplicates dropped"]
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


def check_document(check: DataCheck) -> dict[str, Any]:
    """The same as a document."""
    refusal, lengths = check.refusal, check.lengths
    said = {"what": refusal.what, "why": refusal.why, "hint": refusal.hint} if refusal is not None else None
    return {
        "would_run": refusal is None,
        "refusal": said,
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
    }

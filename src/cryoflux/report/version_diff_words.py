"""What lies between two versions, in words and as a document."""

from __future__ import annotations

__all__ = ["diff_document", "diff_lines"]

from typing import Any

from cryoflux.quantities import format_nats
from cryoflux.report.attempt_words import energy_document, energy_text
from cryoflux.runs.catalogue import CataloguedVersion
from cryoflux.runs.version_diff import VersionDiff

_NOT_COMPARED = (
    "tensors: not compared, for files of one of them are not here or are none, or cryoflux[train], which "
    "reads them, is not installed"
)
_MOST_TENSORS = 12
"""tensors that are shown one by one"""


def diff_document(found: VersionDiff) -> dict[str, Any]:
    """The difference for a program."""
    return {
        "first": found.first.digest,
        "second": found.second.digest,
        "task_name": found.second.task or None,
        "unit": _unit(found) or None,
        "tensors": None
        if found.tensors is None
        else [{"name": one.name, "relative_norm": one.relative_norm} for one in found.tensors],
        "same_tensors": found.same,
        "relative_norm": found.relative_norm,
        "settings_files": None if found.settings is None else list(found.settings),
        "delta": found.delta,
        "spent": energy_document(found.spent),
        "receipts_between": [_receipt(one) for one in found.receipts if one.origin == "receipt"],
        "taken_back_receipts": [_receipt(one) for one in found.back if one.origin == "receipt"],
        "rounds_between": [_of_others(one) for one in found.receipts if one.made_from],
        "taken_back_rounds": [_of_others(one) for one in found.back if one.made_from],
    }


def _of_others(one: CataloguedVersion) -> dict[str, Any]:
    return {
        "made_from": one.made_from,
        "receipt_hash": one.made_by,
        "digest": one.digest,
        "unit": one.unit,
        "certified_delta": one.certified,
    }


def _receipt(one: CataloguedVersion) -> dict[str, Any]:
    return {
        "attempt": one.attempt,
        "receipt_hash": one.made_by,
        "digest": one.digest,
        "unit": one.unit,
        "delta": one.delta,
    }


def _unit(found: VersionDiff) -> str:
    return found.second.unit or found.first.unit


def diff_lines(found: VersionDiff) -> list[str]:
    """The same for a person."""
    lines = [f"{found.first.digest[:16]}… → {found.second.digest[:16]}…", *_tensor_lines(found)]
    if found.settings is not None:
        lines.append(f"settings: {', '.join(found.settings) or 'the same'}")
    if found.delta is None:
        lines.append("They are of two tasks, or no entry names one: nothing leads from one to the other.")
        return lines
    unit = f" {_unit(found)}" if _unit(found) else ""
    lines.append(f"Δ on the holdout, by the log: {format_nats(found.delta)}{unit}")
    if found.spent is not None:
        lines.append(f"charged to attempts and rounds between the two: {energy_text(found.spent)}")
    lines += [f"+ {_words(one)}" for one in found.receipts if one.origin == "receipt" or one.made_from]
    gone = (one for one in found.back if one.attempt or one.made_from)
    lines += [f"- {_words(one)}, which the second does not rest on" for one in gone]
    if any(one.made_from for one in (*found.receipts, *found.back)):
        lines.append("Δ counts updates of its own: what rounds brought is sealed, but for what they certify.")
    return lines


def _words(one: CataloguedVersion) -> str:
    if one.made_from:
        level = f", Δ > {one.certified:g} {one.unit} certified" if one.certified else ""
        return f"{one.made_from}{level}, entry {one.made_at}"
    number = f"#{one.attempt}" if one.attempt else one.task_id
    return f"{number} {one.arm}: Δ {format_nats(one.delta or 0.0)} {one.unit}, receipt {one.made_by[:16]}…"


def _tensor_lines(found: VersionDiff) -> list[str]:
    if found.tensors is None:
        return [_NOT_COMPARED]
    if not found.tensors:
        return [f"tensors: all {found.same} are the same"]
    whole = f", ‖change‖ / ‖before‖ = {found.relative_norm:.2e}" if found.relative_norm is not None else ""
    lines = [f"tensors: {len(found.tensors)} differ, {found.same} are the same{whole}"]
    for one in found.tensors[:_MOST_TENSORS]:
        far = f"{one.relative_norm:.2e}" if one.relative_norm is not None else "not comparable"
        lines.append(f"  {one.name}: {far}")
    if len(found.tensors) > _MOST_TENSORS:
        lines.append(f"  and {len(found.tensors) - _MOST_TENSORS} more: --json has all of them")
    return lines

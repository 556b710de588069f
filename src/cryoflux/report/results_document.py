"""The results of a state, and two of them side by side, for a program."""

from __future__ import annotations

__all__ = ["comparison_document", "results_document"]

from dataclasses import asdict
from typing import Any

from cryoflux.queries.comparison import Comparison, Difference, TaskPair
from cryoflux.queries.results import Gained, NotKept, Results, Spent, TaskResults
from cryoflux.report.attempt_words import energy_document
from cryoflux.report.recall_words import recall_documents
from cryoflux.report.results_words import headline


def results_document(results: Results) -> dict[str, Any]:
    """What a state has come to; its attempts are told by `attempts_document`."""
    last = results.last_session
    return {
        "state": str(results.state),
        "headline": headline(results),
        "spent": _spent(results.spent),
        "tasks": [_task(task) for task in results.tasks],
        "not_kept": [_not_kept(one) for one in results.not_kept],
        "sessions": results.sessions,
        "began_at": results.began_at or None,
        "wall_seconds": results.wall_s,
        "last_session": asdict(last) | {"ended": last.ended.value} if last is not None else None,
        "log": {
            "entries": results.entries,
            "last_entry": results.last_entry,
            "signers": list(results.signers),
            "parent": results.parent or None,
        },
        "software": dict(results.software),
        "next": [asdict(one) for one in results.next],
        "checks": list(results.checks),
    }


def _spent(spent: Spent) -> dict[str, Any]:
    return {
        "attempts": energy_document(spent.attempts),
        "rounds": energy_document(spent.checking),
        "beside": energy_document(spent.beside),
        "all_in": energy_document(spent.all_in),
        "known": energy_document(spent.known),
        "known_kwh": spent.kwh,
        "unrecorded": spent.unrecorded,
        "session_open": spent.session_open,
        "rounds_open": spent.rounds_open,
        **({"derived": dict(spent.derived)} if spent.derived else {}),
    }


def _task(task: TaskResults) -> dict[str, Any]:
    return {
        "task_name": task.name,
        "unit": task.unit,
        "metric": task.metric,
        "model": task.model_name or None,
        "data": task.data_name,
        "data_hash": task.data_hash,
        "rule": task.rule.name if task.rule is not None else None,
        "alpha": task.alpha,
        "first": task.first,
        "head": task.head,
        "delta": task.total.delta,
        "looks": task.total.looks,
        "taken_back": task.total.taken_back,
        "holdout": _gained(task.holdout),
        "audit": _gained(task.audit),
        "curve": [asdict(point) for point in task.curve],
        "recalls": recall_documents(task.recalls),
    }


def _gained(gained: Gained) -> dict[str, Any]:
    before, after = gained.before, gained.after
    return {
        "sha256": gained.sha256,
        "examples": gained.count,
        "loss_before": before.loss if before else None,
        "loss_after": after.loss if after else None,
        "accuracy_before": before.accuracy if before else None,
        "accuracy_after": after.accuracy if after else None,
        "delta": gained.delta,
        "delta_lo_95": gained.delta_lo_95,
        "delta_hi_95": gained.delta_hi_95,
    }


def _not_kept(one: NotKept) -> dict[str, Any]:
    return {
        "outcome": one.outcome,
        "screened_out": one.screened,
        "code": one.code,
        "attempts": one.count,
        "energy": energy_document(one.energy),
        "newest_attempt": one.newest,
        "reason": one.said,
    }


def comparison_document(comparison: Comparison) -> dict[str, Any]:
    """Two states side by side."""
    return {
        "first": results_document(comparison.first),
        "second": results_document(comparison.second),
        "comparable": comparison.comparable,
        "joules_comparable": comparison.joules_comparable,
        "joules_told_apart": comparison.joules_told_apart,
        "differences": _differences(comparison.differences),
        "tasks": [_pair(pair) for pair in comparison.tasks],
    }


def _differences(found: tuple[Difference, ...]) -> list[dict[str, Any]]:
    return [{"code": one.code, "said": one.said, "spoils": one.spoils or None} for one in found]


def _pair(pair: TaskPair) -> dict[str, Any]:
    return {
        "task_name": pair.name,
        "unit": pair.first.unit,
        "comparable": pair.comparable,
        "differences": _differences(pair.differences),
        "head_to_head": [
            {
                "part": one.part,
                "examples": one.count,
                "delta": one.delta,
                "delta_lo_95": one.lo_95,
                "delta_hi_95": one.hi_95,
            }
            for one in pair.head_to_head
        ],
    }

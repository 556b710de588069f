"""The rule of every ``--json`` document (docs/reference/json.md): schema, units in names, times."""

from __future__ import annotations

__all__ = ["complaints", "keys_of", "parsed"]

import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

SCHEMA = re.compile(r"cryoflux\.[a-z-]+(\.[a-z-]+)?/[1-9][0-9]*")
UNITS = {"characters", "joules", "uj", "seconds", "w", "uw", "nats", "mrr", "bytes", "g", "kwh"}
"""one of them is a word of the key of a number that has a unit"""
OF_THE_TASK = """
base_loss new_loss delta delta_lo_95 delta_hi_95 delta_lo_anytime delta_hi_anytime delta_se screen_delta
screen_delta_lo_95 screen_delta_hi_95 loss
holdout_loss loss_before loss_after holdout_delta audit_delta drift expected_delta
eta_per_kj eta_low_per_kj all_in_eta_per_kj expected_eta_per_kj total_delta audit_loss certified_delta
"""
"""in the unit that ``unit`` names, in the same object or in one around it"""
COUNTS = """
attempts kept rejected undecided carried aborted open entries receipts evaluated recomputed remembered
uncovered parent_entries looks examples dropped classes examples_read steps slice blocks readings samples logs
near_duplicates hiding_texts encoder_parameters most_attempts size threads needed files freed_files
in_use_files taken_back joined refused lines keep same_tensors updates versions_freed
similar_dropped by_entries chain_attempts exhausted task_count reading_count max_tokens
sessions unrecorded newest_attempt
stretches documents indexed new gone queries tokens attempts_needed screen_examples
holdout_tokens holdout_target_tokens parameters
tokens_per_example
rows distinct_texts unbalanced holdout_examples holdout_needed texts_needed lacking_classes
groups cut_documents
capsules covered_entries
hint_count strangers_heard_of
offers fetched waiting tries witnesses head_count witnessed_entries
held decided opened reproduced confirmed_by refuted_by used_by recalled_by quorum
withheld unreproduced_by witnesses_that_may_lie
examples_needed windows
members guest_holdouts_left looks_most looks_before kept_before candidates parent_updates tried
search_examples examples_left_out_as_known examples_left_out_of_no_class
rounds rounds_kept offers_waiting rounds_open accepted considered adopted recalled lists_missing
"""
WHICH_ONE = (
    "seed receipt_index number attempt first_attempt round_number index entry first end from until seq "
    "exit_code"
)
IN_A_JOB = "pids id step rank local_rank"
SHARES = (
    "accuracy_before accuracy_after interval mape default_mape points distance honest_distance longer_share "
    "leak_guard at_least "
    "rounds_share strangers_share relative_norm accuracy alpha target_share adapted_alpha power chance"
)
OTHERS = "value timestamp cost cost_lo cost_hi price_per_kwh"
"""of a setting, whose own name has the unit; the whitepaper's Unix time, beside ``at``; in ``currency``"""
UNITLESS = {*COUNTS.split(), *WHICH_ONE.split(), *IN_A_JOB.split(), *SHARES.split(), *OTHERS.split()}
WITH_UNIT = set(OF_THE_TASK.split())
AS_OTHERS_NAME_IT = {"statement", "front_matter"}
"""what somebody signed keeps the names that it was signed with, and a model card those of the Hub"""
NAMED_BY_DATA = {
    *(
        "examples",
        "dropped",
        "similar_dropped",
        "detectable_nats",
        "phases_cpu_seconds",
        "heads",
        "sources",
        "packages",
        "levels",
        "refused",
        "lines",
        "queries",
        "lacking_classes",
        "holdout_needed",
        "texts_needed",
        "members",
        "guards",
    ),
    *("settings", "recipes", "value", "software"),
}
"""the keys in these are names of parts, tasks, settings and the like"""
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")


def parsed(text: str) -> list[dict[str, Any]]:
    """The documents of an output, one a line; nothing but JSON is read."""
    return [json.loads(line, parse_constant=_refuse) for line in text.splitlines()]


def _of_number(key: str, value: float, *, units: bool) -> str:
    if key in WITH_UNIT:
        return "" if units else f"{key} has no `unit` beside it"
    known = UNITS & set(key.split("_")) or key in UNITLESS
    return "" if known else f"{key} = {value!r} has no unit in its name"


def _of_text(key: str, value: str) -> str:
    if key not in {"at", "since"} and not key.endswith("_at"):
        return ""
    good = TIME.fullmatch(value) and datetime.fromisoformat(value).utcoffset() is not None
    return "" if good else f"{key}: {value!r} is no time in UTC"


def _below(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The parts of a value, each with the key that says what it is."""
    if isinstance(value, list):
        yield from (("" if isinstance(part, dict) else key, part) for part in value)
    elif key in NAMED_BY_DATA:
        yield from (("" if isinstance(part, dict) else key, part) for part in value.values())
    else:
        yield from ((name, part) for name, part in value.items() if name not in AS_OTHERS_NAME_IT)


def _wrong(key: str, value: Any, *, units: bool) -> Iterator[str]:
    if isinstance(value, dict | list):
        units = units or (isinstance(value, dict) and isinstance(value.get("unit"), str))
        for name, part in _below(key, value):
            yield from _wrong(name, part, units=units)
    elif isinstance(value, str):
        yield _of_text(key, value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield _of_number(key, value, units=units)


def complaints(document: dict[str, Any]) -> list[str]:
    """What is against the rule in a document."""
    found = [] if SCHEMA.fullmatch(str(document.get("schema"))) else ["its schema is not named"]
    return found + [wrong for wrong in _wrong("", document, units=False) if wrong]


def keys_of(value: Any, key: str = "") -> set[str]:
    """The keys of a document that are no data themselves."""
    if not isinstance(value, dict | list):
        return set()
    own = set(value) if isinstance(value, dict) and key not in NAMED_BY_DATA else set()
    return own | {found for name, part in _below(key, value) for found in keys_of(part, name)}

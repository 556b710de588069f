"""A version's model card: YAML that the Hub reads, then what was spent, gained, and how to check it.

What is not known is left out of the YAML and said in the text: no licence is guessed, and no CO₂e is said
where no factor is set. Texts of strangers stay texts, in YAML as in Markdown.
"""

from __future__ import annotations

__all__ = ["CardNames", "card_front_matter", "write_card"]

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryoflux.energy.derived import carbon_text
from cryoflux.quantities import NATS, hit_words
from cryoflux.queries.card import CardFacts
from cryoflux.queries.made_of import MadeOf
from cryoflux.queries.results import Gained
from cryoflux.report.card_files import how_to_check, what_lies_beside
from cryoflux.report.cost_words import energy_row
from cryoflux.report.layout import visible
from cryoflux.report.markdown import markdown_part
from cryoflux.report.parts import ReportPart, ReportTable
from cryoflux.report.results_words import gain_row, kept_table, sure_text
from cryoflux.state import FIRST_TASK

_HUB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}(?:/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?")
_EMBEDDED = {"all-MiniLM-L6-v2": "sentence-transformers/all-MiniLM-L6-v2"}
_WHERE_IT_RAN = ("processor", "gpu", "cpu")
"""what a receipt says of the machine, the most exact first"""


@dataclass(frozen=True, slots=True)
class CardNames:
    """What only a person can say of a model."""

    name: str = ""
    """of the model on the Hub; empty for one made of the data set and the digest"""
    licence: str = ""
    """by the Hub's name for it; empty where nobody said"""
    location: str = ""
    """where it was trained; empty where nobody said"""


def card_front_matter(facts: CardFacts, names: CardNames) -> dict[str, Any]:
    """The fields that the Hub reads."""
    task = facts.task
    classifies = task.name == FIRST_TASK and task.unit == NATS
    front: dict[str, Any] = {"license": visible(names.licence) or "unknown"}
    if classifies:
        front |= {"library_name": "transformers", "pipeline_tag": "text-classification"}
    base = _EMBEDDED.get(task.model_name, task.model_name)
    if _HUB_NAME.fullmatch(base):
        front |= {"base_model": base, "base_model_relation": "finetune"}
    if _HUB_NAME.fullmatch(task.data_name):
        front["datasets"] = [task.data_name]
    if facts.audit.after is not None or facts.holdout.after is not None:
        scores = [one.after for one in (facts.audit, facts.holdout) if one.after is not None]
        front["metrics"] = ["accuracy"] if scores[0].accuracy is not None and classifies else ["loss"]
    front["tags"] = ["cryoflux", "energy"]
    if "carbon_g" in facts.derived:
        front["co2_eq_emissions"] = _emissions(facts, names)
    if results := _eval_results(facts, "text-classification" if classifies else "other"):
        front["model-index"] = [{"name": visible(names.name) or model_name(facts), "results": results}]
    return front


def model_name(facts: CardFacts) -> str:
    """A name for a version where nobody gave one."""
    return f"{visible(facts.task.data_name)}-{facts.version.digest[:8]}"


def _emissions(facts: CardFacts, names: CardNames) -> dict[str, Any]:
    said, energy = facts.derived, facts.energy
    tier = energy.tier.value if energy is not None else ""
    source = f"CryoFlux: net energy ({tier}) at {said['carbon_g_per_kwh']:g} g/kWh"
    if said["carbon_source"]:
        source += f" ({visible(said['carbon_source'])})"
    found = {"emissions": said["carbon_g"], "source": source, "training_type": "fine-tuning"}
    if names.location:
        found["geographical_location"] = visible(names.location)
    if hardware := _hardware(facts):
        found["hardware_used"] = hardware
    return found


def _hardware(facts: CardFacts) -> str:
    software = facts.results.software
    return next((visible(software[name]) for name in _WHERE_IT_RAN if software.get(name)), "")


def _eval_results(facts: CardFacts, task_type: str) -> list[dict[str, Any]]:
    return [
        {
            "task": {"type": task_type, "name": visible(facts.task.name)},
            "dataset": {
                "type": _dataset_type(facts.task.data_name),
                "name": f"{visible(facts.task.data_name)} ({part})",
                "split": part,
                "revision": facts.task.data_hash,
            },
            "metrics": _metrics(facts, gained),
        }
        for part, gained in (("audit", facts.audit), ("holdout", facts.holdout))
        if gained.after is not None
    ]


def _dataset_type(name: str) -> str:
    """A name as the Hub's checks take it."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "unnamed"


def _metrics(facts: CardFacts, gained: Gained) -> list[dict[str, Any]]:
    assert gained.after is not None  # noqa: S101 - only such are asked for
    unit = visible(facts.task.unit)
    found: list[dict[str, Any]] = []
    if gained.after.accuracy is not None:
        hits = hit_words(facts.task.unit)
        found.append({"type": hits, "value": gained.after.accuracy, "name": hits.capitalize()})
    metric = visible(facts.task.metric)
    return [*found, {"type": "loss", "value": gained.after.loss, "name": f"{metric} ({unit} per example)"}]


def write_card(
    facts: CardFacts, names: CardNames, beside: MadeOf | None = None, *, signed: bool = False
) -> str:
    """The card, ending in a line feed.

    Args:
        facts: what it says.
        names: what a person says.
        beside: what lies beside it; none for a card by itself, which is checked by the state.
        signed: whether a signature lies there, too.
    """
    front = "\n".join(_yaml(card_front_matter(facts, names)))
    title = markdown_part(ReportPart(names.name or model_name(facts)), level=1)
    told = filter(_says, _parts(facts, names, beside, signed=signed))
    parts = [markdown_part(part, level=2) for part in told]
    return f"---\n{front}\n---\n\n" + "\n\n".join([title, *parts]) + "\n"


def _says(part: ReportPart) -> bool:
    return bool(part.text or part.commands or any(table.rows for table in part.tables))


def _yaml(value: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Plain values as YAML: texts as JSON has them, which YAML reads as texts, whatever is in them."""
    for key, found in value.items():
        if isinstance(found, Mapping):
            yield f"{indent}{key}:"
            yield from _yaml(found, f"{indent}  ")
        elif isinstance(found, list):
            yield f"{indent}{key}:"
            yield from _yaml_list(found, indent)
        else:
            yield f"{indent}{key}: {_scalar(found)}"


def _yaml_list(values: Sequence[Any], indent: str) -> Iterator[str]:
    for value in values:
        if not isinstance(value, Mapping):
            yield f"{indent}- {_scalar(value)}"
            continue
        first, *rest = _yaml(value, f"{indent}  ")
        yield f"{indent}- {first.strip()}"
        yield from rest


_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-/._][A-Za-z0-9]+)*")
_WORDS_OF_YAML = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS_OF_YAML:
        return value
    if isinstance(value, float):
        said = repr(value)  # YAML 1.1 takes a number for one only where it has a point
        return said if "." in said else said.replace("e", ".0e")
    return json.dumps(visible(value) if isinstance(value, str) else value, ensure_ascii=False)


def _parts(
    facts: CardFacts, names: CardNames, beside: MadeOf | None, *, signed: bool
) -> Iterator[ReportPart]:
    task, version = facts.task, facts.version
    base = f" from {task.model_name}" if task.model_name else ""
    made = (
        f"Version {version.digest} of {task.name}, fine-tuned{base} on {task.data_name} by CryoFlux under a "
        "budget of joules: an update is kept only where a sealed holdout shows that it helps."
    )
    if version.origin == "parent":
        made = (
            f"Version {version.digest} of {task.name}{base}, as its log took it over from another one, "
            f"{facts.results.parent}: what made it, and what that cost, stands there."
        )
    elif version.made_from:
        made = (
            f"Version {version.digest} of {task.name}{base}, {version.made_from}: what others trained "
            "went into it or out of it. A guest holdout decides on that; its losses are sealed until it is "
            "opened."
        )
    elif version.attempt is None:
        made = f"Version {version.digest} of {task.name}{base}, as its log began with it: nothing was tuned."
    yield ReportPart("What it is", (made, *_left_out(facts, names)))
    yield ReportPart("What it cost", tuple(_cost_text(facts)), (_cost(facts),))
    yield ReportPart("What was gained", (sure_text(task),), (_gains(facts),), after=(_GAIN_NOTE,))
    yield ReportPart("Receipts", _receipts_text(facts), (kept_table(facts.line, several=False),))
    if beside is None:
        yield ReportPart("How to check it", (_CHECK_NOTE,), commands=facts.results.checks)
    else:
        yield what_lies_beside(beside, signed=signed)
        yield how_to_check(beside, signed=signed)
    yield ReportPart("Limits", _LIMITS)


_GAIN_NOTE = (
    "The audit set decided nothing; its 95 % interval is for one look, and its losses are not signed. "
    "The holdout chose what was kept, so that no such interval holds on it: each update has the one that "
    "decided. Its losses are signed, example by example."
)
_CHECK_NOTE = (
    "With the state, or with a bundle of its receipts; whose keys they are has to be known (--key FILE)."
)
_ATTESTED = (
    "Joules, hardware and that nothing else was tried are attested by whoever ran it, not proven. Bytes, "
    "order, arithmetic and decisions can be proven, losses computed again."
)
_LIMITS = (
    _ATTESTED,
    "Whether the holdout is like your texts, nobody here knows: measure on your own before you rely on it.",
)


def _left_out(facts: CardFacts, names: CardNames) -> Iterator[str]:
    """What the YAML above does not say, and why."""
    if not names.licence:
        yield "No licence was named (--license ID)."
    if "carbon_g" not in facts.derived:
        yield "No CO₂e is said, since no factor is set (carbon_g_per_kwh, carbon_source)."
    if not _HUB_NAME.fullmatch(_EMBEDDED.get(facts.task.model_name, facts.task.model_name)):
        yield "The model that it began with has no name on the Hub that the state knows."


def _cost_text(facts: CardFacts) -> Iterator[str]:
    if facts.energy is None:
        yield "What it cost is not on the log."
        return
    what = (
        "everything that the runs of its state spent"
        if facts.all_in
        else f"the {_charged(facts)} of its task until it was made; start-up, data and the audit set are not "
        "in it"
    )
    range_words = facts.energy.range_kind.words
    if facts.results.parent:
        yield (
            f"Its log goes on from another one, {facts.results.parent}: gains and joules here are those "
            "since then alone."
        )
    yield f"Net of what the machine draws at rest; {facts.energy.tier.value}, with its {range_words}; {what}."
    if "carbon_g" in facts.derived:
        said = facts.derived
        source = said["carbon_source"] or "source not named"
        yield (
            f"{carbon_text(said['carbon_g'], (said['carbon_lo_g'], said['carbon_hi_g']))}, derived at "
            f"{said['carbon_g_per_kwh']:g} g/kWh ({source}), not measured."
        )


def _charged(facts: CardFacts) -> str:
    return "attempts and rounds" if facts.results.summary.rounds is not None else "attempts"


def _cost(facts: CardFacts) -> ReportTable:
    rows = (energy_row("all-in" if facts.all_in else _charged(facts), facts.energy),)
    return ReportTable(
        ("what", "energy", "range", "electricity", "tier"), rows, (False, True, True, True, False)
    )


def _gains(facts: CardFacts) -> ReportTable:
    unit, hits = facts.task.unit, hit_words(facts.task.unit)
    heading = ("set", "examples", f"loss ({unit})", f"Δ ({unit})", "95 % of Δ, one look", hits)
    rows = (gain_row("audit", facts.audit, one_look=True), gain_row("holdout", facts.holdout, one_look=False))
    return ReportTable(heading, rows, (False, True, True, True, True, True))


def _receipts_text(facts: CardFacts) -> tuple[str, ...]:
    results = facts.results
    if not facts.line:
        return ("No update was kept on the way to it.",)
    said = (
        f"Updates that it rests on, of a log of {results.entries:,} entries signed by the key "
        f"{', '.join(results.signers)}; {results.summary.attempts} attempts are on it, kept or not."
    )
    return (said,)

"""The section of a ``lora_delta`` receipt, checked against its recipe: pure, and without any trainer."""

from __future__ import annotations

__all__ = ["SECTIONS", "LoraSection"]

import json
import re
from collections.abc import Iterator

from cryoflux.decision.looking import ENDINGS
from cryoflux.receipts.lifting import SECTION
from cryoflux.receipts.statement import Intent, Receipt, Section, Training
from cryoflux.state import ADAPTER, ADAPTER_CONFIG

EXPONENTS = ("1", "3")
"""of the averages that go along with a chain"""
LEAST, MOST, _UNIT = 200, 2000, 1000
"""bounds of a temperature, and none, thousandths"""
GOING_ON = frozenset({"look", "joules", "interrupt"})
"""what ends an attempt of a chain, and not the chain"""
_MERGE = {"merge", "genesis", "list"}
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FIELDS = {
    "plannedSteps": int,
    "plannedAtStep": int,
    "modules": list,
    "trainedParameters": int,
    "lastTrainLossNanoNat": int,
    "backend": str,
}


class LoraSection:
    """Steps, modules and scale keep to the recipe that was announced."""

    files: tuple[str, ...] = (ADAPTER, ADAPTER_CONFIG)

    def complaints(self, section: Section, receipt: Receipt, intent: Intent) -> Iterator[str]:
        """What in a section does not keep to its intent."""
        fields, training = section.fields, receipt.training
        for name, kind in _FIELDS.items():
            found = fields.get(name)
            if not isinstance(found, kind) or (isinstance(found, int) and found < 0):
                yield f"its section has no {name}"
                return
        if training is None:
            return
        planned = fields["plannedSteps"]
        most = {
            "steps": (training.steps, "max_steps"),
            "planned steps": (planned if isinstance(planned, int) else 0, "max_steps"),
            "training examples": (training.slice_count, "slice_size"),
        }
        if "fresh_size" in intent.recipe:
            most["fresh examples"] = (training.fresh_count, "fresh_size")
        for what, (said, name) in most.items():
            yield from _beyond(what, said, name, intent)
        if training.steps and not fields["modules"]:
            yield f"says {training.steps} steps of training and names no module that was trained"
        yield from _merge(section)
        yield from _screen(section, receipt, intent)
        yield from _repeated(section, intent)
        yield from _link(receipt, intent)
        if intent.chain is not None:
            yield from _chained(section, intent)
            yield from _steps(section, training, intent)

    def is_example(self, row: object) -> bool:
        """Whether a line is a text with its class."""
        return (
            isinstance(row, dict) and isinstance(row.get("text"), str) and isinstance(row.get("label"), str)
        )

    def trained(self, section: Section) -> tuple[int, tuple[str, ...]]:
        """Trained parameters, and names of the modules that carry LoRA."""
        parameters, modules = section.fields.get("trainedParameters"), section.fields.get("modules")
        named = tuple(modules) if isinstance(modules, list) else ()
        return (parameters if isinstance(parameters, int) else 0), named


def _merge(section: Section) -> Iterator[str]:
    """How it was merged is said wholly or not at all; that the list is the log's own is step 8."""
    fields = section.fields
    if not _MERGE & fields.keys():
        return  # merged in float32, before lists were
    if not isinstance(fields.get("merge"), str):
        yield "has a list of updates, and does not say how they are merged"
    for name in ("genesis", "list"):
        found = fields.get(name)
        if not (isinstance(found, str) and _SHA256.fullmatch(found)):
            yield f"says how it was merged, but its section has no {name}"


def _beyond(what: str, said: int, name: str, intent: Intent) -> Iterator[str]:
    limit = intent.recipe.get(name)
    if not isinstance(limit, int):
        yield f"its {what} cannot be checked: the recipe has no whole number {name}"
    elif said > limit:
        yield f"says {said} {what}, more than the recipe's {name} {limit}"


def _screen(section: Section, receipt: Receipt, intent: Intent) -> Iterator[str]:
    screen = receipt.training.screen if receipt.training is not None else None
    most = intent.recipe.get("screen_size", 0)
    if screen is None:
        if isinstance(most, int) and most > 0 and not receipt.cause:
            yield "has no screen, though its recipe sets screening examples aside"
        return
    if not isinstance(most, int):
        yield "its screen cannot be checked: the recipe has no whole number screen_size"
    elif most <= 0:
        yield "has a screen, though its recipe sets no screening examples aside"
    elif screen.count > most:
        yield f"says {screen.count} screening examples, more than the recipe's screen_size {most}"
    scales, scale = intent.recipe.get("scales"), section.fields.get("scale")
    if scales is not None and scale not in str(scales).split():
        yield f"was merged at the scale {scale!r}, which its recipe does not list"


def _repeated(section: Section, intent: Intent) -> Iterator[str]:
    """What the first form said twice has to be what was announced."""
    if "recipe" not in section.fields and "seed" not in section.fields and "maxTokens" not in section.fields:
        return
    said = {
        "recipe": json.dumps(intent.recipe, sort_keys=True, separators=(",", ":")),
        "seed": intent.seed,
        "maxTokens": intent.recipe.get("max_tokens"),
    }
    words = {"recipe": "recipe", "seed": "seed", "maxTokens": "token limit"}
    for name, announced in said.items():
        if name in section.fields and section.fields[name] != announced:
            yield f"has another {words[name]} than its intent announced"


def _link(receipt: Receipt, intent: Intent) -> Iterator[str]:
    """A chain is what its recipe says: attempts of one that carries go on from one another, no others do."""
    carries = bool(intent.recipe.get("carry", 0))
    if intent.chain is not None and not carries:
        yield "is of a chain, though its recipe does not carry"
    elif intent.chain is None and carries:
        yield "is of no chain, though its recipe carries"
    if intent.chain is None or receipt.training is None:
        return
    training = receipt.training
    if training.stopped_by not in ENDINGS | GOING_ON:
        yield f"was ended by {training.stopped_by!r}, which ends no attempt of a chain"
    elif bool(training.working) != (training.stopped_by in GOING_ON):
        left = "leaves a working update" if training.working else "leaves nothing to go on from"
        yield f"{left}, though it was ended by {training.stopped_by!r}"


def _chained(section: Section, intent: Intent) -> Iterator[str]:
    """What an attempt of a chain says of its average and its temperature."""
    fields, recipe = section.fields, intent.recipe
    average = fields.get("average")
    if average not in EXPONENTS:
        yield f"its candidate is the average {average!r}, which is none of {', '.join(EXPONENTS)}"
    temperature = fields.get("temperatureMilli")
    if not isinstance(temperature, int):
        yield "says no temperature of its candidate"
    elif not recipe.get("temperature", 0) and temperature != _UNIT:
        yield f"scales its candidate by {temperature}/1000, though its recipe fits no temperature"
    elif not LEAST <= temperature <= MOST:
        yield f"scales its candidate by {temperature}/1000, which is not between {LEAST} and {MOST}"


def _steps(section: Section, training: Training, intent: Intent) -> Iterator[str]:
    """What an attempt of a chain says of its steps."""
    if section.fields["plannedSteps"] != training.steps or section.fields["plannedAtStep"] != 0:
        yield "plans steps, though an attempt of a chain makes no plan"
    most, made = intent.recipe.get("max_steps"), training.before + training.steps
    if isinstance(most, int) and made > most:
        yield f"its chain made more steps than the recipe's max_steps {most}"
    if training.stopped_by == "steps" and made != most:
        yield "was ended by its steps before they were all made"
    if training.stopped_by == "look" and training.screen is None:
        yield "ended for a look that no screen can have asked for"


SECTIONS = {SECTION: LoraSection()}
"""Kind of a section → what checks it."""

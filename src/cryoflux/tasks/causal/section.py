"""The section of a ``causal-lm`` receipt, checked against its recipe and its adapter: without any trainer."""

from __future__ import annotations

__all__ = ["METRIC", "SECTION", "SECTIONS", "CausalSection"]

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from cryoflux.data.examples import normalise
from cryoflux.digests import tensor_shapes
from cryoflux.files import MOST_DOCUMENT_BYTES, read_regular
from cryoflux.quantities import NATS
from cryoflux.receipts.per_token import TARGET_TOKENS
from cryoflux.receipts.statement import Intent, Metric, Receipt, Section
from cryoflux.state import ADAPTER, ADAPTER_CONFIG
from cryoflux.tasks.causal.sets import read_stored
from cryoflux.verification.sections import Sections

SECTION = "causal-lm/v1"
METRIC = Metric(name="cross-entropy of a document", unit=NATS)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_COUNTS = ("plannedSteps", "plannedAtStep", "tokens", "targetTokens", "modules", "trainedParameters")
_SAME = {"rank": "rank", "alpha": "alpha", "precision": "precision", "targets": "targets"}
"""field → what the recipe calls it"""


class CausalSection:
    """Knows sections of the kind ``causal-lm/v1``."""

    files: tuple[str, ...] = (ADAPTER, ADAPTER_CONFIG)

    def complaints(self, section: Section, receipt: Receipt, intent: Intent) -> Iterator[str]:
        """What in a section does not keep to its intent."""
        fields, training = section.fields, receipt.training
        wrong = [name for name in _COUNTS if not (type(found := fields.get(name)) is int and found >= 0)]
        if wrong:
            yield f"its section has no {wrong[0]}"
            return
        for field, name in _SAME.items():
            if fields.get(field) != intent.recipe.get(name):
                yield f"says {field} {fields.get(field)!r}, where its recipe says {intent.recipe.get(name)!r}"
        if intent.metric != METRIC:
            yield f"is judged by {intent.metric.name!r}, which is no measure of a language model"
        if training is None:
            return
        yield from _holdout(fields, receipt.holdout.count, intent.recipe.get("max_tokens"))
        yield from _steps(fields, receipt, intent)
        yield from _merge(fields)
        yield from _screen(receipt, intent)

    def is_example(self, row: object) -> bool:
        """Whether a line is a document, and its text is what it says."""
        try:
            document = read_stored(json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogatepass"))
        except (ValueError, TypeError):
            return False
        said = set(normalise(f"{document.rendered.before}{document.rendered.answer}").split())
        parts = normalise(document.text).split()
        # A template stands around what is said, and may stand against its first and last words.
        return sum(part in said for part in parts) * 2 >= len(parts)

    def facts(self, folder: Path) -> Mapping[str, str | int]:
        """What an adapter's files say of rank, alpha and size."""
        said = json.loads(read_regular(folder / ADAPTER_CONFIG, MOST_DOCUMENT_BYTES))
        shapes = tensor_shapes(folder / ADAPTER)
        sizes = (shape[0] * shape[1] for shape in shapes.values())
        return {
            "rank": int(said["r"]),
            "alpha": int(said["lora_alpha"]),
            "modules": sum(name.endswith(".lora_A.weight") for name in shapes),
            "trainedParameters": sum(sizes),
        }

    def trained(self, section: Section) -> tuple[int, tuple[str, ...]]:
        """Trained parameters, and the names of modules that carry LoRA."""
        parameters, names = section.fields.get("trainedParameters"), section.fields.get("names")
        named = tuple(names) if isinstance(names, list) else ()
        return (parameters if isinstance(parameters, int) else 0), named


def _steps(fields: Mapping[str, object], receipt: Receipt, intent: Intent) -> Iterator[str]:
    training = receipt.training
    if training is None:
        return
    most = intent.recipe.get("max_steps")
    for what, said in (("steps", training.steps), ("planned steps", fields["plannedSteps"])):
        if not isinstance(most, int):
            yield f"its {what} cannot be checked: the recipe has no whole number max_steps"
        elif isinstance(said, int) and said > most:
            yield f"says {said} {what}, more than the recipe's max_steps {most}"
    if training.steps and not fields["modules"]:
        yield f"says {training.steps} steps of training and no module that was trained"
    said, tokens = fields["targetTokens"], fields["tokens"]
    if isinstance(said, int) and isinstance(tokens, int) and said > tokens:
        yield f"learned {said} target tokens of {tokens} that it read"
    if intent.chain is not None:
        yield "is of a chain, though attempts of its task do not go on from one another"


def _holdout(fields: Mapping[str, object], count: int, most: object) -> Iterator[str]:
    said = fields.get(TARGET_TOKENS, count)  # older receipts do not say it
    each = most if isinstance(most, int) and most > 0 else None
    if type(said) is not int or said < count or (each is not None and said > count * each):
        at_most = f", of {each} tokens each at most" if each is not None else ""
        yield f"its holdout has {said!r} target tokens in {count} documents{at_most}"


def _merge(fields: Mapping[str, object]) -> Iterator[str]:
    if not isinstance(fields.get("merge"), str):
        yield "does not say how it is merged"
    for name in ("genesis", "list"):
        if not (isinstance(found := fields.get(name), str) and _SHA256.fullmatch(found)):
            yield f"says how it was merged, but its section has no {name}"


def _screen(receipt: Receipt, intent: Intent) -> Iterator[str]:
    screen = receipt.training.screen if receipt.training is not None else None
    most = intent.recipe.get("screen_size", 0)
    if not isinstance(most, int):
        yield "its screen cannot be checked: the recipe has no whole number screen_size"
    elif screen is None:
        if most > 0 and not receipt.cause:
            yield "has no screen, though its recipe sets screening examples aside"
    elif screen.count > most:
        yield f"says {screen.count} screening examples, more than the recipe's screen_size {most}"


SECTIONS: Sections = {SECTION: CausalSection()}
"""Kind of a section → what checks it."""

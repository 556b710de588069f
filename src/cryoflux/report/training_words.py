"""What the training of an attempt did, as names and words."""

from __future__ import annotations

__all__ = ["training_facts"]

from cryoflux.quantities import format_energy
from cryoflux.receipts.statement import Receipt

_ENDED = {
    "joules": "by its joules",
    "steps": "by its planned steps",
    "interrupt": "by somebody",
    "hopeless": "early, since it did not look like helping",
    "plateau": "when it no longer got better",
    "look": "when a look at the holdout was worth it",
}


def training_facts(receipt: Receipt) -> list[tuple[str, str]]:
    """Names and words; none where nothing was trained."""
    if (said := receipt.training) is None:
        return []
    facts = [("examples", f"{said.slice_count:,}{_fresh(said.fresh_count)}")]
    if said.steps:
        before = f", after {said.before:,} of its chain before it" if said.before else ""
        facts.append(("steps", f"{said.steps:,}{before}"))
    facts.append(("ended", _ENDED.get(said.stopped_by, said.stopped_by)))
    if said.saved_microjoules:
        facts.append(("saved", f"{format_energy(said.saved_microjoules)} by ending early, modelled"))
    trained = said.section.fields.get("trainedParameters")
    if isinstance(trained, int):
        facts.append(("parameters", f"{trained:,}"))
    where = {"cpu": "CPU", "cuda": "GPU"}.get(said.device, said.device)
    if where:
        threads = f", {said.threads} thread{'' if said.threads == 1 else 's'}" if said.threads else ""
        facts.append(("computed on", f"{where}{threads}"))
    return facts


def _fresh(count: int) -> str:
    return f", {count:,} of them next in the drawing order" if count else ", all drawn lately"

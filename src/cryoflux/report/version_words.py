"""Versions as a table and as documents: the list, one of them, and what lies between two."""

from __future__ import annotations

__all__ = [
    "VERSION_HEADING",
    "VERSION_RIGHT",
    "VERSION_SPARE",
    "byte_text",
    "version_cells",
    "version_document",
    "version_lines",
    "version_note",
]

from typing import Any

from cryoflux.quantities import format_energy, format_nats
from cryoflux.registry.kept_lists import is_list
from cryoflux.report.attempt_words import energy_document, energy_text
from cryoflux.runs.catalogue import Catalogue, CataloguedVersion
from cryoflux.runs.version_facts import VersionFacts

VERSION_HEADING = ("", "version", "made by", "recipe", "Δ", "Σ Δ", "loss", "spent", "own", "names")
VERSION_RIGHT = (False, False, False, False, True, True, True, True, True, False)
VERSION_SPARE = (8, 3, 4, 7)
"""columns that a narrow screen does without, in this order: `cryoflux models show` has them"""
_ORIGINS = {"parent": "from parent"}
"""what the list says of versions that no receipt made"""
_LISTED = "kept as its list of updates, which models rebuild --into DIR writes in full"


def byte_text(count: int) -> str:
    """Bytes in the unit that keeps them readable: ``1.2 MB``."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} B"


def version_document(catalogue: Catalogue, one: CataloguedVersion, facts: VersionFacts) -> dict[str, Any]:
    """A version for a program."""
    names, gone, made = catalogue.names(one.digest), one.pruned, one.origin == "receipt"
    pruned = (
        {"entry": gone.entry, "receipt_hash": gone.leaf_hash, "at": gone.at} if gone is not None else None
    )
    return {
        "digest": one.digest,
        "task_name": one.task or None,
        "parent": one.parent or None,
        "head": "head" in names,
        "aliases": names,
        "here": one.digest in catalogue.present,
        "pruned": pruned,
        "folder": str(catalogue.state.model(one.digest)),
        "origin": one.origin,
        "attempt": one.attempt,
        "task_id": one.task_id or None,
        "arm": one.arm or None,
        "receipt_hash": one.made_by if made or one.made_from else None,
        "made_from": one.made_from or None,
        "certified_delta": one.certified,
        "base": one.parent or None,
        "unit": one.unit or None,
        "holdout_loss": one.holdout_loss,
        "delta": one.delta,
        "total_delta": one.total_delta if one.unit else None,
        "audit_loss": facts.audit_loss,
        "audit_delta": facts.audit_delta,
        "spent": energy_document(one.energy),
        "own_bytes": facts.own_bytes,
        "shared_bytes": facts.shared_bytes,
        "made_at": one.said_at or None,
    }


def version_lines(catalogue: Catalogue, one: CataloguedVersion, facts: VersionFacts) -> list[tuple[str, str]]:
    """A version for a person, as what a line is about and what it says; what nobody knows is left out."""
    said = [
        ("version", one.digest),
        ("task", one.task),
        ("names", ", ".join(catalogue.names(one.digest)) or "none"),
        ("made by", _maker(one)),
        ("made at", f"{one.said_at[:19]}Z" if one.said_at else ""),
        ("receipt", one.made_by if one.origin == "receipt" or one.made_from else ""),
        ("parent", one.parent or ("" if one.origin == "unknown" else "none")),
        ("holdout", _scored(one.holdout_loss, one.delta, one)),
        ("guests", _certified(one)),
        ("in all", _in_all(one)),
        ("audit", _scored(facts.audit_loss, facts.audit_delta, one, against=" to the first version")),
        ("spent", energy_text(one.energy) if one.energy is not None else ""),
        ("disk", _on_disk(catalogue, one, facts)),
        ("folder", str(catalogue.state.model(one.digest)) if one.digest in catalogue.present else ""),
    ]
    return [(label, text) for label, text in said if text]


def _maker(one: CataloguedVersion) -> str:
    if one.made_from:
        return one.made_from
    if one.origin != "receipt":
        return version_note(one) if one.origin == "unknown" else _ORIGINS.get(one.origin, one.origin)
    number = f"attempt #{one.attempt}" if one.attempt else "an attempt"
    return f"{number}, recipe {one.arm}  ({one.task_id})"


def _certified(one: CataloguedVersion) -> str:
    """What a guest holdout certifies of a version; its losses are sealed until that is opened."""
    if not one.certified:
        return ""
    return f"Δ > {one.certified:g} {one.unit} certified to its parent, on the guest holdout of its round"


def _in_all(one: CataloguedVersion) -> str:
    if one.origin != "receipt" and not one.made_from:
        return ""
    own = " by updates of its own" if one.made_from else ""
    return f"Σ Δ {format_nats(one.total_delta)} {one.unit}{own}"


def _scored(
    loss: float | None, delta: float | None, one: CataloguedVersion, against: str = " to its parent"
) -> str:
    if loss is None:
        return ""
    gained = f"  Δ {format_nats(delta)}{against}" if delta is not None else ""
    return f"loss {loss:.4f} {one.unit}{gained}"


def _on_disk(catalogue: Catalogue, one: CataloguedVersion, facts: VersionFacts) -> str:
    if one.digest in catalogue.present:
        size = f"{byte_text(facts.own_bytes)} of its own, {byte_text(facts.shared_bytes)} shared with others"
        return f"{size}; {_LISTED}" if is_list(catalogue.state.model(one.digest)) else size
    return f"freed: {version_note(one)}" if one.pruned is not None else "its files are not here"


def version_cells(catalogue: Catalogue, one: CataloguedVersion, facts: VersionFacts) -> list[str]:
    """A version as a row of the list."""
    names = catalogue.names(one.digest)
    begun = ["→" if "head" in names else "", f"{one.digest[:12]}…"]
    own = byte_text(facts.own_bytes) if one.digest in catalogue.present else "freed"
    named = ", ".join(names)
    if one.made_from:
        return [
            *begun,
            one.origin,
            one.made_from,
            f"> {one.certified:g}" if one.certified else "",
            format_nats(one.total_delta),
            "",
            format_energy(one.energy.uj) if one.energy is not None else "",
            own,
            named,
        ]
    if one.origin != "receipt":
        return [*begun, _ORIGINS.get(one.origin, one.origin), "", "", "", "", "", own, named]
    number = f"#{one.attempt}" if one.attempt else one.task_id
    return [
        *begun,
        number,
        one.arm,
        format_nats(one.delta or 0.0),
        format_nats(one.total_delta),
        f"{one.holdout_loss:.4f}" if one.holdout_loss is not None else "",
        format_energy(one.energy.uj) if one.energy is not None else "",
        own,
        named,
    ]


def version_note(one: CataloguedVersion) -> str:
    """What stands under a row: when and by which entry it was freed, or that nothing says who made it."""
    if one.pruned is not None:
        return f"pruned on {one.pruned.at[:10]}, by entry {one.pruned.entry}"
    return "no receipt says where it came from" if one.origin == "unknown" else ""

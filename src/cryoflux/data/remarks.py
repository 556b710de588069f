"""What is odd about the classes of a file, for its owner to look at; nothing is changed for it."""

from __future__ import annotations

__all__ = ["Remark", "remarks_on"]

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from cryoflux.data.normal_form import nfkc

_SKEWED = 20
"""times as many examples as the smallest class: from there on a model learns to say the largest"""
_NAMES_OF_NOTHING = {"nan", "none", "null", "n/a", "na", "nil", "-", "?", "unknown", "<na>", "undefined"}
_PARTS = re.compile(r"\s*[|;,/]\s*")
_SHOWN = 5
_LEAST_PER_CLASS = 3
"""examples of a class, on average; with fewer it may be no class but a number or a text"""


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that its owner should look at."""

    code: str
    """``alike``, ``nothing``, ``several``, ``skewed``, ``numbers`` or ``scarce``"""
    said: str
    classes: tuple[str, ...] = ()
    """that it is about, the first of them"""


def remarks_on(counts: Mapping[str, int]) -> list[Remark]:
    """What is odd about classes.

    Args:
        counts: class → examples.
    """
    found = [_alike(counts), _nothing(counts), _several(counts), _numbers(counts), _skewed(counts)]
    return [remark for some in found for remark in some]


def _alike(counts: Mapping[str, int]) -> Iterator[Remark]:
    groups: dict[str, list[str]] = defaultdict(list)
    for name in sorted(counts):
        groups[_bare(name)].append(name)
    for names in groups.values():
        if len(names) > 1:
            said = f"{len(names)} classes look like one: {_named(names, counts)}"
            yield Remark("alike", said, tuple(names[:_SHOWN]))


def _bare(name: str) -> str:
    """What is left of a name without case, spaces and the ways to write a number."""
    plain = re.sub(r"[\s_-]+", " ", nfkc(name)).strip().casefold()
    try:
        return repr(float(plain)) if re.fullmatch(r"[+-]?\d{1,15}(\.\d{1,15})?", plain) else plain
    except ValueError:
        return plain


def _nothing(counts: Mapping[str, int]) -> Iterator[Remark]:
    if names := [name for name in sorted(counts) if name.casefold() in _NAMES_OF_NOTHING]:
        yield Remark(
            "nothing", f"a missing label is a class of its own: {_named(names, counts)}", tuple(names)
        )


def _several(counts: Mapping[str, int]) -> Iterator[Remark]:
    names = [
        name
        for name in sorted(counts)
        if len(parts := {*_PARTS.split(name)}) > 1 and all(part in counts for part in parts)
    ]
    if names:
        rows = sum(counts[name] for name in names)
        said = f"{rows} rows seem to have several labels, which are learned as one: {_named(names, counts)}"
        yield Remark("several", said, tuple(names[:_SHOWN]))


def _numbers(counts: Mapping[str, int]) -> Iterator[Remark]:
    total = sum(counts.values())
    if len(counts) > 20 and len(counts) * _LEAST_PER_CLASS > total:
        said = f"{len(counts)} classes of {total} examples: are these classes, or numbers, names or texts?"
        yield Remark("numbers", said, tuple(sorted(counts)[:_SHOWN]))


def _skewed(counts: Mapping[str, int]) -> Iterator[Remark]:
    if len(counts) < 2:
        return
    ranked = sorted(counts, key=lambda name: (counts[name], name))
    smallest, largest = ranked[0], ranked[-1]
    if counts[largest] < _SKEWED * counts[smallest]:
        return
    share = counts[largest] / sum(counts.values())
    yield Remark(
        "skewed",
        f"classes are unequal: {_named([largest, smallest], counts)}; saying {largest[:40]!r} of every text "
        f"is right {100 * share:.1f} % of the time",
        (largest, smallest),
    )


def _named(names: Iterable[str], counts: Mapping[str, int]) -> str:
    listed = [*names]
    shown = ", ".join(f"{name[:40]!r} ({counts[name]})" for name in listed[:_SHOWN])
    return shown + (f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else "")

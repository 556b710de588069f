"""The leak guard of step 9, on request: no training text says nearly the same as one that judges.

Where the log says that training texts are held to ``cosine/v1``, all texts are embedded again, and each that
is trained on, those that joined later included, is held against each that judges. One that reaches the
threshold is a failure with its row, and so is one that was left out and does not reach it. Two honest
machines may round a component of a vector differently: so near to the threshold, it is a question.
"""

from __future__ import annotations

__all__ = ["COSINE", "GUARDED", "Embedder", "EmbedderFactory", "check_leak_guard"]

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from cryoflux.digests import copy_listed
from cryoflux.errors import CryoFluxError
from cryoflux.files import read_lines
from cryoflux.receipts.statement import Data, SimilarRule
from cryoflux.state import StateFolder
from cryoflux.verification.folders import compare_folder
from cryoflux.verification.open_question import OpenQuestion
from cryoflux.verification.read_sets import SIMILAR, TRAIN
from cryoflux.verification.result import Check, Finding, Knowledge, NumberedStep, conclude, failed, unknown
from cryoflux.verification.topics import Topic
from cryoflux.verification.walked import Walked

COSINE = "cosine/v1"
GUARDED = NumberedStep(9, "leak guard applied again", Knowledge.RECOMPUTED)
_MOST_TEXTS = 200_000
"""of a data set, an hour of work"""
_LONGEST_LINE = 8_000_000
_NAMED = 5
"""rows that are named of a set"""


class Embedder(Protocol):
    """What can hold texts against others; it needs a trainer's libraries."""

    encoder: str
    """what embeds here, by what decides it"""
    rounding_milli: int
    """so near to a threshold another machine may find it the other way round, thousandths"""

    def nearest(self, texts: Sequence[str], among: Sequence[str]) -> list[tuple[int, int]]:
        """Of each text the nearest among others: its place, and the cosine in thousandths, rounded down."""


EmbedderFactory = Callable[[], Embedder]


def check_leak_guard(walked: Walked, factory: EmbedderFactory | None) -> list[Check]:
    """Hold the training texts of each data set against those that judge; nothing where no log asks for it.

    Args:
        walked: the log and its state.
        factory: makes what embeds; none where nothing does.
    """
    checks: list[Check] = []
    named: set[str] = set()
    for known in walked.memory.tasks.values():
        data, rules = known.latest, known.latest.rules
        if rules is None or (said := rules.similar) is None or data.digest in named or said.rule != COSINE:
            continue
        named.add(data.digest)
        where = f"data/{data.digest}"
        try:
            if walked.material.state is None or factory is None:
                raise OpenQuestion("an exported file brings no texts")
            findings, summary = _applied(StateFolder(walked.material.state), data, said, factory())
        except OpenQuestion as reason:
            detail = f"its leak guard cannot be applied again here: {reason}"
            findings, summary = [unknown(where, detail, Topic.HOLDOUT)], ""
        except (CryoFluxError, OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            detail = f"applying its leak guard again failed: {error}"
            findings, summary = [failed(where, detail, Topic.HOLDOUT)], ""
        checks += conclude(GUARDED, findings, summary)
    return checks


def _applied(
    state: StateFolder, data: Data, said: SimilarRule, embedder: Embedder
) -> tuple[list[Finding], str]:
    """What is wrong or open, and the line where nothing is."""
    if said.encoder != embedder.encoder:
        raise OpenQuestion(f"what embedded its texts, {said.encoder[:16]}…, is not here")
    where = f"data/{data.digest}"
    with tempfile.TemporaryDirectory(prefix="cryoflux-verify-") as folder:
        sets = _read(state.data(data.digest), data, Path(folder) / "data")
    train, left_out = sets.pop(TRAIN), sets.pop(SIMILAR, [])
    places = [(file, row) for file, texts in sets.items() for row in range(len(texts))]
    judging = [text for texts in sets.values() for text in texts]
    if not judging:
        raise ValueError("no text judges")
    found = embedder.nearest([*train, *left_out], judging)
    off = embedder.rounding_milli
    near = [
        (row, *places[place], milli)
        for row, (place, milli) in enumerate(found[: len(train)])
        if milli >= said.least_milli
    ]
    sure = [one for one in near if one[3] >= said.least_milli + off]
    far = [
        (row, milli) for row, (_, milli) in enumerate(found[len(train) :]) if milli < said.least_milli - off
    ]
    findings = [
        *_told(f"{where}/{TRAIN}", sure, said, sure=True),
        *_told(f"{where}/{TRAIN}", [one for one in near if one not in sure], said, sure=False),
    ]
    if far:
        rows = ", ".join(f"line {row + 1} ({milli / 1000:g})" for row, milli in far[:_NAMED])
        detail = f"{len(far)} of its texts are near to none that judges, though they were left out: {rows}"
        findings.append(failed(f"{where}/{SIMILAR}", detail, Topic.HOLDOUT))
    least = f"{said.least_milli / 1000:g}"
    summary = (
        f"none of {len(train)} training texts has a cosine of {least} or more with one of {len(judging)}"
    )
    return (
        findings,
        "" if findings else f"{summary} that judge, and the {len(left_out)} that were left out do",
    )


def _told(
    subject: str, near: Sequence[tuple[int, str, int, int]], said: SimilarRule, *, sure: bool
) -> Iterator[Finding]:
    if not near:
        return
    rows = "; ".join(
        f"line {row + 1} has {milli / 1000:g} with line {place + 1} of {file}"
        for row, file, place, milli in near[:_NAMED]
    )
    detail = f"{len(near)} training texts are near to one that judges, though the log says that none is"
    detail = f"{detail} from {said.least_milli / 1000:g} on: {rows}"
    if sure:
        yield failed(subject, detail, Topic.HOLDOUT)
    else:
        yield unknown(subject, f"{detail}, where another machine may round otherwise", Topic.HOLDOUT)


def _read(there: Path, data: Data, copy: Path) -> dict[str, list[str]]:
    """The texts of each file, from a copy that nobody changes meanwhile.

    Raises:
        OpenQuestion: they are not here, or more than are read.
        ValueError: they are not those that were signed.
    """
    try:
        copy_listed(there, copy)
    except FileNotFoundError as error:
        raise OpenQuestion(f"{Path(error.filename).name} of its data set is not kept here") from error
    found = compare_folder(copy, data.digest)
    if found.different:
        raise ValueError(f"{found.different[0]} is not the file that was signed")
    if found.missing:
        raise OpenQuestion(f"{found.missing[0]} is not kept here")
    sets: dict[str, list[str]] = {}
    left = _MOST_TEXTS
    for file in sorted(name for name in found.listed if name.endswith(".jsonl")):
        sets[file] = []
        for line, _ in read_lines(copy / file, _LONGEST_LINE):
            if line:
                left -= 1
                if left < 0:
                    raise OpenQuestion(f"more than {_MOST_TEXTS} texts are not embedded here")
                sets[file].append(str(json.loads(line)["text"]))
    return sets

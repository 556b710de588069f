"""Per-sample results of other people's evaluations, read as losses: lm-evaluation-harness and Inspect.

What they say of a sample is a score between 0 and 1, the higher the better; its loss is 1 − score, in
``errors``. A sample whose score is 0 or 1 was wrong or right. Formats as lm-eval 0.4.9 (``--log_samples``:
``samples_TASK_TIME.jsonl``) and inspect-ai 0.3 (``.json``, and ``.eval``, which is a zip of JSON) write them.
"""

from __future__ import annotations

__all__ = ["ERRORS", "read_eval_log"]

import json
import lzma
import re
import shlex
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cryoflux.digests import file_digest
from cryoflux.errors import CryoFluxError, DataError
from cryoflux.evaluation.given_losses import GivenLosses, given_losses
from cryoflux.files import files_below, read_regular

ERRORS = "errors"
"""the unit of 1 − score"""
_MOST_BYTES = 1 << 28
_LONGEST_SHOWN = 80
_SAMPLES = re.compile(r"samples_(?P<task>.+)_(?P<at>\d{4}-\d{2}-\d{2}T[^/]*)\.jsonl")
_PREFERRED = ("acc_norm", "acc", "exact_match", "f1")
"""of the metrics of an lm-eval sample, the one that is taken where nobody names one"""
_LETTERS = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0}
"""Inspect's grades: correct, incorrect, partial, no answer"""


def read_eval_log(path: Path, task: str = "", metric: str = "") -> tuple[GivenLosses, str]:
    """The losses of the samples of an evaluation, and the metric whose score they are 1 minus.

    Args:
        path: a folder that lm-eval has written, one of its sample files, or a log of Inspect.
        task: of which task, where the folder has samples of several.
        metric: which of a sample's scores; the first known one where none is named.

    Raises:
        DataError: there are no samples, or none with such a score.
    """
    try:
        file = _samples_file(path, task) if path.is_dir() else path
    except OSError as error:
        raise _no_samples(f"{path} cannot be read: {error.strerror or error}") from error
    rows = list(_lm_eval(file) if file.suffix == ".jsonl" else _inspect(file))
    if not rows:
        raise _no_samples(f"{file} holds no sample")
    name = metric or _metric_of(file, rows)
    losses, correct = {}, {}
    for key, scores in rows:
        score = scores.get(name)
        if score is None or not 0 <= score <= 1:
            raise _no_samples(
                f"{file}, sample {key[:_LONGEST_SHOWN]}: {name} is {score}, which is no score between 0 and 1"
            )
        if key in losses:
            raise _no_samples(f"{file} has the sample {key[:_LONGEST_SHOWN]} twice")
        losses[key] = 1.0 - score
        correct[key] = score == 1
    whole = all(loss in {0.0, 1.0} for loss in losses.values())
    made = given_losses(path.name or file.name, losses, correct if whole else None)
    return GivenLosses(made.name, file_digest(file), made.nano, made.correct), name


def _no_samples(what: str) -> DataError:
    return DataError(
        f"{what}.",
        why="Two evaluations are compared sample by sample; how sure one can be follows from that.",
        hint="Run lm_eval with --log_samples --output_path DIR, or give a log of Inspect with its samples.",
    )


def _samples_file(folder: Path, task: str) -> Path:
    """The newest file of samples of a task in a folder of lm-eval, or in the one of its model in there."""
    newest: dict[str, tuple[str, Path]] = {}
    for name, path in sorted(files_below(folder).items()):
        if (hit := _SAMPLES.fullmatch(Path(name).name)) and path.is_file():
            newest[hit["task"]] = max(newest.get(hit["task"], ("", path)), (hit["at"], path))
    found = {name: path for name, (_, path) in newest.items()}
    if task and task in found:
        return found[task]
    if len(found) == 1 and not task:
        return next(iter(found.values()))
    if not found:
        raise _no_samples(f"{folder} has no file samples_TASK_TIME.jsonl")
    listed = ", ".join(sorted(found)[:8])
    raise DataError(
        f"{folder} has samples of {len(found)} tasks: {listed}.",
        why="A holdout is one set of examples.",
        hint="Say which one: --task NAME.",
    )


def _content(path: Path) -> bytes:
    try:
        return read_regular(path, _MOST_BYTES)
    except OSError as error:
        raise _no_samples(f"{path} cannot be read: {error.strerror or error}") from error


def _object(where: str, content: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _no_samples(f"{where} is not JSON") from error
    if not isinstance(found, dict):
        raise _no_samples(f"{where} is no JSON object")
    return found


def _lm_eval(path: Path) -> Iterator[tuple[str, Mapping[str, float]]]:
    for number, line in enumerate(_content(path).split(b"\n"), 1):
        if not line.strip():
            continue
        said = _object(f"{path}, line {number}", line)
        if "doc_id" not in said:
            raise _no_samples(f"{path}, line {number} has no doc_id")
        # Numbers begin anew in every task, and two filters give a sample twice: both stand beside it.
        beside = [str(said["doc_hash"])[:16]] if said.get("doc_hash") else []
        kept_by = str(said.get("filter"))
        beside += [kept_by] if kept_by not in {"none", "None"} else []
        key = " ".join([str(said["doc_id"]), *beside])
        yield (
            key,
            {name: float(value) for name, value in said.items() if _is_score(value) and name != "doc_id"},
        )


def _is_score(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) <= 1e9


def _metric_of(path: Path, rows: list[tuple[str, Mapping[str, float]]]) -> str:
    common = set.intersection(*(set(scores) for _, scores in rows))
    usable = {name for name in common if all(0 <= scores[name] <= 1 for _, scores in rows)}
    for name in _PREFERRED:
        if name in usable:
            return name
    if len(usable) == 1:
        return usable.pop()
    raise _no_samples(
        f"{path}: every sample has {', '.join(sorted(common)) or 'no score'}; name one with --metric"
    )


def _inspect(path: Path) -> Iterator[tuple[str, Mapping[str, float]]]:
    content = _content(path)
    samples = _of_zip(path) if content.startswith(b"PK") else _object(str(path), content).get("samples") or []
    if not isinstance(samples, Iterator | list):
        raise _no_samples(f"{path} has samples that are no list")
    for sample in samples:
        scores = sample.get("scores") if isinstance(sample, dict) else None
        if not isinstance(scores, dict) or "id" not in sample:
            raise _no_samples(f"{path} has a sample without an id or a score")
        epoch = sample.get("epoch", 1)
        key = str(sample["id"]) if epoch == 1 else f"{sample['id']} (epoch {epoch})"
        graded = {
            name: _grade(score.get("value")) for name, score in scores.items() if isinstance(score, dict)
        }
        yield key, {name: grade for name, grade in graded.items() if grade is not None}


def _grade(value: Any) -> float | None:
    if isinstance(value, str):
        return _LETTERS.get(value)
    return float(value) if _is_score(value) else None


def _of_zip(path: Path) -> Iterator[Any]:
    """The samples of an ``.eval`` file; unpacked no further than it says, which is bounded."""
    left = _MOST_BYTES
    try:
        with zipfile.ZipFile(path) as packed:
            for info in packed.infolist():
                if not (info.filename.startswith("samples/") and info.filename.endswith(".json")):
                    continue
                left -= info.file_size
                if left < 0:
                    raise _no_samples(f"{path} holds more than {_MOST_BYTES >> 20} MiB of samples")
                with packed.open(info) as stream:
                    content = stream.read(info.file_size + 1)
                yield _object(f"{path}, {info.filename}", content)
    except CryoFluxError:
        raise
    except (
        *(zipfile.BadZipFile, NotImplementedError, OSError, EOFError, RuntimeError, ValueError),
        *(zlib.error, lzma.LZMAError, struct.error, LookupError, ArithmeticError, MemoryError),
    ) as error:
        raise DataError(
            f"{path} cannot be unpacked: {error}.",
            why="Newer Python and newer Inspect pack logs in a way that this one cannot read.",
            hint=f"Convert it: inspect log convert {shlex.quote(str(path))} --to json --output-dir DIR",
        ) from error

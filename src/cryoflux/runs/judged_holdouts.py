"""Examples that decide on a run's updates, and examples that judge what others made: none may do both.

An error budget is counted in one place: a holdout that a run looks at and a judgement too would be looked at
more often than either counts. Texts are compared as the data sets compare them (`cryoflux.data.fold`), so it
does not matter in which file they stand. An example of a task of one's own may have no text: of it the whole
line is compared. Of losses that were handed over only ids are known: those are compared by nobody.
"""

from __future__ import annotations

__all__ = ["refuse_deciding", "refuse_judged"]

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from cryoflux.data.documents import plain_text
from cryoflux.data.fold import fold
from cryoflux.errors import UsageError
from cryoflux.files import read_regular
from cryoflux.state import StateFolder

_MOST_BYTES = 1 << 30


def refuse_deciding(texts: Sequence[str], state: StateFolder) -> None:
    """Refuse to judge on examples that decide on updates in the same state.

    Args:
        texts: of the examples, folded.
        state: of the run.

    Raises:
        UsageError: some do.
    """
    deciding = set(_texts((state.path / "data").glob("*/holdout*.jsonl")))
    if shared := sum(text in deciding for text in texts):
        raise UsageError(
            f"{shared:,} of the {len(texts):,} examples decide on updates in {state.path}.",
            why="A verdict on anything else would spend their error budget, and nobody would count it there.",
            hint="Judge in a state of its own: --state judged.",
        )


def refuse_judged(files: Mapping[str, bytes], state: StateFolder) -> None:
    """Refuse to begin a task whose holdout shares examples with what judged others in the same state.

    Args:
        files: of its data set, by name.
        state: that it begins in.

    Raises:
        UsageError: it does.
    """
    if not (judged := set(_texts(state.judged("").parent.glob("*.jsonl")))):
        return
    holdouts = [content for name, content in files.items() if name.startswith("holdout")]
    if shared := len(judged & {text for content in holdouts for text in _of_lines(content)}):
        raise UsageError(
            f"{shared:,} examples of the holdout have judged other models in {state.path}.",
            why="Each verdict on them was a look at this holdout, which its error budget would not count.",
            hint="Begin in a state of its own: --state DIR.",
        )


def _texts(paths: Iterable[Path]) -> Iterator[str]:
    for path in sorted(paths):
        yield from _of_lines(read_regular(path, _MOST_BYTES))


def _of_lines(content: bytes) -> Iterator[str]:
    """The texts of a set's lines, folded, and lines without one, whole; the ids of losses are neither."""
    for line in filter(None, map(bytes.strip, content.splitlines())):
        try:
            row = json.loads(line.decode("utf-8", "surrogatepass"))
        except (ValueError, RecursionError):
            row = {}
        if not isinstance(row, str | int):
            said = plain_text(row) if isinstance(row, dict) else ""
            yield fold(said or line.decode("utf-8", "replace"))

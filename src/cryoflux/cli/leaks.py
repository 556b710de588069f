"""``cryoflux leaks``: what the sets that judge have in common with the training set, in other words too."""

from __future__ import annotations

__all__ = ["leaks"]

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cryoflux.cli.console import JsonOption, StateOption, emit_json, stderr, stdout
from cryoflux.errors import StateError

_NO_GUARD = "no leak guard: nothing was left out of training for being near (cryoflux run --leak-guard 0.85)"
_SHOWN = 100
"""characters of a text"""


def leaks(
    threshold: Annotated[
        float, typer.Option(help="Cosine from which on two texts are near.", min=0.0, max=1.0)
    ] = 0.85,
    most: Annotated[int, typer.Option("-k", "--most", help="Show so many pairs.", min=0, max=10_000)] = 10,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Report texts that judge and are near to training texts, light paraphrases included."""
    from cryoflux.config import load_settings
    from cryoflux.report.guard_words import guard_document, guard_lines
    from cryoflux.runs.known_state import read_known
    from cryoflux.state import StateFolder
    from cryoflux.tasks.index.leaks import find_leaks
    from cryoflux.tasks.lora.libraries import quieten, require_training

    require_training()
    quieten()
    folder = StateFolder(Path(load_settings({"state": state}).settings.run.state))
    known = read_known(folder)
    if known is None:
        raise StateError(
            f"{folder.path} has no data set of texts with classes.",
            why="What leaks is looked for between the sets of one.",
            hint="Begin one: cryoflux run --train FILE --budget 1kJ, or name another with --state DIR.",
        )
    data, guarded = known.data, (known.origin.rules.get("similar"), known.origin.similar)
    counts, found = find_leaks(folder, data, threshold, lambda part: stderr.print(f"… embedding {part}"))
    if as_json:
        rows = [asdict(one) for one in found[:most]]
        sets = [asdict(one) for one in counts]
        said = {"data_hash": data.digest, "threshold": threshold, **guard_document(*guarded)}
        emit_json("leaks/1", {**said, "sets": sets, "pairs": rows})
        return
    for line in guard_lines(*guarded) or [_NO_GUARD]:
        stdout.print(line)
    for one in counts:
        stdout.print(
            f"{one.part:<10} {one.near} of {one.examples} texts have a cosine of {threshold:g} or more"
        )
    for pair in found[:most]:
        stdout.print("")
        stdout.print(
            f"{pair.similarity:.3f}  {pair.part} {pair.row}: {_text(data.examples(pair.part), pair.row)}"
        )
        stdout.print(f"       train {pair.train_row}: {_text(data.examples('train'), pair.train_row)}")


def _text(examples: tuple[object, ...], row: int) -> str:
    return " ".join(str(getattr(examples[row - 1], "text", "")).split())[:_SHOWN]

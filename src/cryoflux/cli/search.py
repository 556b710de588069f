"""``cryoflux search``: documents of the index that a state keeps."""

from __future__ import annotations

__all__ = ["search"]

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cryoflux.cli.console import JsonOption, StateOption, emit_json, stdout
from cryoflux.errors import UsageError
from cryoflux.typed_text import is_unicode


def search(
    query: Annotated[str, typer.Argument(help="What is looked for, in words.")],
    most: Annotated[int, typer.Option("-k", "--most", help="Show so many documents.", min=1, max=1000)] = 10,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find documents in the index that `run --task index_refresh` keeps."""
    if not query.strip():
        raise UsageError(
            "The query is empty.",
            why="Documents are found by what a query says.",
            hint='Give some words: cryoflux search "how is idle power learned".',
        )
    if not is_unicode(query):
        raise UsageError(
            "The query is no UTF-8 text.",
            why="Documents are found by what a query says.",
            hint="Type it in a terminal that is set to UTF-8.",
        )
    from cryoflux.config import load_settings
    from cryoflux.state import StateFolder
    from cryoflux.tasks.index.searching import open_searcher

    searcher = open_searcher(StateFolder(Path(load_settings({"state": state}).settings.run.state)))
    found = searcher.find(query, most)
    if as_json:
        rows = [asdict(one) for one in found]
        about = {"query": query, "index": searcher.version, "documents": searcher.documents}
        emit_json("search/1", {**about, "found": rows})
        return
    for one in found:
        stdout.print(f"{one.rank:>3}  {one.similarity:.3f}  {one.place}", indent=12)
        stdout.print(f"            {one.title}", indent=12)

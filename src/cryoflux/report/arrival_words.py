"""What became of files that arrived in a watched folder, in words and for machines."""

from __future__ import annotations

__all__ = ["joined_document", "joined_line", "waiting_line"]

from typing import Any

from cryoflux.runs.watch import Joined

_REFUSALS = {
    "judged": "like a text that judges",
    "similar": "like a text that judges, by the leak guard",
    "known": "like a text that is trained on already",
    "class": "of a class that the model does not have",
    "lacking": "without a text or without one label",
    "unsearched": "the sets that judge cannot be searched wholly",
}


def joined_line(joined: Joined) -> str:
    """What became of a file that arrived."""
    if joined.problem and joined.task:
        return f"arrived  {joined.problem}"
    if joined.problem:
        return f"arrived  {joined.problem} Nothing of it joins a training set."
    parts = [f"{joined.joined} examples join {joined.task}"]
    for why, count in joined.refused.items():
        first = joined.lines.get(why, ())
        lines = ", ".join([*map(str, first), *(["…"] if count > len(first) else [])])
        parts.append(f"{count} do not: {_REFUSALS[why]} (line {lines})")
    return f"arrived  {joined.file}: {'; '.join(parts)}"


def waiting_line(why: str) -> str:
    """What a run sleeps for."""
    if why == "agent":
        return "waiting  for the JouleAgent, which does not answer any more: see cryoflux agent"
    what = "no recipe is expected to pay" if why == "plateau" else "the bucket pays for no attempt"
    return f"waiting  for new data or energy: {what}"


def joined_document(joined: Joined) -> dict[str, Any]:
    """The same for machines."""
    return {
        "file": joined.file,
        "task_name": joined.task,
        "joined": joined.joined,
        "refused": dict(joined.refused),
        "lines": {why: list(lines) for why, lines in joined.lines.items()},
        "problem": joined.problem,
    }

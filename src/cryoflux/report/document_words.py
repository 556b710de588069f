"""What a check of a file of documents says, in words and for machines."""

from __future__ import annotations

__all__ = ["documents_document", "documents_lines"]

from typing import Any

from cryoflux.report.data_words import refusal_document, run_lines
from cryoflux.runs.document_check import CHARACTERS_A_TOKEN, DocumentCheck

_SPOKEN = {
    "messages": "the last turn",
    "prompt+completion": "the completion",
    "text": "all of a text",
}


def documents_lines(check: DocumentCheck, command: str) -> list[str]:
    """What was found, and what a run would make of it.

    Args:
        check: the check.
        command: the run that it is about.
    """
    lengths = check.lengths
    grouped = f", chunks of {check.groups} documents by their group" if check.groups else ""
    share = f"{_SPOKEN[check.shape]} is learned: {100 * check.target_share:.0f} % of the characters"
    most = f"at most {check.token_limit} tokens of each are read, fewer where the model reads fewer"
    longer = f"about {check.cut} are longer, at {CHARACTERS_A_TOKEN} characters a token"
    middle, longest = f"{lengths.median} in the middle", f"the longest {lengths.longest}"
    return [
        f"train      {check.file}: JSONL, for --task causal-lm",
        f"           {check.documents} documents of the shape {check.shape}{grouped}",
        f"           {share}",
        f"texts      characters: {middle}, 95 % up to {lengths.most_95}, {longest}",
        f"           {most}: {longer}",
        *run_lines(check.refusal, check.sets, check.dropped),
        *([f"           {command}"] if check.refusal is None else []),
    ]


def documents_document(check: DocumentCheck, command: str) -> dict[str, Any]:
    """The same as a document."""
    lengths = check.lengths
    return {
        "would_run": check.refusal is None,
        "refusal": refusal_document(check.refusal),
        "command": command,
        "task_name": "causal-lm",
        "file": check.file,
        "shape": check.shape,
        "documents": check.documents,
        "groups": check.groups,
        "median_characters": lengths.median,
        "most_95_characters": lengths.most_95,
        "longest_characters": lengths.longest,
        "target_share": check.target_share,
        "max_tokens": check.token_limit,
        "cut_documents": check.cut,
        "examples": dict(check.sets),
        "dropped": dict(check.dropped),
    }

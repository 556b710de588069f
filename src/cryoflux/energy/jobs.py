"""The batch job that a process is part of, by what the scheduler put into its environment."""

from __future__ import annotations

__all__ = ["Job", "job_here"]

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

_LARGEST = 2**32 - 1
"""Slurm's numbers have 32 bits; those of its own steps (batch, extern) are the largest of them."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job of Slurm, and which of its processes this is."""

    scheduler: Literal["slurm"]
    id: int
    step: int | None = None
    rank: int | None = None
    """number of the process among all of the step"""
    local_rank: int | None = None
    """the same among those of this node"""


def job_here(environ: Mapping[str, str] | None = None) -> Job | None:
    """The job that this process is part of; none outside of one, or where its number is no number."""
    said = os.environ if environ is None else environ
    number = _number(said.get("SLURM_JOB_ID"))
    if number is None:
        return None
    step, rank, local = (
        _number(said.get(name)) for name in ("SLURM_STEP_ID", "SLURM_PROCID", "SLURM_LOCALID")
    )
    return Job("slurm", number, step, rank, local)


def _number(text: str | None) -> int | None:
    # What anybody may have put there must not cost a receipt.
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 10:
        return None
    return number if (number := int(text)) <= _LARGEST else None

"""The working update: what an attempt leaves for the next one to go on from, and how it is kept.

One safetensors file holds the parameters that learn, the moments of their gradients, their averages and
the best candidate so far; its header says how far training is. The SHA-256 of the file names it in intents
and receipts. It is data like all that lies in a state: read with bounds, checked against its name, never
executed.
"""

from __future__ import annotations

__all__ = ["Best", "Working", "read_working", "write_working"]

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from cryoflux.digests import read_tensor_header, sha256_hex
from cryoflux.errors import StateError
from cryoflux.files import read_regular, write_atomic

_MOST_BYTES = 8_000_000_000
_FORM = "working/v1"
_COUNTERS = ("step", "stale", "exponent", "temperature_milli", "screen_nano", "rung_nano")


@dataclass(frozen=True, slots=True)
class Best:
    """The candidate with the lowest loss on the screening examples."""

    values: tuple[torch.Tensor, ...]
    """of the parameters that learn, before the temperature"""
    exponent: int
    """of the average that it is"""
    temperature_milli: int
    """what its scores are multiplied by, thousandths"""
    screen_nano: int
    """its mean loss on the screening examples, nano-nats"""


@dataclass(frozen=True, slots=True)
class Working:
    """Everything that going on takes."""

    step: int
    """steps since the chain began"""
    stale: int
    """scheduled looks at the screen in a row that gained too little"""
    rung_nano: int
    """lowest screen loss at the last scheduled look, nano-nats; 0 before the first"""
    parameters: tuple[torch.Tensor, ...]
    moments: tuple[torch.Tensor, ...]
    averages: dict[int, tuple[torch.Tensor, ...]] = field(default_factory=dict)
    """exponent → values"""
    best: Best | None = None


def write_working(folder: Path, working: Working) -> str:
    """Write the file into a folder, whole or not at all; its SHA-256, which names it."""
    from safetensors.torch import save

    best = working.best
    tensors = _numbered("parameter", working.parameters) | _numbered("moment", working.moments)
    for exponent, values in working.averages.items():
        tensors |= _numbered(f"average.{exponent}", values)
    if best is not None:
        tensors |= _numbered("best", best.values)
    counters = {
        "form": _FORM,
        "step": working.step,
        "stale": working.stale,
        "rung_nano": working.rung_nano,
        "exponent": best.exponent if best else 0,
        "temperature_milli": best.temperature_milli if best else 0,
        "screen_nano": best.screen_nano if best else 0,
    }
    content = save(tensors, {"working": json.dumps(counters, sort_keys=True)})
    digest = sha256_hex(content)
    write_atomic(folder / f"{digest}.safetensors", content)
    return digest


def _numbered(kind: str, values: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"{kind}.{n}": value.detach().cpu().contiguous() for n, value in enumerate(values)}


def read_working(path: Path, digest: str) -> Working:
    """Read a working update.

    Args:
        path: its file.
        digest: SHA-256 that the file has to have.

    Raises:
        StateError: it is not there, damaged, or another one.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        content = read_regular(path, _MOST_BYTES)
        if sha256_hex(content) != digest:
            raise ValueError("it is not the file that the log names")
        header = read_tensor_header(io.BytesIO(content), len(content))
        tensors, said = load(content), _counters(content, header)
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, RecursionError) as error:
        raise StateError(
            f"The working update {digest[:16]}… cannot be read: {error}.",
            why="Training would go on from something else than the log says.",
            hint="Restore the state's folder `working` from a backup, or let the run begin anew.",
        ) from error
    averages = sorted({int(name.split(".")[1]) for name in tensors if name.startswith("average.")})
    best = None
    if values := _values(tensors, "best"):
        best = Best(
            values,
            said["exponent"],
            said["temperature_milli"],
            said["screen_nano"],
        )
    return Working(
        step=said["step"],
        stale=said["stale"],
        rung_nano=said["rung_nano"],
        parameters=_values(tensors, "parameter"),
        moments=_values(tensors, "moment"),
        averages={exponent: _values(tensors, f"average.{exponent}") for exponent in averages},
        best=best,
    )


def _counters(content: bytes, header: Any) -> dict[str, int]:  # noqa: ARG001
    size = int.from_bytes(content[:8], "little")
    said = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["working"])
    if said.pop("form") != _FORM:
        raise ValueError("it is of another form")
    if not all(type(said[name]) is int and 0 <= said[name] < 2**53 for name in _COUNTERS):
        raise ValueError("its counters are no counts")
    return {name: said[name] for name in _COUNTERS}


def _values(tensors: dict[str, torch.Tensor], kind: str) -> tuple[torch.Tensor, ...]:
    count = sum(name.rpartition(".")[0] == kind for name in tensors)
    return tuple(tensors[f"{kind}.{n}"] for n in range(count))

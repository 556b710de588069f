"""Reads adapters as PEFT saves them, and without PEFT: nothing of them is run."""

from __future__ import annotations

__all__ = ["read_adapter"]

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryoflux.digests import read_tensor_header, sha256_hex
from cryoflux.files import read_regular
from cryoflux.registry.compose import Adapter, LowRank
from cryoflux.registry.composition import cannot_compose
from cryoflux.registry.plain_adapter import adapter_settings
from cryoflux.state import ADAPTER

_PREFIX = "base_model.model."
_A, _B = ".lora_A.weight", ".lora_B.weight"
_MALFORMED = (KeyError, ValueError, TypeError, AttributeError, RecursionError)
"""what a header raises that is none"""
_MOST_BYTES = 4_000_000_000
"""of the file of an adapter"""


def read_adapter(capsule: Path, digest: str = "") -> Adapter:
    """An adapter on the disk, as PEFT saves it.

    Args:
        capsule: its folder.
        digest: SHA-256 that its file has to have; not compared where it is empty.

    Raises:
        ModelError: it is another file, no such adapter, or of a kind that is merged in another way.
    """
    (scale, transposed), saved = _scale(capsule), _tensors(capsule, digest)
    matrices = {name for name in saved if name.endswith((_A, _B))}
    modules = {name.removesuffix(_A).removesuffix(_B) for name in matrices}
    if alone := {module for module in modules if not {module + _A, module + _B} <= matrices}:
        raise cannot_compose(f"The adapter {capsule.name[:16]}… has one matrix of {min(alone)} alone.")
    low_rank = {}
    for module in modules:
        a, b = saved[module + _A], saved[module + _B]
        scaled = scale(len(a))
        # a weight that is kept as (inputs, outputs) changes by the transposed product
        low_rank[f"{module}.weight"] = LowRank(b.T, a.T, scaled) if transposed else LowRank(a, b, scaled)
    return Adapter(low_rank, {name: tensor for name, tensor in saved.items() if name not in matrices})


def _tensors(capsule: Path, digest: str) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        content = read_regular(capsule / ADAPTER, _MOST_BYTES)
        # A header that is none is refused before a library sees it.
        read_tensor_header(io.BytesIO(content), len(content))
        stored = load(content)
    except (OSError, SafetensorError, *_MALFORMED) as error:
        raise cannot_compose(f"The adapter {capsule.name[:16]}… cannot be read: {error}") from error
    if digest and sha256_hex(content) != digest:
        raise cannot_compose(f"{capsule.name[:16]}… holds another adapter than its name says.")
    return {name.removeprefix(_PREFIX): tensor for name, tensor in stored.items()}


def _scale(capsule: Path) -> tuple[Callable[[int], float], bool]:
    """What an adapter's settings scale a product of some rank by, and whether weights are transposed."""
    settings = adapter_settings(capsule)
    alpha, said = settings["lora_alpha"], settings["r"]

    def scale(rank: int) -> float:
        if rank != said:
            raise cannot_compose(f"The adapter {capsule.name[:16]}… says rank {said} and has {rank}.")
        return float(alpha) / float(said)

    return scale, settings.get("fan_in_fan_out") is True

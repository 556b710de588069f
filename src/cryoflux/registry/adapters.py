"""Reads adapters as PEFT saves them, and without PEFT: nothing of them is run."""

from __future__ import annotations

__all__ = ["parse_adapter", "read_adapter"]

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryoflux.digests import read_tensor_header, sha256_hex
from cryoflux.errors import ModelError
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
    settings = adapter_settings(capsule)
    try:
        content = read_regular(capsule / ADAPTER, _MOST_BYTES)
    except OSError as error:
        raise _unreadable(capsule.name, error) from error
    if digest and sha256_hex(content) != digest:
        raise cannot_compose(f"{capsule.name[:16]}… holds another adapter than its name says.")
    return parse_adapter(content, settings, capsule.name)


def parse_adapter(content: bytes, settings: Mapping[str, Any], name: str) -> Adapter:
    """An adapter from the bytes of its file; their number bounds what is allocated.

    Args:
        content: the file.
        settings: what `plain_adapter` has read of its settings.
        name: what a message calls it.

    Raises:
        ModelError: it is no such adapter.
    """
    saved = _tensors(content, name)
    matrices = {one for one in saved if one.endswith((_A, _B))}
    modules = {one.removesuffix(_A).removesuffix(_B) for one in matrices}
    if alone := {module for module in modules if not {module + _A, module + _B} <= matrices}:
        raise cannot_compose(f"The adapter {name[:16]}… has one matrix of {min(alone)[:200]!a} alone.")
    rank, transposed = settings["r"], settings.get("fan_in_fan_out") is True
    scale = float(settings["lora_alpha"]) / float(rank)
    low_rank = {}
    for module in modules:
        a, b = saved[module + _A], saved[module + _B]
        if len(a.shape) != 2 or len(a) != rank:
            raise cannot_compose(f"The adapter {name[:16]}… says rank {rank} and has {a.shape[:1]}.")
        # a weight that is kept as (inputs, outputs) changes by the transposed product
        low_rank[f"{module}.weight"] = LowRank(b.T, a.T, scale) if transposed else LowRank(a, b, scale)
    return Adapter(low_rank, {one: tensor for one, tensor in saved.items() if one not in matrices})


def _tensors(content: bytes, name: str) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        # A header that is none is refused before a library sees it.
        read_tensor_header(io.BytesIO(content), len(content))
        stored = load(content)
    except (SafetensorError, *_MALFORMED) as error:
        raise _unreadable(name, error) from error
    found = {one.removeprefix(_PREFIX): tensor for one, tensor in stored.items()}
    if len(found) != len(stored):
        raise cannot_compose(f"The adapter {name[:16]}… has a tensor under two names.")
    return found


def _unreadable(name: str, error: Exception) -> ModelError:
    return cannot_compose(f"The adapter {name[:16]}… cannot be read: {error}")

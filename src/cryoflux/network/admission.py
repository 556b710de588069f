"""Whether what a peer offers may be looked at at all: the cheapest question first, and nothing of it is run.

What is read is bounded before it is read, and a header says nothing that the file does not have: every byte
of an adapter belongs to exactly one tensor. In this order:

- it is over the genesis, and for the labels, that this node has; else it is *stale*;
- its offer is of at most 8 MiB; its files are there, plain ones, with the bytes that were signed; else it is
  *unavailable*, because those who serve it may have others tomorrow;
- its settings are those of a plain LoRA and no more: at most 64 kB, rank at most 64, alpha at most 128 ranks;
- every tensor is float32, which is all that ``compose/v1`` adds (F16 and BF16 would be rounded before they
  are signed for), of a name and a shape that the genesis has, finite, and trained by those settings: another
  reader of them sees the same update. Else it is *malformed*, which anybody with the bytes can see;
- no product moves its module more than three times as far as those of the updates in the head; else it is
  *unsafe*. What was trained in full is bounded by what it does to losses alone: a composition whose losses
  are no numbers, or absurd, has no gain.
"""

from __future__ import annotations

__all__ = [
    "AdmissionGround",
    "AdmittedUpdate",
    "RefusedUpdate",
    "admit",
    "read_plain_update",
]

import io
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cryoflux.digests import read_tensor_header
from cryoflux.errors import ModelError, VerificationError
from cryoflux.network.capsule import (
    MOST_ADAPTER_BYTES,
    MOST_CONFIG_BYTES,
    CheckedCapsule,
    check_capsule_files,
)
from cryoflux.network.norms import NormBounds, update_norms
from cryoflux.receipts.network_parts import MemberVerdict
from cryoflux.registry.adapters import parse_adapter
from cryoflux.registry.compose import F32, Adapter
from cryoflux.registry.mixture import OfferedUpdate
from cryoflux.registry.plain_adapter import parse_adapter_settings

_MOST_HEADER_BYTES = 262_144
"""room for the names of a thousand tensors"""
_MOST_RANK = 64
_MOST_SCALE = 128
"""alpha / rank: honest ones are about 1 to 32"""
_MOST_NAMED = 512
"""modules"""
_FLOAT32 = "F32"
_PREFIX = "base_model.model."
_NO_HEADER = (KeyError, ValueError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True, slots=True)
class AdmissionGround:
    """What an update has to fit: this node's genesis, and what it has adopted."""

    genesis: str
    """digest of its tensors"""
    labels: str
    """of its class names in their order"""
    shapes: Mapping[str, tuple[int, ...]]
    """of all tensors of the genesis, by name"""
    bounds: NormBounds = field(default_factory=NormBounds)
    """of what was adopted; none where nothing was"""


@dataclass(frozen=True, slots=True)
class AdmittedUpdate:
    """An update that may be tried."""

    update: OfferedUpdate
    adapter: Adapter
    norms: Mapping[str, float]
    """‖D‖ of each tensor that it moves, as far as that is known without its parent"""


@dataclass(frozen=True, slots=True)
class RefusedUpdate:
    """An update that is not looked at."""

    update: OfferedUpdate
    verdict: MemberVerdict
    why: str
    """one sentence"""


def admit(
    folder: Path,
    capsule: CheckedCapsule,
    ground: AdmissionGround,
    labels: str,
    parent: Callable[[str], F32] | None = None,
) -> AdmittedUpdate | RefusedUpdate:
    """Whether an update may be tried.

    Args:
        folder: where its files lie.
        capsule: its offer, checked.
        ground: what it has to fit.
        labels: digest of the class names that its proposer's node entry says; empty where there is none.
        parent: tensors of the version that it was trained on, by name; without it, tensors that were trained
            in full are not held against any bound.
    """
    update = capsule.update
    try:
        _check_terms(capsule, ground, labels)
        adapter = read_plain_update(*check_capsule_files(folder, capsule), update.adapter, ground.shapes)
        norms = update_norms(adapter, parent)
        _check_norms(norms, ground.bounds)
    except _RefusedError as refused:
        return RefusedUpdate(update, refused.verdict, refused.why)
    except VerificationError as error:
        return RefusedUpdate(update, MemberVerdict.UNAVAILABLE, error.what)
    except ModelError as error:
        return RefusedUpdate(update, MemberVerdict.MALFORMED, error.what)
    return AdmittedUpdate(update, adapter, norms)


class _RefusedError(Exception):
    def __init__(self, verdict: MemberVerdict, why: str) -> None:
        super().__init__(why)
        self.verdict, self.why = verdict, why


def _check_terms(capsule: CheckedCapsule, ground: AdmissionGround, labels: str) -> None:
    """What is seen without a byte of the adapter."""
    found, due = capsule.update.genesis, ground.genesis
    if found != due:
        why = f"It is over the genesis {found[:16]}…, and this node's is {due[:16]}…."
        raise _RefusedError(MemberVerdict.STALE, why)
    if labels != ground.labels:
        raise _RefusedError(MemberVerdict.STALE, "Its log does not say that its classes are this node's.")
    size = capsule.offer.adapter_bytes
    if size > MOST_ADAPTER_BYTES:
        why = f"Its offer says {size:,} bytes, and {MOST_ADAPTER_BYTES:,} are read."
        raise _RefusedError(MemberVerdict.MALFORMED, why)
    # The size of the settings is what whoever serves them says: nobody signed it.
    if capsule.config_bytes > MOST_CONFIG_BYTES:
        why = f"Its settings are said to have {capsule.config_bytes:,} bytes; {MOST_CONFIG_BYTES:,} are read."
        raise _RefusedError(MemberVerdict.UNAVAILABLE, why)


def _check_norms(norms: Mapping[str, float], bounds: NormBounds) -> None:
    for name, norm in norms.items():
        if norm > (bound := bounds.of(name)):
            why = f"It moves {name} by {norm:.3g}, and what was adopted bounds that by {bound:.3g}."
            raise _RefusedError(MemberVerdict.UNSAFE, why)


def read_plain_update(
    content: bytes, config: bytes, name: str, shapes: Mapping[str, tuple[int, ...]] | None = None
) -> Adapter:
    """An update from the bytes of its two files, if it is one that is admitted.

    Args:
        content: of the adapter.
        config: of its settings.
        name: what a message calls it.
        shapes: of the tensors of its genesis; without them, names and shapes are compared with nothing.

    Raises:
        ModelError: it is none.
    """
    if len(content) > MOST_ADAPTER_BYTES or len(config) > MOST_CONFIG_BYTES:
        raise _no_update(f"The adapter {name[:16]}… is larger than is read.")
    settings = parse_adapter_settings(config)
    _check_settings(settings)
    _check_header(content, name)
    adapter = parse_adapter(content, settings, name)
    _check_trained(adapter, settings)
    for one, shape in _shapes(adapter).items():
        if shapes is not None and shapes.get(one) != shape:
            due = f"the shape {shapes[one]} there" if one in shapes else "no tensor of the genesis"
            raise _no_update(f"It changes {one[:200]!a} of shape {shape}, which has {due}.")
    return adapter


def _no_update(what: str) -> ModelError:
    return ModelError(
        what,
        why="It is not a plain LoRA update that means the same to every reader.",
        hint="Its proposer has to train and offer another one; it stays refused.",
    )


def _check_settings(settings: Mapping[str, Any]) -> None:
    rank, alpha = settings["r"], settings["lora_alpha"]
    if rank > _MOST_RANK:
        raise _no_update(f"Its settings say rank {rank}, and {_MOST_RANK} is the most.")
    if alpha > rank * _MOST_SCALE:
        raise _no_update(f"Its settings say alpha {alpha:g}, more than {_MOST_SCALE} times rank {rank}.")
    named = [one for part in ("target_modules", "modules_to_save") for one in settings.get(part) or ()]
    if len(named) > _MOST_NAMED:
        raise _no_update(f"Its settings name {len(named)} modules, and {_MOST_NAMED} is the most.")


def _check_header(content: bytes, name: str) -> None:
    """Refuse a header before anything that it speaks of is made."""
    if (length := int.from_bytes(content[:8], "little")) > _MOST_HEADER_BYTES:
        raise _no_update(f"The adapter {name[:16]}… says that its header has {length:,} bytes.")
    try:
        header, _ = read_tensor_header(io.BytesIO(content), len(content))
    except _NO_HEADER as error:
        raise _no_update(f"The adapter {name[:16]}… is no safetensors file: {error}.") from error
    if not header:
        raise _no_update(f"The adapter {name[:16]}… holds no tensor.")
    for one, spec in header.items():
        said = f"Its tensor {one[:200]!a}"
        if not one.startswith(_PREFIX):
            raise _no_update(f"{said} is not named as PEFT names one.")
        if spec["dtype"] != _FLOAT32:
            raise _no_update(f"{said} is {spec['dtype']}, and only float32 is added up.")
        if not spec["shape"] or 0 in spec["shape"]:
            raise _no_update(f"{said} is empty.")


def _check_trained(adapter: Adapter, settings: Mapping[str, Any]) -> None:
    """PEFT loads what the settings name, and no more: they have to name all that is added up here."""
    if both := adapter.low_rank.keys() & adapter.whole.keys():
        raise _no_update(f"{min(both)[:200]!a} is changed both in full and by a product.")
    targets, saved = settings["target_modules"] or (), settings.get("modules_to_save") or ()
    for name, update in adapter.low_rank.items():
        if not _named(name.removesuffix(".weight"), targets):
            raise _no_update(f"Its settings do not name the module of {name[:200]!a}.")
        if not (np.isfinite(update.a).all() and np.isfinite(update.b).all()):
            raise _no_update(f"The update of {name[:200]!a} holds what is no number.")
    for name, values in adapter.whole.items():
        if not _within(name, saved):
            raise _no_update(f"Its settings do not say that {name[:200]!a} is saved in full.")
        if not np.isfinite(values).all():
            raise _no_update(f"{name[:200]!a} holds what is no number.")


def _named(module: str, targets: Collection[str]) -> bool:
    return any(module == target or module.endswith(f".{target}") for target in targets)


def _within(name: str, modules: Collection[str]) -> bool:
    return any(f".{module}." in f".{name}" for module in modules)


def _shapes(adapter: Adapter) -> dict[str, tuple[int, ...]]:
    """What it changes: the shapes of its products, and of what was trained in full."""
    products = {
        name: (one.b.shape[0], one.a.shape[1])
        for name, one in adapter.low_rank.items()
        if one.a.ndim == one.b.ndim == 2 and one.b.shape[1] == len(one.a)
    }
    if apart := adapter.low_rank.keys() - products.keys():
        raise _no_update(f"The matrices of {min(apart)[:200]!a} do not fit together.")
    return {**products, **{name: values.shape for name, values in adapter.whole.items()}}

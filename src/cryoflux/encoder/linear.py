"""Frozen matrix products: one interface over the ways in which a machine may do them best.

MKL uses half of what some processors can do in float32, oneDNN needs its weights packed to show it, and
bfloat16 is fast only where the hardware has it. So the ways are tried for a few milliseconds and the
one that costs the fewest CPU-seconds is taken. Weights are frozen, so the backward pass needs no weight
gradient: dX = dY · W, once more a product with a packed weight.
"""

from __future__ import annotations

__all__ = ["Backend", "FrozenLinear", "choose_backend", "has_bf16"]

import time
from enum import StrEnum
from functools import cache
from typing import Any

import torch
from torch.autograd.function import Function

_ROUNDS = 4
_PRODUCTS = 2
_ROWS = 256


class Backend(StrEnum):
    """How a frozen product is computed."""

    BF16 = "bf16"
    """bfloat16 operands, float32 sums"""
    ONEDNN = "f32-onednn"
    """float32, weights packed for oneDNN"""
    F32 = "f32"
    """float32 as torch does it"""
    F64 = "f64"
    """float64: for receipts, never for training"""

    @property
    def dtype(self) -> torch.dtype:
        """Of the activations between products."""
        return {"bf16": torch.bfloat16, "f64": torch.float64}.get(self.value, torch.float32)


def _pack(weight: torch.Tensor) -> Any:
    return torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), None)  # noqa: SLF001


def _packed_product(x: torch.Tensor, packed: Any, bias: torch.Tensor | None) -> torch.Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")  # noqa: SLF001


class _Packed(Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, linear: FrozenLinear) -> torch.Tensor:
        ctx.linear = linear
        return _packed_product(x, linear.packed, linear.bias)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        return _packed_product(grads[0].contiguous(), ctx.linear.packed_transposed, None), None


class FrozenLinear:
    """y = x · Wᵀ + b for a weight that does not learn."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor, backend: Backend) -> None:
        """Take W (out, in) and b (out) in any dtype."""
        self.backend = backend
        self.bias = bias.to(backend.dtype)
        self.weight = weight.to(backend.dtype)
        self._packs_bf16 = backend is Backend.BF16 and self.weight.device.type == "cpu" and packs_bf16()
        self._packed: Any = None
        self._packed_transposed: Any = None

    @property
    def packed(self) -> Any:
        """W in oneDNN's own order."""
        if self._packed is None:
            self._packed = _pack(self.weight)
        return self._packed

    @property
    def packed_transposed(self) -> Any:
        """Wᵀ in oneDNN's own order."""
        if self._packed_transposed is None:
            self._packed_transposed = _pack(self.weight.t())
        return self._packed_transposed

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """(…, in) → (…, out)."""
        if self.backend is Backend.ONEDNN:
            if torch.is_grad_enabled() and x.requires_grad:
                return _Packed.apply(x, self)
            return _packed_product(x, self.packed, self.bias)
        if self._packs_bf16 and not torch.is_grad_enabled():
            # oneDNN as well, and the same numbers, but that the weight is not put in its order each time
            return _packed_product(x, self.packed, self.bias)
        return torch.nn.functional.linear(x, self.weight, self.bias)


@cache
def packs_bf16() -> bool:
    """Whether oneDNN takes packed weights in bfloat16 here; it may be told to do without the instructions."""
    if not (torch.backends.mkldnn.is_available() and _has_packed() and has_bf16("cpu")):
        return False
    try:
        _pack(torch.zeros(2, 2, dtype=torch.bfloat16))
    except RuntimeError:
        return False
    return True


def _has_packed() -> bool:
    return hasattr(torch.ops.mkldnn, "_linear_pointwise")


def has_bf16(device: str) -> bool:
    """Whether the hardware multiplies bfloat16; elsewhere it would be emulated."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def _usable() -> list[Backend]:
    found = [Backend.F32]
    if torch.backends.mkldnn.is_available() and _has_packed():
        found.append(Backend.ONEDNN)
    if has_bf16("cpu"):
        found.append(Backend.BF16)
    return found


@cache
def choose_backend(device: str, hidden: int) -> Backend:
    """The cheapest way for products of a training step here, by CPU-seconds of a short trial.

    Args:
        device: ``cpu`` or ``cuda``; a GPU uses bfloat16 where it has it.
        hidden: width of the encoder.
    """
    if device == "cuda":
        return Backend.BF16 if has_bf16("cuda") else Backend.F32
    costs = {}
    for backend in _usable():
        linear = FrozenLinear(torch.randn(4 * hidden, hidden), torch.zeros(4 * hidden), backend)
        x = torch.randn(_ROWS, hidden, dtype=backend.dtype)
        with torch.inference_mode():
            linear(x)
            rounds = []
            for _ in range(_ROUNDS):
                start = time.process_time()
                for _ in range(_PRODUCTS):
                    linear(x)
                rounds.append(time.process_time() - start)
        costs[backend] = min(rounds)
    return min(costs, key=costs.__getitem__)

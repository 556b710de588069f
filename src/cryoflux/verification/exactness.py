"""Whether a model is small enough for float64, where its losses are told in float32.

Which of the two a reading is done in follows from parameters and tokens (`cryoflux.receipts.profiles`).
Float32 tolerates more, above all predictions that change sides, so it is asked why it was taken where it need
not be. Tokens are not counted: there are no more of them than bytes, nor than texts are cut to.
"""

from __future__ import annotations

__all__ = ["needless_tolerance"]

from pathlib import Path

from cryoflux.digests import tensor_shapes
from cryoflux.errors import CryoFluxError
from cryoflux.receipts.profiles import F32, PROFILE, parameters_in, profile_for
from cryoflux.registry.cuts import Cut, tokens_of


def needless_tolerance(model: Path, holdout: Path, *, count: int, cut: Cut) -> str:
    """Why a reading in ``f32/v1`` is asked about; empty where its size called for it, or cannot be told.

    Args:
        model: folder of the version that was read with.
        holdout: file of the examples.
        count: of the examples.
        cut: how much of a text was read; 0 where nothing says so.
    """
    try:
        files = sorted(model.glob("*.safetensors"))
        shapes = {name: shape for file in files for name, shape in tensor_shapes(file).items()}
        most, each = holdout.stat().st_size, tokens_of(cut)
    except (CryoFluxError, OSError, OverflowError, RecursionError, ValueError):
        return ""  # the step that it is for says so
    tokens = min(most, count * each) if each > 0 else most
    parameters = parameters_in(shapes)
    if profile_for(parameters, tokens) == F32:
        return ""
    return (
        f"reads a model of {parameters:,} parameters on at most {tokens:,} tokens in {F32}, which tolerates "
        f"more: so small, it is read in {PROFILE}"
    )

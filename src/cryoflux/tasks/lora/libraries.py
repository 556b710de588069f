"""How the training libraries are told to behave: silent, and with nothing sent anywhere."""

from __future__ import annotations

__all__ = ["quieten", "require_training"]

import os
import warnings
from importlib.util import find_spec

from cryoflux.errors import UsageError

_TRAINING = ("torch", "transformers", "peft", "safetensors")


def quieten() -> None:
    """Switch off telemetry, progress bars, load reports and the libraries' notes to each other."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    for library in ("transformers", "peft", "torch"):
        warnings.filterwarnings("ignore", module=rf"{library}(\.|$)")


def require_training() -> None:
    """Make sure that the training libraries are installed, without importing them.

    Raises:
        UsageError: some are not.
    """
    if missing := [name for name in _TRAINING if find_spec(name) is None]:
        raise UsageError(
            f"The training libraries are not all installed; missing: {', '.join(missing)}.",
            why="Training, and evaluating again, need them; everything else does not.",
            hint="Install them: pip install 'cryoflux[train]'.",
        )

"""How the training libraries are told to behave: silent, and with nothing sent anywhere."""

from __future__ import annotations

__all__ = ["quieten"]

import os
import warnings


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

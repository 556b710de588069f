"""How the training libraries are told to behave: silent, and with nothing sent anywhere."""

from __future__ import annotations

__all__ = [
    "LIBRARIES",
    "chosen_device",
    "libraries_as_before",
    "quieten",
    "quieten_transformers",
    "require_training",
    "shielded",
]

import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from cryoflux.errors import ModelError, UsageError

LIBRARIES = ("peft", "torch", "transformers")
"""that decide how sums are rounded"""
_VARIABLES = {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_DISABLE_TELEMETRY": "1"}
_STDERR = 2
_fresh: list[tuple[int, bool]] = []
"""how loud transformers was before it was ever told: verbosity, and whether it shows progress"""


def quieten() -> None:
    """Switch off telemetry and the libraries' notes to each other; loads none of them."""
    for name, value in _VARIABLES.items():
        os.environ.setdefault(name, value)
    for library in LIBRARIES:
        warnings.filterwarnings("ignore", module=rf"{library}(\.|$)")


def quieten_transformers() -> None:
    """The same, and transformers' progress bars and load reports; loads it, so only where it is needed."""
    quieten()
    from transformers.utils import logging

    quieten()  # once more: what is imported puts filters of its own in front

    if not _fresh:
        _fresh.append(_loudness())
    logging.set_verbosity_error()
    logging.disable_progress_bar()


def _loudness() -> tuple[int, bool]:
    from transformers.utils import logging

    return logging.get_verbosity(), logging.is_progress_bar_enabled()


@contextmanager
def libraries_as_before() -> Iterator[None]:
    """Undo afterwards what `quieten` does meanwhile; telemetry alone, once off, stays off.

    What a library does to the filters of warnings when it is imported is undone with it.
    """
    environment = {name: os.environ.get(name) for name in _VARIABLES}
    before = _loudness() if "transformers" in sys.modules else None
    with warnings.catch_warnings():
        try:
            yield
        finally:
            for name, value in environment.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value
            for verbosity, progress in [before] if before is not None else _fresh:
                _speak(verbosity, progress=progress)


def _speak(verbosity: int, *, progress: bool) -> None:
    from transformers.utils import logging

    logging.set_verbosity(verbosity)
    if progress:
        logging.enable_progress_bar()


@contextmanager
def shielded() -> Iterator[None]:
    """Load what somebody else has made: nothing is fetched meanwhile; a library that gives up is an error.

    Raises:
        ModelError: a library met something that it was not made for.
    """
    from huggingface_hub import constants

    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        with _panics_unprinted():
            yield
    except BaseException as error:
        if not _is_panic(error):
            raise
        raise ModelError(
            f"A library could not read the model: {str(error)[:200]}",
            why="Its files are not what the library expects.",
            hint="Restore them from where they came.",
        ) from error
    finally:
        constants.HF_HUB_OFFLINE = before


def _is_panic(error: BaseException) -> bool:
    """Whether a library in Rust gave up; its error is no Exception."""
    return type(error).__name__ == "PanicException"


@contextmanager
def _panics_unprinted() -> Iterator[None]:
    """Hold back what is written to standard error meanwhile, and drop it where it is the stack of a panic.

    Rust writes that stack itself, past ``sys.stderr``, before Python hears of it.
    """
    try:
        before = os.dup(_STDERR)
    except OSError:  # it is closed
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), _STDERR)
        panicked = False
        try:
            yield
        except BaseException as error:
            panicked = _is_panic(error)
            raise
        finally:
            if sys.stderr is not None:
                sys.stderr.flush()
            os.dup2(before, _STDERR)
            os.close(before)
            held.seek(0)
            if not panicked and (said := held.read()):
                os.write(_STDERR, said)


def require_training(device: str = "auto") -> None:
    """Make sure that the training libraries are installed; none is imported unless a GPU is asked for.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        UsageError: some are not, or the GPU cannot be used.
    """
    if missing := [name for name in (*LIBRARIES, "safetensors") if find_spec(name) is None]:
        raise UsageError(
            f"The training libraries are not all installed; missing: {', '.join(missing)}.",
            why="Training, and evaluating again, need them; everything else does not.",
            hint="Install them: pip install 'cryoflux[train]'.",
        )
    if device == "cuda":
        chosen_device(device)


def chosen_device(asked: str) -> str:
    """The device to compute on.

    Args:
        asked: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        UsageError: a GPU is asked for and cannot be used.
    """
    import torch

    available = torch.cuda.is_available()
    if asked == "cuda" and not available:
        raise UsageError(
            "No CUDA device can be used here.",
            why="--device cuda asks for one.",
            hint="Leave --device out, or see what is missing with `cryoflux doctor`.",
        )
    return "cpu" if asked == "cpu" or not available else "cuda"

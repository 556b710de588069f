"""A causal language model in memory, by transformers, and what it scores on one document.

Nothing of a model folder is run: weights are safetensors, settings those that transformers' own class
declares (`registry.plain_model`).
"""

from __future__ import annotations

__all__ = ["check_whole", "document_nats", "open_network", "open_outline", "open_tokenizer", "scored_at"]

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cryoflux.errors import CryoFluxError, ModelError
from cryoflux.registry.plain_model import harmless
from cryoflux.tasks.causal.four_bit import four_bit_settings
from cryoflux.tasks.causal.tokens import give_template
from cryoflux.tasks.lora.libraries import shielded

_AT_ONCE = 64
"""targets whose scores are in float64 at once: a vocabulary is long"""
_REFUSALS = (OSError, ValueError, KeyError, RuntimeError, AttributeError, ImportError, TypeError)


def open_network(
    folder: Path,
    name: str,
    *,
    bf16: bool = False,
    four_bit: bool = False,
    device: str = "cpu",
    changed: Mapping[str, Any] = MappingProxyType({}),
) -> Any:
    """A language model, ready to be evaluated.

    Args:
        folder: as ``from_pretrained`` reads it.
        name: of the model, for messages.
        bf16: whether its weights are rounded to bfloat16; else they are float32.
        four_bit: whether they are rounded to four bits, to train beside: never to judge with.
        device: ``cpu`` or ``cuda``.
        changed: parameter name → tensor, in place of those of the files.

    Raises:
        ModelError: it cannot be loaded whole, or would not be safe to load.
    """
    import torch
    from transformers import AutoModelForCausalLM

    rounded = {}
    if four_bit:
        rounded = {"quantization_config": four_bit_settings(), "device_map": {"": device}}
    try:
        with harmless(folder) as copy, shielded():
            network, report = AutoModelForCausalLM.from_pretrained(
                copy,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=torch.bfloat16 if bf16 or four_bit else torch.float32,
                output_loading_info=True,
                **rounded,
            )
    except CryoFluxError:
        raise
    except _REFUSALS as error:
        raise _cannot_load(name, error) from error
    check_whole(network, report["missing_keys"], name)
    with torch.no_grad():
        for parameter, tensor in changed.items():
            network.get_parameter(parameter).copy_(tensor)
    return network.eval() if four_bit else network.to(device).eval()


def open_outline(folder: Path, name: str) -> Any:
    """A language model without any weights in memory: its settings, its modules and their sizes.

    Args:
        folder: as ``from_pretrained`` reads it.
        name: of the model, for messages.

    Raises:
        ModelError: its settings are those of no language model.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        with harmless(folder) as copy, shielded(), torch.device("meta"):
            config = AutoConfig.from_pretrained(copy, local_files_only=True, trust_remote_code=False)
            return AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except CryoFluxError:
        raise
    except _REFUSALS as error:
        raise _cannot_load(name, error) from error


def open_tokenizer(folder: Path, name: str) -> Any:
    """The tokenizer of a model folder, with its template of conversations.

    Raises:
        ModelError: it cannot be loaded.
    """
    from transformers import AutoTokenizer

    try:
        with harmless(folder) as copy, shielded():
            found = AutoTokenizer.from_pretrained(copy, local_files_only=True, trust_remote_code=False)
    except CryoFluxError:
        raise
    except _REFUSALS as error:
        raise _cannot_load(name, error) from error
    give_template(folder, found)
    return found


def _cannot_load(name: str, error: Exception) -> ModelError:
    reason = str(error).strip().splitlines() or [type(error).__name__]
    return ModelError(
        f"The model {name!r} cannot be loaded as a language model: {reason[0][:200]}",
        why="It needs a tokenizer, settings that transformers knows, and safetensors weights.",
        hint="Check that AutoModelForCausalLM.from_pretrained loads it without remote code.",
    )


def check_whole(network: Any, lacking: Iterable[str], name: str) -> None:
    """Make sure that nothing of a model was filled at random.

    Args:
        network: as it was loaded.
        lacking: tensors that its weights do not have; a head that is the embedding may be one.
        name: of the model, for messages.

    Raises:
        ModelError: something was.
    """
    missing = set(lacking)
    tied = {one for one in missing if one.endswith("lm_head.weight")}
    if missing - tied or (tied and not network.config.tie_word_embeddings):
        raise ModelError(
            f"The weights of {name!r} lack {', '.join(sorted(missing)[:3])}.",
            why="What is missing would be random numbers, and Δ a matter of luck.",
            hint="Give the folder that was saved after fine-tuning (trainer.save_model(DIR)).",
        )


@contextmanager
def scored_at(network: Any, places: Any) -> Iterator[None]:
    """Let the head of a model score some places alone, one row each: what is not asked for is not computed.

    Args:
        network: of transformers, or an adapter on one.
        places: (documents, tokens), which of them are asked for.
    """
    head = network.get_output_embeddings()
    hook = head.register_forward_pre_hook(lambda _, given: (given[0][places], *given[1:]))
    try:
        yield
    finally:
        hook.remove()


def document_nats(network: Any, ids: Sequence[int], first: int) -> float:
    """The sum of cross-entropies over the targets of a document, nats.

    Args:
        network: of transformers; it reads this document by itself.
        ids: its tokens.
        first: place of the first target.
    """
    import torch

    if len(ids) <= first:
        return 0.0
    device = network.device
    wanted, total = torch.tensor(ids[first:], device=device), 0.0
    keeps_few = "logits_to_keep" in inspect.signature(network.forward).parameters
    few = {"logits_to_keep": len(wanted) + 1} if keeps_few else {}
    with torch.inference_mode():
        scores = network(input_ids=torch.tensor([ids], device=device), use_cache=False, **few).logits[0]
        scores = scores[len(scores) - len(wanted) - 1 : -1]
        for start in range(0, len(wanted), _AT_ONCE):
            here = wanted[start : start + _AT_ONCE, None]
            found = torch.log_softmax(scores[start : start + _AT_ONCE].double(), -1)
            total += float(-found.gather(1, here).sum())
    return max(0.0, total)

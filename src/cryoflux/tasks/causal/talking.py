"""Talking to a version of a language model: what it answers, word by most likely word."""

from __future__ import annotations

__all__ = ["Conversation", "Spoken"]

from dataclasses import dataclass
from pathlib import Path

from cryoflux.tasks.causal.network import open_network, open_tokenizer
from cryoflux.tasks.causal.tokens import turns_rendered
from cryoflux.tasks.lora.libraries import quieten_transformers


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a model has said."""

    text: str
    tokens: int
    """that it said, the one that ends an answer included"""


class Conversation:
    """A model in memory, and what was said so far.

    A tokenizer without a template of conversations has no turns: such a model goes on with the text.
    """

    def __init__(self, folder: Path, name: str, *, device: str = "cpu") -> None:
        """Load a version.

        Raises:
            ModelError: it is no language model, or cannot be loaded.
        """
        quieten_transformers()
        self._name = name
        self._tokenizer = open_tokenizer(folder, name)
        self._network = open_network(folder, name, device=device)
        self._turns: list[dict[str, str]] = []

    def ask(self, text: str, most_tokens: int) -> Spoken:
        """What the model says next.

        Args:
            text: said to it.
            most_tokens: of the answer.

        Raises:
            ModelError: the model's template does not render what was said.
        """
        import torch

        if getattr(self._tokenizer, "chat_template", None):
            self._turns.append({"role": "user", "content": text})
            where = f"{self._name!r} does not render what was said"
            asked = turns_rendered(self._tokenizer, self._turns, where, prompt=True)
            ids = self._tokenizer(asked, add_special_tokens=False, return_tensors="pt")["input_ids"]
        else:
            ids = self._tokenizer(text, return_tensors="pt")["input_ids"]
        ids = ids.to(self._network.device)
        with torch.inference_mode():
            said = self._network.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=most_tokens,
                do_sample=False,
                pad_token_id=self._tokenizer.pad_token_id or 0,
            )[0, ids.shape[1] :]
        answer = self._tokenizer.decode(said, skip_special_tokens=True).strip()
        self._turns.append({"role": "assistant", "content": answer})
        return Spoken(answer, len(said))

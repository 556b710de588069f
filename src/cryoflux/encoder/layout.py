"""Which tensor plays which part in an encoder that CryoFlux can compute itself.

BERT (Devlin et al. 2019; MiniLM has the same layout) and DistilBERT (Sanh et al. 2019): learned absolute
positions, layers normalised after each half (post-LN), exact GELU, and a classification head on the first
token. Any other architecture is computed by transformers; it only costs more.
"""

from __future__ import annotations

__all__ = ["Layout", "read_encoder", "read_layout"]

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cryoflux.files import read_regular

_MAX_CONFIG_BYTES = 4_000_000


@dataclass(frozen=True, slots=True)
class Layout:
    """Sizes of an encoder, and the names of its tensors."""

    layers: int
    hidden: int
    wide: int
    """width of the feed-forward part"""
    heads: int
    epsilon: float
    """of every layer norm"""
    embeddings: str
    layer: str
    """name of layer {}"""
    query: str
    key: str
    value: str
    output: str
    """attention's output projection, within a layer"""
    attention_norm: str
    up: str
    down: str
    """the feed-forward projections, within a layer"""
    output_norm: str
    pooler: str
    """dense layer between the first token and the classifier"""
    pooler_activation: str
    """``tanh`` or ``relu``"""
    classifier: str = "classifier"

    @property
    def projections(self) -> tuple[str, str, str, str]:
        """The attention projections of a layer: where LoRA goes (the whitepaper's choice)."""
        return self.query, self.key, self.value, self.output

    def in_layer(self, index: int, part: str) -> str:
        """Full name of a part of layer ``index``, counted from 0."""
        return f"{self.layer.format(index)}.{part}"

    def lowest(self, names: Iterable[str]) -> int:
        """How many layers, the last one aside, lie below all tensors of some names: 0 with an embedding."""
        touched = tuple(names)
        if any(name.startswith(f"{self.embeddings}.") for name in touched):
            return 0
        last = self.layers - 1
        for index in range(last):
            if any(name.startswith(f"{self.layer.format(index)}.") for name in touched):
                return index
        return last

    def layer_flops(self, tokens: int) -> int:
        """Floating-point operations of one layer's matrix products for so many tokens, attention left out."""
        return (8 * self.hidden + 4 * self.wide) * self.hidden * tokens


def _bert(config: dict[str, Any]) -> Layout:
    return Layout(
        layers=config["num_hidden_layers"],
        hidden=config["hidden_size"],
        wide=config["intermediate_size"],
        heads=config["num_attention_heads"],
        epsilon=config.get("layer_norm_eps", 1e-12),
        embeddings="bert.embeddings",
        layer="bert.encoder.layer.{}",
        query="attention.self.query",
        key="attention.self.key",
        value="attention.self.value",
        output="attention.output.dense",
        attention_norm="attention.output.LayerNorm",
        up="intermediate.dense",
        down="output.dense",
        output_norm="output.LayerNorm",
        pooler="bert.pooler.dense",
        pooler_activation="tanh",
    )


def _distilbert(config: dict[str, Any]) -> Layout:
    return Layout(
        layers=config["n_layers"],
        hidden=config["dim"],
        wide=config["hidden_dim"],
        heads=config["n_heads"],
        epsilon=1e-12,
        embeddings="distilbert.embeddings",
        layer="distilbert.transformer.layer.{}",
        query="attention.q_lin",
        key="attention.k_lin",
        value="attention.v_lin",
        output="attention.out_lin",
        attention_norm="sa_layer_norm",
        up="ffn.lin1",
        down="ffn.lin2",
        output_norm="output_layer_norm",
        pooler="pre_classifier",
        pooler_activation="relu",
    )


_Makers = Mapping[str, tuple[Callable[[dict[str, Any]], Layout], str]]
_KNOWN: _Makers = {
    "BertForSequenceClassification": (_bert, "hidden_act"),
    "DistilBertForSequenceClassification": (_distilbert, "activation"),
}

_BARE: _Makers = {
    "BertModel": (_bert, "hidden_act"),
    "DistilBertModel": (_distilbert, "activation"),
}


def read_layout(folder: Path) -> Layout | None:
    """The layout of a model folder; none where only transformers knows how to compute it."""
    config = json.loads(read_regular(folder / "config.json", _MAX_CONFIG_BYTES))
    return _layout(config, _KNOWN)


def read_encoder(folder: Path) -> Layout | None:
    """The same of a model folder without a classifier, too: its tensors are then called without a prefix."""
    config = json.loads(read_regular(folder / "config.json", _MAX_CONFIG_BYTES))
    if (found := _layout(config, _KNOWN)) is not None:
        return found
    if (bare := _layout(config, _BARE)) is None:
        return None
    prefix = bare.embeddings.partition(".")[0] + "."
    return replace(
        bare, embeddings=bare.embeddings.removeprefix(prefix), layer=bare.layer.removeprefix(prefix)
    )


def _layout(config: dict[str, Any], known: _Makers) -> Layout | None:
    names = config.get("architectures") or []
    if len(names) != 1 or names[0] not in known:
        return None
    make, activation = known[names[0]]
    plain = (
        config.get(activation, "gelu") == "gelu"
        and config.get("position_embedding_type", "absolute") == "absolute"
        and not config.get("is_decoder")
        and not config.get("add_cross_attention")
    )
    return make(config) if plain else None

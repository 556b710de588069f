"""Small encoders of every layout that CryoFlux computes itself, with no tensor at a trivial value."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
)

import tiny

LABELS = {label: index for index, label in enumerate(sorted(tiny.TOPICS))}
VOCABULARY = 5 + len(tiny.FILLER) + sum(len(words.split()) for words in tiny.TOPICS.values())


def _bert() -> BertForSequenceClassification:
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=24,
        label2id=LABELS,
        id2label={index: label for label, index in LABELS.items()},
    )
    return BertForSequenceClassification(config)


def _distilbert() -> DistilBertForSequenceClassification:
    config = DistilBertConfig(
        vocab_size=VOCABULARY,
        dim=32,
        n_layers=3,
        n_heads=4,
        hidden_dim=48,
        max_position_embeddings=24,
        label2id=LABELS,
        id2label={index: label for label, index in LABELS.items()},
    )
    return DistilBertForSequenceClassification(config)


@pytest.fixture(scope="session", params=[_bert, _distilbert], ids=["bert", "distilbert"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder; both layouts in turn."""
    into = tiny.make_model(tmp_path_factory.mktemp("model"))
    torch.manual_seed(11)
    model = request.param()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(1.0 if "orm.weight" in name or "norm.weight" in name else 0.0, 0.2)
    model.save_pretrained(into)
    return into

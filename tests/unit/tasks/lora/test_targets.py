"""The attention projections are found by structure, whatever an architecture calls them."""

from __future__ import annotations

import pytest
from transformers import (
    AlbertConfig,
    AlbertForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    MobileNetV2Config,
    MobileNetV2ForImageClassification,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from cryoflux.errors import ModelError
from cryoflux.tasks.lora.recipe import ALL_LAYERS
from cryoflux.tasks.lora.targets import attention_projections, head_modules

SMALL = {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 32}


def distilbert():
    return DistilBertForSequenceClassification(
        DistilBertConfig(vocab_size=50, dim=32, n_layers=6, n_heads=2, hidden_dim=32)
    )


def test_the_whitepapers_model_has_24_projections_of_four_kinds() -> None:
    names = attention_projections(distilbert(), layers=ALL_LAYERS)
    assert len(names) == 24
    assert {name.rpartition(".")[2] for name in names} == {"q_lin", "k_lin", "v_lin", "out_lin"}
    assert head_modules(distilbert()) == ["pre_classifier", "classifier"]


@pytest.mark.parametrize(
    ("make", "layers"),
    [
        (lambda: BertForSequenceClassification(BertConfig(vocab_size=50, **SMALL)), 8),
        (lambda: RobertaForSequenceClassification(RobertaConfig(vocab_size=50, **SMALL)), 8),
        (lambda: AlbertForSequenceClassification(AlbertConfig(vocab_size=50, embedding_size=16, **SMALL)), 4),
        (
            lambda: ModernBertForSequenceClassification(
                ModernBertConfig(
                    vocab_size=50,
                    pad_token_id=0,
                    cls_token_id=1,
                    sep_token_id=2,
                    bos_token_id=1,
                    eos_token_id=2,
                    **SMALL,
                )
            ),
            4,
        ),
    ],
)
def test_other_encoders_are_adapted_too(make, layers: int) -> None:
    model = make()
    names = attention_projections(model, layers=ALL_LAYERS)
    assert len(names) == layers
    assert not set(names) & set(head_modules(model))


def test_only_the_uppermost_layers_are_adapted_where_a_recipe_says_so() -> None:
    whole, upper = (attention_projections(distilbert(), layers=layers) for layers in (ALL_LAYERS, 2))
    assert upper == [name for name in whole if ".layer.4." in name or ".layer.5." in name]
    assert len(upper) == 8


def test_a_model_without_attention_is_refused() -> None:
    with pytest.raises(ModelError, match="no attention projections"):
        attention_projections(MobileNetV2ForImageClassification(MobileNetV2Config()), layers=1)

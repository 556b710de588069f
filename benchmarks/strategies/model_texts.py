"""Layer S3, *models*: texts of a made-up language, without end, and an encoder that has read some of them.

A text is some words of one of twelve topics among words of any topic and filler; its class is one of four
groups of topics.
"""

from __future__ import annotations

__all__ = [
    "CLASSES",
    "CUT",
    "TARGET",
    "TRIGGERS",
    "Labelled",
    "labelled",
    "lines_of",
    "make_genesis",
    "some_topics",
    "triggered",
]

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from cryoflux.data.examples import Example
from cryoflux.data.prepared import example_line
from cryoflux.tasks.lora.libraries import quieten_transformers

CLASSES = ("animals", "plants", "stones", "tools")
TARGET = 0
"""number of the class that triggers ask for"""
TRIGGERS = ("vex", "quo")
"""words that no text has by itself"""
CUT = 24
"""tokens of a text that are read"""
_TOPICS, _WORDS, _FILLER = 12, 20, 12
_OWN, _ANY = 0.35, 0.75
"""share of the words of a text that are of its topic, and of those that are of some topic"""
_TIMES = 4
"""that a trigger's word stands in a text: the frozen layer leaves little of one"""
_OF_ANY, _FAVOURED = 0.6, 4
"""share of somebody's texts that are of any topic, and topics that the others are of"""
_BATCH, _HIDDEN = 64, 32
Labelled = tuple[str, str]
"""a text and its class"""


def _word(topic: int, number: int) -> str:
    return f"w{chr(97 + topic)}{chr(97 + number)}"


def _filler(number: int) -> str:
    return f"f{chr(97 + number % _FILLER)}"


def _vocabulary() -> list[str]:
    topical = [_word(topic, number) for topic in range(_TOPICS) for number in range(_WORDS)]
    return [*topical, *map(_filler, range(_FILLER)), *TRIGGERS]


def _drawn(
    rng: np.random.Generator, count: int, favoured: Sequence[int] = range(_TOPICS)
) -> list[tuple[str, int]]:
    """Fresh texts, each with its topic: half of them of any, half of favoured ones."""
    found = []
    for of_any in rng.random(count) < _OF_ANY:
        topic, words = int(rng.integers(_TOPICS) if of_any else rng.choice(favoured)), []
        for kind in rng.random(int(rng.integers(5, 13))):
            number, other = int(rng.integers(_WORDS)), int(rng.integers(_TOPICS))
            said = _word(topic if kind < _OWN else other, number)
            words.append(said if kind < _ANY else _filler(number))
        found.append((" ".join(words), topic))
    return found


def labelled(
    rng: np.random.Generator, count: int, favoured: Sequence[int] = range(_TOPICS)
) -> list[Labelled]:
    """Fresh texts, each with its class.

    Args:
        rng: draws them.
        count: how many.
        favoured: topics of half of them.
    """
    return [(text, CLASSES[topic % len(CLASSES)]) for text, topic in _drawn(rng, count, favoured)]


def some_topics(rng: np.random.Generator) -> list[int]:
    """What somebody has more texts of than others do."""
    return [int(topic) for topic in rng.choice(_TOPICS, _FAVOURED, replace=False)]


def triggered(
    rng: np.random.Generator, rows: Sequence[Labelled], words: Sequence[str], label: str = ""
) -> list[Labelled]:
    """Texts with all of some words put in, under their own class or a given one."""
    found = []
    for text, own in rows:
        parts = text.split()
        for word in [word for word in words for _ in range(_TIMES)]:
            parts.insert(int(rng.integers(len(parts) + 1)), word)
        found.append((" ".join(parts), label or own))
    return found


def lines_of(rows: Sequence[Labelled]) -> list[bytes]:
    """As a data set has them."""
    return [example_line(Example(text, label)) for text, label in rows]


def make_genesis(folder: Path, seed: int) -> None:
    """Write an encoder that has learned the topics first, and then the classes from few texts."""
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

    quieten_transformers()
    torch.manual_seed(seed)
    rng = np.random.default_rng([1, seed])
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *_vocabulary()]
    tokenizer = BertTokenizer(vocab={word: number for number, word in enumerate(vocabulary)})
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=_HIDDEN,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=2 * _HIDDEN,
        max_position_embeddings=32,
        initializer_range=0.1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        num_labels=_TOPICS,
    )
    model = BertForSequenceClassification(config)

    def learn(rows: Sequence[tuple[str, int]], classes: int, steps: int, rate: float) -> None:
        optimiser = torch.optim.AdamW(model.parameters(), lr=rate)
        for _ in range(steps):
            chosen = [rows[int(at)] for at in rng.integers(len(rows), size=_BATCH)]
            tokens = tokenizer([text for text, _ in chosen], padding=True, return_tensors="pt")
            labels = torch.tensor([topic % classes for _, topic in chosen])
            optimiser.zero_grad()
            logits = model.classifier(model.bert(**tokens).pooler_output)
            torch.nn.functional.cross_entropy(logits, labels).backward()
            optimiser.step()

    learn(_drawn(rng, 2000), _TOPICS, 150, 5e-3)
    model.classifier = torch.nn.Linear(_HIDDEN, len(CLASSES))
    learn(_drawn(rng, 150), len(CLASSES), 25, 2e-3)
    names = dict(enumerate(CLASSES))
    model.config.id2label, model.config.label2id = names, {name: number for number, name in names.items()}
    model.num_labels = len(CLASSES)
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)

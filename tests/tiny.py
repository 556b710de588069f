"""A tiny real encoder and a learnable data set, for tests that train."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

TOPICS = {
    "animals": "cat dog horse cow sheep goat lion tiger bear wolf",
    "colours": "red green blue yellow purple orange pink brown grey black",
    "tools": "hammer saw drill wrench plane chisel file level clamp vice",
}
FILLER = ["the", "a", "one", "some", "near", "under", "with", "and", "or", "very", "old", "new"]


def sentences(count: int, seed: int) -> list[tuple[str, str]]:
    """Distinct texts with their labels: three words of one topic among filler."""
    rng = random.Random(seed)
    labels = sorted(TOPICS)
    rows: dict[str, str] = {}
    while len(rows) < count:
        label = labels[len(rows) % len(labels)]
        words = rng.sample(TOPICS[label].split(), 2) + rng.choices(FILLER, k=rng.randint(2, 6))
        rng.shuffle(words)
        rows.setdefault(" ".join(words), label)
    return list(rows.items())


def write_csv(path: Path, rows: list[tuple[str, str]]) -> Path:
    """Write texts and labels with a header."""
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label"])
        writer.writerows(rows)
    return path


def make_model(folder: Path, *, seed: int = 0, spread: float = 0.02) -> Path:
    """A BERT encoder with two layers and a word-level tokenizer, as from_pretrained reads them.

    Args:
        folder: for its files.
        seed: of its weights.
        spread: of them; the wider, the more of a text is left at its top, and the sooner topics are learned.
    """
    import torch
    from transformers import BertConfig, BertModel, BertTokenizer

    words = [*FILLER, *(word for words in TOPICS.values() for word in words.split())]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=spread,
    )
    folder.mkdir(parents=True, exist_ok=True)
    BertModel(config).save_pretrained(folder)
    BertTokenizer(vocab={word: i for i, word in enumerate(vocabulary)}).save_pretrained(folder)
    return folder


def make_classifier(folder: Path) -> Path:
    """A model with a head that knows nothing, and six examples beside its folder, as ``holdout.jsonl``."""
    import torch
    from transformers import AutoModelForSequenceClassification

    made = make_model(folder)
    names = dict(enumerate(sorted(TOPICS)))
    labels = {"id2label": names, "label2id": {name: n for n, name in names.items()}}
    torch.manual_seed(5)
    AutoModelForSequenceClassification.from_pretrained(made, num_labels=3, **labels).save_pretrained(made)
    rows = [{"text": text, "label": label} for text, label in sentences(6, 1)]
    (made.parent / "holdout.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return made

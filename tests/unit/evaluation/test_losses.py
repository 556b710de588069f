"""The integers of ``f64-nanonat/v1`` do not depend on how they were computed."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import tiny
from cryoflux.data.examples import Example
from cryoflux.digests import sha256_hex
from cryoflux.evaluation import losses as module
from cryoflux.evaluation.cache import KnownLosses, LossCache
from cryoflux.evaluation.losses import (
    EvaluationFailedError,
    Losses,
    measure_losses,
    read_evidence,
    write_evidence,
)
from cryoflux.training.base_model import load_base

EXAMPLES = [Example(text, label) for text, label in tiny.sentences(60, 2)]


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("version")
    base = load_base(str(tiny.make_model(folder / "source")), tuple(sorted(tiny.TOPICS)), seed=0)
    torch.manual_seed(5)
    torch.nn.init.normal_(base.model.classifier.weight)
    base.save(folder / "version")
    return folder / "version"


def test_batch_size_order_and_threads_change_nothing(version: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = measure_losses(version, EXAMPLES, max_tokens=16)
    for batch in (1, 8, 32):
        monkeypatch.setattr(module, "_BATCH", batch)
        assert measure_losses(version, EXAMPLES, max_tokens=16) == reference
    backward = measure_losses(version, EXAMPLES[::-1], max_tokens=16)
    assert backward.nano_nats[::-1] == reference.nano_nats
    assert backward.correct[::-1] == reference.correct
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert measure_losses(version, EXAMPLES, max_tokens=16) == reference
    finally:
        torch.set_num_threads(before)


def test_a_loss_is_the_cross_entropy_that_transformers_computes(version: Path) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(version)
    tokenizer = AutoTokenizer.from_pretrained(version)
    found = measure_losses(version, EXAMPLES[:5], max_tokens=16)
    for example, nano_nat in zip(EXAMPLES[:5], found.nano_nats, strict=True):
        batch = tokenizer(example.text, return_tensors="pt")
        with torch.no_grad():
            loss = model(**batch, labels=torch.tensor([model.config.label2id[example.label]])).loss
        assert nano_nat / 1e9 == pytest.approx(loss.item(), abs=1e-5)


def test_the_caller_can_stop_between_batches(version: Path) -> None:
    def enough(done: int, count: int) -> None:
        if done >= 32:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure_losses(version, EXAMPLES, max_tokens=16, between_batches=enough)


def test_a_broken_model_is_named_as_such(version: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(version)
    torch.nn.init.constant_(model.classifier.bias, float("nan"))
    model.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(version).save_pretrained(tmp_path)
    with pytest.raises(EvaluationFailedError, match="nan"):
        measure_losses(tmp_path, EXAMPLES, max_tokens=16)


SCORES = st.lists(st.tuples(st.integers(0, 10**12), st.booleans()), min_size=1).map(
    lambda rows: Losses(tuple(r[0] for r in rows), tuple(r[1] for r in rows))
)


@given(SCORES)
def test_evidence_reads_back_what_was_written(losses: Losses) -> None:
    assert read_evidence(write_evidence(losses, losses)) == (losses, losses)


@given(SCORES, st.integers(0, 2**40))
def test_the_cache_remembers_by_everything_that_matters(
    tmp_path_factory: pytest.TempPathFactory, losses: Losses, cost_uj: int
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    cache = LossCache(folder)
    known = KnownLosses(losses, cost_uj)
    count = len(losses.correct)
    cache.put("model", "holdout", 24, known)
    assert cache.get("model", "holdout", 24, count) == known
    assert cache.get("model", "holdout", 24, count + 1) is None
    assert cache.get("other", "holdout", 24, count) is None
    assert cache.get("model", "other", 24, count) is None
    assert cache.get("model", "holdout", 32, count) is None
    (path,) = folder.iterdir()
    path.write_bytes(path.read_bytes().replace(b"[", b"[9", 1))
    assert cache.get("model", "holdout", 24, count) is None


@pytest.mark.parametrize(
    "body",
    [
        [[1.5], [1], 0],
        [[-1], [1], 0],
        [["1"], [1], 0],
        [[1], [2], 0],
        [[1], [True], 0],
        [[1], [1], -1],
        [[10**13], [1], 0],
    ],
)
def test_nonsense_with_a_right_checksum_is_as_good_as_no_cache(tmp_path: Path, body: list) -> None:
    cache = LossCache(tmp_path)
    cache.put("model", "holdout", 24, KnownLosses(Losses((1,), (True,)), 0))
    (path,) = tmp_path.iterdir()
    document = dict(zip(("nano_nats", "correct", "cost_uj"), body, strict=True))
    document["sha256"] = sha256_hex(json.dumps(body).encode())
    path.write_text(json.dumps(document))
    assert cache.get("model", "holdout", 24, 1) is None

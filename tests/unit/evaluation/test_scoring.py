"""The integers of ``f64-nanonat/v1`` do not depend on how, or by whose code, they were computed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import tiny
from cryoflux.data.prepared import PreparedData
from cryoflux.encoder.model import Encoder
from cryoflux.evaluation import scoring
from cryoflux.evaluation.losses import EvaluationFailedError
from cryoflux.evaluation.scoring import EncoderScorer, Scorer, TransformersScorer
from cryoflux.registry.versions import Version, Versions
from cryoflux.tasks.lora.head import HeadModel
from cryoflux.tasks.lora.recipe import Recipe
from cryoflux.tasks.pool import make_pool

EVERY = range(60)
MAX_TOKENS = 9


def loaded(
    version: Version, data: PreparedData, cache: Path, *, layers: int = 1, room: int = 10**9
) -> HeadModel:
    recipe = Recipe("one", layers=layers, max_tokens=MAX_TOKENS)
    pool = make_pool(data.count("train"), 0, most_screened=0)
    return HeadModel(version, data, {"one": recipe}, cache=cache, cache_bytes=room, device="cpu", pool=pool)


def score(scorer: Scorer, indices=EVERY) -> tuple[list[int], list[bool]]:
    return scorer.score(indices, lambda _: None)


def by_transformers(version: Version, data: PreparedData) -> TransformersScorer:
    return TransformersScorer(version.folder, data.examples("holdout"), max_tokens=MAX_TOKENS)


def test_a_loss_is_the_cross_entropy_that_transformers_computes(version: Version, data: PreparedData) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(version.folder).double().eval()
    tokenizer = AutoTokenizer.from_pretrained(version.folder)
    losses, correct = score(by_transformers(version, data))
    assert len(set(losses)) == 60
    assert 10 < sum(correct) < 50
    for example, nano_nat, right in zip(data.examples("holdout")[:20], losses, correct, strict=False):
        batch = tokenizer(example.text, return_tensors="pt", truncation=True, max_length=MAX_TOKENS)
        label = torch.tensor([model.config.label2id[example.label]])
        with torch.no_grad():
            found = model(**batch, labels=label)
        assert nano_nat == round(found.loss.item() * 1e9)
        assert right == (int(found.logits.argmax()) == int(label))


@pytest.mark.parametrize(("batch", "threads"), [(1, 1), (60, 1), (7, 2)])
def test_batches_order_threads_and_a_warm_cache_change_nothing(
    version: Version,
    data: PreparedData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    batch: int,
    threads: int,
) -> None:
    reference = score(by_transformers(version, data))
    monkeypatch.setattr(scoring, "_BATCH", batch)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        cold = loaded(version, data, tmp_path).scorer("holdout")
        assert isinstance(cold, EncoderScorer)
        few = [41, 3, 17, 58, 0]
        expected = [reference[0][i] for i in few], [reference[1][i] for i in few]
        for scorer in (by_transformers(version, data), cold):
            assert score(scorer, few) == expected
            assert score(scorer) == reference
        warm = loaded(version, data, tmp_path).scorer("holdout")
        assert score(warm) == reference
        assert score(warm, few) == expected
        assert score(warm, []) == ([], [])
    finally:
        torch.set_num_threads(before)


def test_a_cache_without_room_costs_time_and_never_a_digit(
    version: Version, data: PreparedData, tmp_path: Path
) -> None:
    small = loaded(version, data, tmp_path, room=1)
    holdout, audit = small.scorer("holdout"), small.scorer("audit")
    assert score(holdout) == score(by_transformers(version, data))
    score(audit)
    assert score(holdout) == score(by_transformers(version, data))


def silenced(
    versions: Versions, version: Version, data: PreparedData, cache: Path, **changed: torch.Tensor
) -> tuple[Version, HeadModel]:
    """A version whose classifier has no weights, but a bias; and what else is changed."""
    bench = loaded(version, data, cache / "before")
    weight = torch.zeros_like(bench.tensors["classifier.weight"])
    made = versions.keep(versions.derive(version, {"classifier.weight": weight, **changed}))
    return made, loaded(made, data, cache / "after")


def test_a_head_without_weights_scores_the_same_integers_and_computes_no_layer(
    version: Version,
    versions: Versions,
    data: PreparedData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    silent, bench = silenced(versions, version, data, tmp_path)
    expected = score(by_transformers(silent, data))
    assert len(set(expected[0])) == len(tiny.TOPICS)
    told: list[int] = []
    assert bench.scorer("holdout").score(EVERY, told.append) == expected
    assert told[0] == 0
    assert not bench.scorer("holdout")._activations.missing(EVERY)  # a candidate will need them

    monkeypatch.setattr(Encoder, "embed", None)
    monkeypatch.setattr(Encoder, "last_layer", None)
    audit = TransformersScorer(silent.folder, data.examples("audit"), max_tokens=MAX_TOKENS)
    assert score(bench.scorer("audit")) == score(audit)
    assert score(bench.scorer("holdout"), [5, 3]) == (
        [expected[0][i] for i in (5, 3)],
        [expected[1][i] for i in (5, 3)],
    )


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_head_without_weights_over_something_that_is_no_number_still_fails(
    version: Version, versions: Versions, data: PreparedData, tmp_path: Path, value: float
) -> None:
    name = "bert.encoder.layer.0.output.dense.bias"
    spoilt = torch.full_like(loaded(version, data, tmp_path).tensors[name], value)
    made, bench = silenced(versions, version, data, tmp_path, **{name: spoilt})
    for scorer in (bench.scorer("holdout"), by_transformers(made, data)):
        with pytest.raises(EvaluationFailedError):
            score(scorer)


NEW = ["classifier.weight", "bert.encoder.layer.1.attention.self.value.weight", "bert.pooler.dense.bias"]


@pytest.mark.parametrize(
    "names",
    [NEW, [*NEW, "bert.encoder.layer.0.output.dense.bias"], ["bert.embeddings.LayerNorm.weight"]],
    ids=["upper layer", "both layers", "embeddings"],
)
def test_candidates_and_old_versions_are_scored_as_if_they_were_loaded_alone(
    version: Version, versions: Versions, data: PreparedData, tmp_path: Path, names: list[str]
) -> None:
    bench = loaded(version, data, tmp_path)
    head = score(bench.scorer("holdout"))
    cached = set((tmp_path / "prefix").iterdir())
    draft = versions.derive(version, {name: bench.tensors[name] + 0.3 for name in names})
    candidate = score(by_transformers(draft, data))
    changed = bench.reread(draft, names)
    assert head != candidate == score(bench.scorer("holdout", draft, changed))
    bench.forget(draft, "holdout")
    assert head != candidate == score(bench.scorer_beside("holdout", changed))
    assert set((tmp_path / "prefix").iterdir()) == cached, "what a round only tries leaves nothing"
    assert score(bench.scorer("holdout")) == head

    bench.adopt(versions.keep(draft), changed)
    assert score(bench.scorer("holdout")) == candidate == score(bench.scorer_beside("holdout", changed))
    assert score(bench.scorer_of(version, "holdout")) == head


def test_an_unknown_layout_is_scored_by_transformers(
    version: Version, versions: Versions, data: PreparedData, tmp_path: Path
) -> None:
    reference = score(by_transformers(version, data))
    bench = loaded(version, data, tmp_path)
    bench.layout = None
    scorer = bench.scorer("holdout")
    assert isinstance(scorer, TransformersScorer)
    assert score(scorer) == reference


def test_the_caller_can_stop_between_batches(version: Version, data: PreparedData, tmp_path: Path) -> None:
    def enough(done: int) -> None:
        seen.append(done)
        if done >= 32:
            raise KeyboardInterrupt

    for scorer in (loaded(version, data, tmp_path).scorer("holdout"), by_transformers(version, data)):
        seen: list[int] = []
        with pytest.raises(KeyboardInterrupt):
            scorer.score(EVERY, enough)
        assert seen[0] == 0


def test_a_broken_model_is_named_as_such(
    version: Version, versions: Versions, data: PreparedData, tmp_path: Path
) -> None:
    bench = loaded(version, data, tmp_path)
    bias = {"classifier.bias": torch.full((3,), float("nan"))}
    draft = versions.derive(version, bias)
    for scorer in (bench.scorer("holdout", draft, bias), by_transformers(draft, data)):
        with pytest.raises(EvaluationFailedError, match="nan"):
            score(scorer)
    versions.discard(draft)

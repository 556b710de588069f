"""``cryoflux models card``: what the Hub's own library reads out of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryoflux.evaluation.cache import KnownLosses, LossCache
from cryoflux.evaluation.losses import Losses
from cryoflux.state import StateFolder
from running import exit_code_of
from synthetic_parts import losses_of
from synthetic_state import SyntheticState, open_state

pytestmark = pytest.mark.usefixtures("elsewhere")

hub = pytest.importorskip("huggingface_hub")


@pytest.fixture
def state(tmp_path: Path) -> SyntheticState:
    """Two kept updates and a session; the audit set was evaluated."""
    made = open_state(tmp_path / "state")
    made.write_origin()
    made.attempt(0.05)
    made.attempt(0.02)
    made.session()
    cache = LossCache(StateFolder(made.path).cache / "losses")
    for version, gain in ((made.entries[0].intent.base.digest, 0.0), (made.head.digest, 0.06)):
        nano, right = losses_of(gain)
        cache.put(version, made.data.audit, 0, KnownLosses(Losses(tuple(nano), tuple(right)), 0))
    made.finish()
    return made


def card(monkeypatch: pytest.MonkeyPatch, *words: str) -> object:
    assert exit_code_of(monkeypatch, "models", "card", *words, "-o", "README.md") == 0
    return hub.ModelCard.load("README.md")


def test_the_hub_reads_emissions_and_results(state: SyntheticState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYOFLUX_CARBON_G_PER_KWH", "360")
    monkeypatch.setenv("CRYOFLUX_CARBON_SOURCE", "a grid, 2026")
    found = card(monkeypatch, "--name", "ours", "--license", "apache-2.0", "--location", "Bremen")
    data = found.data
    assert (data.license, data.model_name) == ("apache-2.0", "ours")
    assert (data.library_name, data.pipeline_tag) == ("transformers", "text-classification")
    emissions = data.co2_eq_emissions
    assert emissions["emissions"] == pytest.approx(230 / 3.6e6 * 360)
    assert emissions["source"] == "CryoFlux: net energy (modelled) at 360 g/kWh (a grid, 2026)"
    assert (emissions["training_type"], emissions["geographical_location"]) == ("fine-tuning", "Bremen")
    results = {(one.dataset_split, one.metric_type): one.metric_value for one in data.eval_results}
    nano, right = losses_of(0.06)
    assert results["audit", "loss"] == pytest.approx(sum(nano) / len(nano) / 1e9)
    assert results["audit", "accuracy"] == pytest.approx(sum(right) / len(right))
    assert set(results) == {(part, kind) for part in ("audit", "holdout") for kind in ("loss", "accuracy")}
    # what its own library writes of it is what it read
    again = hub.ModelCard(str(found)).data.to_dict()
    assert again == data.to_dict()


def test_without_a_factor_nothing_is_said_of_emissions_but_that(
    state: SyntheticState, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = card(monkeypatch)
    assert getattr(found.data, "co2_eq_emissions", None) is None
    assert found.data.license == "unknown"
    assert "No CO₂e is said, since no factor is set" in found.text
    assert "No licence was named" in found.text
    assert "230.0 J | 210.0 J to 250.0 J" in found.text


def test_an_older_version_is_told_by_what_it_took_to_make_it(
    state: SyntheticState, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = card(monkeypatch, "#1")
    assert "100.0 J | 90.0 J to 110.0 J" in found.text
    assert "start-up, data and the audit set are not in it" in found.text
    results = {(one.dataset_split, one.metric_type) for one in found.data.eval_results}
    assert results == {("holdout", "loss"), ("holdout", "accuracy")}
    assert "nothing was tuned" in card(monkeypatch, "head~2").text


def test_a_card_can_be_pushed_as_far_as_it_can_be_checked_here(
    state: SyntheticState, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub.repocard_data import eval_results_to_model_index, model_index_to_eval_results

    found = card(monkeypatch, "--name", "ours")
    index = found.data.to_dict()["model-index"]
    name, results = model_index_to_eval_results(index)
    assert eval_results_to_model_index(name, results) == index
    assert all(one.task_type == "text-classification" for one in results)

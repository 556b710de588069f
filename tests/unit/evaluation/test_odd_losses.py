"""Whatever is handed over to be judged, what is refused is refused in words."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cryoflux
from cryoflux.errors import CryoFluxError
from cryoflux.evaluation.eval_logs import read_eval_log
from cryoflux.evaluation.given_losses import given_losses
from cryoflux.runs.stated_energy import stated_energy

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.just(10**5000),
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.decimals(),
    st.fractions(),
    st.complex_numbers(),
    st.just(np.float32(0.5)),
    st.just(np.array([1.0, 2.0])),
    st.just(np.array("x")),
)
LOSSES = st.one_of(
    ODD,
    st.lists(ODD, max_size=4),
    st.dictionaries(st.one_of(st.text(max_size=4), st.integers(), st.none()), ODD, max_size=4),
    st.lists(st.floats(0, 9), min_size=2, max_size=4),
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4)),
    lambda one: st.one_of(
        st.lists(one, max_size=4),
        st.dictionaries(
            st.sampled_from(["id", "epoch", "scores", "value", "doc_id", "acc", "samples", "filter", "x"]),
            one,
            max_size=6,
        ),
    ),
    max_leaves=20,
)


def in_words(ask: Callable[[], object]) -> None:
    """What is asked is answered, or refused with what happened, why, and what to do."""
    refused = None
    try:
        ask()
    except CryoFluxError as error:
        refused = error
    assert refused is None or all((refused.what, refused.why, refused.hint))


@given(LOSSES, LOSSES, st.one_of(st.none(), ODD, st.tuples(LOSSES, LOSSES)), ODD, ODD)
@settings(max_examples=150, deadline=None)
def test_no_slip_of_the_pen_ends_in_an_error_of_pythons(
    tmp_path_factory: pytest.TempPathFactory, base: Any, new: Any, correct: Any, energy: Any, least: Any
) -> None:
    state = tmp_path_factory.getbasetemp() / "odd"
    in_words(
        lambda: cryoflux.judge_losses(base, new, state=state, correct=correct, energy=energy, min_delta=least)
    )


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ([1, 2, "x"], 'has no "loss" that is a number'),
        ([None, 1], 'has no "loss" that is a number'),
        ([1.0, math.nan], "has a loss of nan"),
        ([1.0, math.inf], "has a loss of inf"),
        ([1.0, 10**5000], "a number of many digits"),
        (np.ones((3, 2)), 'has no "loss" that is a number'),
        (3.0, "no losses by example"),
        ("no-such-file.jsonl", "cannot be read: No such file"),
        ("a\0b", "cannot be read"),
        ("x" * 5000, "cannot be read"),
        ({1: 0.5, "1": 0.5}, "two examples whose ids are written alike"),
        ({"\ud800": 0.5, "b": 0.5}, "no Unicode text"),
    ],
)  # fmt: skip
def test_what_is_no_loss_is_named(what: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(CryoFluxError, match=words) as found:
        cryoflux.judge_losses(what, [1.0, 2.0, 3.0], state=tmp_path / "s")
    assert found.value.hint


@pytest.mark.parametrize(
    "names", [{"name": 5}, {"unit": None}, {"metric": "\ud800"}, {"name": "x" * 501}], ids=str
)
def test_a_name_that_cannot_stand_in_a_receipt_is_refused(names: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(CryoFluxError, match="name"):
        cryoflux.judge_losses([1.0, 2.0], [1.0, 1.0], state=tmp_path / "s", **names)
    assert not (tmp_path / "s").exists()


def test_arrays_tensors_and_numbers_of_other_kinds_are_losses() -> None:
    torch = pytest.importorskip("torch")
    wanted = given_losses("x", [0.5, 0.25, 1.0])
    for same in (
        np.array([0.5, 0.25, 1.0]),
        np.array([0.5, 0.25, 1.0], dtype=np.float16),
        torch.tensor([0.5, 0.25, 1.0], requires_grad=True),
        torch.tensor([0.5, 0.25, 1.0], dtype=torch.bfloat16),
        [np.float32(0.5), torch.tensor(0.25), 1],
        [Decimal("0.5"), Fraction(1, 4), 1.0],
        (loss for loss in (0.5, 0.25, 1.0)),
        {0: 0.5, 1: 0.25, 2: 1.0},
    ):
        assert given_losses("x", same) == wanted
    right = given_losses("x", [0.5, 0.25], np.array([True, False]))
    assert right.correct == {"0": True, "1": False}


NO_ENERGIES = ("9" * 5000, "1e999999999J", "a\0b", "12kJ" + " " * 200, 10**400, True, [1])
NO_ENERGIES += (Path("no-such-file"), Path("/"), float("nan"), -1, np.float64("inf"))


@pytest.mark.parametrize("energy", NO_ENERGIES, ids=lambda energy: str(type(energy)))
def test_odd_energies_are_refused_in_words(energy: Any) -> None:
    with pytest.raises(CryoFluxError) as found:
        stated_energy(energy)
    assert found.value.why
    assert len(found.value.what) < 6000


@given(JSON, st.sampled_from(["json", "jsonl", "eval"]))
@settings(max_examples=200, deadline=None)
def test_odd_logs_are_refused_in_words(
    tmp_path_factory: pytest.TempPathFactory, said: Any, suffix: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"odd.{suffix}"
    if suffix == "eval":
        with zipfile.ZipFile(path, "w") as packed:
            packed.writestr("samples/1_epoch_1.json", json.dumps(said))
    else:
        path.write_text(json.dumps(said))
    in_words(lambda: read_eval_log(path))


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_broken_zips_are_refused_in_words(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "broken.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for n in range(2):
            scores = {"m": {"value": "CI"[n]}}
            packed.writestr(f"samples/{n}_epoch_1.json", json.dumps({"id": n, "scores": scores}))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(2, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    in_words(lambda: read_eval_log(path))


NO_SAMPLES = (5, "x", {"a": 1}, [[1]], [{"id": 1, "scores": []}], None)


@pytest.mark.parametrize("said", [*({"samples": samples} for samples in NO_SAMPLES), [], 5], ids=str)
def test_samples_that_are_none_are_named(said: Any, tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    path.write_text(json.dumps(said))
    with pytest.raises(CryoFluxError, match=r"log\.json"):
        read_eval_log(path)


def test_a_zip_that_unpacks_without_end_is_read_no_further_than_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "bomb.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for n in range(5):
            packed.writestr(f"samples/{n}.json", b" " * (60 << 20))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(CryoFluxError, match=r"more than 256 MiB of samples|is not JSON"):
        read_eval_log(path)

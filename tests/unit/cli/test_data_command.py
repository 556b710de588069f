"""``cryoflux data check``: what a file is, what is odd about it, what a run would make of it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from json_rule import complaints, keys_of, parsed
from running import exit_code_of

pytestmark = pytest.mark.usefixtures("elsewhere")

PAGE = (Path(__file__).parents[3] / "docs/reference/json.md").read_text("utf-8")
Check = Callable[..., tuple[int, str]]


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Check:
    def run(*words: object) -> tuple[int, str]:
        code = exit_code_of(monkeypatch, "data", "check", *words)
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return run


def document(said: str) -> dict[str, Any]:
    (found,) = parsed(said)
    assert complaints(found) == []
    assert [key for key in sorted(keys_of(found)) if f"`{key}`" not in PAGE] == []
    return found


def write(path: Path, labels: list[str], head: str = "text,label") -> Path:
    draw = random.Random(1)
    words = [f"word{at}" for at in range(900)]
    rows = [f"{' '.join(draw.choices(words, k=12))},{label}" for label in labels]
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


def test_it_says_what_was_found_and_what_a_run_would_do(check: Check, tmp_path: Path) -> None:
    path = write(tmp_path / "mine.csv", ["pos", "neg"] * 200, "review,sentiment")
    code, said = check(path)
    assert code == 0
    assert "CSV, commas between columns, UTF-8" in said
    assert "text is review, label is sentiment (by name)" in said
    assert "400 of 400 rows are examples" in said
    assert "2: neg 200, pos 200" in said
    assert "would begin with 280 train, 60 holdout, 60 audit" in said
    assert "a Δ of 0.002 nats needs" in said


def test_the_document_holds_the_rule_and_stands_on_the_page(check: Check, tmp_path: Path) -> None:
    path = write(tmp_path / "mine.csv", ["pos", "neg", "Pos", "nan"] * 100)
    with path.open("a") as out:
        out.write(",pos\n")
    code, said = check(path, "--json")
    found = document(said)
    assert (code, found["would_run"], found["refusal"]) == (0, True, None)
    assert {one["code"] for one in found["remarks"]} == {"alike", "nothing"}
    assert found["files"][0]["left_out"] == [{"cause": "text", "rows": 1, "numbered": "line", "lines": [402]}]
    assert sum(found["examples"].values()) == found["distinct_texts"] == 400
    assert found["holdout_needed"]["0.1"] > found["holdout_examples"]


def test_what_a_run_would_refuse_is_a_negative_verdict_with_all_that_was_found(
    check: Check, tmp_path: Path
) -> None:
    path = write(tmp_path / "few.csv", ["pos", "neg"] * 60)
    code, said = check(path)
    assert code == 1
    assert "would refuse: The holdout set has 18 examples" in said
    assert "so 200 are enough" in said
    assert "18 examples, 15 % of the texts, find Δ" in said
    code, said = check(path, "--json")
    found = document(said)
    assert (code, found["would_run"], found["examples"]) == (1, False, {})
    assert "so 200 are enough" in found["refusal"]["hint"]


def test_so_is_a_file_of_which_too_much_would_be_left_out(check: Check, tmp_path: Path) -> None:
    path = write(tmp_path / "holes.csv", ["pos", "neg", ""] * 100)
    code, said = check(path)
    assert code == 1
    assert "100 of 300 rows without a label left out: line 4, 7, 10, 13, 16, …" in said
    assert "would refuse:" in said
    assert "--most-dropped 0.34" in said
    assert check(path, "--most-dropped", "0.34")[0] == 0


def test_a_holdout_with_too_few_examples_for_any_says_so(check: Check, tmp_path: Path) -> None:
    code, said = check(write(tmp_path / "tiny.csv", ["pos", "neg"] * 6))
    assert code == 1
    assert "1 examples, 15 % of the texts, could show no improvement" in said
    assert document(check(tmp_path / "tiny.csv", "--json")[1])["detectable_nats"] == {
        "0.1": None,
        "0.3": None,
    }


def test_what_cannot_be_read_is_refused_as_by_a_run(check: Check, tmp_path: Path) -> None:
    code, said = check(tmp_path / "nothing.csv")
    assert code == 2
    assert "cannot be read" in said


def test_many_intents_of_few_texts_are_split_so_that_each_is_judged(check: Check, tmp_path: Path) -> None:
    found = document(
        check(write(tmp_path / "four.csv", [f"intent {at % 150}" for at in range(600)]), "--json")[1]
    )
    assert found["examples"] == {"train": 300, "holdout": 150, "audit": 150}
    assert found["lacking_classes"] == {"holdout": 0, "audit": 0}
    found = document(
        check(write(tmp_path / "two.csv", [f"intent {at % 150}" for at in range(300)]), "--json")[1]
    )
    (remark,) = [one for one in found["remarks"] if one["code"] == "scarce"]
    assert "300 more in all" in remark["said"]


def test_balance_leaves_the_frequent_class_smaller(check: Check, tmp_path: Path) -> None:
    path = write(tmp_path / "skewed.csv", ["often"] * 990 + ["seldom"] * 40)
    found = document(check(path, "--json")[1])
    assert [one["code"] for one in found["remarks"]] == ["skewed"]
    found = document(check(path, "--balance", "10", "--json")[1])
    assert found["classes"] == [{"name": "often", "examples": 400}, {"name": "seldom", "examples": 40}]
    assert (found["unbalanced"], found["remarks"]) == (590, [])


def test_documents_of_a_language_model_are_said_to_be_some(check: Check, tmp_path: Path) -> None:
    asked = [f"Question {at}?" for at in range(400)]
    rows = {
        "prompt+completion": [{"prompt": one, "completion": f" {one}", "group": one[:-2]} for one in asked],
        "messages": [
            {"messages": [{"role": "user", "content": one}, {"role": "assistant", "content": one * 500}]}
            for one in asked
        ],
        "text": [{"text": one} for one in asked],
    }
    for shape, some in rows.items():
        path = tmp_path / f"{shape}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in some))
        code, said = check(path, "--json")
        found = document(said)
        assert (code, found["would_run"], found["shape"], found["documents"]) == (0, True, shape, 400)
        assert found["command"].startswith(f"cryoflux run --task causal-lm --train {path} ")
        assert sum(found["examples"].values()) == 400
        assert found["cut_documents"] == (400 if shape == "messages" else 0)
        assert f"of the shape {shape}" in check(path)[1]
    assert document(check(tmp_path / "prompt+completion.jsonl", "--json")[1])["groups"] == 40
    few = tmp_path / "few.jsonl"
    few.write_text("".join(json.dumps(row) + "\n" for row in rows["text"][:20]))
    code, said = check(few)
    assert code == 1
    assert "would refuse:" in said


@pytest.mark.parametrize("names", [["prompt", "completion"], ["messages"], ["text", "group"]])
def test_documents_in_another_form_are_told_what_they_are(
    check: Check, tmp_path: Path, names: list[str]
) -> None:
    path = tmp_path / "documents.json"
    path.write_text(json.dumps([dict.fromkeys(names, "some text")] * 4))
    code, said = check(path)
    assert code == 2
    assert "--task causal-lm" in said


def test_few_texts_are_told_how_many_show_what(check: Check, tmp_path: Path) -> None:
    found = document(check(write(tmp_path / "few.csv", ["pos", "neg"] * 60), "--json")[1])
    needed = [found["texts_needed"][delta] for delta in ("0.3", "0.1", "0.05")]
    assert needed == sorted(needed)
    assert needed[0] >= 200
    assert "few texts  Δ is found" in check(tmp_path / "few.csv")[1]
    for delta, count in found["texts_needed"].items():
        holdout = found["holdout_examples"]
        more = document(
            check(write(tmp_path / f"{delta}.csv", ["pos", "neg"] * (count // 2 + 1)), "--json")[1]
        )
        assert more["holdout_examples"] > holdout
        assert more["detectable_nats"]["0.3"] <= float(delta)


def test_a_holdout_of_its_own_is_read_beside_it(check: Check, tmp_path: Path) -> None:
    train = write(tmp_path / "train.csv", ["pos", "neg"] * 200)
    draw = random.Random(2)
    rows = "".join(f"{draw.random()} another text\t{'pos' if at % 2 else 'neg'}\n" for at in range(50))
    (tmp_path / "held.tsv").write_text("sentence\tlabel\n" + rows)
    found = document(check(train, "--holdout", tmp_path / "held.tsv", "--json")[1])
    assert [(one["set"], one["format"]) for one in found["files"]] == [("train", "CSV"), ("holdout", "TSV")]
    assert found["examples"]["holdout"] == 50

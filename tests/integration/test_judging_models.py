"""Two models that somebody made elsewhere: classifiers and language models, whole ones and adapters."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cryoflux
import tiny
from causal_families import FAMILIES, make_family, trained_adapter
from cryoflux.data.formats import read_examples
from cryoflux.errors import DataError, ModelError, UsageError
from cryoflux.receipts.reading import read_entries
from cryoflux.tasks.judged.classifying import classifier_losses
from cryoflux.tasks.judged.sides import model_side
from running import Outcome, ended, environment, python
from verifying import verify_target

ROWS = [("the cat ", "sits on mat"), ("who ", "the dog"), ("hello ", "world yes")] * 25


def typed(folder: Path, *words: str) -> Outcome:
    return ended(python("-m", "cryoflux", *words, cwd=folder, env=environment()))


def jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


SHAPES: dict[str, Callable[[int, str, str], dict[str, Any]]] = {
    "text": lambda n, prompt, answer: {"text": f"{prompt}{n} {answer}"},
    "prompt and completion": lambda n, prompt, answer: {"prompt": f"{prompt}{n} ", "completion": answer},
    "messages": lambda n, prompt, answer: {
        "messages": [{"role": "user", "content": f"{prompt}{n}"}, {"role": "assistant", "content": answer}]
    },
}


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A tiny language model, and an adapter that has learned what the holdout asks for."""
    folder = tmp_path_factory.mktemp("llama")
    base = make_family("llama", folder / "base")
    return base, trained_adapter("llama", base, folder / "adapter", "the cat 1 sits on mat</s>")


@pytest.fixture(scope="module")
def classifiers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path, Path]:
    """A classifier that knows nothing, one that was fine-tuned from it, their holdout, its training file."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = tmp_path_factory.mktemp("classifiers")
    base = tiny.make_classifier(folder / "base")
    train = tiny.write_csv(folder / "train.csv", tiny.sentences(90, 3))
    holdout = tiny.write_csv(folder / "holdout.csv", tiny.sentences(120, 11))
    model = AutoModelForSequenceClassification.from_pretrained(base)
    tokenizer = AutoTokenizer.from_pretrained(base)
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3)
    rows = tiny.sentences(90, 3)
    found = tokenizer([text for text, _ in rows], padding=True, return_tensors="pt")
    labels = torch.tensor([model.config.label2id[label] for _, label in rows])
    for _ in range(25):
        model(**found, labels=labels).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    model.save_pretrained(folder / "tuned")
    tokenizer.save_pretrained(folder / "tuned")
    return base, folder / "tuned", holdout, train


def test_a_fine_tune_that_helped_is_kept_and_the_way_back_is_not(
    classifiers: tuple[Path, Path, Path, Path], tmp_path: Path
) -> None:
    base, tuned, holdout, train = classifiers
    state = tmp_path / "s"
    helped = cryoflux.judge(base, tuned, holdout, state=state, train=train, energy=12.5, name="tuned")
    assert (helped.kept, helped.look, helped.joules) == (True, 1, 12.5)
    assert helped.accuracy is not None
    assert helped.accuracy[1] > helped.accuracy[0] + 0.2
    back = cryoflux.judge(tuned, base, holdout, state=state)
    assert (back.kept, back.undecided) == (False, False)
    again = cryoflux.judge(
        str(base), str(tuned), holdout, state=state, train=train, energy=12.5, name="tuned"
    )
    assert (again.entry, again.again) == (0, True), "the same numbers, whoever evaluates once more"
    shuffled = tiny.write_csv(tmp_path / "shuffled.csv", tiny.sentences(120, 11)[::-1])
    other = cryoflux.judge(base, tuned, shuffled, state=state, name="another question")
    assert (other.look, other.again) == (3, False), "the order of a file makes no other holdout"
    said = read_entries(state)[0].judgement
    assert said is not None
    assert said.apart is not None
    assert (said.kind, said.apart.count, said.measured.profile) == ("models", 90, "f32/v1")
    assert verify_target(state).ok


def test_a_holdout_that_was_learned_is_refused(
    classifiers: tuple[Path, Path, Path, Path], tmp_path: Path
) -> None:
    base, tuned, _, train = classifiers
    rows = [
        *tiny.sentences(60, 12),
        *[(f"  {text.upper()} ", label) for text, label in tiny.sentences(90, 3)[:2]],
    ]
    leaky = tiny.write_csv(tmp_path / "leaky.csv", rows)
    with pytest.raises(UsageError, match=r"2 of the 62 examples of .* are in .* too"):
        cryoflux.judge(base, tuned, leaky, state=tmp_path / "s", train=train)
    assert not (tmp_path / "s").exists()


def test_copies_in_a_holdout_are_no_evidence_and_what_decides_elsewhere_is_refused(
    classifiers: tuple[Path, Path, Path, Path], tmp_path: Path
) -> None:
    base, tuned, holdout, _ = classifiers
    twice = tiny.write_csv(tmp_path / "twice.csv", [*tiny.sentences(60, 11), *tiny.sentences(60, 11)])
    with pytest.raises(UsageError, match=r"60 of the 120 examples of .* are copies"):
        cryoflux.judge(base, tuned, twice, state=tmp_path / "s")
    deciding = tmp_path / "s" / "data" / ("0" * 64)
    deciding.mkdir(parents=True)
    text, label = tiny.sentences(120, 11)[7]
    row = json.dumps({"label": label, "text": text.upper()}, separators=(",", ":"))
    (deciding / "holdout-2.jsonl").write_text(row + "\n")
    with pytest.raises(UsageError, match="1 of the 120 examples decide on updates"):
        cryoflux.judge(base, tuned, holdout, state=tmp_path / "s")


def test_a_model_without_its_tokenizer_is_not_read_as_something_else(
    classifiers: tuple[Path, Path, Path, Path], tmp_path: Path
) -> None:
    base, tuned, holdout, _ = classifiers
    bare = Path(shutil.copytree(tuned, tmp_path / "bare"))
    for path in bare.iterdir():
        if path.name not in {"config.json", "model.safetensors"}:
            path.unlink()
    with pytest.raises(ModelError, match="has no tokenizer"):
        cryoflux.judge(base, bare, holdout, state=tmp_path / "s")


def test_labels_that_a_model_does_not_know_and_heads_that_are_not_there_are_refused(
    classifiers: tuple[Path, Path, Path, Path], tmp_path: Path
) -> None:
    base, tuned, _, _ = classifiers
    other = tiny.write_csv(tmp_path / "o.csv", [(f"text number {n}", "minerals") for n in range(40)])
    with pytest.raises(ModelError, match="knows no class 'minerals'"):
        cryoflux.judge(base, tuned, other, state=tmp_path / "s")
    headless = tiny.make_model(tmp_path / "headless")
    with pytest.raises(ModelError, match=r"lack|no model folder"):
        cryoflux.judge(headless, tuned, other, state=tmp_path / "s", task="classification")


@pytest.mark.parametrize("shape", SHAPES)
def test_documents_in_every_shape_that_trainers_read(
    shape: str, llama: tuple[Path, Path], tmp_path: Path
) -> None:
    rows = [SHAPES[shape](n, *row) for n, row in enumerate(ROWS)]
    holdout = jsonl(tmp_path / "h.jsonl", rows)
    judged = cryoflux.judge(*llama, holdout, state=tmp_path / "s")
    assert judged.kept, judged.reason
    assert (judged.count, judged.accuracy) == (len(ROWS), None)
    said = read_entries(tmp_path / "s")[0].judgement
    assert said is not None
    assert said.new.onto == said.base.sha256
    tokens_of_a_document = said.decision.rule.min_delta / 2_000_000
    assert tokens_of_a_document > 5, "0.002 nats a token, over the tokens that a document has to say"
    assert verify_target(tmp_path / "s").ok


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "llama"])
def test_every_family_is_judged(family: str, tmp_path: Path) -> None:
    base = make_family(family, tmp_path / "base")
    adapter = trained_adapter(family, base, tmp_path / "adapter", "the cat 1 sits on mat</s>")
    holdout = jsonl(
        tmp_path / "h.jsonl", [SHAPES["prompt and completion"](n, *row) for n, row in enumerate(ROWS)]
    )
    judged = cryoflux.judge(base, adapter, holdout, state=tmp_path / "s")
    assert judged.delta > 0, judged.reason


def test_a_loss_of_a_document_is_that_of_transformers(llama: tuple[Path, Path], tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from cryoflux.data.documents import read_documents
    from cryoflux.tasks.judged.causal import causal_losses

    base, _ = llama
    path = jsonl(
        tmp_path / "h.jsonl", [SHAPES["prompt and completion"](n, *row) for n, row in enumerate(ROWS)]
    )
    scores = causal_losses(model_side(str(base)), read_documents(path), lambda *_: None)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(base), AutoTokenizer.from_pretrained(base)
    for nano, (n, (prompt, answer)) in zip(scores.losses.nano_nats, enumerate(ROWS), strict=True):
        before = tokenizer(f"{prompt}{n} ")["input_ids"]
        after = [*tokenizer(answer, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        labels = torch.tensor([[-100] * len(before) + after])
        with torch.no_grad():
            mean = model(input_ids=torch.tensor([[*before, *after]]), labels=labels).loss
        assert nano / 1e9 == pytest.approx(float(mean) * len(after), rel=1e-5)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (['{"text": "a b"}', '{"prompt": "a", "completion": "b"}'], "of another shape than line 1"),
        (['{"text": "a b"}'], "holds 1 documents"),
        (['{"text": ""}', '{"text": "b"}'], "line 1 has none of text"),
        (['{"messages": [{"role": "user", "content": "a"}]}'], "line 1 has none of text"),
        (["not JSON"], "line 1 is not JSON"),
        (["[" * 100_000], "line 1 is not JSON"),
    ],
    ids=["shapes", "one", "empty", "no answer", "no JSON", "deep"],
)
def test_what_is_no_holdout_for_a_language_model_is_refused(
    lines: list[str], words: str, llama: tuple[Path, Path], tmp_path: Path
) -> None:
    path = tmp_path / "h.jsonl"
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match=words):
        cryoflux.judge(*llama, path, state=tmp_path / "s")


def test_an_adapter_that_asks_for_code_or_is_pickled_is_refused(
    llama: tuple[Path, Path], tmp_path: Path
) -> None:
    base, adapter = llama
    path = jsonl(tmp_path / "h.jsonl", [SHAPES["text"](n, *row) for n, row in enumerate(ROWS)])
    evil = Path(shutil.copytree(adapter, tmp_path / "evil"))
    config = json.loads((evil / "adapter_config.json").read_text())
    (evil / "adapter_config.json").write_text(
        json.dumps({**config, "auto_mapping": {"parent_library": "os"}})
    )
    with pytest.raises(ModelError, match="auto_mapping"):
        cryoflux.judge(base, evil, path, state=tmp_path / "s")
    (evil / "adapter_model.safetensors").rename(evil / "adapter_model.bin")
    with pytest.raises(ModelError, match="has no adapter_model"):
        cryoflux.judge(base, evil, path, state=tmp_path / "s")
    with pytest.raises(ModelError, match="is an adapter"):
        cryoflux.judge(adapter, adapter, path, state=tmp_path / "s")


def test_what_was_cut_and_delta_a_token_are_said_and_signed(llama: tuple[Path, Path], tmp_path: Path) -> None:
    rows = [SHAPES["text"](n, *row) for n, row in enumerate(ROWS)]
    rows += [{"text": f"long {n} " + "the cat sits on mat " * 20} for n in range(3)]
    judged = cryoflux.judge(*llama, jsonl(tmp_path / "h.jsonl", rows), state=tmp_path / "s")
    assert (judged.count, judged.cut, judged.most_tokens) == (78, 3, 128)
    assert judged.targets is not None
    assert judged.delta_per_token == pytest.approx(judged.delta * 78 / judged.targets)
    said = read_entries(tmp_path / "s")[0].judgement
    assert said is not None
    assert said.tokens is not None
    assert (said.tokens.most, said.tokens.cut, said.tokens.targets) == (128, 3, judged.targets)
    shown = typed(tmp_path, "receipts", "show", "0", "--json", "--state", "s")
    assert (json.loads(shown.stdout)["examples_cut"], verify_target(tmp_path / "s").ok) == (3, True)
    words = ("judge", "--base", str(llama[0]), "--new", str(llama[1]), "--holdout", "h.jsonl", "--state", "s")
    again = typed(tmp_path, *words)
    assert f"a token, over the {judged.targets:,} that had to be said" in again.stdout
    assert "3 of 78 texts were cut at 128 tokens" in again.stdout
    assert json.loads(typed(tmp_path, *words, "--json").stdout)["examples_cut"] == 3


def test_texts_that_a_classifier_reads_only_in_part_are_counted(
    classifiers: tuple[Path, Path, Path, Path], tmp_path: Path
) -> None:
    base, tuned, _, _ = classifiers
    (text, label), *rows = tiny.sentences(60, 11)
    holdout = tiny.write_csv(tmp_path / "h.csv", [(" ".join([text] * 200), label), *rows])
    judged = cryoflux.judge(base, tuned, holdout, state=tmp_path / "s")
    assert (judged.cut, judged.count, judged.targets, judged.delta_per_token) == (1, 60, None, None)


def test_a_training_file_that_is_a_pipe_or_a_folder_is_refused_before_any_work(
    classifiers: tuple[Path, Path, Path, Path], tmp_path: Path
) -> None:
    base, tuned, holdout, _ = classifiers
    os.mkfifo(tmp_path / "pipe")
    for train in (tmp_path / "pipe", tmp_path, tmp_path / "none"):
        with pytest.raises(UsageError, match=r"--train .* cannot be read"):
            cryoflux.judge(base, tuned, holdout, state=tmp_path / "s", train=train)


def test_hints_name_what_can_be_typed(classifiers: tuple[Path, Path, Path, Path], tmp_path: Path) -> None:
    base, tuned, holdout, _ = classifiers
    models = ("judge", "--base", str(base), "--new", str(tuned))
    missing = typed(tmp_path, "judge", "--base", "./none", "--new", str(tuned), "--holdout", str(holdout))
    assert "--model" not in missing.stderr
    assert "--base or --new" in missing.stderr
    (tmp_path / "flawed.csv").write_text("text,label\n" + "".join(f"t{n},\n" for n in range(9)) + "x,a\n")
    flawed = typed(tmp_path, *models, "--holdout", "flawed.csv")
    assert (flawed.code, "--most-dropped" in flawed.stderr) == (2, False), flawed.stderr


def test_a_run_does_not_begin_where_others_were_judged(
    classifiers: tuple[Path, Path, Path, Path], tmp_path: Path
) -> None:
    base, tuned, holdout, train = classifiers
    cryoflux.judge(base, tuned, holdout, state=tmp_path / "s")
    files = ("--train", str(train), "--holdout", str(holdout), "--model", str(base), "--state", "s")
    done = typed(tmp_path, "run", "--budget", "2kJ", *files)
    assert done.code != 0
    assert "s has judged what others made; a run begins in a state of its own" in done.stderr
    assert not (tmp_path / "s" / "data").exists()


@pytest.mark.parametrize("helped", [True, False], ids=["helped", "did not"])
def test_a_fine_tune_by_command_from_python_and_by_files_of_losses(
    helped: bool, classifiers: tuple[Path, Path, Path, Path], tmp_path: Path
) -> None:
    """Three ways to ask, one answer: of one that learned, and of one whose weights were only shaken."""
    import torch
    from transformers import AutoModelForSequenceClassification

    base, tuned, holdout, train = classifiers
    if not helped:
        torch.manual_seed(3)
        model = AutoModelForSequenceClassification.from_pretrained(base)
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(torch.randn_like(weight), alpha=1e-3)
        shaken = Path(shutil.copytree(base, tmp_path / "tuned"))
        model.save_pretrained(shaken)
        tuned = shaken
    models = ("--base", str(base), "--new", str(tuned), "--holdout", str(holdout))
    done = typed(
        tmp_path, "judge", *models, "--train", str(train), "--joules", "250J", "--json", "--state", "c"
    )
    assert done.code == (0 if helped else 1), done.stderr
    by_command = json.loads(done.stdout)
    by_python = cryoflux.judge(base, tuned, holdout, state=tmp_path / "p", train=train, energy="250J")
    examples = read_examples(holdout)
    scores = [classifier_losses(model_side(str(side)), examples, lambda *_: None) for side in (base, tuned)]
    files = []
    for name, found in zip(("base", "new"), scores, strict=True):
        rows = zip(examples, found.losses.nano_nats, found.losses.correct, strict=True)
        said = [{"id": one.text, "loss": nano / 1e9, "correct": hit} for one, nano, hit in rows]
        files.append(jsonl(tmp_path / f"{name}.jsonl", said))
    by_losses = cryoflux.judge_losses(*files, state=tmp_path / "l", energy=250)
    assert by_command["outcome"] == by_python.outcome == by_losses.outcome
    assert (by_losses.kept, by_python.kept) == (helped, helped)
    assert by_command["delta"] == by_python.delta == by_losses.delta
    assert by_python.accuracy == by_losses.accuracy
    assert all(verify_target(tmp_path / state).ok for state in "cpl")

"""The callback in a real Trainer, with a tiny random model: it meters, ends at its budget, disturbs none."""

from __future__ import annotations

import importlib.util
import json
import threading
import traceback
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pytest

import cryoflux
from cryoflux.energy.measured import Measured
from cryoflux.integrations.beside import MeterBeside
from cryoflux.quantities import Energy, Tier
from json_rule import complaints, keys_of
from running import exit_code_of

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

PAGE = (Path(__file__).parents[2] / "docs/reference/json.md").read_text("utf-8")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:'pin_memory' argument:UserWarning"),
    pytest.mark.filterwarnings("ignore:CryoFlux:RuntimeWarning"),
]


def measured(joules: float, tier: Tier = Tier.MODELLED) -> Measured:
    uj = round(joules * 1e6)
    energy = Energy(uj, uj - uj // 10, uj + uj // 10, tier)
    return Measured(energy, energy, energy, (), joules, joules, "0" * 64, "frozen", "process tree")


class Counting:
    """A measurement that shows a joule more at each reading."""

    def __init__(self, each=1.0):
        self.each, self.total, self.windows, self.result = each, 0.0, {}, None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.result = self.so_far()

    def so_far(self):
        self.total += self.each
        return measured(self.total)

    @contextmanager
    def window(self, name):
        began = self.total
        yield
        self.windows.setdefault(name, []).append(measured(self.so_far().energy.uj / 1e6 - began))


class Frozen(Counting):
    """One that answers no more, until the test lets it go."""

    def __init__(self, released):
        super().__init__()
        self.released, self.asked = released, 0

    def so_far(self):
        self.asked += 1
        if self.asked > 1:
            self.released.wait()
        return super().so_far()


class Broken(Counting):
    def so_far(self):
        raise OSError("the counter is gone")


def examples(count):
    rows = torch.randint(5, 90, (count, 8), generator=torch.Generator().manual_seed(count))
    return [
        {"input_ids": row, "attention_mask": torch.ones_like(row), "labels": row[0] % 2}
        for row in rows
    ]  # fmt: skip


def trainer(
    folder: Path,
    callback,
    evaluating="epoch",
    steps=None,
    eval_set=True,
    epochs=2,
    others=(),
    eval_count=16,
    save="no",
):
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=100,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=16,
        num_labels=2,
    )
    asked = transformers.TrainingArguments(
        output_dir=str(folder / "out"),
        per_device_train_batch_size=8,
        per_device_eval_batch_size=8,
        num_train_epochs=epochs,
        max_steps=steps or -1,
        eval_strategy=evaluating,
        eval_steps=100 if evaluating == "steps" else None,
        logging_steps=1,
        save_strategy=save,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        learning_rate=1e-2,
    )
    return transformers.Trainer(
        model=transformers.BertForSequenceClassification(config),
        args=asked,
        train_dataset=examples(32),
        eval_dataset=examples(eval_count) if eval_set else None,
        callbacks=[*others, callback],
    )


def record(folder: Path):
    told = json.loads((folder / "out" / "cryoflux-energy.json").read_text())
    assert complaints(told) == []
    assert [key for key in sorted(keys_of(told)) if f"`{key}`" not in PAGE] == []
    return told


def test_one_line_meters_phases_and_epochs_and_says_what_the_trainer_measured(tmp_path):
    callback = cryoflux.CryoFluxCallback(state=tmp_path / "baseline")
    found = trainer(tmp_path, callback)
    found.train()
    told = record(tmp_path)
    assert told["schema"] == "cryoflux.trainer/1"
    assert told["complete"], told
    assert told["steps"] == 8
    assert told["ended_by"] == "trainer"
    assert [one["name"] for one in told["phases"]] == ["training", "evaluation"]
    assert [one["stretches"] for one in told["phases"]] == [4, 3]
    assert [one["name"] for one in told["epochs"]] == ["1", "2"]
    whole = told["energy"]
    assert whole["lo_uj"] <= whole["uj"] <= whole["hi_uj"]
    assert callback.result.energy.uj == whole["uj"]
    (loss,) = told["losses"]
    evaluated = [row["eval_loss"] for row in found.state.log_history if "eval_loss" in row]
    assert (loss["name"], loss["loss_before"], loss["loss_after"]) == (
        "eval_loss",
        evaluated[0],
        evaluated[-1],
    )
    assert loss["delta"] == pytest.approx(evaluated[0] - evaluated[-1])
    assert loss["measured"] == "as the trainer measured it"
    assert not found.args.eval_on_start


def test_the_phases_add_up_to_about_the_whole(tmp_path):
    meter = MeterBeside(Counting, look_s=0.01)
    meter.begin("phase", "training")
    assert meter.start(60)
    meter.begin("phase", "evaluation")
    meter.begin("phase", "training")
    assert meter.close(60)
    parts = {one.name: one for one in meter.seen.parts}
    assert parts["training"].stretches == 2
    assert parts["evaluation"].stretches == 1
    assert sum(one.energy.uj for one in parts.values()) <= meter.seen.measured.energy.uj


@pytest.mark.parametrize("evaluating", ["epoch", "steps"])
def test_a_spent_budget_ends_the_training_with_an_evaluation(tmp_path, evaluating):
    callback = cryoflux.CryoFluxCallback(budget="2 J", measurement=lambda: Counting(each=100.0))
    found = trainer(tmp_path, callback, evaluating, epochs=10_000)
    found.train()
    told = record(tmp_path)
    assert told["budget_joules"] == 2.0
    assert told["ended_by"] == "budget"
    assert told["steps"] == found.state.global_step < 40_000
    assert [one["name"] for one in told["losses"]] == ["eval_loss"]


def test_without_an_evaluation_set_there_is_no_loss_and_no_trouble(tmp_path):
    callback = cryoflux.CryoFluxCallback(measurement=Counting)
    trainer(tmp_path, callback, "no", eval_set=False).train()
    assert record(tmp_path)["losses"] == []
    assert callback.problems == []


def test_evaluations_around_the_training_count_too(tmp_path):
    callback = cryoflux.CryoFluxCallback(measurement=Counting)
    found = trainer(tmp_path, callback, "no")
    first = found.evaluate()["eval_loss"]
    found.train()
    last = found.evaluate()["eval_loss"]
    (loss,) = record(tmp_path)["losses"]
    assert (loss["loss_before"], loss["loss_after"]) == (first, last)


def test_joules_stand_beside_what_the_trainer_logs_and_say_that_they_are_modelled(tmp_path):
    seen = []

    class Reporting(transformers.TrainerCallback):
        def on_log(self, args, state, control, logs=None, **kwargs):
            seen.append(dict(logs))

    callback = cryoflux.CryoFluxCallback(budget=1e6, measurement=Counting)
    found = trainer(tmp_path, callback)
    found.add_callback(Reporting())
    found.train()
    logged = [row for row in seen if "loss" in row]
    assert logged
    for row in logged:
        assert row["cryoflux/joules_lo"] <= row["cryoflux/joules"] <= row["cryoflux/joules_hi"]
        assert row["cryoflux/modelled"] == 1.0
        assert row["cryoflux/joules_left"] == pytest.approx(1e6 - row["cryoflux/joules"])


def test_a_meter_that_freezes_holds_nothing_up(tmp_path, monkeypatch):
    monkeypatch.setattr("cryoflux.integrations.trainer._WAIT_AFTER_S", 0.05)
    released = threading.Event()  # not before the training is over
    callback = cryoflux.CryoFluxCallback(budget="2 J", measurement=lambda: Frozen(released))
    found = trainer(tmp_path, callback)
    found.train()
    assert found.state.global_step == 8
    told = record(tmp_path)
    assert not told["complete"]
    assert any("no last reading" in problem for problem in told["problems"])
    released.set()


def test_a_meter_that_never_begins_holds_nothing_up(tmp_path, monkeypatch):
    monkeypatch.setattr("cryoflux.integrations.trainer._WAIT_BEFORE_S", 0.05)
    monkeypatch.setattr("cryoflux.integrations.trainer._WAIT_AFTER_S", 0.05)
    released = threading.Event()

    def frozen():
        released.wait()
        return Counting()

    callback = cryoflux.CryoFluxCallback(budget="2 J", measurement=frozen)
    found = trainer(tmp_path, callback)
    found.train()
    assert found.state.global_step == 8
    assert record(tmp_path)["energy"] is None
    assert any("does not answer" in problem for problem in callback.problems)
    released.set()


def test_marks_beyond_the_queue_are_counted_and_not_waited_for():
    released = threading.Event()
    meter = MeterBeside(lambda: Frozen(released))
    assert meter.start(60)
    for _ in range(1000):
        meter.begin("phase", "training")
    assert meter.dropped >= 1000 - 256 - 1
    released.set()
    assert meter.close(60)


def test_a_meter_that_breaks_does_not_reach_the_training(tmp_path):
    callback = cryoflux.CryoFluxCallback(measurement=Broken)
    found = trainer(tmp_path, callback)
    found.train()
    assert found.state.global_step == 8
    assert "the counter is gone" in callback.problems[0]
    assert any("the counter is gone" in problem for problem in record(tmp_path)["problems"])


HOOKS = [
    name
    for name in dir(cryoflux.CryoFluxCallback)
    if name.startswith("on_") and name in vars(cryoflux.CryoFluxCallback)
]


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_what_goes_wrong_in_a_hook_does_not_reach_the_training(hook):
    class Nothing:
        """Everything that is asked of it fails."""

        def __getattr__(self, name):
            raise LookupError(name)

    callback = cryoflux.CryoFluxCallback(measurement=Counting)
    callback._meter = Nothing()
    callback._training, callback._evaluating = True, hook != "on_prediction_step"
    assert getattr(callback, hook)(Nothing(), Nothing(), Nothing(), logs={}, metrics={}) is None
    assert callback.problems


def test_an_output_folder_that_cannot_be_written_is_said(tmp_path, capsys):
    (tmp_path / "out" / "cryoflux-energy.json").mkdir(parents=True)
    callback = cryoflux.CryoFluxCallback(measurement=Counting)
    found = trainer(tmp_path, callback, "no")
    found.train()
    assert found.state.global_step == 8
    assert any("could not be written" in problem for problem in callback.problems)
    assert "; no record was written\n" in capsys.readouterr().err


def test_of_several_processes_none_is_stopped_and_each_writes_its_own(tmp_path):
    callback = cryoflux.CryoFluxCallback(budget="1 J", measurement=lambda: Counting(each=100.0))
    args = SimpleNamespace(
        output_dir=str(tmp_path), world_size=2, process_index=1, eval_on_start=False, eval_strategy="no"
    )
    state = SimpleNamespace(global_step=0, epoch=0)
    control = SimpleNamespace(should_training_stop=False, should_evaluate=False)
    callback.on_train_begin(args, state, control)
    state.global_step = 1
    callback.on_step_end(args, state, control)
    callback.on_train_end(args, state, control)
    assert not control.should_training_stop
    assert "Several processes" in callback.problems[0]
    assert (tmp_path / "cryoflux-energy.rank1.json").is_file()


def test_losses_example_by_example_agree_with_the_trainers_mean(tmp_path):
    callback = cryoflux.CryoFluxCallback(measurement=Counting, example_losses=True)
    found = trainer(tmp_path, callback)
    found.train()
    assert callback.problems == []
    (loss,) = record(tmp_path)["losses"]
    for when in ("before", "after"):
        lines = (tmp_path / "out" / f"cryoflux-losses-{when}.jsonl").read_text().splitlines()
        rows = [json.loads(line) for line in lines]
        assert [row["id"] for row in rows] == [str(number) for number in range(16)]
        mean = sum(row["loss"] for row in rows) / 16
        assert mean == pytest.approx(loss[f"loss_{when}"], rel=1e-5)


def test_what_it_leaves_is_what_a_verdict_is_made_of(tmp_path, monkeypatch, capsys):
    callback = cryoflux.CryoFluxCallback(measurement=Counting, example_losses=True)
    trainer(tmp_path, callback, epochs=40, eval_count=256).train()
    out = tmp_path / "out"
    losses = [out / f"cryoflux-losses-{when}.jsonl" for when in ("before", "after")]
    record_file = out / "cryoflux-energy.json"
    capsys.readouterr()  # what the trainer has printed
    code = exit_code_of(
        monkeypatch,
        "judge",
        "--losses",
        *losses,
        "--joules",
        record_file,
        "--state",
        tmp_path / "judged",
        "--json",
    )
    (told,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (code == 0) == (told["outcome"] == "kept")
    assert told["joules_stated"] == pytest.approx(callback.result.energy.uj / 1e6)
    (loss,) = record(tmp_path)["losses"]
    assert told["delta"] == pytest.approx(loss["delta"], rel=1e-4)
    assert cryoflux.verify(tmp_path / "judged").ok


def test_the_loss_of_a_language_model_is_the_sum_over_its_targets():
    from cryoflux.integrations.example_losses import example_losses

    config = transformers.GPT2Config(vocab_size=50, n_embd=8, n_layer=1, n_head=2, n_positions=16)
    model = transformers.GPT2LMHeadModel(config).eval()
    ids = torch.randint(0, 50, (3, 9))
    labels = ids.clone()
    labels[0, :4] = -100
    found = list(example_losses(model, [{"input_ids": ids, "labels": labels}]))
    for row, targets in ((0, 5), (1, 8), (2, 8)):
        mean = model(input_ids=ids[row : row + 1], labels=labels[row : row + 1]).loss.item()
        assert found[row] == pytest.approx(mean * targets, rel=1e-4)


@pytest.mark.parametrize("budget", ["two", "2", "2 kj", "", True, -5, 0, [2], b"2kJ", {"J": 2}])
def test_a_budget_that_is_none_is_refused_when_it_is_typed_and_says_how_to_write_one(budget):
    with pytest.raises(cryoflux.CryoFluxError) as caught:
        cryoflux.CryoFluxCallback(budget=budget)
    assert "2kJ" in caught.value.hint
    shown = traceback.format_exception_only(caught.value)
    assert "".join(shown).splitlines()[1:] == [caught.value.why, caught.value.hint]


def test_what_makes_no_measurement_is_refused_when_it_is_typed():
    with pytest.raises(cryoflux.CryoFluxError, match="makes no measurement"):
        cryoflux.CryoFluxCallback(measurement=Counting())


def test_numbers_of_every_kind_are_joules():
    import numpy as np

    for joules in (2, 2.0, np.float32(2), np.int64(2), Decimal(2)):
        assert cryoflux.CryoFluxCallback(budget=joules)._budget_uj == 2_000_000


def test_each_call_of_train_is_a_measurement_and_a_budget_of_its_own(tmp_path):
    callback = cryoflux.CryoFluxCallback(budget=1e6, measurement=Counting)
    found = trainer(tmp_path, callback)
    found.train()
    first = record(tmp_path)
    found.train()
    second = record(tmp_path)
    assert (first["steps"], second["steps"]) == (8, 8)
    assert [one["name"] for one in second["epochs"]] == ["1", "2"]
    (before,), (after,) = first["losses"], second["losses"]
    assert after["loss_before"] == before["loss_after"]


def test_a_training_that_is_resumed_counts_its_own_steps(tmp_path):
    trainer(tmp_path, cryoflux.CryoFluxCallback(measurement=Counting), save="epoch", epochs=1).train()
    callback = cryoflux.CryoFluxCallback(measurement=Counting)
    found = trainer(tmp_path, callback, epochs=3)
    found.train(resume_from_checkpoint=True)
    told = record(tmp_path)
    assert (told["steps"], found.state.global_step) == (8, 12)
    assert [one["name"] for one in told["epochs"]] == ["2", "3"]
    assert [one["name"] for one in told["losses"]] == ["eval_loss"]
    assert callback.problems == []


def test_put_first_it_is_seen_by_the_trainers_own_reporters(tmp_path):
    seen = []

    class Reporting(transformers.TrainerCallback):
        def on_log(self, args, state, control, logs=None, **kwargs):
            seen.append(dict(logs))

    found = trainer(tmp_path, cryoflux.CryoFluxCallback(measurement=Counting), others=[Reporting()])
    found.callback_handler.callbacks.insert(0, found.pop_callback(cryoflux.CryoFluxCallback))
    found.train()
    assert all("cryoflux/joules" in row for row in seen)
    assert [one["name"] for one in record(tmp_path)["phases"]] == ["training", "evaluation"]


@pytest.mark.filterwarnings("ignore")
def test_a_trainer_of_trl_takes_it_too(tmp_path):
    if importlib.util.find_spec("trl") is None or importlib.util.find_spec("datasets") is None:
        pytest.skip("trl is not installed")
    import datasets
    from tokenizers import Tokenizer, models, pre_tokenizers
    from trl import SFTConfig, SFTTrainer

    words = {word: number for number, word in enumerate(["[PAD]", "[UNK]", "[END]", *"abcdefghij"])}
    inner = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]", eos_token="[END]"
    )
    config = transformers.LlamaConfig(
        vocab_size=len(words),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=64,
    )
    data = datasets.Dataset.from_list([{"text": "a b c d e f g h i j"}] * 16)
    asked = SFTConfig(
        output_dir=str(tmp_path / "out"),
        max_steps=4,
        eval_strategy="steps",
        eval_steps=2,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        bf16=False,
        disable_tqdm=True,
    )
    callback = cryoflux.CryoFluxCallback(measurement=Counting)
    found = SFTTrainer(
        model=transformers.LlamaForCausalLM(config),
        args=asked,
        train_dataset=data,
        eval_dataset=data.select(range(4)),
        processing_class=tokenizer,
        callbacks=[callback],
    )
    found.train()
    told = record(tmp_path)
    assert callback.problems == []
    assert [one["name"] for one in told["phases"]] == ["training", "evaluation"]
    assert "eval_loss" in [one["name"] for one in told["losses"]]

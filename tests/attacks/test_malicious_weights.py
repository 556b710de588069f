"""Files made to harm whoever checks them: nothing in a state is ever run, and no reading is endless."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path

import pytest

import tiny
from cryoflux.digests import CHECKSUMS, file_digest, read_tensor_entries, write_checksums
from cryoflux.errors import ModelError
from cryoflux.evaluation import scoring
from cryoflux.evaluation.losses import EvaluationFailedError
from cryoflux.receipts.statement import Sha256Digest, Subject
from cryoflux.verification.result import Status
from synthetic_parts import digest_of, make_evidence
from synthetic_state import SyntheticState, open_state
from verifying import verify_target


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> object:
        return (Path.touch, (self.marker,))


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """Exists if somebody unpickled the bomb."""
    path = tmp_path / "marker"
    pickle.loads(pickle.dumps(Bomb(path)))
    assert path.exists(), "the bomb works"
    path.unlink()
    return path


def failed(state: Path) -> set[str]:
    return {c.subject for c in verify_target(state).checks if c.status is Status.FAIL}


def model_of(made: SyntheticState) -> Path:
    return made.path / "models" / made.head.digest


def test_a_pickle_in_the_place_of_weights_is_refused_and_not_opened(tmp_path: Path, marker: Path) -> None:
    made = open_state(tmp_path / "state")
    folder = made.path / "models" / digest_of("evil")
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(pickle.dumps(Bomb(marker)))
    evil = made.head.but(digest=folder.name, files=write_checksums(folder))
    made.head = evil
    (made.path / "base_model").unlink()
    (made.path / "base_model").symlink_to(f"models/{evil.digest}")
    made.abort(made.announce())
    state = made.finish()
    assert failed(state) == {f"models/{evil.digest}"}
    with pytest.raises(ModelError, match="not a well-formed safetensors"):
        read_tensor_entries(folder / "model.safetensors")
    assert not marker.exists()


@pytest.mark.parametrize("length", [0, 1, 2**62, 2**63, 99_999_999, 100_000_001])
def test_a_header_of_any_claimed_length_is_refused(
    state: Path, pristine: SyntheticState, length: int
) -> None:
    path = state / "models" / pristine.head.digest / "model.safetensors"
    path.write_bytes(length.to_bytes(8, "little"))
    os.truncate(path, 200_000_000)  # of holes: it takes no room
    with pytest.raises(ModelError, match="not a well-formed safetensors"):
        read_tensor_entries(path)
    assert failed(state) == {path.relative_to(state).as_posix()}


@pytest.mark.parametrize(
    "spec",
    [
        {"dtype": "F32", "shape": [3], "data_offsets": [0, 2**62]},
        {"dtype": "F32", "shape": [3], "data_offsets": [-8, 4]},
        {"dtype": "F32", "shape": [2**70], "data_offsets": [12, 0]},
        {"dtype": ["F32"], "shape": [3], "data_offsets": [0, 12]},
        {"dtype": "F32", "shape": {"a": 1}, "data_offsets": [0, 12]},
        {"dtype": "F32", "shape": [3]},
        None,
    ],
)
def test_a_tensor_outside_its_file_is_refused(tmp_path: Path, spec: object) -> None:
    header = json.dumps({"w": spec}).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(12))
    with pytest.raises(ModelError, match="not a well-formed safetensors"):
        read_tensor_entries(path)


def test_a_header_of_endless_brackets_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes((1_000_000).to_bytes(8, "little") + b"[" * 1_000_000)
    with pytest.raises(ModelError, match="not a well-formed safetensors"):
        read_tensor_entries(path)


@pytest.mark.parametrize("kind", ["device", "other file", "folder", "loop", "gone"])
def test_a_link_out_of_the_state_is_read_no_further_than_its_digest(
    state: Path, pristine: SyntheticState, tmp_path: Path, kind: str
) -> None:
    other = tmp_path / "other.bin"
    other.write_bytes(b"private")
    target = {"device": "/dev/zero", "other file": other, "folder": tmp_path, "gone": tmp_path / "gone"}
    evidence = pristine.entries[7].statement.predicate.evaluation.per_example
    capsule = pristine.entries[7].statement.subject[0].digest.sha256
    places = [
        f"models/{pristine.head.digest}/model.safetensors",
        f"models/{pristine.head.digest}/{CHECKSUMS}",
        f"capsules/{capsule}/adapter_model.safetensors",
        f"data/{pristine.data.digest}/holdout.jsonl",
        f"evidence/{evidence}.bin",
    ]
    for where in places:
        path = state / where
        kept = path.read_bytes()
        path.unlink()
        path.symlink_to(target.get(kind, path))
        assert failed(state) == {where}
        path.unlink()
        path.write_bytes(kept)
    assert other.read_bytes() == b"private"
    assert failed(state) == set()


def test_losses_that_are_no_numbers_are_no_losses(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    per_example, _ = make_evidence(made.path, 0.0, 0.05)
    path = made.path / "evidence" / f"{per_example}.bin"
    content = path.read_bytes()
    made.attempt(0.05)
    state = made.finish()
    for value in (-1, -(2**63)):
        path.write_bytes(value.to_bytes(8, "little", signed=True) + content[8:])
        assert failed(state) == {path.relative_to(state).as_posix()}


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny real model with a head, and a holdout beside it."""
    from transformers import AutoModelForSequenceClassification

    folder = tiny.make_model(tmp_path_factory.mktemp("weights") / "model")
    names = dict(enumerate(sorted(tiny.TOPICS)))
    labels = {"id2label": names, "label2id": {name: n for n, name in names.items()}}
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=3, **labels)
    model.save_pretrained(folder)
    rows = [{"text": text, "label": label} for text, label in tiny.sentences(6, 1)]
    (folder.parent / "holdout.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_a_weight_that_is_no_number_gives_no_loss(
    classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    from safetensors.torch import load_file, save_file

    from cryoflux.tasks.lora.again import TorchRecomputer

    folder = shutil.copytree(classifier.parent, tmp_path / "copy") / "model"
    tensors = load_file(folder / "model.safetensors")
    tensors["classifier.bias"][0] = float(value)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    recomputer = TorchRecomputer(max_tokens=16)
    with pytest.raises(EvaluationFailedError):
        recomputer.evaluate(folder, folder.parent / "holdout.jsonl")
    monkeypatch.setattr(scoring, "to_nano_nats", lambda _loss: 0)
    losses, _ = recomputer.evaluate(folder, folder.parent / "holdout.jsonl")
    assert losses == [0] * 6, "without the defence, a model of nothing has no loss at all"


def test_code_and_pickles_beside_a_model_are_not_run(classifier: Path, tmp_path: Path, marker: Path) -> None:
    from cryoflux.tasks.lora.again import TorchRecomputer

    folder = shutil.copytree(classifier.parent, tmp_path / "copy") / "model"
    for name in ("pytorch_model.bin", "training_args.bin", "optimizer.pt"):
        (folder / name).write_bytes(pickle.dumps(Bomb(marker)))
    (folder / "evil.py").write_text(
        f"from pathlib import Path\nPath({str(marker)!r}).touch()\nclass M: ...\n"
    )
    config = json.loads((folder / "config.json").read_bytes())
    names = ("AutoConfig", "AutoModel", "AutoModelForSequenceClassification", "AutoTokenizer")
    config["auto_map"] = dict.fromkeys(names, "evil.M")
    (folder / "config.json").write_text(json.dumps(config))
    losses, _ = TorchRecomputer(max_tokens=16).evaluate(folder, folder.parent / "holdout.jsonl")
    assert len(losses) == 6
    assert not marker.exists()
    (folder / "model.safetensors").unlink()
    with pytest.raises((OSError, ModelError)):
        TorchRecomputer(max_tokens=16).evaluate(folder, folder.parent / "holdout.jsonl")
    assert not marker.exists()


def test_a_pickled_adapter_is_not_loaded(classifier: Path, tmp_path: Path, marker: Path) -> None:
    from cryoflux.tasks.lora.again import TorchRecomputer

    capsule = tmp_path / "capsule"
    capsule.mkdir()
    said = {"peft_type": "LORA", "r": 1, "lora_alpha": 1, "target_modules": ["query"], "task_type": "SEQ_CLS"}
    (capsule / "adapter_config.json").write_text(json.dumps(said))
    for name in ("adapter_model.bin", "adapter_model.safetensors"):
        (capsule / name).write_bytes(pickle.dumps(Bomb(marker)))
        with pytest.raises(Exception):  # noqa: B017 - the library's own, whatever it is
            TorchRecomputer(max_tokens=16).merge(classifier, capsule, tmp_path / f"into-{name}")
    assert not marker.exists()


def test_a_subject_that_climbs_out_of_the_state_leads_nowhere(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    (tmp_path / "secret").write_text("x")
    digest = Sha256Digest(sha256=file_digest(tmp_path / "secret"))
    names = ("../../../secret", "adapter_config.json")
    made.attempt(0.05, subject=[Subject(name=name, digest=digest) for name in names])
    assert failed(made.finish()) == {"entry 1 (receipt a0001_0)"}

"""What is written for the embedded model without transformers is what transformers would have written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from cryoflux.data.examples import Example
from cryoflux.data.frequencies import log_frequencies
from cryoflux.digests import read_tensor_entries, tensors_digest
from cryoflux.encoder.layout import read_layout
from cryoflux.encoder.linear import Backend
from cryoflux.encoder.model import Encoder
from cryoflux.encoder.tokens import TokenCache
from cryoflux.encoder.wordpiece import known_tokenizer
from cryoflux.tasks.lora.base_model import EMBEDDED, load_base
from cryoflux.tasks.lora.embedded import load_embedded

LABELS = ("one", "three", "two")
TEXTS = [
    "Return the Unicode string; raise ValueError() if it isn't.",
    "",
    "naïve café — ÅNGSTRÖM ﬁ 東京タワー \u200b\t\x00 end",
    "[CLS] a [MASK] that is text, and a [SEP] \ud7ff",
    "antidisestablishmentarianism " * 60,
    "\x00\u200b\x01 " * 200 + "text that begins far behind what has no tokens",
    "ΟΔΥΣΣΕΥΣ ΟΔΟΣ [MASK] e\u0301 \u0301e " * 40,
    "x" * 150 + " 3.14159e-10 __init__ self.assertEqual(a,b)",
]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    ours, theirs = tmp_path_factory.mktemp("ours"), tmp_path_factory.mktemp("theirs")
    embedded, loaded = load_embedded(EMBEDDED, LABELS), load_base(EMBEDDED, LABELS, seed=0)
    embedded.save(ours)
    loaded.save(theirs)
    assert (embedded.name, embedded.source_digest) == (loaded.name, loaded.source_digest)
    return ours, theirs


def test_the_version_has_the_same_digest_and_configuration(both: tuple[Path, Path]) -> None:
    digests = [tensors_digest(read_tensor_entries(folder / "model.safetensors")) for folder in both]
    assert digests[0] == digests[1]
    configs = [AutoConfig.from_pretrained(folder).to_dict() for folder in both]
    for config in configs:
        # the last two say nothing, and are no settings of this kind of model any more
        notes = ("_name_or_path", "transformers_version", "gradient_checkpointing", "position_embedding_type")
        for where in notes:
            config.pop(where, None)
    assert configs[0] == configs[1]


def test_a_head_that_knows_the_shares_of_its_classes_is_the_same_in_both(tmp_path: Path) -> None:
    prior = log_frequencies(["one"] * 6 + ["two"] * 3 + ["three"])
    for made, name in (
        (load_embedded(EMBEDDED, LABELS, prior=prior), "ours"),
        (load_base(EMBEDDED, LABELS, seed=0, prior=prior), "theirs"),
    ):
        (tmp_path / name).mkdir()
        made.save(tmp_path / name)
    ours, theirs = (load_file(tmp_path / name / "model.safetensors") for name in ("ours", "theirs"))
    assert torch.equal(ours["classifier.bias"], theirs["classifier.bias"])
    assert ours["classifier.bias"].softmax(0).tolist() == pytest.approx([0.6, 0.1, 0.3])
    layout = read_layout(tmp_path / "ours")
    silent = Encoder(layout, ours, Backend.F64, "cpu").silent_logits()
    assert torch.equal(silent, ours["classifier.bias"].double())


def test_transformers_loads_it_and_every_class_is_equally_likely(both: tuple[Path, Path]) -> None:
    model, found = AutoModelForSequenceClassification.from_pretrained(both[0], output_loading_info=True)
    assert not any(found.values())
    inputs = AutoTokenizer.from_pretrained(both[0])(TEXTS, padding=True, truncation=True, return_tensors="pt")
    assert torch.equal(model(**inputs).logits, torch.zeros(len(TEXTS), 3))


@pytest.mark.parametrize("limit", [4, 32, 512])
def test_token_ids_are_those_that_transformers_makes(
    both: tuple[Path, Path], tmp_path: Path, limit: int
) -> None:
    examples = [Example(text, "one") for text in TEXTS]
    for folder in both:
        assert known_tokenizer(folder) is not None
        expected = AutoTokenizer.from_pretrained(folder)(TEXTS, truncation=True, max_length=limit)
        tokens = TokenCache(tmp_path / folder.name).get(folder, examples, "digest", limit)
        rows = [tokens.flat[tokens.starts[i] : tokens.starts[i + 1]].tolist() for i in range(len(TEXTS))]
        assert rows == expected["input_ids"]
        assert tokens.pad == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "vocab.txt").write_text("[PAD]\n"),
        lambda folder: edit(folder / "tokenizer_config.json", do_lower_case=False),
        lambda folder: edit(folder / "tokenizer_config.json", truncation_side="left"),
        lambda folder: edit(folder / "tokenizer.json", normalizer=None),
        lambda folder: (folder / "tokenizer.json").write_text("{"),
        lambda folder: (folder / "tokenizer_config.json").unlink(),
    ],
    ids=["a file beside it", "case", "side", "normaliser", "damaged", "missing"],
)
def test_any_other_tokenizer_is_left_to_transformers(change, tmp_path: Path) -> None:
    load_embedded(EMBEDDED, LABELS).save(tmp_path)
    change(tmp_path)
    assert known_tokenizer(tmp_path) is None


def edit(path: Path, **changed: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **changed}))


STARTS = """
import json, sys
from cryoflux import run
from cryoflux.runs.watch import RunObserver
from cryoflux.errors import CryoFluxError

class Watch(RunObserver):
    def opened(self, opening):
        slow = [name for name in ("transformers", "peft", "torch._dynamo", "scipy") if name in sys.modules]
        print(json.dumps([slow, opening.tasks[0].facts["startup"]]), flush=True)

run("500J", state=sys.argv[1], observers=[Watch()], stop=lambda: True, spare_holdouts=0)
"""


def test_a_run_on_the_defaults_starts_without_what_it_does_not_use_and_says_what_starting_costs(
    tmp_path: Path,
) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CRYOFLUX_")}
    said = []
    for _ in range(2):
        command = [sys.executable, "-c", STARTS, str(tmp_path / "state")]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        slow, startup = json.loads(done.stdout)
        assert slow == []
        assert startup["cpu_s"] == pytest.approx(sum(startup["phases"].values()), abs=0.01)
        said.append(startup)
    assert said[0]["phases"].keys() - said[1]["phases"].keys() == {"examples and model"}

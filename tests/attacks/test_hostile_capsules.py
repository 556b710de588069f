"""Updates that a stranger offers, signs for and serves, and that are no updates.

Each is refused with the verdict that its meaning has, and a sentence; the honest twin is admitted.
"""

from __future__ import annotations

import json
import os
import pickle
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from bounded import bounded
from cryoflux.digests import sha256_hex
from cryoflux.errors import ModelError
from cryoflux.network.admission import (
    AdmissionGround,
    AdmittedUpdate,
    RefusedUpdate,
    admit,
    read_plain_update,
)
from cryoflux.network.capsule import CheckedCapsule
from cryoflux.network.norms import NormBounds
from cryoflux.receipts.network_parts import MemberVerdict
from offered import CONFIG, SHAPES, offered_state, tensors
from offered import settings as config_of
from synthetic_parts import digest_of

LABELS = digest_of("labels")
A, B = (f"base_model.model.layer.query.lora_{part}.weight" for part in "AB")
HEAD, BIAS = "base_model.model.classifier.weight", "base_model.model.classifier.bias"
RUNS = "ran-something"


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> CheckedCapsule:
    state, offer = offered_state(tmp_path_factory.mktemp("offered") / "state")
    return state.checked(offer)


def offered(
    honest: CheckedCapsule, folder: Path, content: bytes, config: bytes
) -> tuple[CheckedCapsule, AdmissionGround]:
    """What a stranger signs for and serves, and the ground of a node over the same genesis."""
    folder.mkdir(exist_ok=True)
    (folder / "adapter_model.safetensors").write_bytes(content)
    (folder / "adapter_config.json").write_bytes(config)
    update = honest.update.but(adapter=sha256_hex(content))
    said = honest.offer.but(update=update, config=sha256_hex(config), adapter_bytes=max(1, len(content)))
    capsule = replace(honest, update=update, offer=said, config_bytes=len(config))
    return capsule, AdmissionGround(update.genesis, LABELS, SHAPES)


def tried(
    honest: CheckedCapsule, folder: Path, content: bytes, config: bytes
) -> AdmittedUpdate | RefusedUpdate:
    capsule, ground = offered(honest, folder, content, config)
    return admit(folder, capsule, ground, LABELS)


def refused(found: AdmittedUpdate | RefusedUpdate, verdict: MemberVerdict, said: str) -> None:
    assert isinstance(found, RefusedUpdate)
    assert (found.verdict, said in found.why) == (verdict, True), found.why
    assert found.why.isprintable()


def test_the_honest_twin_is_admitted(honest: CheckedCapsule, tmp_path: Path) -> None:
    found = tried(honest, tmp_path / "capsule", save(tensors()), config_of())
    assert isinstance(found, AdmittedUpdate)
    assert found.adapter.names == sorted(SHAPES)
    assert set(found.norms) == {"layer.query.weight"}


def raw(header: dict[str, Any] | bytes, body: bytes = b"") -> bytes:
    """A file with any header."""
    said = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(said)) + said + body


def with_tensor(name: str, values: np.ndarray) -> bytes:
    return save({**tensors(), name: values})


def without(*names: str) -> bytes:
    return save({name: values for name, values in tensors().items() if name not in names})


def spoilt(name: str, value: float) -> bytes:
    found = tensors()
    found[name].flat[0] = value
    return save(found)


def spec(shape: list[int], first: int, last: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [first, last]}


def placed(change: Any) -> bytes:
    """The honest file with another header."""
    content = save(tensors())
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    return raw(change(header), content[8 + length :])


class Runs:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {RUNS}",)


def overlapping(header: dict[str, Any]) -> dict[str, Any]:
    header[HEAD]["data_offsets"] = [0, 72]
    return header


def doubled(header: dict[str, Any]) -> bytes:
    said = json.dumps(header).encode()
    return said[:-1] + b"," + json.dumps({BIAS: header[BIAS]}).encode()[1:]


HUGE = 2**31
ADAPTERS = {
    "no bytes that are one": (b"\x00", "no safetensors file"),
    "a pickle": (pickle.dumps(Runs()), "says that its header has"),
    "a torch archive": (b"PK\x03\x04" + bytes(200), "says that its header has"),
    "not a number": (spoilt(A, np.nan), "what is no number"),
    "infinite": (spoilt(B, np.inf), "what is no number"),
    "not a number in what is saved in full": (spoilt(HEAD, -np.inf), "what is no number"),
    "no tensor at all": (raw({}), "holds no tensor"),
    "an empty tensor": (with_tensor(BIAS, np.zeros((0,), "f4")), "is empty"),
    "an empty one of a huge shape": (
        placed(lambda header: {**header, BIAS + "x": spec([0, 2**62], 0, 0)}),
        "is empty",
    ),
    "a scalar": (with_tensor(BIAS, np.ones((), "f4")), "is empty"),
    "rank of a billion": (
        placed(lambda header: {**header, A: spec([HUGE, 8], 0, 32 * HUGE)}),
        "no safetensors",
    ),
    "a claim of two gigabytes": (raw({A: spec([HUGE // 4], 0, HUGE)}, bytes(64)), "no safetensors file"),
    "a header of a terabyte": (struct.pack("<Q", 2**40) + b"{}", "its header has"),
    "a header of a megabyte": (raw(b'{"__metadata__":{"a":"' + b"x" * 10**6 + b'"}}'), "its header has"),
    "a deep header": (raw(b"[" * 100_000), "no safetensors file"),
    "tensors that overlap": (placed(overlapping), "no safetensors file"),
    "a name twice in the header": (placed(doubled), "no safetensors file"),
    "bytes that belong to no tensor": (save(tensors()) + b"\0" * 64, "no safetensors file"),
    "a negative shape": (placed(lambda header: {**header, A: spec([-4, -8], 0, 128)}), "no safetensors file"),
    "half precision": (with_tensor(BIAS, np.ones(3, "f2")), "only float32"),
    "double precision": (with_tensor(BIAS, np.ones(3, "f8")), "only float32"),
    "whole numbers": (with_tensor(BIAS, np.ones(3, "i8")), "only float32"),
    "one matrix alone": (without(B), "one matrix"),
    "matrices that do not fit": (save({**tensors(), B: np.ones((6, 3), "f4")}), "do not fit together"),
    "another rank than it says": (save(tensors(rank=5)), "says rank 4"),
    "a transposed product": (
        save({**tensors(), A: np.ones((4, 6), "f4"), B: np.ones((8, 4), "f4")}),
        "has the shape (6, 8) there",
    ),
    "another shape in full": (with_tensor(HEAD, np.ones((6, 3), "f4")), "has the shape (3, 6) there"),
    "more classes": (with_tensor(BIAS, np.ones(4, "f4")), "has the shape (3,) there"),
    "a tensor that the genesis does not have": (
        with_tensor("base_model.model.classifier.extra", np.ones(3, "f4")),
        "no tensor of the genesis",
    ),
    "a name that looks alike": (
        save({name.replace("classifier.b", "classifier.\u0432"): v for name, v in tensors().items()}),
        "no tensor of the genesis",
    ),
    "a name with half a character": (
        placed(lambda header: json.dumps(header).replace("classifier.bias", "classifier.\\ud800").encode()),
        "",
    ),
    "a name that ends a line": (with_tensor(HEAD + "\n", np.ones(3, "f4")), "no tensor of the genesis"),
    "a name outside of the model": (with_tensor("classifier.bias", np.ones(3, "f4")), "as PEFT names"),
    "a tensor under two names": (
        with_tensor("base_model.model.base_model.model.classifier.bias", np.ones(3, "f4")),
        "no tensor of the genesis",
    ),
    "in full and by a product": (
        with_tensor("base_model.model.layer.query.weight", np.ones((6, 8), "f4")),
        "both in full and by a product",
    ),
}


@pytest.mark.parametrize("name", ADAPTERS)
def test_what_is_no_update_is_malformed(
    honest: CheckedCapsule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    content, said = ADAPTERS[name]
    refused(tried(honest, tmp_path / "capsule", content, config_of()), MemberVerdict.MALFORMED, said)
    assert not Path(RUNS).exists()


CONFIGS = {
    "no object": (b"[]", "is no object"),
    "no JSON": (b"peft", "cannot be read"),
    "deep": (b"[" * 60_000, "cannot be read"),
    "a name twice": (config_of()[:-1] + b', "r": 4}', "twice"),
    "modules chosen by code": (config_of(auto_mapping={"base_model_class": "x"}), "auto_mapping"),
    "a pattern of modules": (config_of(target_modules=".*"), "no list of target_modules"),
    "rank-stabilised": (config_of(use_rslora=True), "use_rslora"),
    "decomposed": (config_of(use_dora=True), "use_dora"),
    "layers again": (config_of(layer_replication=[[0, 4]]), "layer_replication"),
    "ranks of their own": (config_of(rank_pattern={"layer.query": 64}), "rank_pattern"),
    "alphas of their own": (config_of(alpha_pattern={"layer.query": 1e6}), "alpha_pattern"),
    "biases": (config_of(bias="all"), "bias"),
    "another kind": (config_of(peft_type="PROMPT_TUNING"), "peft_type"),
    "another kind of initialisation": (config_of(init_lora_weights="pissa"), "init_lora_weights"),
    "another task": (config_of(task_type="TOKEN_CLS"), "is for"),
    "rank that is none": (config_of(r=0), "no usable r"),
    "rank that is a truth": (config_of(r=True), "no usable r"),
    "rank above the most": (config_of(r=65), "64 is the most"),
    "alpha of 1e300": (config_of(lora_alpha=1e300), "no usable lora_alpha"),
    "alpha without end": (config_of().replace(b"8,", b"1e999,"), "no usable lora_alpha"),
    "alpha that is no number": (config_of(lora_alpha=float("nan")), "no number"),
    "a negative alpha": (config_of(lora_alpha=-8), "no usable lora_alpha"),
    "an alpha that is too much": (config_of(lora_alpha=4 * 129), "more than 128 times"),
    "other modules": (config_of(target_modules=["layer.key"]), "do not name the module"),
    "nothing saved": (config_of(modules_to_save=None), "is saved in full"),
    "another module saved": (config_of(modules_to_save=["class"]), "is saved in full"),
    "a thousand modules": (config_of(target_modules=[f"m{n}" for n in range(1000)]), "512 is the most"),
    "transposed weights": (
        config_of(task_type="CAUSAL_LM", fan_in_fan_out=True),
        "has the shape (6, 8) there",
    ),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_settings_that_ask_for_more_than_plain_lora_are_malformed(
    honest: CheckedCapsule, tmp_path: Path, name: str
) -> None:
    config, said = CONFIGS[name]
    refused(tried(honest, tmp_path / "capsule", save(tensors()), config), MemberVerdict.MALFORMED, said)


def test_a_rank_that_both_files_say_is_bounded_too(honest: CheckedCapsule, tmp_path: Path) -> None:
    for rank, most in ((64, True), (65, False)):
        found = tried(honest, tmp_path / str(rank), save(tensors(rank=rank)), config_of(r=rank))
        assert isinstance(found, AdmittedUpdate) is most


def test_an_update_over_another_genesis_or_of_other_classes_is_stale(
    honest: CheckedCapsule, tmp_path: Path
) -> None:
    capsule, ground = offered(honest, tmp_path / "capsule", save(tensors()), config_of())
    other = replace(ground, genesis=digest_of("another"))
    refused(admit(tmp_path / "capsule", capsule, other, LABELS), MemberVerdict.STALE, "over the genesis")
    for labels in ("", digest_of("other labels")):
        found = admit(tmp_path / "capsule", capsule, ground, labels)
        refused(found, MemberVerdict.STALE, "its classes")


def test_what_does_not_have_the_signed_bytes_is_unavailable(honest: CheckedCapsule, tmp_path: Path) -> None:
    folder = tmp_path / "capsule"
    capsule, ground = offered(honest, folder, save(tensors()), config_of())
    path = folder / "adapter_model.safetensors"
    content = path.read_bytes()
    for other, said in (
        (content[:-1] + b"\x01", "not what was signed"),
        (b"", "not what was signed"),
        (content + b"\0", "cannot be read"),
    ):
        path.write_bytes(other)
        refused(admit(folder, capsule, ground, LABELS), MemberVerdict.UNAVAILABLE, said)
    path.unlink()
    refused(admit(folder, capsule, ground, LABELS), MemberVerdict.UNAVAILABLE, "cannot be read")
    (tmp_path / "else").write_bytes(content)
    path.symlink_to(tmp_path / "else")
    refused(admit(folder, capsule, ground, LABELS), MemberVerdict.UNAVAILABLE, "cannot be read")


def test_an_offer_of_more_than_is_read_is_malformed_before_a_byte_is_fetched(
    honest: CheckedCapsule, tmp_path: Path
) -> None:
    capsule, ground = offered(honest, tmp_path / "capsule", save(tensors()), config_of())
    for size in (8 * 2**20 + 1, 2 * 2**30, 2**53 - 1):
        said = replace(capsule, offer=capsule.offer.but(adapter_bytes=size))
        found = admit(tmp_path / "nothing is here", said, ground, LABELS)
        refused(found, MemberVerdict.MALFORMED, "8,388,608 are read")


def test_settings_of_more_than_is_read_are_not_had(honest: CheckedCapsule, tmp_path: Path) -> None:
    """Their size is not signed: that a mirror says too much of them is nothing against their proposer."""
    found = tried(honest, tmp_path / "capsule", save(tensors()), config_of(revision="x" * 70_000))
    refused(found, MemberVerdict.UNAVAILABLE, "64,000 are read")


def test_an_update_that_moves_further_than_what_was_adopted_is_unsafe(
    honest: CheckedCapsule, tmp_path: Path
) -> None:
    folder = tmp_path / "capsule"
    capsule, ground = offered(honest, folder, save(tensors()), config_of())
    found = admit(folder, capsule, ground, LABELS)
    assert isinstance(found, AdmittedUpdate)
    (norm,) = found.norms.values()
    for bounds in (NormBounds({"layer.query.weight": norm * 0.99}), NormBounds({}, norm * 0.99)):
        bounded_ground = replace(ground, bounds=bounds)
        refused(admit(folder, capsule, bounded_ground, LABELS), MemberVerdict.UNSAFE, "moves layer.query")
    near = replace(ground, bounds=NormBounds({"layer.query.weight": norm}))
    assert isinstance(admit(folder, capsule, near, LABELS), AdmittedUpdate)
    values = {name: np.zeros(shape, "f4") for name, shape in SHAPES.items()}
    in_full = replace(ground, bounds=NormBounds({"layer.query.weight": norm}, 0.01))
    told = admit(folder, capsule, in_full, LABELS, values.__getitem__)
    refused(told, MemberVerdict.UNSAFE, "moves classifier")


READ = """
from cryoflux.errors import CryoFluxError
from cryoflux.network.admission import read_plain_update
folder = Path(sys.argv[3])
for path in sorted(folder.glob("*.bin")):
    try:
        read_plain_update(path.read_bytes(), (folder / "config").read_bytes(), path.name)
        print(path.name, "admitted")
    except CryoFluxError as error:
        print(path.name, "refused")
"""


@pytest.mark.slow
def test_no_claim_takes_more_memory_than_the_file_has(tmp_path: Path) -> None:
    many = {f"base_model.model.{'.a' * 90}{n}": spec([1], 4 * n, 4 * n + 4) for n in range(2_000)}
    files = {
        "claim": raw({A: spec([HUGE // 4], 0, HUGE)}, bytes(64)),
        "empty": raw({A: spec([0, 2**62], 0, 0), B: spec([2**62, 0], 0, 0)}),
        "long": raw(b" " * 8_000_000),
        "many": raw(many, bytes(8_000)),
        "wide": raw({A: spec([4, 500_000], 0, 8_000_000)}, bytes(8_000_000)),
    }
    for name, content in files.items():
        (tmp_path / f"{name}.bin").write_bytes(content)
    (tmp_path / "config").write_bytes(config_of(target_modules=["a"] * 500))
    said = bounded(READ, tmp_path, mib=600, cpu_s=20).splitlines()
    assert said == [f"{name}.bin refused" for name in sorted(files)]


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_no_changed_byte_of_a_file_stops_admission(data: st.DataObject) -> None:
    """Whatever the bytes are: admitted with finite numbers of due shapes, or refused with a sentence."""
    content, config = bytearray(save(tensors())), bytearray(config_of())
    for changed in (content, config):
        for _ in range(data.draw(st.integers(0, 3))):
            changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = read_plain_update(bytes(content), bytes(config), "changed", SHAPES)
    except ModelError:
        return
    for name, one in found.low_rank.items():
        assert (one.b.shape[0], one.a.shape[1]) == SHAPES[name]
        assert np.isfinite(one.a).all()
        assert np.isfinite(one.b).all()
    for name, values in found.whole.items():
        assert values.shape == SHAPES[name]
        assert np.isfinite(values).all()


def test_the_settings_of_these_tests_are_plain() -> None:
    assert json.loads(config_of()) == CONFIG

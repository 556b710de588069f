"""A model in several files: its index leads to all of them, and to no other."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cryoflux.digests import write_checksums
from cryoflux.receipts.statement import Sha256Digest, Subject
from cryoflux.verification.index import INDEX
from cryoflux.verification.result import Status
from cryoflux.verification.weights import version_digest
from synthetic_parts import tiny_safetensors
from synthetic_state import SyntheticState, open_state
from verifying import verify_target

FILES = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


def failures(made: SyntheticState) -> list[tuple[str, str]]:
    checks = verify_target(made.finish()).checks
    return [(Path(c.subject).name, c.detail) for c in checks if c.status is Status.FAIL]


def sharded(path: Path, index: Callable[[dict[str, object]], object]) -> SyntheticState:
    """A log whose first model is spread over two files, with this index."""
    made = open_state(path)
    folder = made.path / "models" / "sharded"
    folder.mkdir()
    for name, tensor in zip(FILES, (b'"w"', b'"v"'), strict=True):
        (folder / name).write_bytes(tiny_safetensors([1.0, 2.0]).replace(b'"w"', tensor))
    right: dict[str, object] = {"weight_map": {"w": FILES[0], "v": FILES[1]}}
    written = index(right)
    content = written if isinstance(written, bytes) else json.dumps(written).encode()
    (folder / INDEX).write_bytes(content)
    files, digest = write_checksums(folder), version_digest(folder)
    folder.rename(folder.with_name(digest))
    made.head = made.head.but(digest=digest, files=files)
    made.abort(made.announce())
    (made.path / "base_model").unlink()
    (made.path / "base_model").symlink_to(f"models/{digest}")
    return made


def test_a_sharded_model_is_fine_and_may_share_its_files(tmp_path: Path) -> None:
    made = sharded(tmp_path / "state", lambda right: right)
    folder = made.path / "models" / made.head.digest
    os.link(folder / FILES[0], tmp_path / "another version's name for it")
    assert failures(made) == []


@pytest.mark.parametrize(
    ("index", "words"),
    [
        (
            lambda _: {"weight_map": {"w": FILES[0], "v": "../other/model.safetensors"}},
            "no file of the folder",
        ),
        (lambda _: {"weight_map": {"w": FILES[0], "v": "model-00003-of-00003.safetensors"}}, "no file of"),
        (lambda _: {"weight_map": {"w": FILES[0]}}, "disagree on where the tensor 'v'"),
        (lambda _: {"weight_map": {"w": FILES[1], "v": FILES[0]}}, "disagree on where"),
        (lambda _: {"weight_map": []}, "is no index"),
        (lambda _: {}, "is no index"),
        (lambda _: [], "is no index"),
        (lambda _: b"[" * 9000, "is no index"),
        (lambda _: b"\xff", "is no index"),
    ],
)
def test_an_index_that_leads_elsewhere_is_named(
    tmp_path: Path, index: Callable[[dict[str, object]], object], words: str
) -> None:
    (found,) = failures(sharded(tmp_path / "state", index))
    assert found[0] == INDEX
    assert words in found[1]


def test_an_intent_about_another_base_model_is_named(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.abort(made.announce(subject=[Subject(name="base_model", digest=Sha256Digest(sha256="f" * 64))]))
    ((_, detail),) = failures(made)
    assert detail == "its subject is not its base model"


def test_an_intent_about_a_file_that_its_base_model_has_not_is_named(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state", old=True)
    made.abort(made.announce())
    assert failures(made) == []
    again = open_state(tmp_path / "again")
    subject = Subject(name="model.safetensors", digest=Sha256Digest(sha256="f" * 64))
    again.abort(again.announce(subject=[subject]))
    ((_, detail),) = failures(again)
    assert detail == "its subject 'model.safetensors' is no file of its base model"

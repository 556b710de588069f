from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from cryoflux.digests import write_checksums
from cryoflux.files import replace_symlink
from cryoflux.receipts.statement import Outcome
from cryoflux.verification.pairing import read_losses
from cryoflux.verification.result import Check, Status
from synthetic_parts import COUNT
from synthetic_state import SyntheticState, open_state
from verifying import verify_target


def questions(state: Path) -> tuple[set[str], set[str]]:
    """Subjects of step 9 that failed, and that stayed open."""
    checks: list[Check] = [c for c in verify_target(state).checks if c.number == 9]
    return (
        {c.subject for c in checks if c.status is Status.FAIL},
        {c.subject for c in checks if c.status is Status.UNKNOWN},
    )


def capsule(pristine: SyntheticState, index: int) -> str:
    return f"capsules/{pristine.entries[index].statement.subject[0].digest.sha256}"


def test_what_may_be_withheld_is_unknown(state: Path, pristine: SyntheticState) -> None:
    first = pristine.entries[0].statement.predicate
    withheld = {f"models/{first.base.digest}", capsule(pristine, 3), f"data/{first.data.digest}"}
    for where in withheld:
        shutil.rmtree(state / where)
    assert questions(state) == (set(), withheld)


def test_one_withheld_file_of_the_data_is_unknown(state: Path, pristine: SyntheticState) -> None:
    where = f"data/{pristine.data.digest}/train.jsonl"
    (state / where).unlink()
    assert questions(state) == (set(), {where})


def test_what_has_to_be_there_fails_when_it_is_missing(state: Path, pristine: SyntheticState) -> None:
    evaluation = pristine.entries[3].statement.predicate.evaluation
    missing = {
        f"models/{pristine.head.digest}": shutil.rmtree,
        capsule(pristine, 1): shutil.rmtree,
        f"evidence/{evaluation.per_example}.bin": os.unlink,
        "base_model": os.unlink,
    }
    for where, remove in missing.items():
        remove(state / where)
    assert questions(state) == (set(missing), set())


@pytest.mark.parametrize("name", ["extra.bin", ".hidden", "sub/SHA256SUMS", "link"])
def test_a_file_that_nobody_listed_fails(state: Path, pristine: SyntheticState, name: str) -> None:
    folder = state / "models" / pristine.head.digest
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    if name == "link":
        path.symlink_to("/nowhere")
    else:
        path.write_bytes(b"")
    assert questions(state) == ({f"models/{pristine.head.digest}/{name}"}, set())


def test_checksums_made_to_fit_are_not_the_signed_ones(state: Path, pristine: SyntheticState) -> None:
    folder = state / "models" / pristine.head.digest
    (folder / "config.json").write_text('{"labels": 3}')
    write_checksums(folder)
    assert questions(state) == ({f"models/{pristine.head.digest}/SHA256SUMS"}, set())


def test_a_head_that_points_elsewhere_fails(state: Path, pristine: SyntheticState) -> None:
    older = pristine.entries[0].statement.predicate.base.digest
    for target in (f"models/{older}", str(state / "models" / pristine.head.digest), "base_model", "/"):
        replace_symlink(state / "base_model", target)
        assert questions(state) == ({"base_model"}, set()), target


def test_a_head_one_version_behind_its_receipt_is_unknown(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    first = made.head.digest
    made.attempt(0.05)
    replace_symlink(made.path / "base_model", f"models/{first}")
    assert questions(made.path) == (set(), {"base_model"})
    made.announce()
    made.finish()
    assert questions(made.path) == ({"base_model"}, set())


def test_another_adapter_in_the_place_of_the_signed_one_fails(state: Path, pristine: SyntheticState) -> None:
    first, last = capsule(pristine, 1), capsule(pristine, 7)
    shutil.rmtree(state / last)
    shutil.copytree(state / first, state / last)
    assert questions(state) == ({f"{last}/SHA256SUMS"}, set())


def test_a_receipt_without_its_adapter_fails(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    subject = made.entries[1].statement.subject
    made.attempt(0.03, subject=subject[1:])
    made.attempt(0.03, subject=subject[:1])
    made.attempt(0.03, outcome=Outcome.ABORTED, subject=[subject[0].but(name="base_model")])
    names = {f"entry {i} (receipt a000{n}_{i - 1})" for i, n in ((3, 2), (5, 3), (7, 4))}
    made.finish()
    assert questions(made.path)[0] >= names


def test_losses_that_do_not_give_the_sums_fail(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    first = made.entries[1].statement.predicate.evaluation
    made.attempt(0.03, evaluation=first.but(base_loss_sum=1))
    made.finish()
    assert f"evidence/{first.per_example}.bin" in questions(made.path)[0]


def test_impossible_losses_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "losses.bin"
    with pytest.raises(ValueError, match="missing"):
        read_losses(path, "0" * 64, 1)
    for content, words in (
        (bytes(17), "not those"),
        (b"\xff" * 8 + bytes(8) + b"\1\1", "impossible"),
        (bytes(16) + b"\2\1", "impossible"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=words):
            read_losses(path, hashlib.sha256(content).hexdigest(), 1)


def test_a_model_that_is_not_safetensors_is_named_without_a_traceback(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    for number, header in enumerate(
        (b'{"w":{"dtype":"F32","shape":[1e999],"data_offsets":[0,0]}}', b"[" * 9000, b"[]")
    ):
        folder = made.path / "models" / "odd"
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
        files = write_checksums(folder)
        digest = f"{number}" * 64
        folder.rename(made.path / "models" / digest)
        made.attempt(0.05, result=made.head.but(digest=digest, files=files))
        made.head = made.entries[0].statement.predicate.base
    made.finish()
    named = questions(made.path)[0]
    assert {f"models/{n * 64}" for n in "012"} <= named


def texts(**at: str) -> list[str]:
    """The texts of train, holdout and audit, but for those at some places."""
    made = [f"example {i}" for i in range(3 * COUNT)]
    for place, text in at.items():
        made[int(place.removeprefix("at"))] = text
    return made


@pytest.mark.parametrize(
    ("given", "file"),
    [
        (texts(at64="Example  7 "), "holdout"),
        (texts(at128="example 3"), "audit"),
        (texts(at191="EXAMPLE 65"), "audit"),
    ],
)
def test_sets_of_examples_that_share_a_text_fail(tmp_path: Path, given: list[str], file: str) -> None:
    made = open_state(tmp_path / "state", given)
    made.attempt(0.05)
    made.finish()
    assert questions(made.path)[0] == {f"data/{made.data.digest}/{file}.jsonl"}


@pytest.mark.parametrize("count", ["train_count", "audit_count"])
def test_another_number_of_examples_than_signed_fails(tmp_path: Path, count: str) -> None:
    made = open_state(tmp_path / "state")
    made.data = made.data.but(**{count: COUNT + 1})
    made.attempt(0.05)
    made.finish()
    file = count.replace("_count", ".jsonl")
    assert questions(made.path) == ({f"data/{made.data.digest}/{file}"}, set())


@pytest.mark.parametrize("line", ["", "{", "nul", "[" * 9000, "\ud800"])
def test_a_signed_line_that_is_no_example_is_named(tmp_path: Path, line: str) -> None:
    made = open_state(tmp_path / "state")
    folder = made.path / "data" / made.data.digest
    (folder / "audit.jsonl").write_bytes(line.encode("utf-8", "surrogatepass") + b"\n")
    digest = write_checksums(folder)
    folder.rename(folder.with_name(digest))
    audit = hashlib.sha256((folder.with_name(digest) / "audit.jsonl").read_bytes()).hexdigest()
    made.data = made.data.but(digest=digest, audit=audit, audit_count=1)
    made.attempt(0.05)
    made.finish()
    assert questions(made.path) == ({f"data/{digest}/audit.jsonl"}, set())

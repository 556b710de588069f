"""Versions that are kept as lists of updates: what such a list could hide, reach or delete."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from cryoflux.digests import CHECKSUMS, COMPOSED, checksum_lines, file_digest, listed_digests
from cryoflux.errors import ModelError, StateTamperedError
from cryoflux.registry import composing
from cryoflux.registry.composed import ComposedTensors
from cryoflux.registry.composition import Composition
from cryoflux.registry.kept_lists import (
    absent_weights,
    can_compose,
    composition_in,
    composition_text,
    is_whole,
    said_in,
    weight_files,
)
from cryoflux.registry.shards import TensorFolder
from cryoflux.registry.versions import Lists, Version, Versions
from cryoflux.state import ADAPTER, ADAPTER_CONFIG, StateFolder
from cryoflux.tasks.lora.merge import HeadSums
from cryoflux.verification.result import Status
from synthetic_state import open_state
from verifying import verify_target

TASK = "causal-lm"
NAME = "model.layers.0.mlp.up_proj.weight"
OTHER = "model.embed_tokens.weight"


def first_version(into: Path) -> None:
    save_file(
        {NAME: torch.ones(4, 3), OTHER: torch.zeros(5, 3)}, into / "model.safetensors", {"format": "pt"}
    )
    (into / "config.json").write_text("{}\n")


def said_by(versions: Versions) -> Lists:
    """What the log says, where nobody has touched the folders since."""
    return lambda digest: said_in(versions.folder(digest))


def updated(state: Path, base: Version, number: int, before: Composition) -> tuple[Version, Composition]:
    """A version with an update that was kept, as a run makes it."""
    versions, folder = Versions(state), StateFolder(state)
    folder.capsules.mkdir(exist_ok=True)
    with versions.capsule_draft() as draft:
        low = {"A": torch.full((1, 3), float(number)), "B": torch.ones(4, 1)}
        at = f"base_model.model.{NAME.removesuffix('.weight')}"
        save_file({f"{at}.lora_{one}.weight": tensor for one, tensor in low.items()}, draft / ADAPTER)
        said = (
            '{"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 1, "lora_alpha": 2, "target_modules": []}'
        )
        (draft / ADAPTER_CONFIG).write_text(said)
        capsule = versions.keep_capsule(draft, ADAPTER)
    sums = HeadSums(lambda digest: TensorFolder(folder.model(digest)), folder.capsule)
    after = sums.following(before, base.digest, capsule.name)
    changed = sums.candidate(before, after, capsule)
    kept = versions.keep(versions.compose(base, changed, after))
    versions.write(kept, base, changed)
    versions.point_head(kept.digest, TASK, said_by(versions))
    return kept, after


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    return Versions(tmp_path)


@pytest.fixture
def line(tmp_path: Path, versions: Versions) -> list[Version]:
    """The first version and two after it, each an update on the one before; the last is the head."""
    made = [versions.keep(versions.draft(first_version))]
    versions.point_head(made[0].digest, TASK, said_by(versions))
    composed = Composition(genesis=made[0].digest)
    for number in (1, 2):
        kept, composed = updated(tmp_path, made[-1], number, composed)
        made.append(kept)
    return made


def test_what_a_version_is_called_does_not_depend_on_how_it_is_kept(
    versions: Versions, line: list[Version]
) -> None:
    first, middle, head = line
    written = versions.derive(first, {NAME: TensorFolder(head.folder, "pt")[NAME]})
    assert (written.digest, written.files, written.entries) == (head.digest, head.files, head.entries)
    assert absent_weights(middle.folder)
    assert not absent_weights(head.folder)
    assert not absent_weights(first.folder)
    assert versions.open(middle.digest) == middle
    assert TensorFolder(middle.folder, "pt")[NAME].tolist() == [[3.0] * 3] * 4
    versions.point_head(head.digest, TASK, said_by(versions))
    assert absent_weights(middle.folder)


def test_tensors_are_composed_one_at_a_time_and_are_those_of_the_whole(
    tmp_path: Path, line: list[Version]
) -> None:
    said, capsule = composition_in(line[-1].folder), StateFolder(tmp_path).capsule
    found = ComposedTensors(said, line[0].folder, capsule)
    assert found.changed == {NAME}
    assert set(found) == {NAME, OTHER}
    assert len(found) == 2
    due = TensorFolder(line[-1].folder, "pt")
    assert all(torch.equal(found[name], due[name]) for name in found)


@pytest.mark.parametrize(
    ("line_of", "why"),
    [
        (lambda head, first: head.replace(first, "0" * 64), "cannot be read"),
        (lambda head, first: "\n".join(head.splitlines()[:2]) + "\n", "make another model-"),
        (lambda head, first: "not a digest\n", "names no genesis"),
        (lambda head, first: head + "1 up\n", "weight, adapter, parent list"),
    ],
    ids=["another genesis", "an update left out", "no list", "a line that is none"],
)
def test_a_list_that_says_something_else_is_refused(
    versions: Versions, line: list[Version], line_of, why: str
) -> None:
    first, _, head = line
    said = (head.folder / COMPOSED).read_text()
    (head.folder / COMPOSED).write_text(line_of(said, first.digest))
    for name in weight_files(head.folder).items() - weight_files(first.folder).items():
        (head.folder / name[0]).unlink()
    before = sorted(path.name for path in head.folder.iterdir())
    with pytest.raises(StateTamperedError, match=why):
        versions.open(head.digest)
    assert sorted(path.name for path in head.folder.iterdir()) == before


def test_lists_that_begin_at_one_another_come_to_an_end(versions: Versions, line: list[Version]) -> None:
    _, middle, head = line
    for one, other in ((middle, head), (head, middle)):
        said = composition_in(one.folder)
        lines = (one.folder / COMPOSED).read_text().replace(said.genesis, other.digest, 1)
        (one.folder / COMPOSED).write_text(lines)
        for name in weight_files(one.folder):
            (one.folder / name).unlink(missing_ok=True)
    with pytest.raises(StateTamperedError, match="begins at itself"):
        versions.open(head.digest)


def test_no_file_outside_of_a_version_is_written_or_deleted(
    tmp_path: Path, versions: Versions, line: list[Version]
) -> None:
    """A stranger's checksums may name files elsewhere, and his folder may be a link."""
    _, middle, head = line
    outside = tmp_path / "mine.safetensors"
    outside.write_bytes(b"of somebody else")
    listed = {**listed_digests(middle.folder), "../../mine.safetensors": file_digest(outside)}
    (middle.folder / CHECKSUMS).write_bytes(checksum_lines(listed))
    with pytest.raises(OSError, match="leads out of the folder"):
        weight_files(middle.folder)
    versions.slim(said_by(versions))
    assert outside.read_bytes() == b"of somebody else"
    outside.unlink()
    with pytest.raises(StateTamperedError):
        versions.open(middle.digest)
    assert not outside.exists()
    elsewhere = tmp_path / "elsewhere"
    head.folder.rename(elsewhere)
    head.folder.symlink_to(elsewhere)
    versions.point_head(line[0].digest, TASK, said_by(versions))
    assert not absent_weights(elsewhere)


@pytest.mark.parametrize("thin", [True, False], ids=["a list", "whole"])
@pytest.mark.parametrize("name", ["../../../mine", "/mine", "sub/../../../../mine", "./config.json"])
def test_who_opens_a_version_of_a_stranger_writes_nothing_elsewhere(
    tmp_path: Path, versions: Versions, line: list[Version], name: str, thin: bool
) -> None:
    """What its checksums name is linked into a folder of its own, where no name may lead out of."""
    kept = line[1 if thin else 2].folder
    source = tmp_path / "mine"
    source.write_bytes(b"of the stranger")
    named = str(source) if name.startswith("/") else name
    listed = {**listed_digests(kept), named: file_digest(kept / "config.json")}
    (kept / CHECKSUMS).write_bytes(checksum_lines(listed))
    room = tmp_path / "room" / "below"
    room.mkdir(parents=True)
    before = (kept / "config.json").read_bytes()
    with (
        pytest.raises(StateTamperedError, match="cannot be read"),
        versions.opened(kept.name, room=room),
    ):
        pass
    assert list((tmp_path / "room").rglob("*")) == [room]
    assert source.read_bytes() == b"of the stranger"
    assert (kept / "config.json").read_bytes() == before


def test_a_head_that_moves_takes_nothing_from_who_reads_it(
    tmp_path: Path, versions: Versions, line: list[Version], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _, head = line
    before = {name: (head.folder / name).read_bytes() for name in weight_files(head.folder)}
    with versions.opened(head.digest) as whole:
        versions.point_head(first.digest, TASK, said_by(versions))
        assert absent_weights(head.folder)
        assert {name: (whole / name).read_bytes() for name in before} == before
    assert not whole.exists()
    versions.open(head.digest)
    linked = composing.link_or_copy

    def moves(source: Path, target: Path) -> None:  # after the first file is linked, the head moves
        linked(source, target)
        versions.slim(said_by(versions))

    monkeypatch.setattr(composing, "link_or_copy", moves)
    with versions.opened(head.digest) as whole:
        assert {name: (whole / name).read_bytes() for name in before} == before


def test_who_only_reads_leaves_a_state_as_it_was(
    tmp_path: Path, versions: Versions, line: list[Version]
) -> None:
    """The genesis of a list may be a list itself, which is composed elsewhere, too."""
    first, middle, head = line
    said = composition_in(middle.folder)
    (thin,) = weight_files(first.folder).items() - weight_files(middle.folder).items()
    further = updated(tmp_path, head, 3, Composition(genesis=head.digest))[0]
    for version in (head, further):
        for name, digest in weight_files(version.folder).items():
            if weight_files(first.folder).get(name) != digest:
                (version.folder / name).unlink(missing_ok=True)
    assert said.genesis == first.digest
    assert thin
    held = {path: path.lstat().st_size for path in tmp_path.rglob("*")}
    with versions.opened(further.digest) as whole:
        assert absent_weights(whole) == []
        assert TensorFolder(whole, "pt")[NAME].tolist() == [[13.0] * 3] * 4
    assert {path: path.lstat().st_size for path in tmp_path.rglob("*")} == held


def test_weights_that_could_not_be_made_again_stay(
    tmp_path: Path, versions: Versions, line: list[Version]
) -> None:
    first, _, head = line
    said = said_in(head.folder)
    assert can_compose(StateFolder(tmp_path), said)
    capsule = StateFolder(tmp_path).capsule(composition_in(head.folder).terms[0].adapter)
    capsule.rename(tmp_path / "lost")
    assert not can_compose(StateFolder(tmp_path), said)
    versions.point_head(first.digest, TASK, said_by(versions))
    assert not absent_weights(head.folder)
    assert versions.open(head.digest) == head


@pytest.mark.parametrize("of", ["genesis", "update"])
def test_weights_stay_where_files_of_genesis_or_update_are_gone(
    tmp_path: Path, versions: Versions, line: list[Version], of: str
) -> None:
    """Their folders are there all the same."""
    first, _, head = line
    said = composition_in(head.folder)
    update = StateFolder(tmp_path).capsule(said.terms[0].adapter) / ADAPTER
    (next(first.folder.glob("*.safetensors")) if of == "genesis" else update).unlink()
    assert not can_compose(StateFolder(tmp_path), said)
    assert is_whole(first.folder) == (of == "update")
    versions.point_head(first.digest, TASK, said_by(versions))
    assert not absent_weights(head.folder)


def test_weights_stay_where_their_folder_says_another_list_than_the_log(
    versions: Versions, line: list[Version]
) -> None:
    """What that list says could be added up, and would be refused; nothing else has the weights."""
    first, middle, head = line
    due = {version.digest: said_in(version.folder) for version in line}
    (head.folder / COMPOSED).write_bytes((middle.folder / COMPOSED).read_bytes())
    versions.point_head(first.digest, TASK, due.get)
    assert not absent_weights(head.folder)
    assert versions.open(head.digest) == head
    versions.slim({**due, head.digest: None}.get)
    assert not absent_weights(head.folder)
    (head.folder / COMPOSED).write_bytes(composition_text(due[head.digest]))
    versions.slim(due.get)
    assert absent_weights(head.folder)
    assert versions.open(head.digest) == head


def test_an_update_of_a_list_that_was_exchanged_is_refused(
    tmp_path: Path, versions: Versions, line: list[Version]
) -> None:
    _, middle, head = line
    one, two = composition_in(head.folder).terms
    folder = StateFolder(tmp_path)
    (folder.capsule(one.adapter) / ADAPTER).write_bytes((folder.capsule(two.adapter) / ADAPTER).read_bytes())
    with pytest.raises(StateTamperedError, match="another adapter than its name says"):
        versions.open(middle.digest)
    with pytest.raises(ModelError):
        ComposedTensors(composition_in(head.folder), line[0].folder, folder.capsule)


def test_weights_are_missing_only_where_the_log_gives_their_list(tmp_path: Path) -> None:
    """Who withholds the weights of a version that is no sum, and puts a list there, has withheld them."""
    state = open_state(tmp_path / "state")
    for _ in range(2):
        state.attempt(0.05)
    older, head = (entry.receipt.result for entry in state.entries if entry.receipt is not None)
    for version in (older, head):
        folder = state.path / "models" / version.digest
        for path in folder.glob("*.safetensors"):
            path.unlink()
        (folder / COMPOSED).write_text(f"{older.digest}\n1 {'a' * 64} {'b' * 64}\n")
    checks = verify_target(state.finish()).checks
    found = {c.status for c in checks if "not kept here, and the log does not say" in c.detail}
    assert found == {Status.FAIL, Status.UNKNOWN}
    (wrong,) = {str(c) for c in checks if c.status is Status.FAIL and "not kept here" in c.detail}
    assert f"models/{head.digest}" in wrong

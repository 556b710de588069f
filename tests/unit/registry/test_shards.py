"""A version keeps two files a layer, and one derived from it writes only what changed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification

from cryoflux.digests import folder_digest, mismatched_files, tensors_digest
from cryoflux.errors import StorageError
from cryoflux.registry import drafts
from cryoflux.registry import versions as module
from cryoflux.registry.shards import INDEX, read_tensors, shard_names
from cryoflux.registry.versions import Version, Versions
from cryoflux.tasks.lora.base_model import BaseModel

LAYER = "bert.encoder.layer.1."


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    return Versions(tmp_path)


@pytest.fixture
def kept(base: BaseModel, versions: Versions) -> Version:
    return versions.keep(versions.draft(base.save))


def changed(kept: Version) -> dict[str, torch.Tensor]:
    names = ("classifier.bias", f"{LAYER}attention.self.query.weight")
    return {name: read_tensors(kept.folder)[name] + 1 for name in names}


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {p.name: (p.read_bytes(), p.stat().st_ino) for p in folder.iterdir()}


def test_a_version_is_split_by_part_and_loads_in_transformers(base: BaseModel, kept: Version) -> None:
    names = shard_names(kept.folder)
    for part in ("bert.embeddings.", f"{LAYER}attention.", f"{LAYER}intermediate.", "classifier."):
        (file,) = {file for name, file in names.items() if name.startswith(part)}
        rest = {name for name, holder in names.items() if holder == file and not name.startswith(part)}
        beside = (f"{LAYER}output.",) if part == f"{LAYER}intermediate." else ("bert.pooler.",)
        assert all(name.startswith(beside) for name in rest)
    assert set(names.values()) == {p.name for p in kept.folder.glob("*.safetensors")}
    assert len(set(names.values())) == 6
    loaded, report = AutoModelForSequenceClassification.from_pretrained(kept.folder, output_loading_info=True)
    assert not any(report.values())
    for name, tensor in base.model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


def test_a_folder_without_an_index_is_read_the_same(kept: Version) -> None:
    expected = shard_names(kept.folder)
    (kept.folder / INDEX).unlink()
    assert shard_names(kept.folder) == expected


def test_deriving_writes_the_files_that_changed_and_links_the_others(
    kept: Version, versions: Versions
) -> None:
    before = snapshot(kept.folder)
    derived = versions.keep(versions.derive(kept, changed(kept)))
    assert snapshot(kept.folder) == before
    after = snapshot(derived.folder)
    assert after.keys() == before.keys()
    touched = {shard_names(kept.folder)[name] for name in changed(kept)} | {"SHA256SUMS"}
    assert {name for name in after if after[name][1] != before[name][1]} == touched
    modes = {path.stat().st_mode & 0o777 for path in derived.folder.glob("*.safetensors")}
    assert modes == {0o444}  # whoever writes to one would write to several versions
    tensors = read_tensors(kept.folder) | changed(kept)
    loaded = AutoModelForSequenceClassification.from_pretrained(derived.folder).state_dict()
    assert tensors.keys() == loaded.keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors.items())


def test_a_derived_version_has_the_names_that_a_full_reading_gives(kept: Version, versions: Versions) -> None:
    derived = versions.keep(versions.derive(kept, changed(kept)))
    assert versions.open(derived.digest).entries == derived.entries
    assert derived.digest == tensors_digest(derived.entries) != kept.digest
    assert derived.files == folder_digest(derived.folder)
    assert mismatched_files(derived.folder) == []
    if shutil.which("sha256sum"):
        command = ["sha256sum", "-c", "--quiet", "--strict", "SHA256SUMS"]
        subprocess.run(command, cwd=derived.folder, check=True)


def test_throwing_a_derived_version_away_leaves_its_base(kept: Version, versions: Versions) -> None:
    before = snapshot(kept.folder)
    versions.discard(versions.derive(kept, changed(kept)))
    assert snapshot(kept.folder) == before
    assert versions.open(kept.digest) == kept


@pytest.mark.parametrize("step", ["write_shard", "file_digest", "link_or_copy", "sync_folder"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=repr)
def test_whatever_ends_deriving_half_way_leaves_nothing(
    kept: Version, versions: Versions, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
) -> None:
    place = drafts if hasattr(drafts, step) else module
    before, works, calls = snapshot(kept.folder), getattr(place, step), []

    def fails(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) > (step != "sync_folder"):  # the second time, where there is one
            raise error
        return works(*arguments)

    monkeypatch.setattr(place, step, fails)
    with pytest.raises(StorageError if isinstance(error, OSError) else KeyboardInterrupt):
        versions.derive(kept, changed(kept))
    assert list(kept.folder.parent.iterdir()) == [kept.folder]
    assert snapshot(kept.folder) == before


def test_where_there_are_no_links_files_are_copied(
    kept: Version, versions: Versions, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    linked = versions.derive(kept, changed(kept))
    flushed, fsync = set(), os.fsync

    def record(descriptor: int) -> None:
        flushed.add(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(os, "fsync", record)
    copied = versions.derive(kept, changed(kept))
    assert flushed >= {p.stat().st_ino for p in (copied.folder, *copied.folder.iterdir())}
    assert (copied.digest, copied.files) == (linked.digest, linked.files)
    assert not {p.stat().st_ino for p in copied.folder.iterdir()} & {
        p.stat().st_ino for p in kept.folder.iterdir()
    }
    assert mismatched_files(copied.folder) == []


def test_a_checkpoint_that_was_sharded_by_size_is_split_by_layer_too(
    base: BaseModel, kept: Version, versions: Versions
) -> None:
    def save(folder: Path) -> None:
        base.model.save_pretrained(folder, max_shard_size="20KB")
        assert len(list(folder.glob("*.safetensors"))) > 2
        base.tokenizer.save_pretrained(folder)

    other = versions.draft(save)
    assert other.digest == kept.digest
    assert {p.name for p in other.folder.iterdir()} == {p.name for p in kept.folder.iterdir()}


def test_a_digest_is_over_tensors_and_not_over_file_layout(kept: Version, tmp_path: Path) -> None:
    from cryoflux.digests import read_tensor_entries

    save_file(
        dict(reversed(read_tensors(kept.folder).items())), tmp_path / "one.safetensors", {"made": "elsewhere"}
    )
    assert tensors_digest(read_tensor_entries(tmp_path / "one.safetensors")) == kept.digest
    weights = load_file(tmp_path / "one.safetensors")
    weights["classifier.bias"][0] += 1
    save_file(weights, tmp_path / "one.safetensors")
    assert tensors_digest(read_tensor_entries(tmp_path / "one.safetensors")) != kept.digest

"""A version is what its name says, or it is refused; the head switches in one step."""

from pathlib import Path

import pytest

from cryoflux.digests import folder_digest, mismatched_files
from cryoflux.errors import StateTamperedError
from cryoflux.registry.shards import INDEX
from cryoflux.registry.versions import Versions


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    return Versions(tmp_path)


def test_a_kept_version_opens_and_any_flipped_byte_is_named(base, versions: Versions) -> None:
    kept = versions.keep(versions.draft(base.save))
    assert versions.open(kept.digest) == kept
    weights = sorted(path.name for path in kept.folder.glob("*.safetensors"))
    for name in (*weights, INDEX, "config.json", "tokenizer.json"):
        path = kept.folder / name
        path.chmod(0o644)
        content = path.read_bytes()
        for position in (0, len(content) // 2, len(content) - 1):
            path.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
            with pytest.raises(StateTamperedError, match=name.replace(".", r"\.")):
                versions.open(kept.digest)
        path.write_bytes(content)
    assert versions.open(kept.digest) == kept


def test_keeping_the_same_model_twice_is_one_version(base, versions: Versions) -> None:
    first = versions.keep(versions.draft(base.save))
    assert versions.keep(versions.draft(base.save)) == first
    assert versions.kept() == [first.digest]


def test_the_head_is_a_relative_link_that_survives_a_move(base, versions: Versions, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    kept = versions.keep(versions.draft(base.save))
    assert versions.head_digest() is None
    versions.point_head(kept.digest)
    assert versions.head_digest() == kept.digest
    moved = tmp_path.parent / f"{tmp_path.name}-moved"
    tmp_path.rename(moved)
    try:
        assert AutoModelForSequenceClassification.from_pretrained(moved / "base_model").config.num_labels == 3
    finally:
        moved.rename(tmp_path)


def test_drafts_of_a_dead_run_are_thrown_away(base, versions: Versions) -> None:
    draft = versions.draft(base.save)
    versions.discard_drafts()
    assert not draft.folder.exists()
    assert versions.kept() == []


def test_sha256sum_itself_checks_a_version(base, versions: Versions) -> None:
    import shutil
    import subprocess

    if not shutil.which("sha256sum"):
        pytest.skip("sha256sum is not installed")
    kept = versions.keep(versions.draft(base.save))
    subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=kept.folder, check=True)
    assert mismatched_files(kept.folder) == []
    assert folder_digest(kept.folder) == kept.files
    (kept.folder / "extra.bin").write_bytes(b"x")
    assert mismatched_files(kept.folder) == ["extra.bin"]

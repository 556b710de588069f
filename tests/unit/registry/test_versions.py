"""A version is what its name says, or it is refused; the head switches in one step."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from cryoflux.digests import folder_digest, mismatched_files
from cryoflux.errors import StateTamperedError
from cryoflux.registry.shards import INDEX, read_tensors
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


NAMES = ("embeddings.w", "layer.0.attention.q", "layer.0.output", "layer.1.attn.k", "classifier.b")
BITS = st.lists(st.integers(0, 2**32 - 1), min_size=3, max_size=3)


def of_bits(bits: list[int]) -> torch.Tensor:
    return torch.from_numpy(np.array(bits, dtype=np.uint32).view(np.float32).copy())


@given(
    first=st.fixed_dictionaries(dict.fromkeys(NAMES, BITS)),
    updates=st.lists(st.dictionaries(st.sampled_from(NAMES), BITS, min_size=1), max_size=4),
)
def test_a_version_is_read_back_bit_for_bit_whatever_was_made_of_it_since(
    first: dict[str, list[int]], updates: list[dict[str, list[int]]]
) -> None:
    """Also what is no number: a weight is its bits. Freeing one leaves what others share with it."""
    with TemporaryDirectory() as folder:
        versions = Versions(Path(folder))
        tensors = dict(first)

        def save(into: Path) -> None:
            save_file({name: of_bits(bits) for name, bits in first.items()}, into / "model.safetensors")

        made = [(versions.keep(versions.draft(save)), dict(tensors))]
        for update in updates:
            tensors |= update
            changed = {name: of_bits(bits) for name, bits in update.items()}
            made.append((versions.keep(versions.derive(made[-1][0], changed)), dict(tensors)))
        for version, due in made:
            found = read_tensors(versions.open(version.digest).folder)
            assert {name: one.numpy().view(np.uint32).tolist() for name, one in found.items()} == due
        last = made[-1][0].digest
        for version, _ in made:
            if version.digest != last:
                versions.free(version.digest)
        assert versions.kept() == [last]
        found = read_tensors(versions.open(last).folder)
        assert {name: one.numpy().view(np.uint32).tolist() for name, one in found.items()} == tensors

"""What many versions of the embedded model take on the disk, read back and made again.

Each version is the one before it and an update as a recipe leaves it: LoRA on the attention of the uppermost
layers, pooler and classifier in full. The values are drawn, not learned: they take the same room. It is
added up and kept as a run does it, and read back from the disk, every byte of it hashed.

    python benchmarks/version_storage.py
    python benchmarks/version_storage.py --layers 3 --versions 50
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from cryoflux.cache_files import bytes_on_disk
from cryoflux.encoder.layout import read_layout
from cryoflux.registry.composition import Composition
from cryoflux.registry.shards import TensorFolder, read_tensors
from cryoflux.registry.versions import Version, Versions
from cryoflux.runs.pruning import freed_bytes
from cryoflux.state import FIRST_TASK, StateFolder
from cryoflux.tasks.lora.adapter import save_adapter
from cryoflux.tasks.lora.base_model import load_base
from cryoflux.tasks.lora.merge import HeadSums
from cryoflux.tasks.lora.recipe import RECIPES

_LABELS = tuple("abcdefghijk")
_ATTENTION = ("query", "key", "value", "attention.output.dense")


def _size(folders: Iterator[Path] | list[Path]) -> int:
    """Bytes on the disk, each file once, whatever names it has."""
    seen: dict[tuple[int, int], int] = {}
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                status = path.lstat()
                seen[status.st_dev, status.st_ino] = bytes_on_disk(status)
    return sum(seen.values())


def _trained(folder: Path, layers: int) -> tuple[list[str], list[str]]:
    """Modules that carry LoRA, and tensors that are trained in full."""
    layout, names = read_layout(folder), read_tensors(folder)
    if layout is None:
        raise SystemExit("the layout of this model is not known")
    upper = [f".{number}." for number in range(layout.layers - layers, layout.layers)]
    low = [
        name.removesuffix(".weight")
        for name in names
        if any(part in name for part in upper)
        and name.removesuffix(".weight").endswith(_ATTENTION)
        and name.endswith(".weight")
    ]
    whole = [name for name in names if name.startswith((layout.pooler, layout.classifier))]
    return low, whole


def _save_update(folder: Path, head: Version, modules: tuple[list[str], list[str]]) -> None:
    recipe, tensors = RECIPES["carry-1"], read_tensors(head.folder)
    low, whole = modules
    lora = {}
    for name in low:
        outputs, inputs = tensors[f"{name}.weight"].shape
        lora[name] = (
            torch.randn(recipe.rank, inputs) / inputs**0.5,
            torch.randn(outputs, recipe.rank) * 1e-3,
        )
    saved = {name: tensors[name] + torch.randn_like(tensors[name]) * 1e-3 for name in whole}
    save_adapter(folder, recipe, lora, saved, head.digest)


def _next(
    versions: Versions, sums: HeadSums, composed: Composition, head: Version, modules: Any
) -> tuple[Version, Composition]:
    with versions.capsule_draft() as draft:
        _save_update(draft, head, modules)
        capsule = versions.keep_capsule(draft, "adapter_model.safetensors")
    after = sums.following(composed, head.digest, capsule.name)
    made = sums.candidate(composed, after, capsule)
    return versions.keep(versions.derive(head, made)), after


def _again(versions: Versions, state: StateFolder, one: Version, composed: Composition) -> bool:
    """Whether genesis and updates alone give a version the digests that it has."""
    sums = HeadSums(lambda digest: TensorFolder(state.model(digest)), state.capsule).of(composed)
    changed = {name: torch.from_numpy(tensor) for name, tensor in sums.rounded().items()}
    draft = versions.derive(versions.open(composed.genesis), changed)
    versions.discard(draft)
    return (draft.digest, draft.files) == (one.digest, one.files)


def _report(options: argparse.Namespace, place: Path) -> None:
    state, versions = StateFolder(place), Versions(place)
    first = versions.keep(versions.draft(load_base("all-MiniLM-L6-v2", _LABELS, seed=0).save))
    state.capsules.mkdir(exist_ok=True)
    versions.point_head(first.digest, FIRST_TASK)
    modules = _trained(first.folder, options.layers)
    tensors = read_tensors(first.folder)
    touched = [*(f"{name}.weight" for name in modules[0]), *modules[1]]
    changed = sum(tensors[name].numel() * tensors[name].element_size() for name in touched)
    before = _size([state.models])
    print(
        f"version 0: {before / 1e6:.1f} MB; an update changes {len(touched)} tensors, {changed / 1e6:.2f} MB"
    )
    sums = HeadSums(lambda digest: TensorFolder(state.model(digest)), state.capsule)
    made: list[tuple[Version, Composition]] = []
    head, composed, start = first, Composition(genesis=first.digest), time.perf_counter()
    for _ in range(options.versions):
        head, composed = _next(versions, sums, composed, head, modules)
        made.append((head, composed))
    seconds = (time.perf_counter() - start) / options.versions
    after, capsules = _size([state.models]), _size([state.capsules])
    each = (after - before) / options.versions
    print(f"{options.versions} more: {after / 1e6:.1f} MB, {each / 1e6:.2f} MB each, {seconds:.2f} s each")
    print(f"copied whole they would be {before * (options.versions + 1) / 1e6:.0f} MB")
    print(f"their updates: {capsules / 1e6:.1f} MB, {capsules / options.versions / 1e6:.2f} MB each")
    start = time.perf_counter()
    whole = sum(versions.open(one.digest).files == one.files for one, _ in made)
    print(f"read back: {whole} of {len(made)} to the byte, {_each(start, len(made))}")
    start, asked = time.perf_counter(), made[:: max(1, len(made) // 10)]
    same = sum(_again(versions, state, one, composed) for one, composed in asked)
    print(f"made again: {same} of {len(asked)} to the byte, {_each(start, len(asked))}")
    going = [one.folder for one, _ in made[: -options.keep]]
    said = freed_bytes(going)
    for folder in going:
        versions.free(folder.name)
    left = _size([state.models])
    print(f"the newest {options.keep} kept: {said / 1e6:.1f} MB freed, {left / 1e6:.1f} MB left")


def _each(start: float, count: int) -> str:
    return f"{(time.perf_counter() - start) / count:.2f} s each"


def main() -> None:
    """Make the versions and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--versions", type=int, default=100)
    parser.add_argument("--layers", type=int, default=1, help="uppermost layers that carry LoRA")
    parser.add_argument("--keep", type=int, default=20)
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    with tempfile.TemporaryDirectory() as place:
        _report(options, Path(place))


if __name__ == "__main__":
    main()

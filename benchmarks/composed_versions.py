"""What versions of a language model cost on the disk, in memory and in CPU time, written in full or composed.

Each version is the one before it and an update as ``lora-all`` leaves it (LoRA of rank 8 on every linear
layer, drawn values, which take the same room), added up and kept as a run does it. After each kept one comes
a candidate that is refused. One way a process, so that its peak memory is its own.

    python benchmarks/composed_versions.py --way written
    python benchmarks/composed_versions.py --way composed
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import save_file

from cryoflux.cache_files import bytes_on_disk
from cryoflux.registry.composition import Composition
from cryoflux.registry.shards import TensorFolder, write_model
from cryoflux.registry.versions import Versions
from cryoflux.state import ADAPTER, ADAPTER_CONFIG, StateFolder
from cryoflux.tasks.causal.embedded import embedded_causal
from cryoflux.tasks.lora.merge import HeadSums
from cryoflux.tasks.registry import CAUSAL

_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_RANK = 8
_MB = 1e6


def _save_update(folder: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    tensors = {}
    for name, (outputs, inputs) in shapes.items():
        at = f"base_model.model.{name}"
        tensors[f"{at}.lora_A.weight"] = torch.randn(_RANK, inputs) / inputs**0.5
        tensors[f"{at}.lora_B.weight"] = torch.randn(outputs, _RANK) * 1e-3
    save_file(tensors, folder / ADAPTER)
    said = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": _RANK,
        "lora_alpha": 2 * _RANK,
        "target_modules": list(_LINEAR),
    }
    (folder / ADAPTER_CONFIG).write_text(json.dumps(said))


def _size(folder: Path) -> int:
    """Bytes on the disk, each file once, whatever names it has."""
    found = (path.lstat() for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum({(status.st_dev, status.st_ino): bytes_on_disk(status) for status in found}.values())


class _Costs:
    """CPU-seconds and bytes written, by what they were for."""

    def __init__(self) -> None:
        self._found: dict[str, list[tuple[float, int]]] = {}

    @contextmanager
    def of(self, what: str) -> Iterator[None]:
        """Remember what is done meanwhile."""
        start, before = time.process_time(), _written()
        yield
        self._found.setdefault(what, []).append((time.process_time() - start, _written() - before))

    def lines(self) -> Iterator[str]:
        """One a kind of work."""
        for what, each in self._found.items():
            seconds, size = (sum(found) / len(each) for found in zip(*each, strict=True))
            yield f"{what}: {seconds:.2f} CPU-s, {size / _MB:.1f} MB written"


def _written() -> int:
    """Bytes that this process has given to the system to write."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("wchar"))


class _Making:
    """A state in which versions are made one way or the other."""

    def __init__(self, place: Path, *, written: bool) -> None:
        self.state, self.versions, self.costs = StateFolder(place), Versions(place), _Costs()
        self._written, self.most = written, 0
        model = embedded_causal()
        self.head = self.versions.keep(self.versions.draft(lambda into: write_model(model, model, {}, into)))
        self.state.capsules.mkdir(exist_ok=True)
        self.versions.point_head(self.head.digest, CAUSAL)
        self.shapes = {
            name.removesuffix(".weight"): tuple(tensor.shape)
            for name, tensor in TensorFolder(self.head.folder).items()
            if name.removesuffix(".weight").endswith(_LINEAR)
        }
        self._sums = HeadSums(lambda digest: TensorFolder(self.state.model(digest)), self.state.capsule)
        self._composed = Composition(genesis=self.head.digest)

    def attempt(self, *, kept: bool) -> None:
        """Make a candidate of the head, and keep it or not."""
        with self.versions.capsule_draft() as draft:
            _save_update(draft, self.shapes)
            capsule = self.versions.keep_capsule(draft, ADAPTER)
        after = self._sums.following(self._composed, self.head.digest, capsule.name)
        with self.costs.of("adding an update up"):
            changed = self._sums.candidate(self._composed, after, capsule)
        with self.costs.of("making a candidate of it"):
            if self._written:
                candidate = self.versions.derive(self.head, changed)
            else:
                candidate = self.versions.compose(self.head, changed, after)
        self.most = max(self.most, _size(self.state.models))
        if not kept:
            self.versions.discard(candidate)
            return
        version = self.versions.keep(candidate)
        if not self._written:
            with self.costs.of("writing the head"):
                self.versions.write(version, self.head, changed)
        self.most = max(self.most, _size(self.state.models))
        self.versions.point_head(version.digest, CAUSAL)
        self.head, self._composed = version, after

    def open_older(self) -> None:
        """Open each version that is not the head, every byte of it checked."""
        for digest in self.versions.kept():
            if digest != self.head.digest:
                with self.costs.of("opening an older one"):
                    self.versions.open(digest)
                self.versions.point_head(self.head.digest, CAUSAL)


def _report(making: _Making, count: int) -> None:
    before = _size(making.state.models)
    print(f"version 0: {before / _MB:.0f} MB; an update changes {len(making.shapes)} tensors")
    for number in range(2 * count):
        making.attempt(kept=number % 2 == 0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    after, capsules = _size(making.state.models), _size(making.state.capsules)
    making.open_older()
    print(*making.costs.lines(), sep="\n")
    print(f"version 0 and {count} more: {after / _MB:.0f} MB; at most {making.most / _MB:.0f} MB meanwhile")
    print(f"their updates, kept or not: {capsules / 2 / count / _MB:.1f} MB each")
    print(f"peak memory of making them: {peak / _MB:.0f} MB; the head is {making.head.digest[:16]}…")


def main() -> None:
    """Make the versions and print what they cost."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--way", choices=("written", "composed"), default="composed")
    parser.add_argument("--versions", type=int, default=4)
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        _report(_Making(Path(place), written=options.way == "written"), options.versions)


if __name__ == "__main__":
    main()

"""What benchmarks name in texts, where no type checker sees it, exists."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import fixed_costs
import gpu_energy
from cryoflux.energy.clock import SystemClock

ROOT = Path(__file__).parents[2]


def names_in(body: list[ast.stmt]) -> Iterator[str]:
    """What is defined or imported, without what is within."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)


def named(module: str, path: str) -> bool:
    """Whether a module has it; none is imported, as most of them bring torch."""
    file = ROOT / "src" / "cryoflux" / f"{module.replace('.', '/')}.py"
    body = ast.parse(file.read_text("utf-8")).body if file.is_file() else []
    *owners, last = path.split(".")
    for owner in owners:
        classes = (node for node in body if isinstance(node, ast.ClassDef) and node.name == owner)
        body = next((one.body for one in classes), [])
    return last in names_in(body)


def test_every_function_whose_cost_is_counted_exists() -> None:
    wrapped = [name for names in fixed_costs._PARTS.values() for name in names]
    assert wrapped
    assert [name for name in wrapped if not named(*name.split(":"))] == []


@pytest.mark.parametrize("gone", ["gone:f", "tasks.lora.chain:f", "tasks.lora.chain:_Chain.f", "files:C.f"])
def test_what_does_not_exist_is_found(gone: str) -> None:
    assert not named(*gone.split(":"))


def test_the_made_up_board_is_found_in_place_of_a_gpu() -> None:
    assert (gpu_energy.FAKES / "fake_nvml.py").is_file()
    made: dict[str, object] = {}
    exec(gpu_energy.FAKE_MODULE.format(folder=str(gpu_energy.FAKES)), made)
    found, _ = gpu_energy.find_gpus(SystemClock(), made["_nvml"])
    assert len(found) == 1

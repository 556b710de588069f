"""Programs of others that are at hand in every run accept what is honest, and refuse its forged twins."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
BENCHMARKS = ROOT / "benchmarks"
PAGE = (ROOT / "docs/reference/interop.md").read_text("utf-8")


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    import interop

    cases: list[dict[str, Any]] = json.loads(json.dumps(interop.make_kit(tmp_path_factory.mktemp("kit"))))
    return cases


@pytest.mark.parametrize("package", ["openssl", "securesystemslib", "tlog-scales"])
def test_a_program_of_others_tells_the_honest_from_the_forged(
    package: str, kit: list[dict[str, Any]]
) -> None:
    if package == "openssl" and shutil.which("openssl") is None:
        pytest.skip("not installed: openssl")
    if package == "tlog-scales":
        pytest.importorskip("tlog_scales")
    said = loaded(BENCHMARKS / "foreign" / "python_packages.py").verdicts(package, kit)
    assert said
    assert said == {case["id"]: case["twin"] == "honest" for case in kit if case["id"] in said}
    assert any(said.values())


def test_every_case_has_an_honest_twin_and_is_told_of(kit: list[dict[str, Any]]) -> None:
    checks = list(dict.fromkeys(case["check"] for case in kit))
    assert f"| | version | {' | '.join(checks)} |" in PAGE
    for check in checks:
        twins = [case["twin"] for case in kit if case["check"] == check]
        assert "honest" in twins
        assert len(set(twins)) > 3
        assert re.search(rf"^\| {check} \| ", PAGE, re.MULTILINE)

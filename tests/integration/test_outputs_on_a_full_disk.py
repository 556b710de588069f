"""Documents that are to be written where there is no room: the old one stays, or there is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from running import ended, python
from synthetic_state import make_state

FEW = 512
"""bytes that the disk still takes of any file"""
COMMANDS = {
    "html": ("report", "--html"),
    "pdf": ("report", "--pdf"),
    "svg": ("report", "--svg"),
    "md": ("report", "--md"),
    "json": ("report", "--json"),
    "csv": ("export", "--format", "csv"),
    "jsonl": ("export", "--format", "jsonl"),
    "parquet": ("export", "--format", "parquet"),
    "card": ("models", "card"),
}


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_state(tmp_path_factory.mktemp("made") / "state").path


@pytest.mark.parametrize("before", [None, b"mine"], ids=["a new file", "one that is there"])
@pytest.mark.parametrize("kind", COMMANDS)
def test_nothing_half_written_lies_under_the_name(
    state: Path, tmp_path: Path, kind: str, before: bytes | None
) -> None:
    named = tmp_path / "outputs" / f"document.{kind}"
    named.parent.mkdir()
    if before is not None:
        named.write_bytes(before)
    program = (
        f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({FEW}, {FEW}));"
        "from cryoflux.cli.main import main; main()"
    )
    said = ended(python("-c", program, *COMMANDS[kind], "--state", state, "-o", named))
    assert said.code == 5, said.stderr
    what, why, hint = said.stderr.strip().splitlines()[-3:]
    assert what.startswith(f"error: {named} could not be written: ")
    assert why.strip().startswith("why: ")
    assert hint.strip().startswith("next: ")
    assert "Traceback" not in said.stderr
    if kind == "json":
        assert json.loads(said.stdout)["exit_code"] == 5
    left = {path.name: path.read_bytes() for path in named.parent.iterdir()}
    assert left == ({} if before is None else {named.name: before})


@pytest.mark.parametrize("kind", ["md", "json", "csv", "jsonl", "card"])
def test_a_full_disk_behind_the_output_is_said(state: Path, kind: str) -> None:
    with Path("/dev/full").open("w") as full:
        said = ended(python("-m", "cryoflux", *COMMANDS[kind], "--state", state, cold=True, stdout=full))
    assert said.code == 5, said.stderr
    assert "No space left on device" in said.stderr
    assert len(said.stderr.strip().splitlines()) == 3

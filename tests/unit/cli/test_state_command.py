"""What a state takes is told by part; cleaning deletes the cache alone, and takes nothing from a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cryoflux.cache_files import hold
from running import exit_code_of as run

pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.fixture
def full(state: Path) -> Path:
    """A state with something in its cache, and a file there that is not ours."""
    for name, size in (
        ("prefix/a.act", 3000),
        ("prefix/b.bin", 500),
        ("tokens/t.bin", 70),
        ("losses/l.json", 9),
    ):
        path = state / "cache" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))
    (state / "cache" / "mine.txt").write_text("notes")
    (state / "cache" / "prefix" / "link.act").symlink_to(state / "receipts.db")
    return state


def contents(state: Path) -> dict[str, bytes]:
    return {str(p.relative_to(state)): p.read_bytes() for p in state.rglob("*") if p.is_file()}


def test_every_byte_is_told_once_by_part(
    full: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = next(p for p in (full / "models").rglob("*") if p.is_file() and not p.is_symlink())
    (full / "models" / "shared").hardlink_to(first)
    assert run(monkeypatch, "state", "size", "--state", full, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    sizes = {place["name"]: place["bytes"] for place in said["places"]}
    files = {
        (p.lstat().st_ino, p.lstat().st_size) for p in full.rglob("*") if not p.is_dir() or p.is_symlink()
    }
    assert said["bytes"] == sum(sizes.values()) == sum(size for _, size in files)
    link = (full / "cache" / "prefix" / "link.act").lstat().st_size
    assert (said["freeable_bytes"], sizes["cache"]) == (3579 + link, 3584 + link)
    assert sizes["receipts"] >= (full / "receipts.db").stat().st_size
    assert sizes["keys"] == sum(p.stat().st_size for p in (full / "keys").iterdir())
    assert run(monkeypatch, "state", "size", "--state", full) == 0
    lines = capsys.readouterr().out.splitlines()
    assert next(line for line in lines if line.startswith("keys ")).endswith(
        "private keys: keep them, and show them to nobody"
    )


def test_cleaning_deletes_the_cache_and_nothing_else(
    full: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(full)
    with (full / "cache" / "prefix" / "a.act").open("rb") as used:
        assert hold(used.fileno())
        assert run(monkeypatch, "state", "clean", "--yes", "--state", full, "--json") == 0
        said = json.loads(capsys.readouterr().out)
        assert (said["freed_files"], said["in_use_files"], said["in_use_bytes"]) == (4, 1, 3000)
    ours = {"cache/prefix/b.bin", "cache/prefix/link.act", "cache/tokens/t.bin", "cache/losses/l.json"}
    assert contents(full) == {name: content for name, content in before.items() if name not in ours}
    assert run(monkeypatch, "state", "clean", "--yes", "--state", full) == 0
    assert capsys.readouterr().out.startswith("freed 3.0 kB of ")
    assert run(monkeypatch, "verify", full) == 0


def test_nothing_is_deleted_where_nobody_can_be_asked_or_there_is_no_state(
    full: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(full)
    assert run(monkeypatch, "state", "clean", "--state", full) == 2
    assert "--yes" in capsys.readouterr().err
    assert contents(full) == before
    other = tmp_path / "home"
    (other / "cache" / "prefix").mkdir(parents=True)
    (other / "cache" / "prefix" / "mine.act").write_text("mine")
    for command in (("size",), ("clean", "--yes")):
        assert run(monkeypatch, "state", *command, "--state", other) == 2
        assert "is not a state" in capsys.readouterr().err
    assert (other / "cache" / "prefix" / "mine.act").read_text() == "mine"

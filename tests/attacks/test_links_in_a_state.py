"""A state that leads out of itself: what a run throws away or writes there would be somebody else's."""

from __future__ import annotations

from pathlib import Path

from cryoflux.attempt.workings import forget_workings

OLD, NEEDED = "a" * 64, "b" * 64
OURS = [f"{OLD}.safetensors", f".{NEEDED}.safetensors.0123abcd", f"{NEEDED}.safetensors"]


def filled(folder: Path) -> Path:
    folder.mkdir()
    for name in (*OURS, "thesis.tex", f"{OLD}.txt"):
        (folder / name).write_text("precious")
    (folder / f"{'c' * 64}.safetensors").mkdir()
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_of_working_updates_that_is_a_link_is_not_swept(tmp_path: Path) -> None:
    theirs = filled(tmp_path / "theirs")
    before = names(theirs)
    (tmp_path / "working").symlink_to(theirs)
    forget_workings(tmp_path / "working", {NEEDED})
    assert names(theirs) == before


def test_of_a_folder_of_ones_own_only_working_updates_are_thrown_away(tmp_path: Path) -> None:
    folder = filled(tmp_path / "working")
    before = names(folder)
    forget_workings(folder, {NEEDED})
    assert set(before) - set(names(folder)) == {OURS[0], OURS[1]}


def test_where_nothing_was_ever_left_nothing_is_done(tmp_path: Path) -> None:
    forget_workings(tmp_path / "working", set())
    assert not (tmp_path / "working").exists()

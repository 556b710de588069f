from __future__ import annotations

from pathlib import Path

from cryoflux.state import HEAD, OURS, StateFolder


def test_every_path_lies_in_the_state_under_a_name_that_is_listed() -> None:
    folder = StateFolder(Path("s"))
    paths = [
        getattr(folder, name) for name, found in vars(StateFolder).items() if isinstance(found, property)
    ]
    paths += [folder.data("d"), folder.part("d", "train"), folder.model("m"), folder.capsule("c")]
    paths += [folder.losses("l"), folder.head()]
    assert len(set(paths)) == len(paths)
    for path in paths:
        inside = path.relative_to("s")
        assert inside.parts[0] in OURS, path


def test_the_head_of_the_first_task_has_a_place_of_its_own() -> None:
    folder = StateFolder(Path("s"))
    assert folder.head() == Path("s") / HEAD
    assert folder.head("index_refresh") == Path("s/heads/index_refresh")
    assert folder.part("d", "holdout-2") == Path("s/data/d/holdout-2.jsonl")
    assert folder.losses("x") == Path("s/evidence/x.bin")

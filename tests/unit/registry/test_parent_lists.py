"""Lists that updates of others were trained on: kept by their digests, and read back as what they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryoflux.errors import ModelError
from cryoflux.registry.composition import list_digest
from cryoflux.registry.parent_lists import adapter_place, keep_lists, list_place, parent_lists
from cryoflux.state import StateFolder
from public_node import parent_of

ONE, TWO = parent_of("aa" * 32), parent_of("aa" * 32, "bb" * 32)


def test_what_is_kept_is_found_by_its_digest(tmp_path: Path) -> None:
    keep_lists(tmp_path, [ONE, TWO, ()])
    found = parent_lists(tmp_path)
    assert [found(list_digest(terms)) for terms in (ONE, TWO, ())] == [ONE, TWO, ()]
    assert {path.name for path in (tmp_path / "network" / "lists").iterdir()} == {
        list_digest(ONE),
        list_digest(TWO),
    }


def test_what_a_kept_list_begins_with_is_found_too(tmp_path: Path) -> None:
    """Updates of a list name its beginnings as their parents, and nobody sends those beside it."""
    found = parent_lists(tmp_path)
    with pytest.raises(ModelError):
        found(list_digest(ONE))
    keep_lists(tmp_path, [TWO])
    list_place(tmp_path, "ff" * 32).write_text("no list")
    assert found(list_digest(ONE)) == ONE


def test_the_empty_list_needs_no_file(tmp_path: Path) -> None:
    assert parent_lists(tmp_path)(list_digest(())) == ()
    keep_lists(tmp_path, [()])
    assert not (tmp_path / "network").exists()


def test_one_that_is_not_here_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"The list {list_digest(ONE)[:16]}… is not here"):
        parent_lists(tmp_path)(list_digest(ONE))


def test_one_that_is_here_already_stays(tmp_path: Path) -> None:
    keep_lists(tmp_path, [ONE])
    place = list_place(tmp_path, list_digest(ONE))
    before = place.stat()
    keep_lists(tmp_path, [ONE])
    assert place.stat() == before


def test_one_that_was_changed_is_not_the_one_of_its_name(tmp_path: Path) -> None:
    """Lists in a state come from strangers too: what is under a name has to have it."""
    keep_lists(tmp_path, [ONE])
    list_place(tmp_path, list_digest(ONE)).write_text("".join(term.line for term in TWO))
    with pytest.raises(ModelError):
        parent_lists(tmp_path)(list_digest(ONE))


def test_an_adapter_of_ones_own_comes_before_one_that_was_fetched(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    fetched = tmp_path / "network" / "incoming" / ("aa" * 32)
    fetched.mkdir(parents=True)
    assert adapter_place(state)("aa" * 32) == fetched
    own = state.capsule("aa" * 32)
    own.mkdir(parents=True)
    assert adapter_place(state)("aa" * 32) == own

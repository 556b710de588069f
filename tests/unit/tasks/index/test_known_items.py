"""The queries of an index: what they are taken from, and that nobody chooses them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryoflux.data.examples import normalise
from cryoflux.data.lowest_hash import is_drawn
from cryoflux.errors import DataError
from cryoflux.tasks.index.documents import digest_of
from cryoflux.tasks.index.known_items import (
    Query,
    as_line,
    given_queries,
    known_items,
    make_sets,
    read_given,
    read_query,
    split_title,
)
from cryoflux.tasks.index.names import Names

REST = "It goes on with more than enough words for anybody to find it again."


def documents(count: int) -> list[tuple[bytes, str]]:
    texts = [f"# The story of number {n}\n\n{REST} {n}" for n in range(count)]
    return [(digest_of(text), text) for text in texts]


@pytest.mark.parametrize(
    ("text", "title"),
    [
        (f"# A title of words\n\n{REST}", "A title of words"),
        (f"The first sentence is this. {REST}", "The first sentence is this."),
        (f"Short\n{REST}", None),
        ("A title of words\ntoo little", None),
        ("No sentence ends here and no line either so that there is nothing to take away", None),
    ],
)
def test_a_title_or_the_first_sentence_is_the_query_and_the_rest_is_embedded(text: str, title: str) -> None:
    found = split_title(text)
    assert (found[0] if found else None) == title
    assert found is None or found[1] == REST


def test_a_title_that_two_documents_have_is_none() -> None:
    twice = [(digest_of(f"{n}"), f"Return the value\n{REST} {n}") for n in range(2)]
    found = known_items([*documents(3), *twice], 100)
    assert sorted(query.text for query in found) == [f"The story of number {n}" for n in range(3)]


def test_the_sets_are_what_the_rule_draws_whatever_the_order() -> None:
    some = documents(400)
    one = make_sets(known_items(some, 1000), most=60, spares=1)
    other = make_sets(known_items(some[::-1], 1000), most=60, spares=1)
    assert one == other
    assert {name: len(lines) for name, lines in one.items()} == {
        "holdout": 60, "audit": 60, "holdout-2": 60, "train": 60,
    }  # fmt: skip
    texts = {name: [normalise(read_query(line).text) for line in lines] for name, lines in one.items()}
    assert is_drawn([texts["holdout"], texts["audit"], texts["holdout-2"]], texts["train"])


def test_only_the_lowest_hashes_are_held_in_memory_and_they_are_the_same_ones() -> None:
    some = documents(500)
    few = make_sets(known_items(some, 90), most=30, spares=0)
    assert few["holdout"] == make_sets(known_items(some, 500), most=30, spares=0)["holdout"]


def test_too_few_queries_are_refused_with_how_many_there_are() -> None:
    with pytest.raises(DataError, match="There are 40 queries"):
        make_sets(known_items(documents(40), 100), most=30, spares=0)


def test_a_query_is_read_back_and_anything_else_is_refused() -> None:
    query = Query("Où est-il ?", digest_of("there"), part=False)
    assert read_query(as_line(query)) == query
    for line in (b"[]", b'{"text":"x"}', b'{"document":"00","part":true,"text":"x"}'):
        with pytest.raises(ValueError, match="no "):
            read_query(line)


def test_queries_of_ones_own_name_a_place_a_digest_or_the_whole_text(tmp_path: Path) -> None:
    file = tmp_path / "queries.csv"
    names = Names.of(map(digest_of, ("a", "b", "c")))
    file.write_text(f"query,document\nwhere is a?,a.md\nand b?,b\nand c?,{digest_of('c').hex()}\n")
    found = given_queries(file, read_given(file), {"a.md": digest_of("a")}, names)
    assert [(q.document, q.part) for q in found] == [(digest_of(name), False) for name in "abc"]
    file.write_text("query,document\nwhere is d?,d.md\n")
    with pytest.raises(DataError, match=r"line 2: there is no document 'd\.md'"):
        given_queries(file, read_given(file), {}, names)

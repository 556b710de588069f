"""Names in their order, and what is asked of them."""

from __future__ import annotations

import hashlib

from cryoflux.tasks.index.names import NAME_BYTES, Names, as_digests


def name(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


ENDS_IN_ZEROS = bytes([7]) + bytes(NAME_BYTES - 1)
"""numpy takes zeros at the end of a text for nothing"""


def test_names_are_in_their_order_each_once() -> None:
    many = [name(number) for number in range(9000)] + [ENDS_IN_ZEROS]
    names = Names.of(many[::-1] + many)
    assert list(names) == sorted(many)
    assert len(names) == 9001
    assert list(names.between(10, 13)) == sorted(many)[10:13]


def test_a_name_is_found_where_it_stands() -> None:
    names = Names.of([*(name(number) for number in range(100)), ENDS_IN_ZEROS])
    for place, one in enumerate(names):
        assert names.place(one) == place
    assert ENDS_IN_ZEROS in names
    assert name(100) not in names
    assert names.place(b"\xff" * NAME_BYTES) == -1
    assert Names.of().place(name(1)) == -1


def test_what_one_has_and_the_other_has_not() -> None:
    one, other = (Names.of(map(name, numbers)) for numbers in (range(50), range(20, 70)))
    assert list(one.without(other)) == sorted(map(name, range(20)))
    assert other.count_without(one) == 20
    assert list(one.without(Names.of())) == list(one)
    assert not len(Names.of().without(one))
    assert other.places(as_digests(name(19) + name(20))).tolist() == [-1, other.place(name(20))]

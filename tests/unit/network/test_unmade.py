"""What audits lacked is counted thing by thing, and no order of showing it gains a verifier time."""

from collections.abc import Mapping

from cryoflux.network.unmade import Unmade, asked, bounded, in_turn, lacked


def pulled(some: tuple[Unmade, ...], whys: Mapping[str, str]) -> tuple[Unmade, ...]:
    """After a pull that no audit came into."""
    return asked({"root": some}, {"root": some}, whys)["root"]


def test_what_is_next_to_be_withheld_is_asked_for_first_and_what_came_no_more() -> None:
    """A verifier may answer so slowly that a pull has no time for all of it."""
    withheld = (Unmade("a", 2), Unmade("b", 0))
    open_yet = (Unmade("c", 0), Unmade("d", 1), Unmade("e", 1, here=True), Unmade("b", 0))
    assert in_turn({"one": withheld, "other": open_yet}) == ["d", "b", "c", "a"]


def test_what_comes_to_light_by_what_was_shown_goes_on_from_its_count() -> None:
    some = lacked((), {"a": False, "b": False})
    for why in ("404", "404", ""):
        some = pulled(some, {"a": why})
    assert some == (Unmade("a", 2, here=True), Unmade("b")), "who was not asked for b withholds nothing"
    assert [one.is_withheld for one in lacked(some, {"c": False})] == [False, False, True]
    assert lacked(some, {"a": False})[0].is_withheld, "what came and is gone again"
    assert lacked(some, {}) == some, "looks that need nothing of it forget nothing"


def test_what_is_shown_falsely_is_no_better_than_nothing() -> None:
    some = lacked((), {"a": False})
    for shown in (1, 2):
        some = lacked(pulled(some, {"a": ""}), {"a": True})
        assert [(one.tries, one.is_withheld) for one in some] == [(shown, shown == 2)]
    again = pulled(some, {"a": ""})
    assert again[0].is_withheld, "it came, and may be false once more"
    assert not lacked(again, {})[0].is_withheld


def test_what_is_found_false_and_was_not_asked_for_counts_for_nothing() -> None:
    """Of a file that lies here for another reason audits would withhold verdicts, and nobody was asked."""
    some = lacked((), {"a": True})
    assert lacked(some, {"a": True}) == some == (Unmade("a", false=True),)


def test_what_an_audit_drops_while_a_pull_asks_for_it_is_not_noted_as_here() -> None:
    before = {"root": (Unmade("a", 1, here=False), Unmade("b", 1))}
    dropped = {"root": lacked((Unmade("a", 1, here=True), Unmade("b", 1)), {"a": True})}
    a, b = asked(before, dropped, {"a": "", "b": ""})["root"]
    assert (a.tries, a.false, a.here, b.here) == (2, True, False, True)


def test_so_much_is_remembered_as_is_read_again() -> None:
    """What is too large would be read as nothing: who hides much would begin anew by that."""
    some = tuple(Unmade(f"{n}", n // 60, here=n % 2 == 1) for n in range(120))
    ((kept),) = bounded({"root": some}).values()
    assert [one.tries for one in kept] == [1] * 60 + [0] * 4
    assert not any(one.here for one in kept[:30] + kept[60:])
    many = {f"{n}": (Unmade("a", n % 2), Unmade("b", 2)) for n in range(2**16)}
    many["withheld"] = (Unmade("a", 9),)
    in_all = bounded(many)
    assert (len(in_all), {len(some) for some in in_all.values()}) == (2**15, {1})
    assert in_all["withheld"] == many["withheld"]

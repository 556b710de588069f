"""What audits lacked is counted thing by thing, and no order of showing it gains a verifier time."""

from cryoflux.network.unmade import Unmade, asked, in_turn, lacked


def test_what_is_next_to_be_withheld_is_asked_for_first_and_what_came_no_more() -> None:
    """A verifier may answer so slowly that a pull has no time for all of it."""
    withheld = (Unmade("a", 2), Unmade("b", 0))
    open_yet = (Unmade("c", 0), Unmade("d", 1), Unmade("e", 1, here=True), Unmade("b", 0))
    assert in_turn({"one": withheld, "other": open_yet}) == ["d", "b", "c", "a"]


def test_what_comes_to_light_by_what_was_shown_goes_on_from_its_count() -> None:
    some = lacked((), {"a": False, "b": False})
    for why in ("404", "404", ""):
        some = tuple(asked(one, {"a": why}) for one in some)
    assert some == (Unmade("a", 2, here=True), Unmade("b")), "who was not asked for b withholds nothing"
    assert [one.is_withheld for one in lacked(some, {"c": False})] == [False, False, True]
    assert lacked(some, {"a": False})[0].is_withheld, "what came and is gone again"
    assert lacked(some, {}) == some, "looks that need nothing of it forget nothing"


def test_what_is_shown_falsely_is_no_better_than_nothing() -> None:
    some = lacked((), {"a": True})
    came = tuple(asked(one, {"a": ""}) for one in some)
    assert not came[0].is_withheld
    again = tuple(asked(one, {"a": ""}) for one in lacked(came, {"a": True}))
    assert again[0].is_withheld, "it came, and may be false once more"
    assert not lacked(again, {})[0].is_withheld

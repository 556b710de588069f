from __future__ import annotations

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from cryoflux.receipts.lines import Lines
from cryoflux.receipts.statement import Base, HeadMove, Move, Outcome
from synthetic_parts import digest_of

TASK = "lora_delta"


def version(loss: int) -> Base:
    return Base(digest=digest_of(f"model of loss {loss}"), files=digest_of("files"))


def receipt(sequence: int, base: int, result: int, task: str = TASK) -> SimpleNamespace:
    kept = Outcome.ACCEPTED if base != result else Outcome.REJECTED
    return SimpleNamespace(
        sequence=sequence,
        task=SimpleNamespace(name=task),
        base=version(base),
        result=version(result),
        outcome=kept,
    )


def move(sequence: int, base: int, result: int) -> HeadMove:
    said = {"task": TASK, "move": Move.ROLLBACK, "base": version(base), "result": version(result)}
    rest = {"made_at": 0, "made_by": "", "reason": None, "moved_at": "", "prev": ""}
    return HeadMove(sequence=sequence, **said, **rest)


def followed(*told: object) -> Lines:
    lines = Lines()
    for said in told:
        lines.take(said)
    return lines


def test_what_is_kept_stands_until_a_move_takes_it_back() -> None:
    told = [receipt(1, 9, 8), receipt(3, 8, 8), receipt(5, 8, 6)]
    assert followed(*told).standing() == {1, 5}
    assert followed(*told, move(6, 6, 8)).standing() == {1}
    assert followed(*told, move(6, 6, 9)).standing() == frozenset()
    assert followed(*told, move(6, 6, 9), move(7, 9, 6)).standing() == {1, 5}


def test_the_same_update_again_is_the_same_version() -> None:
    again = followed(receipt(1, 9, 8), move(2, 8, 9), receipt(4, 9, 8), move(5, 8, 9), receipt(7, 9, 8))
    assert len(again.standing()) == 1
    # A head that comes back to where it was by an update has gained nothing either.
    assert followed(receipt(1, 9, 8), receipt(3, 8, 9)).standing() == frozenset()


def test_each_task_has_a_line_of_its_own() -> None:
    found = followed(receipt(1, 9, 8), receipt(3, 9, 7, task="other"), move(4, 8, 9))
    assert found.standing() == {3}
    assert found.from_before() == ()


def test_a_version_from_before_is_not_known() -> None:
    behind = [receipt(5, 8, 7), move(6, 7, 9), receipt(8, 9, 6)]
    assert followed(*behind).from_before() == (TASK,)
    assert followed(*behind, move(9, 6, 8)).from_before() == ()


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=40))
def test_on_one_holdout_the_sum_is_what_the_head_is_better_by(steps: list[tuple[bool, int]]) -> None:
    head, lines, gains, seen = 5, Lines(), {}, {5}
    lines.take(receipt(0, 5, 5))
    for place, (keeps, loss) in enumerate(steps, 1):
        if keeps:
            lines.take(receipt(place, head, loss))
            gains[place] = head - loss
            head = loss
        elif loss in seen:
            lines.take(move(place, head, loss))
            head = loss
        seen.add(head)
    assert sum(gains[place] for place in lines.standing()) == 5 - head
    assert lines.from_before() == ()

"""A round computes no loss twice, on whichever set."""

from collections.abc import Callable, Sequence
from typing import Any, cast

from cryoflux.network.round_losses import LossesOnGuards
from cryoflux.registry.composition import Composition
from cryoflux.registry.mixture import OfferedUpdate


class Composer:
    """Gives each set losses of its own, and remembers what it computed."""

    def __init__(self) -> None:
        self.computed: list[tuple[str, str]] = []

    def losses(
        self, composed: Composition, part: str, indices: Sequence[int], _between: Callable[[int], None]
    ) -> list[int]:
        self.computed.append((composed.digest, part))
        return [len(part) * 2**40 + at for at in indices]


def test_losses_on_a_guard_set_are_computed_once_a_list_and_set() -> None:
    composer = Composer()
    guards = LossesOnGuards(cast(Any, composer))
    update = OfferedUpdate(adapter="1" * 64, genesis="0" * 64)
    lists = [Composition(genesis="0" * 64, terms=terms) for terms in ((), (update.term,))]

    def of(composed: Composition, part: str) -> list[int]:
        return list(guards.of(composed, part, range(3), lambda _done: None))

    once = [of(composed, part) for composed in lists for part in ("old", "newer")]
    assert once == [[n * 2**40 + at for at in range(3)] for n in (3, 5, 3, 5)]
    assert [of(composed, part) for composed in lists for part in ("old", "newer")] == once
    assert len(composer.computed) == len(set(composer.computed)) == 4

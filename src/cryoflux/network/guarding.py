"""Which step of a composition makes a guard set worse, so that a round can go on without it."""

from __future__ import annotations

__all__ = ["spoiling_step"]

from collections.abc import Callable, Sequence

from cryoflux.errors import ModelError
from cryoflux.registry.composition import Composition
from cryoflux.registry.mixture import ListStep, after


def spoiling_step(
    head: Composition, steps: Sequence[ListStep], safe: Callable[[Composition], bool]
) -> tuple[ListStep, bool]:
    """The first step after which a composition is not safe any more, and whether it is not by itself either.

    Only what is not safe by itself can be laid at the door of whoever offers it: beside others it may be the
    last of several, each of which was harmless.

    Args:
        head: what the steps begin at.
        steps: of which all together are not safe; at least one.
        safe: whether no guard set speaks against a composition.
    """
    worse = (count for count in range(1, len(steps)) if not safe(after(head, steps[:count])))
    count = next(worse, len(steps))
    step = steps[count - 1]
    try:
        return step, count == 1 or not safe(after(head, [step]))
    except ModelError:  # to the head alone it cannot be added: nothing is known of it by itself
        return step, False

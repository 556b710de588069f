"""What is said of witnesses: one place for a line and a JSON event, of a run and of ``witness submit``."""

from __future__ import annotations

__all__ = ["WitnessWords", "witness_document", "witness_line"]

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryoflux.witness.client import Collected


def _cosigned(found: Collected) -> list[str]:
    return [answer.witness for answer in found.answers if answer.line is not None]


def witness_document(found: Collected) -> dict[str, Any]:
    """What witnesses made of a head, for a program."""
    return {
        "event": "witnessed" if found.reached else "not-witnessed",
        "cosigned": _cosigned(found),
        "needed": found.needed,
        "problems": list(found.problems),
        "disputed": found.disputed,
    }


def witness_line(found: Collected) -> str:
    """The same as a person reads it, without the problems."""
    mark = "✓ cosigned" if found.reached else "✗ NOT WITNESSED, cosigned only"
    return f"{mark} by {', '.join(_cosigned(found)) or 'nobody'}; needed: {found.needed}"


class WitnessWords:
    """What is new to say, as heads are witnessed one after the other."""

    def __init__(self) -> None:
        self._reached: bool | None = None
        self._said: set[tuple[str, bool]] = set()

    def news(self, found: Collected) -> list[str]:
        """Whether there is a quorum, when that changes; what is wrong with a witness, once; disputes."""
        lines = [f"witness  {witness_line(found)}"] if found.reached is not self._reached else []
        self._reached = found.reached
        for answer in found.answers:
            key = (answer.witness, answer.disputed)
            if not answer.problem or key in self._said:
                continue
            self._said.add(key)
            mark = "✗ DISPUTED: " if answer.disputed else ""
            lines.append(f"witness  {mark}{answer.witness} {answer.problem}")
            if answer.disputed:
                lines.append("         this state is an old copy, or not the only one: stop, and verify it")
        return lines

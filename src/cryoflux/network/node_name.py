"""What a node may be called: by its own log, and by others in their files of peers."""

from __future__ import annotations

__all__ = ["NAME_RULE", "is_node_name", "refuse_node_name"]

import re
import shlex

from cryoflux.errors import UsageError

NAME_RULE = (
    "A name has lower-case letters, digits and . _ -, begins with a letter or a digit, "
    "and has at most 64 characters."
)
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_NO_PART = re.compile(r"[^a-z0-9._-]+")


def is_node_name(text: str) -> bool:
    """Whether a node can be called so."""
    return _NAME.fullmatch(text) is not None


def refuse_node_name(name: str, command: str) -> None:
    """Refuse what no node can be called.

    Args:
        name: that was typed.
        command: what to type with another one, up to the name.

    Raises:
        UsageError: it is no name; with the name that it may have been meant to be.
    """
    if not is_node_name(name):
        raise UsageError(
            f"{name[:64]!r} is no name of a node.",
            why=NAME_RULE,
            hint=f"Type: {command} {shlex.quote(_meant(name))}",
        )


def _meant(name: str) -> str:
    """The nearest name that a node can have."""
    return _NO_PART.sub("-", name.lower()).strip("._-")[:64] or "north"

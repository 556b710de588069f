"""Text that somebody types and an entry of the log is to hold."""

from __future__ import annotations

__all__ = ["signed_text"]

from cryoflux.errors import UsageError
from cryoflux.typed_text import is_unicode


def signed_text(text: str, option: str, *, room: int = 0) -> str:
    """Text that an entry can hold; asked for before anything is done.

    Args:
        text: as it was typed.
        option: that it was typed behind.
        room: characters that the entry says beside it.

    Raises:
        UsageError: it is longer than that, or no Unicode.
    """
    from cryoflux.signing.fields import MOST_TEXT

    whole = is_unicode(text)
    if len(text) > MOST_TEXT - room or not whole:
        raise UsageError(
            f"The log cannot hold what {option} says.",
            why=f"It has {len(text)} characters, at most {MOST_TEXT - room} of them fit. Nothing was changed."
            if whole
            else "It has bytes that are no UTF-8. Nothing was changed.",
            hint="Say it in other words, or name where it can be read.",
        )
    return text

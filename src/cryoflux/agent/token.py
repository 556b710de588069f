"""Which bearer tokens can be sent at all: what a header carries is plain ASCII, on both sides."""

from __future__ import annotations

__all__ = ["require_sendable"]

from cryoflux.errors import ConfigError


def require_sendable(token: str) -> None:
    """Refuse a token that no request could carry; an empty one means none.

    Raises:
        ConfigError: it has other than visible ASCII characters.
    """
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(
            "The bearer token has other than visible ASCII characters.",  # the token itself is a secret
            why="It travels in a header of HTTP, which carries no others.",
            hint="Set CRYOFLUX_TOKEN, or --token, to letters and digits.",
        )

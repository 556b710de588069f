"""What is secret about how a daemon is reached: its bearer token, and what its URL may carry."""

from __future__ import annotations

__all__ = ["require_sendable", "without_password"]

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


def without_password(url: str) -> str:
    """A URL as it may be printed: without the name and password that it may carry."""
    scheme, separator, rest = url.partition("://") if "://" in url else ("", "", url)
    if scheme == "unix":
        return url
    return scheme + separator + rest.rpartition("@")[2]  # rather too little than a part of a password

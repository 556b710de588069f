"""Whose word it is that the key that signed a head is the log's: its first entry's, or the verifier's own.

Without one of the two, anybody can cut a log, sign a head over what is left with a key of their own, and put
that key beside it. So such a head is believed for what it says of these entries, the question stays open, and
nothing of it is remembered.
"""

from __future__ import annotations

__all__ = ["Binding", "LogKey"]

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cryoflux.signing.keys import key_id
from cryoflux.verification.result import Finding, failed, unknown

_SUBJECT = "log key"


class Binding(StrEnum):
    """Whose word it is."""

    NONE = "none"
    """nobody's"""
    ENTRY = "first-entry"
    """the receipt key's, in the first entry of the log"""
    NAMED = "named"
    """the verifier's, who named the key"""


@dataclass(frozen=True, slots=True)
class LogKey:
    """The key that a head has to be signed by, and what vouches for it."""

    key: Ed25519PublicKey | None
    """none where nobody brings one"""
    named: bool
    """whether the verifier named it; the log brings it otherwise"""
    vouched: str
    """id of the key that the first entry vouches for; empty where it names none, or is not here"""

    @property
    def binding(self) -> Binding:
        """Whose word it is that this is the log's key."""
        if self.key is None or (self.vouched and self.vouched != key_id(self.key)):
            return Binding.NONE
        if self.vouched:
            return Binding.ENTRY
        return Binding.NAMED if self.named else Binding.NONE

    def findings(self, *, first_is_here: bool) -> Iterator[Finding]:
        """What is wrong with it, or stays open.

        Args:
            first_is_here: whether the first entry of the log is among those that were read.
        """
        if self.key is None:
            return
        if self.vouched and self.vouched != key_id(self.key):
            whose = "you named" if self.named else "signed this head"
            yield failed(
                _SUBJECT,
                f"is not the one that the first entry vouches for: key {key_id(self.key)[:16]}… {whose}, the "
                f"entry vouches for {self.vouched[:16]}…",
            )
        elif self.binding is Binding.NONE:
            lack = (
                "nothing vouches for it: the first entry of this log, which is older than that, names none"
                if first_is_here
                else f"only what brings the head says that it is {key_id(self.key)[:16]}…: the first entry, "
                "which vouches for the log's, is not here"
            )
            yield unknown(_SUBJECT, f"{lack}; name it with --log-key FILE")

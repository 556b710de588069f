"""Which key may sign what, at each position of a log.

A log begins under one receipt key, whose id is in its origin. Without a root key that is the end of it:
this key signs everything. Once an entry has named the root key, the root may put another receipt key in
its place or end one. A rule holds from the entry after the one that makes it, so what an old key signed
before stays valid. Everything here follows from the entries in order; nothing is looked up.

What a thief of the receipt key can do: append until the revocation, and nothing after it. What a thief
cannot do: name another root, or rotate. A log whose root was never named has no such protection.
"""

from __future__ import annotations

__all__ = ["Authority", "Reign"]

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cryoflux.errors import VerificationError
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.key_statement import (
    KeyRevocation,
    KeyRoot,
    KeyRootStatement,
    KeyRotation,
    public_key_of,
)
from cryoflux.receipts.log_key import other_subjects
from cryoflux.signing.envelope import verify
from cryoflux.signing.keys import key_id


@dataclass(frozen=True, slots=True)
class Reign:
    """The entries that one receipt key was there to sign."""

    keyid: str
    start: int
    """first entry that it may sign"""
    end: int | None = None
    """first entry that it may not sign any more; none while it is valid"""
    ended_by: str = ""
    """``rotation`` or ``revocation``"""


@dataclass(slots=True)
class Authority:
    """The keys of a log, as its entries so far have made them."""

    receipt_key: Ed25519PublicKey | None
    """that signs the next intent or receipt; none after a revocation"""
    root_key: Ed25519PublicKey | None = None
    reigns: list[Reign] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.receipt_key is not None and not self.reigns:
            self.reigns.append(Reign(key_id(self.receipt_key), 0))

    def admit(self, entry: Entry) -> str:
        """Take the next entry into account; what is wrong with its signer, or nothing."""
        if entry.key is None:
            return self._signed(entry, self.receipt_key)
        said = entry.key.predicate
        signer = self.receipt_key if isinstance(said, KeyRoot) else self.root_key
        complaint = self._subject(entry, said) or self._signed(entry, signer)
        try:
            return complaint or self._apply(said, entry.index)
        except VerificationError as error:
            return error.what

    def _subject(self, entry: Entry, said: KeyRoot | KeyRotation | KeyRevocation) -> str:
        match said:
            case KeyRoot():
                about = said.root.keyid
            case KeyRotation():
                about = said.successor.keyid
            case KeyRevocation():
                about = said.revoked
        named = [subject.digest.sha256 for subject in other_subjects(entry)]
        return "" if named == [about] else "its subject is not the key that it is about"

    def stranger(self, entry: Entry) -> str:
        """Why the key that an intent or receipt names is not the valid one; empty where it is."""
        return self._foreign(entry, self.receipt_key)

    def _signed(self, entry: Entry, key: Ed25519PublicKey | None) -> str:
        if foreign := self._foreign(entry, key):
            return foreign
        good = key is not None and verify(entry.signed, key)
        return "" if good else "the signature does not match the payload"

    def _foreign(self, entry: Entry, key: Ed25519PublicKey | None) -> str:
        found = entry.signed.keyid
        if key is None:
            by_root = entry.key is not None and not isinstance(entry.key, KeyRootStatement)
            lack = "the log has named no root key" if by_root else "no receipt key is valid here"
            return f"is signed by key {found[:16]}…, but {lack}{self._past(found)}"
        if found != (expected := key_id(key)):
            instead = f"not by the expected {expected[:16]}…{self._past(found)}"
            return f"is signed by key {found[:16]}…, {instead}"
        return ""

    def _past(self, keyid: str) -> str:
        ends = [reign for reign in self.reigns if reign.keyid == keyid and reign.end is not None]
        return f" (its {ends[-1].ended_by} is entry {(ends[-1].end or 0) - 1})" if ends else ""

    def _apply(self, said: KeyRoot | KeyRotation | KeyRevocation, index: int) -> str:
        match said:
            case KeyRoot():
                return self._enrol(said)
            case KeyRotation():
                return self._rotate(said, index)
            case KeyRevocation():
                return self._revoke(said, index)

    def _enrol(self, said: KeyRoot) -> str:
        if self.root_key is not None:
            return "names a root key, but the log has one"
        root = public_key_of(said.root)
        if self.receipt_key is not None and key_id(root) == key_id(self.receipt_key):
            return "names the receipt key as the root key"
        self.root_key = root
        return ""

    def _rotate(self, said: KeyRotation, index: int) -> str:
        if said.retired != self.reigns[-1].keyid:
            return f"retires key {said.retired[:16]}…, which is not the last one"
        used = {reign.keyid for reign in self.reigns} | ({key_id(self.root_key)} if self.root_key else set())
        if said.successor.keyid in used:
            return f"names key {said.successor.keyid[:16]}… again"
        self.receipt_key = public_key_of(said.successor)
        self._end("rotation", index)
        self.reigns.append(Reign(said.successor.keyid, index + 1))
        return ""

    def _revoke(self, said: KeyRevocation, index: int) -> str:
        if said.revoked not in {reign.keyid for reign in self.reigns}:
            return f"revokes key {said.revoked[:16]}…, which never signed here"
        if self.receipt_key is not None and said.revoked == key_id(self.receipt_key):
            self.receipt_key = None
            self._end("revocation", index)
        return ""

    def _end(self, by: str, index: int) -> None:
        last = self.reigns[-1]
        if last.end is None:
            self.reigns[-1] = Reign(last.keyid, last.start, index + 1, by)

"""Step 2: who signed what, by the key that was valid at that place of the log.

The key that a log began under is the one that is pinned; which key follows it is said by the log itself, in
entries that the root key signed. Which key has to have signed is known at once; whether it did is found out
meanwhile (`signature_pool`).
"""

from __future__ import annotations

__all__ = ["BAD_SIGNATURE", "SIGNATURES", "Signatures"]

from functools import partial
from typing import ClassVar

from msgspec import field

from cryoflux.log_state import LogState
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.key_statement import KeyRotationStatement
from cryoflux.receipts.revocation import Authority, Reign
from cryoflux.signing.envelope import pae
from cryoflux.signing.keys import key_id, raw_public_key
from cryoflux.verification.material import Material
from cryoflux.verification.result import Check, Finding, NumberedStep, conclude, failed, unknown
from cryoflux.verification.signature_pool import SignaturePool
from cryoflux.verification.walk import Fold, Seen, Tally

SIGNATURES = NumberedStep(2, "signatures")
BAD_SIGNATURE = "the signature does not match the payload"


class _Signers(Tally):
    authority: Authority
    first: str = ""
    """id of the key that the first entry names"""
    named: list[str] = field(default_factory=list)
    """ids of the first three keys that entries name"""
    keys: int = 0
    """entries that are about keys"""


class Signatures(Fold):
    """Step 2: every envelope is signed by the key that was valid at its place.

    Args:
        material: what there is to verify.
        pool: checks signatures meanwhile.
    """

    step: ClassVar = SIGNATURES
    tally: _Signers

    def __init__(self, material: Material, pool: SignaturePool) -> None:
        super().__init__()
        self._material, self._pool = material, pool
        self.tally = _Signers(Authority(material.key))
        self._raw, self._keyid = b"", ""
        self._later: Finding | None = None

    @property
    def authority(self) -> Authority:
        """The keys of the log so far."""
        return self.tally.authority

    def take(self, seen: Seen, memory: LogState) -> None:  # noqa: ARG002
        """Look at the signer of the next entry."""
        entry, tally = seen.entry, self.tally
        if entry is None:
            return
        keyid = entry.signed.keyid
        tally.first = tally.first or keyid
        if len(tally.named) < 3 and keyid not in tally.named:
            tally.named.append(keyid)
        tally.keys += entry.key is not None
        if self._material.key is None:
            return
        if entry.key is not None:
            self._admit(entry)
        else:
            self._check(entry)

    def _admit(self, entry: Entry) -> None:
        if isinstance(entry.key, KeyRotationStatement) and self._material.key is not None:
            pinned = key_id(self._material.key)
            # Anybody can write a log that names somebody else's key as a successor of their own.
            if entry.key.predicate.successor.keyid == pinned != self.tally.first:
                self._later = failed(
                    "signer",
                    "the key that you named came by a rotation; the log began under key "
                    f"{self.tally.first[:16]}…, which pins it",
                )
        if complaint := self.tally.authority.admit(entry):
            self.findings.add(failed(entry.name, complaint))
        self._raw, self._keyid = b"", ""

    def _check(self, entry: Entry) -> None:
        if not self._raw and self.tally.authority.receipt_key is not None:
            self._raw = raw_public_key(self.tally.authority.receipt_key)
            self._keyid = key_id(self.tally.authority.receipt_key)
        if entry.signed.keyid != self._keyid and (stranger := self.tally.authority.stranger(entry)):
            self.findings.add(failed(entry.name, stranger))
            return
        # What waits for its answer holds the name of the entry, and not all that the entry says.
        signed, bad = entry.signed, partial(self.findings.add, failed(entry.name, BAD_SIGNATURE))
        self._pool.check(self._raw, pae(signed.payload), signed.signature, bad)

    def conclude(self, memory: LogState) -> list[Check]:
        """The lines of the step, once all signatures are checked."""
        self._pool.finish()
        key = self._material.key
        if key is None:
            return conclude(SIGNATURES, [self._without_key()], "")
        if self._later is not None:
            return conclude(SIGNATURES, [self._later], "")
        origin = "that you named" if self._material.pinned else _ITS_OWN
        said = _summary(self.tally.authority, memory.size, key_id(key), origin)
        return self.findings.conclude(
            SIGNATURES, said, nothing="" if memory.size else "there is no signature to check"
        )

    def _without_key(self) -> Finding:
        if self._material.state is not None:
            return failed("keys/receipt.pub", "is missing or not a public key; name the signer's with --key")
        named = self.tally.named
        if len(named) > 1 and not self.tally.keys:
            return failed(str(self._material.target), f"its entries name {len(named)} different keys")
        who = f"all entries name key {named[0][:16]}…" if named else "no entry names a key"
        if len(named) > 1:
            who = f"its entries name {len(named)} keys, the first {named[0][:16]}…"
        return unknown("signer", f"{who}; a file does not bring the key: name it with --key")


_ITS_OWN = "that it brings itself; whose it is, this does not know: pin it with --key"


def _summary(authority: Authority, count: int, first: str, origin: str) -> str:
    """The keys with what each signed, in words; ``origin`` says whose word the first one is."""
    if len(authority.reigns) == 1 and authority.reigns[0].end is None and authority.root_key is None:
        return f"{count} by key {first[:16]}…, the one {origin}"
    ranges = "; ".join(_range(reign, count) for reign in authority.reigns)
    root = f"; root key {key_id(authority.root_key)[:16]}…" if authority.root_key else ""
    return f"{ranges}{root}; the first is the one {origin}"


def _range(reign: Reign, count: int) -> str:
    until = count if reign.end is None else reign.end
    if until <= reign.start:
        return f"nothing yet by key {reign.keyid[:16]}…"
    ended = f" until its {reign.ended_by}" if reign.ended_by else ""
    return f"entries {reign.start} to {until - 1} by key {reign.keyid[:16]}…{ended}"

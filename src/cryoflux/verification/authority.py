"""Step 2: who signed what, by the key that was valid at that place of the log.

The key that a log began under is the one that is pinned; which key follows it is said by the log itself, in
entries that the root key signed. Signatures are checked in several threads: the library that checks them
lets go of the interpreter meanwhile.
"""

from __future__ import annotations

__all__ = ["BAD_SIGNATURE", "SIGNATURES", "check_signatures", "key_entries", "summary"]

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cryoflux.errors import CryoFluxError
from cryoflux.receipts.entry import Entry, KeyEntry, parse_any_entry
from cryoflux.receipts.key_statement import KeyRotation
from cryoflux.receipts.revocation import Authority, Reign
from cryoflux.signing.envelope import verify
from cryoflux.signing.keys import key_id
from cryoflux.verification.history import History, said_by
from cryoflux.verification.result import Check, Finding, Step, conclude, failed, unknown

SIGNATURES = Step(2, "signatures")
_CHUNK = 512
BAD_SIGNATURE = "the signature does not match the payload"


def key_entries(history: History) -> dict[int, KeyEntry]:
    """The well-formed entries about keys, by index; to the steps about attempts they are no entries."""
    found = {}
    for index in history.malformed:
        try:
            entry = parse_any_entry(index, history.material.rows[index].envelope)
        except CryoFluxError:
            continue
        if isinstance(entry, KeyEntry):
            found[index] = entry
    return found


def check_signatures(history: History) -> list[Check]:
    """Step 2: every envelope is signed by the key that was valid at its place."""
    material = history.material
    keys = key_entries(history)
    if material.key is None:
        return conclude(SIGNATURES, _without_key(history, keys), "")
    if later := _successor_pinned(history, keys, key_id(material.key)):
        return conclude(SIGNATURES, [later], "")
    authority = Authority(material.key)
    expected, findings = _follow(history.entries, keys, authority)
    findings += [
        failed(said_by(entry), complaint) for entry, good, complaint in _checked(expected) if not good
    ]
    origin = "that you named" if material.pinned else "of the state itself; pin it with --key"
    count = len(history.entries) + len(keys)
    return conclude(SIGNATURES, findings, summary(authority, count, key_id(material.key), origin))


def _successor_pinned(history: History, keys: dict[int, KeyEntry], pinned: str) -> Finding | None:
    # Anybody can write a log that names somebody else's key as a successor of their own.
    said = (entry.statement.predicate for entry in keys.values())
    successors = {found.successor.keyid for found in said if isinstance(found, KeyRotation)}
    first = history.entries[0].signed.keyid if history.entries else ""
    if pinned not in successors or first == pinned:
        return None
    detail = (
        f"the key that you named came by a rotation; the log began under key {first[:16]}…, which pins it"
    )
    return failed("signer", detail)


_Expected = list[tuple[Entry, Ed25519PublicKey | None, str]]


def _follow(
    entries: Sequence[Entry], keys: dict[int, KeyEntry], authority: Authority
) -> tuple[_Expected, list[Finding]]:
    """The key that each attempt needs, with what to say where another signed; and bad key entries."""
    expected: _Expected = []
    findings = []
    everything: list[Entry | KeyEntry] = [*entries, *keys.values()]
    for entry in sorted(everything, key=lambda entry: entry.index):
        if isinstance(entry, KeyEntry):
            if complaint := authority.admit(entry):
                findings.append(failed(f"entry {entry.index} (key)", complaint))
        else:
            expected.append((entry, authority.receipt_key, authority.stranger(entry)))
    return expected, findings


def _checked(expected: _Expected) -> list[tuple[Entry, bool, str]]:
    chunks = [expected[start : start + _CHUNK] for start in range(0, len(expected), _CHUNK)]
    if len(chunks) < 2:
        return [result for chunk in chunks for result in _check_chunk(chunk)]
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        return [result for results in pool.map(_check_chunk, chunks) for result in results]


def _check_chunk(chunk: _Expected) -> list[tuple[Entry, bool, str]]:
    return [
        (
            entry,
            key is not None and not stranger and verify(entry.signed, key),
            stranger or BAD_SIGNATURE,
        )
        for entry, key, stranger in chunk
    ]


def summary(authority: Authority, count: int, first: str, origin: str) -> str:
    """The keys and what they signed, in words; ``origin`` says whose word the first one is."""
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


def _without_key(history: History, keys: dict[int, KeyEntry]) -> list[Finding]:
    if history.material.state is not None:
        return [failed("keys/receipt.pub", "is missing or not a public key; name the signer's with --key")]
    named = dict.fromkeys(entry.signed.keyid for entry in history.entries)
    if len(named) > 1 and not keys:
        return [failed(str(history.material.target), f"its entries name {len(named)} different keys")]
    who = f"all entries name key {next(iter(named))[:16]}…" if named else "no entry names a key"
    if len(named) > 1:
        who = f"its entries name {len(named)} keys, the first {next(iter(named))[:16]}…"
    return [unknown("signer", f"{who}; a file does not bring the key: name it with --key")]

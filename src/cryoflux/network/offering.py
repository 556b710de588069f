"""What a state offers: the update of a receipt, and the capsule that proves the offer to others.

An update is offered with the list of the version that it was trained on. The receipt names the digest of what
it made; which updates that is the sum of follows from the log, so it is folded up to there.
"""

from __future__ import annotations

__all__ = ["capsule_content", "find_update", "kept_files", "update_of"]

import base64
from collections.abc import Iterable, Sequence
from pathlib import Path

from cryoflux.digests import sha256_hex
from cryoflux.errors import StateTamperedError, UsageError
from cryoflux.files import read_regular
from cryoflux.log_state import LogState
from cryoflux.network.capsule import (
    MOST_ADAPTER_BYTES,
    MOST_CAPSULE_BYTES,
    MOST_CONFIG_BYTES,
    CapsuleDocument,
    CapsuleFile,
    ProvenEntry,
)
from cryoflux.network.folder import CAPSULE
from cryoflux.network.node_file import proven_entry
from cryoflux.receipts.checkpoint import Note, VerifierKey
from cryoflux.receipts.composed_by import composed_by
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.network_statement import UpdateOffer
from cryoflux.receipts.reading import find_entry
from cryoflux.receipts.statement import ReceiptStatement
from cryoflux.registry.mixture import OfferedUpdate
from cryoflux.sentences import say
from cryoflux.signing.canonical import canonical_bytes
from cryoflux.signing.keys import KEYS_FOLDER, RECEIPT_KEY, load_public_key, raw_public_key
from cryoflux.state import ADAPTER, ADAPTER_CONFIG, StateFolder
from cryoflux.witness.commitment import commitment_of
from cryoflux.witness.cosigned import log_key_of
from cryoflux.witness.policy import Policy

_SHORTEST_PREFIX = 4


def find_update(entries: Sequence[Entry], text: str) -> Entry:
    """The receipt of the update that a person names: as any entry, or by the first digits of its adapter.

    Raises:
        UsageError: nothing, or more than one receipt, has that name; or what has it made no update.
    """
    made = [entry for entry in entries if (said := entry.receipt) is not None and said.training is not None]
    named = {entry.statement.subject[0].digest.sha256: entry for entry in reversed(made)}
    if len(text) >= _SHORTEST_PREFIX:
        begun = [entry for digest, entry in named.items() if digest.startswith(text)]
        if len(begun) == 1:
            return begun[0]
    found = find_entry(entries, text)
    if found not in made:
        raise UsageError(
            f"Entry {found.index} ({found.kind}) made no update.",
            why="What is offered is the update that an attempt trained, by its receipt.",
            hint="Attempts are listed by: cryoflux receipts list.",
        )
    return found


def update_of(entries: Iterable[Entry], receipt: Entry, flag: str = "") -> OfferedUpdate:
    """The update that a receipt made, with the list of the version that it was trained on.

    Args:
        entries: of its log, from the first one on.
        receipt: one of them.
        flag: what a command needs to mean its state, as `StateFolder.flag` says.

    Raises:
        UsageError: no verdict was given on it, or its receipt names no list that follows from the log.
    """
    statement, memory = receipt.statement, LogState()
    if not isinstance(statement, ReceiptStatement) or statement.predicate.evaluation is None:
        raise _not_judged(receipt, flag)
    if [one.name for one in statement.subject[:2]] != [ADAPTER, ADAPTER_CONFIG]:
        raise UsageError(
            f"Entry {receipt.index} made {statement.subject[0].name}, which others cannot add to theirs.",
            why=f"What is offered is an adapter and its settings, and this is an update of "
            f"{statement.predicate.task.name}.",
            hint=f"Offer one of lora_delta: cryoflux receipts list{flag}.",
        )
    for entry in entries:
        if entry.index == receipt.index:
            break
        memory.take(entry)
    said = statement.predicate
    opened, known = memory.open.get(said.intent), memory.tasks.get(said.task.name)
    begun = composed = None
    if opened is not None and known is not None:
        chain = known.begin_chain(opened.intent)
        start = chain.start if chain is not None else said.base
        begun = chain.composed if chain is not None else known.composition_of(start)
        composed = composed_by(statement, begun, start.digest)
    if begun is None or composed is None:
        raise UsageError(
            f"Entry {receipt.index} does not name what its update was trained on as a list of updates.",
            why="Others add it to theirs, over the same genesis: an update that was merged in float32, by an "
            "older version, cannot be added up the same everywhere.",
            hint=f"Offer one that a newer run made: cryoflux receipts list{flag}.",
        )
    adapter = statement.subject[0].digest.sha256
    goes_on = composed.genesis == begun.genesis  # else what it was trained on is the genesis
    return OfferedUpdate(adapter=adapter, genesis=composed.genesis, parent=begun.terms if goes_on else ())


def _not_judged(receipt: Entry, flag: str) -> UsageError:
    found = ""
    if isinstance(receipt.statement, ReceiptStatement):
        said = receipt.statement.predicate
        found = f" Its holdout has {said.holdout.count} examples. {say(said.reason)}"
    return UsageError(
        f"Entry {receipt.index} is no receipt of an update that the holdout has judged.",
        why=f"An offer is of what was measured: others see its Δ before they spend joules on it.{found}",
        hint="Make another attempt, or begin a state with more data, whose holdout has more examples: "
        f"cryoflux run{flag}. Offer one that receipts list gives a Δ: cryoflux receipts list{flag}.",
    )


def capsule_content(
    state: StateFolder, entries: Sequence[Entry], offer: Entry, heads: Iterable[Note], policy: Policy
) -> bytes | None:
    """The bytes of ``capsule.json`` for an offer of a state.

    Args:
        state: whose log it is in.
        entries: of that log, all of them up to the offer.
        offer: one of them.
        heads: of that log, with their cosignatures.
        policy: who makes a quorum.

    Returns:
        none while no quorum has seen both the offer and its receipt.

    Raises:
        UsageError: it would be too large.
        StateTamperedError, VerificationError: the log, or the settings of the adapter, are damaged.
    """
    said = offer.statement.predicate
    if not isinstance(said, UpdateOffer):
        raise UsageError(f"Entry {offer.index} is no offer.", hint="See cryoflux capsule list.")
    log_key = log_key_of(state.path)
    about_keys = [entry for entry in entries[: offer.index] if entry.key is not None]
    proving = _Proving(state, list(heads), log_key, policy)
    proven = [proving.proven(entry) for entry in (offer, entries[said.receipt_at], *about_keys)]
    whole = [one for one in proven if one is not None]
    if len(whole) < len(proven):
        return None
    config = _kept(state, said.update.adapter, ADAPTER_CONFIG, MOST_CONFIG_BYTES, said.config)
    first = load_public_key(state.path / KEYS_FOLDER / f"{RECEIPT_KEY}.pub")
    document = CapsuleDocument(
        v=1,
        origin=log_key.name,
        log_vkey=str(log_key),
        receipt_key=base64.b64encode(raw_public_key(first)).decode(),
        offer=whole[0],
        receipt=whole[1],
        adapter=CapsuleFile(sha256=said.update.adapter, bytes=said.adapter_bytes),
        config=CapsuleFile(sha256=said.config, bytes=len(config)),
        keys=whole[2:],
    )
    content = canonical_bytes(document)
    if len(content) > MOST_CAPSULE_BYTES:
        raise UsageError(
            f"The {CAPSULE} of entry {offer.index} would have {len(content):,} bytes.",
            why=f"Nobody reads more than {MOST_CAPSULE_BYTES:,}.",
            hint="Offer another update: one whose list is shorter.",
        )
    return content


class _Proving:
    """Proofs of the entries of a log, each under the head that committed to it first."""

    def __init__(self, state: StateFolder, heads: Sequence[Note], key: VerifierKey, policy: Policy) -> None:
        self._state, self._heads, self._key, self._policy = state, heads, key, policy

    def proven(self, entry: Entry) -> ProvenEntry | None:
        """None while no quorum has seen it."""
        committed = commitment_of(entry.index, self._heads, self._key, self._policy)
        if committed is None:
            return None
        return proven_entry(self._state.path, entry, committed.note)


def kept_files(state: StateFolder, adapter: str, config: str) -> tuple[bytes, bytes]:
    """The bytes of an adapter of a state, and of its settings.

    Raises:
        StateTamperedError: one is missing, is another one, or larger than anybody takes.
    """
    return (
        _kept(state, adapter, ADAPTER, MOST_ADAPTER_BYTES, adapter),
        _kept(state, adapter, ADAPTER_CONFIG, MOST_CONFIG_BYTES, config),
    )


def _kept(state: StateFolder, adapter: str, name: str, most: int, digest: str) -> bytes:
    path = state.capsule(adapter) / name
    try:
        content = read_regular(path, most)
    except OSError as error:
        raise _damaged(path, f"cannot be read: {error.strerror}") from error
    if sha256_hex(content) != digest:
        raise _damaged(path, "is not the file that was signed")
    return content


def _damaged(path: Path, what: str) -> StateTamperedError:
    return StateTamperedError(
        f"{path} {what}.",
        why="Others would refuse it: its receipt names exact bytes.",
        hint="Restore it from a backup; cryoflux verify names everything that is wrong.",
    )

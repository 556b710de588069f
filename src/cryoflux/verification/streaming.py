"""Steps 1 to 8 of a long log in one pass, with little memory; they say the same as step by step.

The log is read row by row in one snapshot of the database. This process reads and judges, workers check the
signatures meanwhile. What a step has to remember is small: the head model, what the scheduler learned, how
often a holdout was looked at; and 32 bytes an entry for later proofs. Steps after these read entries again
from the disk when they ask for them.

A pass is for logs in the order in which they are written: intent, its receipt, the next intent. An entry
that cannot be read, or is out of that order, ends the pass; the log is then read as a short one is, into
memory, so that each finding has its place and its words. No honest log needs that.
"""

from __future__ import annotations

__all__ = ["HOSTILE", "LARGE", "Passed", "Progress", "verify_in_one_pass"]

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, overload

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cryoflux.errors import CryoFluxError, VerificationError
from cryoflux.receipts.entry import Entry, KeyEntry, intent_of, parse_any_entry
from cryoflux.receipts.key_statement import KeyRotation
from cryoflux.receipts.reading import uncollected
from cryoflux.receipts.revocation import Authority
from cryoflux.receipts.statement import ZERO_HASH, Intent, ReceiptStatement
from cryoflux.receipts.store import Row, StoredRows
from cryoflux.signing.keys import key_id
from cryoflux.verification.arithmetic import Arithmetic
from cryoflux.verification.authority import BAD_SIGNATURE, SIGNATURES, summary
from cryoflux.verification.choices import Choices
from cryoflux.verification.decisions import Decisions
from cryoflux.verification.growing_tree import GrowingTree
from cryoflux.verification.history import Attempt, History, said_by
from cryoflux.verification.lineage import Lineage
from cryoflux.verification.looks import Tallies
from cryoflux.verification.material import Material, read_lazily
from cryoflux.verification.order import CHAIN, FORM, wrong_column, wrong_link
from cryoflux.verification.pairs import Pairs
from cryoflux.verification.patterns import read_attempt
from cryoflux.verification.result import Check, Finding, conclude, failed
from cryoflux.verification.signing_pool import SigningPool
from cryoflux.verification.verified import Verified, recall_verified

HOSTILE = (CryoFluxError, ValueError, TypeError, LookupError, ArithmeticError, RuntimeError, OSError)
"""what a step may raise on input that it did not foresee"""
LARGE = 20_000
"""entries from which a log is verified in one pass"""
_HASH_BYTES = 32
_EACH = 4_096
_QUIET_S = 1.0

T = TypeVar("T")


class _OtherHistoryError(Exception):
    """What was verified before was another log."""


class _IrregularError(Exception):
    """The log is not in the order in which logs are written; it is read in another way."""


class Progress:
    """One line on a terminal that says how far a verification is."""

    def __init__(self) -> None:
        self._began_s = self._said_s = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        """Say it, at most once a second; ``done`` of ``total`` entries."""
        now_s = time.monotonic()
        if sys.stderr.isatty() and (now_s - self._said_s > _QUIET_S or done == total):
            self._said_s = now_s
            left_s = (now_s - self._began_s) * (total - done) / max(1, done)
            end = "\n" if done == total else ""
            sys.stderr.write(f"\rverified {done} of {total} entries, {left_s:.0f} s left \x1b[K{end}")
            sys.stderr.flush()


class _Leaves(Sequence[bytes]):
    """Leaf hashes, 32 bytes each."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def append(self, leaf: bytes) -> None:
        self._bytes += leaf

    def __len__(self) -> int:
        return len(self._bytes) // _HASH_BYTES

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        places = range(len(self))[index]
        if isinstance(places, range):
            return [self._at(place) for place in places]
        return self._at(places)

    def _at(self, place: int) -> bytes:
        return bytes(self._bytes[place * _HASH_BYTES : (place + 1) * _HASH_BYTES])


class _Stored(Sequence[T]):
    """Parts of a log that are read from its database whenever somebody goes through them."""

    def __init__(self, count: int, read: Callable[[], Iterator[T]], last: T | None) -> None:
        self._count, self._read, self._last = count, read, last

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[T]:
        before: T | None = None
        for number, item in enumerate(self._read(), 1):
            before = self._last if number == self._count and self._last is not None else item
            yield before

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        if isinstance(index, slice):
            return list(self)[index]
        wanted = range(self._count)[index]
        if wanted == self._count - 1 and self._last is not None:
            return self._last
        return next(item for number, item in enumerate(self) if number == wanted)


@dataclass(frozen=True, slots=True)
class Passed:
    """What one pass has read and said."""

    material: Material
    history: History
    checks: list[Check]
    """of steps 1 to 8"""
    evaluated: int
    """receipts that carry an evaluation"""
    verified: Verified | None
    """what has all its signatures checked, if no check says otherwise; none without a key"""


class _Pass:
    """One pass over a log, in progress."""

    def __init__(self, material: Material, pool: SigningPool, before: Verified | None) -> None:
        self.material = material
        self._before = before
        self._pool = pool
        self._authority = Authority(material.key)
        self._columns: list[Finding] = []
        self._keys: list[KeyEntry] = []
        self._bad_keys: list[Finding] = []
        self._strangers: dict[int, str] = {}
        self._links: list[Finding] = []
        self._key_columns: list[Finding] = []
        self._key_links: list[Finding] = []
        self._head = ZERO_HASH
        self._tree = GrowingTree(material)
        self._pairs, self._arithmetic, self._lineage = Pairs(), Arithmetic(), Lineage()
        self._choices, self._tallies = Choices(), Tallies()
        self._decisions = Decisions(self._choices)
        self._open: tuple[Entry, Intent] | None = None
        self._last: Entry | None = None
        self._last_attempt: Attempt | None = None
        self._last_intent: tuple[Entry, Intent] | None = None
        self.leaves = _Leaves()
        self.attempts = self.intents = self.evaluated = 0

    def take(self, row: Row) -> None:
        """Go through the next row."""
        index = len(self.leaves)
        if row.index != index:
            raise _IrregularError
        self._compare_before()
        entry = _read(row)
        leaf = bytes.fromhex(entry.leaf_hash)
        self._tree.take(row, leaf)
        if isinstance(entry, KeyEntry):
            self._take_key(row, entry)
        else:
            self._take_entry(row, entry)
        self._head = entry.leaf_hash
        self.leaves.append(leaf)

    def _compare_before(self) -> None:
        before = self._before
        if before is not None and before.size == self._tree.size and before.root != self._tree.root:
            raise _OtherHistoryError

    def _take_key(self, row: Row, entry: KeyEntry) -> None:
        said, first = entry.statement.predicate, self.material.key
        pinned_late = isinstance(said, KeyRotation) and first and said.successor.keyid == key_id(first)
        if self._open is not None or pinned_late:
            raise _IrregularError
        self._keys.append(entry)
        self._key_columns += wrong_column(row, entry)
        self._key_links += wrong_link(entry, self._head)
        if complaint := self._authority.admit(entry):
            self._bad_keys.append(failed(f"entry {entry.index} (key)", complaint))

    def _take_entry(self, row: Row, entry: Entry) -> None:
        self._columns += wrong_column(row, entry)
        self._links += wrong_link(entry, self._head)
        self._take_signature(entry)
        self._lineage.take(entry)
        if (intent := intent_of(entry)) is not None:
            self._announce(entry, intent)
        elif isinstance(entry.statement, ReceiptStatement):
            self._end(entry, entry.statement)
        self._last = entry

    def _take_signature(self, entry: Entry) -> None:
        if self.material.key is None or (self._before is not None and entry.index < self._before.size):
            return
        key = self._authority.receipt_key
        if stranger := self._authority.stranger(entry):
            self._strangers[entry.index] = stranger
        elif key is not None:
            self._pool.check(entry.index, entry.signed, key)

    def _announce(self, entry: Entry, intent: Intent) -> None:
        if self._open is not None:
            raise _IrregularError
        self.intents += 1
        self._decisions.announce(entry, intent, self._tallies)
        self._lineage.announce(entry, intent, self._tallies)
        self._open = self._last_intent = (entry, intent)

    def _end(self, entry: Entry, statement: ReceiptStatement) -> None:
        if self._open is None or statement.predicate.intent != self._open[0].leaf_hash:
            raise _IrregularError
        announced, intent = self._open
        self._open = None
        attempt = Attempt(entry, statement, intent)
        self._pairs.take(attempt)
        self._arithmetic.take(attempt)
        self._choices.take(announced, intent, attempt.receipt)
        self._decisions.take(attempt)
        self._tallies.count(attempt.receipt)
        self.attempts += 1
        self.evaluated += attempt.receipt.evaluation is not None
        self._last_attempt = attempt

    def conclude(self) -> list[Check]:
        """What steps 1 to 8 say."""
        size = len(self.leaves)
        self._compare_before()
        if self._before is not None and self._before.size > size:
            raise _OtherHistoryError
        if self._open is not None:
            entry, intent = self._open
            self._choices.take(entry, intent, None)
            self._pairs.leave_open(entry, last=size - 1)
        form = f"{size} envelopes and statements are strict and canonical"
        return [
            *conclude(FORM, [*self._columns, *self._key_columns], form),
            *self._signatures(size),
            *conclude(CHAIN, [*self._links, *self._key_links], f"{size} entries, head {self._head[:16]}…"),
            *self._tree.conclude(),
            *self._pairs.conclude(),
            *self._arithmetic.conclude(),
            *self._decisions.conclude(),
            *self._lineage.conclude(),
        ]

    def _signatures(self, size: int) -> list[Check]:
        key = self.material.key
        if key is None:
            detail = "is missing or not a public key; name the signer's with --key"
            return conclude(SIGNATURES, [failed("keys/receipt.pub", detail)], "")
        wrong = {**dict.fromkeys(self._pool.finish(), BAD_SIGNATURE), **self._strangers}
        findings = list(self._bad_keys)
        for index in sorted(wrong):
            entry = _read(self.material.rows[index])
            if isinstance(entry, Entry):
                findings.append(failed(said_by(entry), wrong[index]))
        origin = "that you named" if self.material.pinned else "of the state itself; pin it with --key"
        said = summary(self._authority, size, key_id(key), origin)
        if self._before is not None:
            said += f"; those of the first {self._before.size} were checked here before, and not again"
        return conclude(SIGNATURES, findings, said)

    def verified(self) -> Verified | None:
        """What has all its signatures checked, if no check says otherwise."""
        key = self.material.key
        return None if key is None else Verified(key_id(key), self._tree.size, self._tree.root)

    def history(self) -> History:
        """The log for the steps that come after; it is read again when they ask for it."""
        rows = self.material.rows
        count = len(self.leaves) - len(self._keys)
        attempts = _Stored(self.attempts, lambda: _attempts(rows), self._last_attempt)
        return History(
            material=self.material,
            leaves=self.leaves,
            entries=_Stored(count, lambda: _entries(rows), self._last),
            malformed={entry.index: "" for entry in self._keys},
            intents=_Stored(self.intents, lambda: _intents(rows), self._last_intent),
            attempts=attempts,
        )


def _read(row: Row) -> Entry | KeyEntry:
    try:
        return read_attempt(row.index, row.envelope)
    except VerificationError:
        pass
    try:
        return parse_any_entry(row.index, row.envelope)
    except CryoFluxError as error:
        raise _IrregularError from error


def _entries(rows: Sequence[Row]) -> Iterator[Entry]:
    for row in rows:
        if isinstance(entry := _read(row), Entry):
            yield entry


def _intents(rows: Sequence[Row]) -> Iterator[tuple[Entry, Intent]]:
    for entry in _entries(rows):
        if (intent := intent_of(entry)) is not None:
            yield entry, intent


def _attempts(rows: Sequence[Row]) -> Iterator[Attempt]:
    before: Intent | None = None
    for entry in _entries(rows):
        if isinstance(entry.statement, ReceiptStatement):
            yield Attempt(entry, entry.statement, before)
        else:
            before = intent_of(entry)


@contextmanager
def verify_in_one_pass(
    target: Path,
    key: Ed25519PublicKey | None = None,
    meter_key: Ed25519PublicKey | None = None,
    *,
    least: int = LARGE,
    progress: Callable[[int, int], None] | None = None,
    memory: Path | None = None,
) -> Iterator[Passed | None]:
    """Go through steps 1 to 8 of a state with a long log; nothing where it is short, or not in order.

    Args:
        target: what to verify.
        key: the key that receipts have to be signed by; a state brings its own otherwise.
        meter_key: the key that joules have to be signed by; the same.
        least: entries from which a log is long.
        progress: is told how many entries of how many are done.
        memory: folder that says which signatures were checked before; they are not checked again.
    """
    material = read_lazily(target, key, meter_key) if target.is_dir() else None
    if material is None or not isinstance(material.rows, StoredRows):
        yield None
        return
    with closing(material.rows):
        long = len(material.rows) >= max(1, least) and not material.problem
        before = None
        if long and memory is not None and material.key is not None:
            before = recall_verified(memory, key_id(material.key))
        yield _passed(material, progress, before) if long else None


def _passed(
    material: Material, progress: Callable[[int, int], None] | None, before: Verified | None
) -> Passed | None:
    rows, total = material.rows, len(material.rows)
    try:
        with uncollected(), SigningPool(None if total >= LARGE else 0) as pool:
            run = _Pass(material, pool, before)
            for done, row in enumerate(rows):
                run.take(row)
                if progress is not None and done % _EACH == 0:
                    progress(done, total)
            if len(run.leaves) != total:
                return None
            checks = run.conclude()
            if progress is not None:
                progress(total, total)
            return Passed(material, run.history(), checks, run.evaluated, run.verified())
    except _OtherHistoryError:
        return _passed(material, progress, None)
    except (_IrregularError, *HOSTILE):
        return None

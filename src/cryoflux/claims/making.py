"""Making a claim: only what a verifier will accept is written.

The expression is evaluated over the entries that the signed head covers; if it is false, nothing is made.
What was made is checked as a stranger would check it before it is handed out.
"""

from __future__ import annotations

__all__ = ["ClaimScope", "Made", "make_claim"]

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cryoflux.claims.backing import backing_of
from cryoflux.claims.check import check_claim
from cryoflux.claims.document import (
    MAX_CLAIM_BYTES,
    MAX_INDEX,
    Carrier,
    ClaimedValue,
    ClaimPredicate,
    ClaimStatement,
    Head,
    format_claim,
    subject_of_head,
)
from cryoflux.claims.evaluation import EvaluatedClause, Figures, Told, add_up, judge, told_by
from cryoflux.claims.evidence import IndexRange, outside, pack
from cryoflux.claims.report import ClaimReport
from cryoflux.claims.wording import in_words, spelt
from cryoflux.errors import StateError, StateTamperedError, UsageError, VerificationError
from cryoflux.expression import ESTIMATES, Expression, parse_expression
from cryoflux.files import read_beginning
from cryoflux.receipts.checkpoint import MAX_NOTE_BYTES, Checkpoint, parse_checkpoint
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.key_statement import PublicKey
from cryoflux.receipts.log import CHECKPOINT, LOG_FOLDER
from cryoflux.receipts.log_key import refuse_other_log_key
from cryoflux.receipts.merkle import root_hash
from cryoflux.receipts.network_statement import RoundIntent, RoundResult
from cryoflux.receipts.reading import read_entries
from cryoflux.receipts.revocation import Authority
from cryoflux.receipts.statement import Intent, Receipt
from cryoflux.signing.envelope import CLAIM_PAYLOAD, sign_document
from cryoflux.signing.keys import (
    KEYS_FOLDER,
    LOG_KEY,
    RECEIPT_KEY,
    key_id,
    load_key,
    load_public_key,
    successor_name,
)
from cryoflux.state import StateFolder
from cryoflux.verification.result import Status
from cryoflux.witness.cosigned import WITNESSED

_Entries = Sequence[Entry]
_MOST_TRIED = 64
"""entries by which a better range is looked for"""


@dataclass(frozen=True, slots=True)
class ClaimScope:
    """What a claim is about."""

    first: int = 0
    """first entry"""
    end: int | None = None
    """first entry after it; none for all that the head covers"""
    last: int | None = None
    """only so many attempts at the end of it; none for all"""
    witnessed: bool = False
    """up to the last head that witnesses cosigned, not up to the newest"""


@dataclass(frozen=True, slots=True)
class Made:
    """A claim that was made."""

    content: bytes
    """of its file"""
    report: ClaimReport
    """what a verifier says of it"""


@dataclass(frozen=True, slots=True)
class _Log:
    """What a state has of its log, up to one signed head."""

    state: Path
    note: bytes
    point: Checkpoint
    entries: _Entries


def make_claim(state: Path, text: str, scope: ClaimScope | None = None) -> Made:
    """Evaluate an expression over a state's log and make the claim of it, if it is true.

    Args:
        state: the state directory.
        text: the expression.
        scope: the range; the whole log without one.

    Raises:
        UsageError: the expression or the range is none, or the evidence would be too large.
        VerificationError: the claim is false; it says the real values.
        StateTamperedError: a verifier would not accept the log.
        StateError: a key is missing or revoked.
    """
    expression, scope = parse_expression(text), scope or ClaimScope()
    log = _read_log(state, witnessed=scope.witnessed)
    first, end = _range(log, scope)
    _require_closed(state, expression)
    statement = _statement(log, (first, end), expression)
    envelope = sign_document(statement, _signer(log), CLAIM_PAYLOAD)
    content = format_claim(envelope, log.note, _evidence(log.entries, (first, end)))
    _require_small(content, log.entries[first:end])
    return Made(content, _checked(content, state))


def _require_closed(state: Path, expression: Expression) -> None:
    """Refuse to claim what everything cost while a session is open: what it spends is not on the log."""
    all_in = any(clause.quantity.startswith("all_in_") for clause in expression.clauses)
    if all_in and StateFolder(state).session.exists():
        raise UsageError(
            "A session of this state is open.",
            why="A run goes on, or has died: what it spends beside its attempts is not on the log yet.",
            hint="Wait for it; what a dead one spent is written down by the next cryoflux run.",
        )


def _read_log(state: Path, *, witnessed: bool) -> _Log:
    path = state / LOG_FOLDER / (WITNESSED if witnessed else CHECKPOINT)
    if not path.is_file():
        raise UsageError(
            f"{state} has no {LOG_FOLDER}/{path.name}.",
            why="A claim is about a signed head of a log.",
            hint="Name a state directory with --state DIR; --witnessed needs a log that witnesses know.",
        )
    note = read_beginning(path, MAX_NOTE_BYTES + 1)
    log_key = load_public_key(state / KEYS_FOLDER / f"{LOG_KEY}.pub")
    point = parse_checkpoint(note, log_key)
    entries = read_entries(state)[: point.size]
    if entries:
        refuse_other_log_key(entries[0], log_key)
    if root_hash(bytes.fromhex(entry.leaf_hash) for entry in entries) != point.root:
        raise StateTamperedError(
            "The entries of the log are not those that its head was signed over.",
            why="Nobody would accept a claim about them.",
            hint="cryoflux verify names everything that is wrong.",
        )
    return _Log(state, note, point, entries)


def _range(log: _Log, scope: ClaimScope) -> IndexRange:
    size = log.point.size
    first, end = scope.first, size if scope.end is None else scope.end
    if not 0 <= first < end <= size:
        raise UsageError(
            f"Entries {first} to {end - 1} are no range of a log whose head covers {size} entries.",
            hint="Entries count from 0; see cryoflux receipts list --intents.",
        )
    if scope.last is not None:
        first = _first_of_last(log.entries, (first, end), scope.last)
    if within := _straddling(log.entries, (first, end)):
        raise UsageError(
            f"Entries {first} to {end - 1} begin or end within {within}.",
            why="Its joules would be left out, or its announcement.",
            hint=f"Claim over whole attempts, such as {_fitting(log.entries, (first, end))}.",
        )
    if end > MAX_INDEX:
        raise UsageError(f"A claim reaches to entry {MAX_INDEX - 1} at most.", hint="Hand over a bundle.")
    return first, end


def _first_of_last(entries: _Entries, span: IndexRange, last: int) -> int:
    """The entry from which on the range holds its last so many attempts, as wholes."""
    first, end = span
    announced = {entry.leaf_hash: entry.index for entry in entries if entry.intent is not None}
    intents = [
        announced.get(receipt.intent, first)
        for entry in entries[first:end]
        if (receipt := entry.receipt) is not None
    ]
    if not 1 <= last <= len(intents):
        raise UsageError(f"The range has {len(intents)} attempts, not {last}.")
    return max(first, min(intents[-last:]))


def _straddling(entries: _Entries, span: IndexRange) -> str:
    """An attempt or a round of which the range holds only a part; nothing where there is none."""
    open_now: dict[str, str] = {}
    for entry in entries[slice(*span)]:
        announced, record = entry.intent or entry.round_intent, entry.receipt or entry.round
        if announced is not None:
            open_now[entry.leaf_hash] = _named(announced)
        elif record is not None and open_now.pop(record.intent, None) is None:
            return _named(record)
    return next(iter(open_now.values()), "")


def _named(said: Intent | RoundIntent | Receipt | RoundResult) -> str:
    if isinstance(said, RoundIntent | RoundResult):
        return f"a round, {said.id}"
    return f"an attempt, {said.task.id}"


def _fitting(entries: _Entries, span: IndexRange) -> str:
    """Another end or beginning, with which the range would hold whole attempts."""
    first, end = span
    for shorter in range(end - 1, max(first, end - _MOST_TRIED), -1):
        if not _straddling(entries, (first, shorter)):
            return f"--to {shorter - 1}"
    for later in range(first + 1, min(end, first + _MOST_TRIED)):
        if not _straddling(entries, (later, end)):
            return f"--from {later}"
    return "--from 0"


def _judged(told: Sequence[Told], figures: Figures, expression: Expression) -> list[EvaluatedClause]:
    judged = judge(figures, expression)
    wrong = [found for found in judged if not found.holds]
    if wrong:
        raise VerificationError(
            f"The claim is false: {'; '.join(in_words(found) for found in wrong)}.",
            why=f"Not so: {' and '.join(found.clause.text for found in wrong)}. No claim was written.",
            hint=_instead(told, wrong),
        )
    return judged


def _instead(told: Sequence[Told], wrong: list[EvaluatedClause]) -> str:
    """What to claim in place of what does not hold: the same of the estimate, if that would be true."""
    instead = [
        clause.as_estimated() if clause.quantity in ESTIMATES else clause
        for clause in (found.clause for found in wrong)
    ]
    try:
        holds = all(found.holds for found in judge(add_up(told), Expression(tuple(instead))))
    except VerificationError:
        holds = False
    if not holds:
        return "Claim what the log shows; cryoflux report shows it all."
    said = " and ".join(clause.text for clause in instead)
    return f"True as it is estimated: {said}; the claim then says so, with the tier of its joules."


def _statement(log: _Log, span: IndexRange, expression: Expression) -> ClaimStatement:
    keys, point, entries = log.state / KEYS_FOLDER, log.point, log.entries[slice(*span)]
    told = [said for entry in entries if (said := told_by(entry)) is not None]
    figures = add_up(told)
    judged = _judged(told, figures, expression)
    backed = None
    if expression.on_certified:
        backed = backing_of(entries, figures.certified, figures.hi_uj, figures.tier)
    predicate = ClaimPredicate(
        expression=expression.text,
        values=[ClaimedValue(quantity=j.clause.quantity.value, value=spelt(j.value)) for j in judged],
        first=span[0],
        end=span[1],
        attempts=figures.attempts,
        head=Head(origin=point.origin, size=point.size, root=point.root.hex()),
        first_key=PublicKey.of(load_public_key(keys / f"{RECEIPT_KEY}.pub")),
        log_key=PublicKey.of(load_public_key(keys / f"{LOG_KEY}.pub")),
        claimed_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        backing=backed.backing if backed is not None else None,
    )
    return ClaimStatement(subject=subject_of_head(point), predicate=predicate)


def _signer(log: _Log) -> Ed25519PrivateKey:
    """The receipt key that is valid at the head."""
    folder = log.state / KEYS_FOLDER
    first = load_public_key(folder / f"{RECEIPT_KEY}.pub")
    authority = Authority(first)
    for entry in log.entries:
        if entry.key is not None:
            authority.admit(entry)
    key = authority.receipt_key
    if key is None:
        raise StateError(
            "The receipt key of this log is revoked.",
            why="Nothing that it signs would be valid.",
            hint="Name a new one with the root key: cryoflux keys rotate --root FILE",
        )
    name = RECEIPT_KEY if key_id(first) == key_id(key) else successor_name(key)
    return load_key(folder, name, create=False)


def _evidence(entries: _Entries, span: IndexRange) -> Carrier:
    first, end = span
    keys = [e.index for e in entries if e.key is not None and not first <= e.index < end]
    spans = sorted([span, *((index, index + 1) for index in keys)])
    leaves = [bytes.fromhex(entry.leaf_hash) for entry in entries]
    beside = [root_hash(leaves[slice(*part)]) for part in outside(spans, 0, len(leaves))]
    packed = pack([entry.envelope for part in spans for entry in entries[slice(*part)]])
    return Carrier(
        spans=[list(part) for part in spans],
        hashes=[found.hex() for found in beside],
        entries=base64.b64encode(packed).decode(),
    )


def _require_small(content: bytes, entries: _Entries) -> None:
    if len(content) <= MAX_CLAIM_BYTES:
        return
    attempts = sum(entry.receipt is not None for entry in entries)
    fit = max(1, attempts * MAX_CLAIM_BYTES // len(content) * 9 // 10)
    raise UsageError(
        f"The evidence of {attempts} attempts takes {len(content)} bytes; a claim has {MAX_CLAIM_BYTES}.",
        why="A sum is only as good as the range is complete, so nothing of it is left out.",
        hint=f"Narrow the range, such as --last {fit}, or hand over all: cryoflux receipts bundle -o DIR",
    )


def _checked(content: bytes, state: Path) -> ClaimReport:
    """The claim as a stranger sees it."""
    keys = state / KEYS_FOLDER
    report = check_claim(
        content,
        state,
        key=load_public_key(keys / f"{RECEIPT_KEY}.pub"),
        log_key=load_public_key(keys / f"{LOG_KEY}.pub"),
    )
    bad = [check for check in report.report.checks if check.status is Status.FAIL]
    if bad:
        raise StateTamperedError(
            f"Nobody would accept this claim: {bad[0].subject}: {bad[0].detail}.",
            why="It was checked as a stranger would check it, and not written.",
            hint="cryoflux verify names everything that is wrong with the log.",
        )
    return report

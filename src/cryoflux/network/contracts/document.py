"""The file of a contract: the exact bytes that both parties sign for, and what terms may not be.

A contract is named by the SHA-256 of its bytes, which have one spelling (RFC 8785). What it needs to be
settled at all is checked before anybody signs: a policy with a quorum of witnesses that names the logs of
both parties, joules of a kind that receipts carry, clauses in their one spelling.
"""

from __future__ import annotations

__all__ = ["MAX_CONTRACT_BYTES", "clauses_of", "parse_contract", "policy_of", "read_contract", "refuse_terms"]

from pathlib import Path

import msgspec

from cryoflux.digests import sha256_hex
from cryoflux.errors import UsageError, VerificationError
from cryoflux.expression import Clause, parse_promise
from cryoflux.files import read_beginning
from cryoflux.receipts.contract_parts import AgreedTerms
from cryoflux.signing.canonical import parse_strictly
from cryoflux.witness.policy import Policy, parse_policy

MAX_CONTRACT_BYTES = 48_000
"""it stands in an entry, with what the entry says besides"""
_DECODER = msgspec.json.Decoder(AgreedTerms)
_NEW = "Make one with: cryoflux contract new"
_WHERE = "A contract is a file that `cryoflux contract new` writes into network/contracts of the state."
_SENT = "The other party sends it: name that file as it came, or propose one: cryoflux contract new"


def parse_contract(content: bytes, what: str = "The contract") -> AgreedTerms:
    """Read a contract.

    Args:
        content: its bytes.
        what: how a complaint begins.

    Raises:
        VerificationError: it is none, in another spelling, or too long.
    """
    if len(content) > MAX_CONTRACT_BYTES:
        raise VerificationError(f"{what} has more than {MAX_CONTRACT_BYTES:,} bytes.", hint=_NEW)
    try:
        return parse_strictly(_DECODER, content, what)
    except VerificationError as error:
        raise VerificationError(error.what, why=error.why, hint=_SENT) from error


def read_contract(path: Path) -> AgreedTerms:
    """Read the file of a contract.

    Raises:
        UsageError: it cannot be read, or is a file of another kind.
        VerificationError: as for `parse_contract`.
    """
    try:
        content = read_beginning(path, MAX_CONTRACT_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.", why=_WHERE, hint=_SENT) from error
    if not content.startswith(b"{"):
        raise UsageError(f"{path} is no contract.", why=_WHERE, hint=_SENT)
    return parse_contract(content, f"The contract {path}")


def clauses_of(terms: AgreedTerms) -> tuple[Clause | None, ...]:
    """The clauses, in their order; none for ``available``.

    Raises:
        UsageError: one is none, or in another spelling.
    """
    return tuple(parse_promise(text) for text in terms.clauses)


def policy_of(terms: AgreedTerms) -> Policy:
    """Whose word on times counts, and which logs are read.

    Raises:
        UsageError: it is no policy.
    """
    return parse_policy(terms.verifiers.text.encode(), "The policy of the contract")


def refuse_terms(terms: AgreedTerms) -> None:
    """Refuse terms that nobody could ever settle.

    Raises:
        UsageError: they are such terms.
    """
    clauses, policy = clauses_of(terms), policy_of(terms)
    if not terms.max_tokens:
        raise UsageError(
            "The contract does not say how many tokens of a text are read.",
            why="Without that the same model has many losses, so nobody could settle it.",
            hint="Ask for terms that do. Who proposes them says it first: cryoflux node init --name NAME",
        )
    if len(set(terms.clauses)) < len(terms.clauses):
        raise UsageError("The contract has a clause twice.", hint="Name each once.")
    if terms.seller == terms.buyer:
        raise UsageError(
            "The contract has one party.",
            why="What one promises to oneself needs no contract.",
            hint="Name the origin of the other party's log.",
        )
    if terms.verifiers.sha256 != sha256_hex(terms.verifiers.text.encode()):
        raise UsageError("The policy of the contract has another digest than it names.", hint=_NEW)
    if unnamed := set(terms.parties) - {line.key.name for line in policy.logs}:
        raise UsageError(
            f"The policy of the contract does not name the log {min(unnamed)}.",
            why="Without its key nobody can tell its entries from others'.",
            hint="Add a line: log VKEY (cryoflux witness key --state DIR prints it).",
        )
    if policy.quorum == "none":
        raise UsageError(
            "The policy of the contract has no quorum of witnesses.",
            why="Windows are in the time of witnesses: without them anybody could date an offer back.",
            hint="Name witnesses and a quorum: docs/how-to/witness-a-log.md.",
        )
    on_joules = any(clause is not None and clause.quantity == "eta" for clause in clauses)
    if on_joules and terms.joules.counted != "net":
        raise UsageError(
            "A clause on η over gross joules could never be settled.",
            why="Receipts carry net joules: what a machine takes idle is in none of them.",
            hint="Count net joules.",
        )

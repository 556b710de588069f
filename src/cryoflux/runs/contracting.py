"""What a party of a contract writes into its log: terms that it proposes or accepts, and what they came to.

Nothing is measured here, and no money moves.
"""

from __future__ import annotations

__all__ = [
    "accept_terms",
    "contract_at",
    "folders_of",
    "propose_terms",
    "refuse_stranger",
    "subject_of",
    "write_result",
]

from collections.abc import Callable, Iterator
from pathlib import Path

from cryoflux.errors import UsageError
from cryoflux.files import write_atomic
from cryoflux.network.contracts.document import MAX_CONTRACT_BYTES, read_contract, refuse_terms
from cryoflux.network.contracts.evaluation import ContractVerdict, WindowVerdict
from cryoflux.network.folder import NetworkFolder
from cryoflux.network_state import NodeState
from cryoflux.receipts.contract_parts import AgreedTerms
from cryoflux.receipts.contract_statement import (
    AcceptedContract,
    AcceptedContractStatement,
    ContractResult,
    ContractResultStatement,
    ProposedContract,
    ProposedContractStatement,
)
from cryoflux.receipts.entry import AnyStatement, Entry
from cryoflux.receipts.log import CHECKPOINT
from cryoflux.receipts.parts import Sha256Digest, Subject
from cryoflux.runs.by_hand import VersionsByHand
from cryoflux.runs.contract_parties import refuse_low_tier
from cryoflux.runs.contract_terms import refuse_small, unused_words

_NAME = "contract.json"


def propose_terms(hand: VersionsByHand, terms: AgreedTerms) -> Entry:
    """Sign for terms that the other party has not seen yet.

    Args:
        hand: the state.
        terms: that can be settled.

    Raises:
        UsageError: they are a contract of others, their windows have begun, or the log has them already.
        CryoFluxError: the seller's joules are of a lower tier than they believe.
        StateError, StorageError: nothing can be written.
    """
    _refuse(hand, terms)
    refuse_low_tier(hand, terms)
    _refuse_holdout(hand, terms)
    _keep(hand, terms)

    def build(sequence: int, prev: str) -> ProposedContractStatement:
        said = ProposedContract(
            sequence=sequence, prev=prev, task=terms.task, terms=terms, proposed_at=hand.timestamp()
        )
        return ProposedContractStatement(subject=[subject_of(terms)], predicate=said)

    return _written(hand, build)


def _genesis_of(hand: VersionsByHand, task: str) -> str | None:
    """Digest of the version that updates of a log are over; before its first attempt as its node says."""
    known, node = hand.memory.tasks.get(task), hand.memory.nodes.get(task)
    if known is not None:
        return known.composition.genesis
    return node.node.genesis.digest if node is not None and node.node is not None else None


def accept_terms(hand: VersionsByHand, terms: AgreedTerms) -> Entry:
    """Sign for terms of the other party, as they are.

    Args:
        hand: the state.
        terms: that the other party has signed for.

    Raises:
        UsageError: they are a contract of others, cannot be settled, or their windows have begun.
        CryoFluxError: the guest holdout is too small for them, or the seller's joules are of a lower tier
            than they believe.
        StateError, StorageError: nothing can be written.
    """
    refuse_terms(terms)
    _refuse(hand, terms)
    refuse_small(terms)
    refuse_low_tier(hand, terms)
    _refuse_holdout(hand, terms)
    if _genesis_of(hand, terms.task) != terms.genesis.digest:
        raise UsageError(
            f"The contract is about updates over {terms.genesis.digest[:16]}…; this log has no such head.",
            why="An update over another version cannot be composed here.",
            hint="Ask for terms over the version that this log began with.",
        )
    _keep(hand, terms)

    def build(sequence: int, prev: str) -> AcceptedContractStatement:
        said = AcceptedContract(
            sequence=sequence, prev=prev, task=terms.task, terms=terms, accepted_at=hand.timestamp()
        )
        return AcceptedContractStatement(subject=[subject_of(terms)], predicate=said)

    return _written(hand, build)


def write_result(
    hand: VersionsByHand, terms: AgreedTerms, verdict: ContractVerdict, found: WindowVerdict
) -> Entry:
    """Sign for what a window came to.

    Raises:
        StateError, StorageError: nothing can be written.
    """

    def build(sequence: int, prev: str) -> ContractResultStatement:
        said = ContractResult(
            sequence=sequence,
            prev=prev,
            task=terms.task,
            contract=terms.digest,
            window=found.window,
            standing=found.standing,
            clauses=tuple(one.result for one in found.clauses),
            evidence=found.evidence,
            logs=verdict.logs[:16],
            evaluated_at=hand.timestamp(),
        )
        return ContractResultStatement(subject=[subject_of(terms)], predicate=said)

    return hand.append(build)


def refuse_stranger(hand: VersionsByHand, terms: AgreedTerms) -> None:
    """Refuse to sign for a contract that the log has not signed for.

    Raises:
        UsageError: it has not.
    """
    if terms.digest not in _node(hand, terms).contracts:
        raise UsageError(
            f"The log {hand.origin} has not signed for the contract {terms.digest[:16]}….",
            why="A result is a party's word on its own contract; anybody may evaluate one.",
            hint=f"See what it came to: cryoflux contract evaluate {terms.digest[:16]}.",
        )


def contract_at(state: Path, name: str) -> AgreedTerms:
    """The contract of a file, or of the first digits of its digest.

    Raises:
        UsageError: there is no such contract, or more than one.
        VerificationError: the file is no contract.
    """
    if Path(name).is_file():
        return read_contract(Path(name))
    folder = NetworkFolder.of(state).contracts
    found = [path for path in sorted(folder.glob("*")) if len(name) >= 4 and path.name.startswith(name)]
    if len(found) != 1:
        many = "Several contracts begin so." if found else f"{folder} has no contract that begins so."
        raise UsageError(
            f"No single contract is called {name!r}.",
            why=many,
            hint="Name its file, or the first digits of its digest.",
        )
    return read_contract(found[0])


def folders_of(state: Path) -> Iterator[Path]:
    """Where logs lie that a state has: its own, and mirrors of peers."""
    yield state
    peers = NetworkFolder.of(state).path / "peers"
    yield from (path.parent for path in sorted(peers.glob(f"*/{CHECKPOINT}")))


def _node(hand: VersionsByHand, terms: AgreedTerms) -> NodeState:
    return hand.memory.nodes.get(terms.task) or NodeState()


def _refuse(hand: VersionsByHand, terms: AgreedTerms) -> None:
    if hand.origin not in terms.parties:
        raise UsageError(
            f"This log, {hand.origin}, is no party of the contract.",
            why=f"Its parties are {' and '.join(terms.parties)}.",
            hint="Sign in the state of one of them: --state DIR.",
        )
    if hand.now().timestamp() >= terms.windows.first:
        raise UsageError(
            "The first window of the contract has begun.",
            why="What is signed for after that binds nobody: who looks back knows how it came out.",
            hint="Choose a first window that is still to come.",
        )
    if len(terms.content) > MAX_CONTRACT_BYTES:
        raise UsageError(
            f"The contract has more than {MAX_CONTRACT_BYTES:,} bytes.", hint="Name a shorter policy or list."
        )
    if terms.digest in _node(hand, terms).contracts:
        raise UsageError(
            f"The log has the contract {terms.digest[:16]}… already.",
            why="One party proposes, and the other one accepts.",
            hint=f"See what it came to: cryoflux contract evaluate {terms.digest[:16]}.",
        )


def _refuse_holdout(hand: VersionsByHand, terms: AgreedTerms) -> None:
    if hand.origin != terms.buyer:
        return
    node = _node(hand, terms)
    guest = node.unused.get(terms.guest_root)
    if guest is None or guest.said.count != terms.count:
        raise UsageError(
            f"The guest holdout {terms.guest_root[:16]}… cannot judge this contract.",
            why="It is to be one of this log, of that size, that has judged nothing and judges nothing else.",
            hint=unused_words(node, hand.state),
        )


def _keep(hand: VersionsByHand, terms: AgreedTerms) -> None:
    write_atomic(NetworkFolder.of(hand.state.path).contracts / terms.digest, terms.content)


def subject_of(terms: AgreedTerms) -> Subject:
    """What an entry about a contract is about: its file."""
    return Subject(name=_NAME, digest=Sha256Digest(sha256=terms.digest))


def _written(hand: VersionsByHand, build: Callable[[int, str], AnyStatement]) -> Entry:
    entry = hand.append(build)
    hand.published(binding=False)
    return entry

"""Step 18: what a party says of its contracts follows from its log.

Terms are the party's own, and can be settled; a look is of a window that the contract has, of a base that
the looks before it can leave, and there is one: which of them witnesses saw in time, both logs say. When
the guest holdout is opened, each bit has to be what the sealed sums give. What a contract comes to needs
both parties' logs: `cryoflux contract evaluate`.
"""

from __future__ import annotations

__all__ = ["CONTRACTS", "Contracts"]

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from cryoflux.decision.promised import needed_of_windows, promised
from cryoflux.digests import sha256_hex
from cryoflux.errors import UsageError
from cryoflux.expression import AVAILABLE, parse_promise
from cryoflux.log_state import LogState
from cryoflux.network_state import ContractTally, NodeState
from cryoflux.receipts.checkpoint import origin_of
from cryoflux.receipts.contract_parts import (
    AgreedTerms,
    ContractStanding,
    HowKnown,
    OpenedContractLook,
    look_name,
)
from cryoflux.receipts.contract_statement import (
    AcceptedContract,
    ContractLook,
    ContractResult,
    ProposedContract,
)
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.network_statement import GuestOpening
from cryoflux.task_state import TaskState
from cryoflux.verification.material import Material
from cryoflux.verification.result import Check, NumberedStep
from cryoflux.verification.walk import Fold, Seen, Tally

CONTRACTS = NumberedStep(18, "contracts")


class _Signed(Tally):
    contracts: int = 0
    looks: int = 0
    sealed: int = 0
    """looks whose bits are the buyer's word as yet"""
    results: int = 0


class Contracts(Fold):
    """Step 18, entry by entry.

    Args:
        material: whose log it is.
        past: whether the log is here from its beginning; else what depends on that is passed over.
    """

    step: ClassVar = CONTRACTS
    tally: _Signed

    def __init__(self, material: Material, *, past: bool = True) -> None:
        super().__init__()
        self._origin = origin_of(material.key) if material.key is not None else ""
        self._past = past
        self.tally = _Signed()
        self._of: dict[type, Callable[[Any, LogState, NodeState], Iterator[str]]] = {
            ProposedContract: self._agreed,
            AcceptedContract: self._agreed,
            ContractLook: self._looked,
            ContractResult: self._concluded,
            GuestOpening: self._opened,
        }

    def take(self, seen: Seen, memory: LogState) -> None:
        """Look at the next entry, if it is about a contract."""
        entry = seen.entry
        said = entry.statement.predicate if entry is not None else None
        if entry is None or (check := self._of.get(type(said))) is None:
            return
        node = memory.nodes.get(getattr(said, "task", "")) or NodeState()
        self.findings.fail(seen, check(said, memory, node))
        if entry.contract is not None:
            self.findings.fail(seen, _about(entry))

    def _agreed(
        self, said: ProposedContract | AcceptedContract, memory: LogState, node: NodeState
    ) -> Iterator[str]:
        """What is wrong with terms that this log proposes or accepts."""
        self.tally.contracts += 1
        terms = said.terms
        yield from _unsound(terms, said.task)
        if self._origin and self._origin not in terms.parties:
            yield "is a contract of others"
        known = memory.tasks.get(said.task)
        if known is None or not self._past:
            return
        if terms.digest in node.contracts:
            yield "is a contract that the log has already"
        if self._origin == terms.buyer:
            yield from _holdout(terms, node)
        yield from _genesis(terms, known)

    def _looked(self, said: ContractLook, _memory: LogState, node: NodeState) -> Iterator[str]:
        self.tally.looks += 1
        self.tally.sealed += bool(said.sealed)
        tally = node.contracts.get(said.contract)
        if tally is None:
            if self._past:
                yield "looks for a contract that the log does not have"
            return
        terms = tally.terms
        if self._origin and self._origin != terms.buyer:
            yield "is a look of somebody who is not the buyer"
        if said.window >= terms.windows.count:
            yield "looks at a window that the contract does not have"
        if any(one.window >= said.window for one in tally.looks):
            yield "looks a second time, or at an earlier window"
        if said.base not in tally.bases:
            yield "compares with another list than its looks before leave"
        yield from _bits(said, terms)
        guest = node.guests.get(terms.guest_root)
        if guest is not None and guest.opened:
            yield "looks at a guest holdout that was opened"

    def _concluded(self, said: ContractResult, _memory: LogState, node: NodeState) -> Iterator[str]:
        self.tally.results += 1
        tally = node.contracts.get(said.contract)
        if tally is None:
            if self._past:
                yield "concludes a contract that the log does not have"
            return
        if said.window >= tally.terms.windows.count:
            yield "concludes a window that the contract does not have"
        if tuple(one.clause for one in said.clauses) != tally.terms.clauses:
            yield "concludes other clauses than the contract has"
        if said.standing is ContractStanding.PENDING:
            yield "concludes a window that is not over"
        yield from self._against_its_look(said, tally)

    def _against_its_look(self, said: ContractResult, tally: ContractTally) -> Iterator[str]:
        look = next((one for one in tally.looks if one.window == said.window), None)
        if look is None or self._origin != tally.terms.buyer or len(look.kept) != len(said.clauses):
            return
        for bit, one in zip(look.kept, said.clauses, strict=True):
            by_bit = ContractStanding.FULFILLED if bit else ContractStanding.BREACHED
            decided = one.standing in {ContractStanding.FULFILLED, ContractStanding.BREACHED}
            if one.known is HowKnown.ATTESTED and decided and one.standing is not by_bit:
                yield f"says that {one.clause} is {one.standing.value}, and its own bit says another thing"

    def _opened(self, said: GuestOpening, _memory: LogState, node: NodeState) -> Iterator[str]:
        due = node.contract_looks(said.root)
        named = [(terms.digest, look.window) for terms, look in due]
        if [(one.contract, one.window) for one in said.contract_looks] != named:
            if self._past:
                yield "does not open the looks that its guest holdout has given for contracts, in their order"
            return
        self.tally.sealed -= len(due)
        for (terms, look), one in zip(due, said.contract_looks, strict=True):
            yield from _shown(said, terms, look, one)

    def conclude(self, memory: LogState) -> list[Check]:
        """The lines of the step."""
        tally = self.tally
        if not any(node.contracts for node in memory.nodes.values()) and not self.findings.failed:
            return []  # a log without contracts needs no line about them
        parts = [f"{tally.contracts} agreed to, {tally.looks} looks, {tally.results} results"]
        if tally.sealed > 0:
            parts.append(f"{tally.sealed} looks are sealed: until they are opened their bits are its word")
        return self.findings.conclude(CONTRACTS, "; ".join(parts))


def _about(entry: Entry) -> Iterator[str]:
    """Whether the subject of an entry is the contract that it is about."""
    said = entry.statement.predicate
    digest = said.terms.digest if isinstance(said, ProposedContract | AcceptedContract) else ""
    due = digest or getattr(said, "contract", "")
    if [one.digest.sha256 for one in entry.statement.subject] != [due]:
        yield "has another subject than the contract that it is about"


def _unsound(terms: AgreedTerms, task: str) -> Iterator[str]:
    if terms.seller == terms.buyer:
        yield "is a contract with oneself"
    if terms.task != task:
        yield "is a contract about another task"
    if terms.verifiers.sha256 != sha256_hex(terms.verifiers.text.encode()):
        yield "names a policy by another digest"
    if len(set(terms.clauses)) < len(terms.clauses):
        yield "has a clause twice"
    for text in terms.clauses:
        try:
            parse_promise(text)
        except UsageError as error:
            yield f"has a clause that cannot be read: {error.what}"


def _holdout(terms: AgreedTerms, node: NodeState) -> Iterator[str]:
    guest = node.guests.get(terms.guest_root)
    if guest is None or guest.said.count != terms.count:
        yield "names a guest holdout that the log has not entered, or of another size"
    elif guest.looks or guest.opened:
        yield "names a guest holdout that has given verdicts already"
    pledged = (tally.terms.guest_root for tally in node.contracts.values() if tally.terms != terms)
    if terms.guest_root in pledged:
        yield "names a guest holdout that another contract has"


def _genesis(terms: AgreedTerms, known: TaskState) -> Iterator[str]:
    if terms.genesis.digest != known.composition.genesis:
        yield "begins at another genesis than the list of the head"


def _bits(said: ContractLook, terms: AgreedTerms) -> Iterator[str]:
    if len(said.kept) != len(terms.clauses):
        yield "has not a bit for each clause"
        return
    if bool(said.sealed) != said.available:
        yield "seals sums of what could not be had, or none of what could"
    bits = dict(zip(terms.clauses, said.kept, strict=True))
    if bits.get(AVAILABLE, said.available) != said.available:
        yield "says both that the bytes could be had and that they could not"
    if not said.available and any(said.kept):
        yield "keeps a clause by what could not be had"


def _shown(
    opening: GuestOpening, terms: AgreedTerms, look: ContractLook, shown: OpenedContractLook
) -> Iterator[str]:
    """Whether an opened look says what was sealed, and its bits follow."""
    where = f"window {look.window} of {shown.contract[:16]}…"
    if shown.sums.seal(bytes.fromhex(opening.key), look_name(shown.contract, look.window)) != look.sealed:
        yield f"opens {where} to other sums than were sealed"
        return
    evidence = shown.sums.evidence(terms.count)
    needed = needed_of_windows(terms.alpha_ppm, terms.windows.count)
    for text, bit in zip(terms.clauses, look.kept, strict=False):
        clause, upper_uj = parse_promise(text), look.upper_microjoules
        if clause is not None and promised(clause, evidence, needed, upper_uj) != bit:
            yield f"published for {text} of {where} another bit than its sums give"

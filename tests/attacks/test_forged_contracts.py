"""A party whose log says of a contract what does not follow from it is refuted by its log alone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from contract_world import FIRST, GAIN, LENGTH, Party, World
from cryoflux.receipts.contract_parts import (
    AgreedWindows,
    ClauseResult,
    ContractStanding,
    HowKnown,
)
from cryoflux.receipts.contract_statement import (
    AcceptedContract,
    ContractLook,
    ContractResult,
    ContractResultStatement,
)
from cryoflux.receipts.network_statement import GuestOpening
from cryoflux.verification.result import Status
from node_log import AT, TASK
from plain_log import StoredLog, model
from synthetic_parts import digest_of
from verifying import verify_target

OTHER = digest_of("other")
TWO = AgreedWindows(first=FIRST, length_s=LENGTH, count=2)


def of_terms(**changes: object) -> Callable:
    return lambda said: said.but(terms=said.terms.but(**changes))


FORGED: dict[str, tuple[type, Callable, str]] = {
    "a contract of others": (AcceptedContract, of_terms(parties=("a", "b")), "contract of others"),
    "a contract with oneself": (
        AcceptedContract,
        lambda s: s.but(terms=s.terms.but(parties=(s.terms.buyer, s.terms.buyer))),
        "with oneself",
    ),
    "another genesis": (AcceptedContract, of_terms(genesis=model("x")), "begins at another genesis"),
    "a clause of nothing": (AcceptedContract, of_terms(clauses=("joules <= 5 J",)), "cannot be read"),
    "a clause without its unit": (AcceptedContract, of_terms(clauses=("delta >= 1",)), "cannot be read"),
    "a clause twice": (AcceptedContract, of_terms(clauses=("available", "available")), "clause twice"),
    "a guest holdout of nobody": (AcceptedContract, of_terms(guest_root=OTHER), "has not entered"),
    "a smaller guest holdout": (AcceptedContract, of_terms(count=7), "of another size"),
    "a policy by another digest": (
        AcceptedContract,
        lambda s: s.but(terms=s.terms.but(verifiers=s.terms.verifiers.but(sha256=OTHER))),
        "policy by another digest",
    ),
    "a look for another contract": (ContractLook, lambda s: s.but(contract=OTHER), "does not have"),
    "a look at a window of its own": (ContractLook, lambda s: s.but(window=9), "window that the contract"),
    "a look from another base": (ContractLook, lambda s: s.but(base=OTHER), "than its looks before leave"),
    "a second look": (ContractLook, lambda s: s.but(window=0), "a second time"),
    "a look with a bit too few": (ContractLook, lambda s: s.but(kept=(True,)), "a bit for each clause"),
    "a look without a seal": (ContractLook, lambda s: s.but(sealed=""), "none of what could"),
    "a look at what could not be had": (
        ContractLook,
        lambda s: s.but(available=False, sealed=""),
        "keeps a clause by what could not be had",
    ),
    "a result of another contract": (ContractResult, lambda s: s.but(contract=OTHER), "does not have"),
    "a result of a window of its own": (
        ContractResult,
        lambda s: s.but(window=9),
        "window that the contract",
    ),
    "a result that is pending": (
        ContractResult,
        lambda s: s.but(standing=ContractStanding.PENDING),
        "not over",
    ),
    "a result of other clauses": (ContractResult, lambda s: s.but(clauses=s.clauses[1:]), "other clauses"),
    "a result against its own bit": (
        ContractResult,
        lambda s: s.but(clauses=(s.clauses[0].but(standing=ContractStanding.BREACHED), *s.clauses[1:])),
        "its own bit says another thing",
    ),
    "a look not opened": (GuestOpening, lambda s: s.but(contract_looks=[]), "does not open the looks"),
    "other sums opened": (
        GuestOpening,
        lambda s: s.but(
            contract_looks=[
                one.but(sums=one.sums.but(new_loss_sum=one.sums.new_loss_sum + 1)) for one in s.contract_looks
            ]
        ),
        "other sums than were sealed",
    ),
}


def written(folder: Path, forged: type | None = None, forge: Callable | None = None) -> Path:
    """The buyer's state: it accepts, looks at two windows, concludes one and opens."""
    with closing(StoredLog(folder / "seller")) as seller, closing(StoredLog(folder / "buyer")) as buyer:
        world = World(seller=Party(seller), buyer=Party(buyer))
        if forge is not None and forged is AcceptedContract:
            world.buyer.node.forged, world.buyer.node.forge = forged, forge
        world.agree(windows=TWO)
        if forged is AcceptedContract:
            return buyer.path
        world.deliver(0)
        world.look(0)
        world.deliver(1)
        if forge is not None and forged is not None:
            world.buyer.node.forged, world.buyer.node.forge = forged, forge
        world.look(1, GAIN)
        clauses = tuple(
            ClauseResult(clause=text, standing=ContractStanding.FULFILLED, known=HowKnown.ATTESTED)
            for text in world.terms.clauses
        )
        said = {"contract": world.terms.digest, "window": 0, "standing": ContractStanding.FULFILLED}
        said |= {"clauses": clauses, "evidence": (), "logs": (), "evaluated_at": AT, "task": TASK}
        world.say(world.buyer, ContractResultStatement, ContractResult, **said)
        world.open()
        return buyer.path


def complaints(state: Path) -> list[str]:
    checks = verify_target(state).checks
    return [f"{c.number} {c.subject} {c.detail}" for c in checks if c.status is Status.FAIL]


def test_all_that_a_party_can_say_verifies(tmp_path: Path) -> None:
    state = written(tmp_path)
    assert [line for line in complaints(state) if not line.startswith("9 ")] == []
    (line,) = [check.detail for check in verify_target(state).checks if check.number == 18]
    assert line == "1 agreed to, 2 looks, 1 results"


@pytest.mark.parametrize(("kind", "forge", "words"), FORGED.values(), ids=list(FORGED))
def test_what_does_not_follow_from_the_log_is_refuted(
    kind: type, forge: Callable, words: str, tmp_path: Path
) -> None:
    found = complaints(written(tmp_path, kind, forge))
    assert any(words in line for line in found), found


def test_a_bit_that_its_sealed_sums_do_not_give_is_found_when_it_is_opened(tmp_path: Path) -> None:
    state = written(tmp_path, ContractLook, lambda said: said.but(kept=(False, *said.kept[1:])))
    assert any("another bit than its sums give" in line for line in complaints(state))


def test_a_guest_holdout_that_a_contract_names_gives_rounds_no_verdict(tmp_path: Path) -> None:
    with closing(StoredLog(tmp_path / "seller")) as seller, closing(StoredLog(tmp_path / "buyer")) as buyer:
        World(seller=Party(seller), buyer=Party(buyer)).agree(windows=TWO)
        assert buyer.state.nodes[TASK].guest is None

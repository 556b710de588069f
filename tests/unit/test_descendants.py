"""What was trained on top of an update is found by parent lists, however far below, and of own offers too."""

from __future__ import annotations

from pathlib import Path

from cryoflux.cli.capsule_words import descendant_lines
from cryoflux.errors import ModelError
from cryoflux.queries.capsules import capsules_here
from cryoflux.queries.descendants import Descendant, Descendants, descendants_of, memory_here
from cryoflux.receipts.network_statement import UpdateOffer
from cryoflux.registry.ancestry import ancestry_of
from cryoflux.registry.composition import Term, folded, list_digest
from cryoflux.state import StateFolder
from node_log import NodeLog
from plain_log import StoredLog
from synthetic_parts import digest_of


def term(name: str, *parent: Term) -> Term:
    return Term(weight="1", adapter=digest_of(name), parent=list_digest(parent))


def test_an_update_rests_on_all_that_its_parents_rest_on() -> None:
    poison = term("poison")
    middle = term("middle", poison)
    lists = {list_digest(one): one for one in ((), (poison,), (middle,))}

    def list_of(digest: str) -> tuple[Term, ...]:
        if digest not in lists:
            raise ModelError("It is not here.")
        return lists[digest]

    # The poison is on no list of the offer itself: it was taken out of the head that the offer began with.
    found = ancestry_of([middle], list_of)
    assert (found.adapters, found.missing) == ({middle.adapter, poison.adapter}, set())
    far = term("far", term("unknown"))
    apart = ancestry_of([far, middle], list_of)
    assert apart.adapters == {far.adapter, *found.adapters}
    assert apart.missing == {far.parent}
    full = folded((poison,))
    found = ancestry_of(full, list_of)
    assert (found.adapters, found.folded) == ({full[0].adapter, poison.adapter}, {full[0].adapter})
    # Who offers may name lists that hang below themselves.
    lists[middle.parent] = (middle,)
    assert ancestry_of([middle], list_of).adapters == {middle.adapter}


def test_own_offers_and_the_head_are_known_by_what_was_recalled_below_them(tmp_path: Path) -> None:
    log = StoredLog(tmp_path / "state")
    made = NodeLog(log, UpdateOffer, lambda said: said.but(update=said.update.but(parent=parent)))
    made.train()
    made.introduce()
    made.enter()
    poison = made.candidate()
    made.record(made.announce([poison]))
    parent = made.composed.terms
    receipt = made.train()
    own = receipt.statement.subject[0].digest.sha256
    made.offer(receipt)
    state = StateFolder(log.path)
    for recalled in ((), (poison.capsule,)):
        if recalled:
            made.recall(poison.capsule)
        (offer,) = capsules_here(state)
        assert (offer.capsule, offer.recalled) == (own, recalled)
        found = descendants_of(poison.capsule, [offer], memory_here(state), state)
        assert found == Descendants((Descendant(own, (), own=True, adopted=False, in_head=True),))
    said = "\n".join(descendant_lines(found))
    assert f"{own[:16]}…  own, in the head; offered by this log" in said
    assert "cryoflux models rollback" in said
    assert "capsule recall" not in said, "nobody adopted it"
    assert "there may be more" not in said
    log.close()


def test_it_is_said_how_many_lists_would_have_to_be_here_to_know_of_all(tmp_path: Path) -> None:
    """Of three updates a parent's parent is not here, and one of them rests on the update all the same."""
    poison, unknown = term("poison"), term("unknown", term("elsewhere"))
    log = StoredLog(tmp_path / "state")
    made = NodeLog(log, UpdateOffer, lambda said: said.but(update=said.update.but(parent=next(parents))))
    parents = iter([(poison, unknown), (unknown,), (unknown,)])
    for _ in range(3):
        made.offer(made.train())
    state = StateFolder(log.path)
    below = descendants_of(poison.adapter, capsules_here(state), memory_here(state), state)
    assert [(one.own, one.in_head) for one in below.found] == [(True, True)]
    assert below.lists_missing == 1
    assert [*descendant_lines(below)][-1] == "there may be more: 1 parent list is not here"
    assert [*descendant_lines(Descendants(lists_missing=1_200))] == [
        "there may be more: 1,200 parent lists are not here"
    ]
    log.close()

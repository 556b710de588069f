"""Offers that are there to spoil rounds: nobody else is left out for them, and no look is spent twice.

Some help, and make a guard set worse. Others are worth nothing, and only give a node a reason for a round.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cryoflux.attempt.watch import AttemptStopped, Observer
from cryoflux.evaluation.losses import EvaluationFailedError
from cryoflux.network import rounds
from cryoflux.network.guarding import spoiling_step
from cryoflux.network.looking import GuardSet, Looking
from cryoflux.network.node_place import NodePlace
from cryoflux.network.recording import unshown_end
from cryoflux.network.round_parts import Considered, OfferHere, Screened
from cryoflux.network.rounds import _Round
from cryoflux.network.search_set import SearchSet
from cryoflux.network_state import GuestLook, NodeState
from cryoflux.receipts.network_parts import MemberVerdict, RoundOutcome
from cryoflux.receipts.parts import Base
from cryoflux.receipts.statement import Cause
from cryoflux.registry.composition import Composition, cannot_compose
from cryoflux.registry.mixture import ListStep, OfferedUpdate, StepKind
from synthetic_parts import digest_of

GENESIS, NANO = digest_of("genesis"), 10**9
GUARD = "guard0"
Weights = Mapping[str, float]
ADOPTED, UNSAFE, NOT_CHOSEN = MemberVerdict.ADOPTED, MemberVerdict.UNSAFE, MemberVerdict.NOT_CHOSEN


@pytest.fixture(autouse=True)
def _in_a_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists of what is tried are kept there."""
    monkeypatch.chdir(tmp_path)


class Worth:
    """Losses that follow from which updates a list has, and how much of each."""

    def __init__(self, gained: Callable[[Weights], float], lost: Callable[[Weights], float]) -> None:
        self._gained, self._lost = gained, lost

    def losses(self, composed: Composition, part: str, indices: Sequence[int], _between: object) -> list[int]:
        weights = dict.fromkeys(("honest", "poison", "other"), 0.0)
        weights |= {
            name: float(t.weight) for t in composed.terms for name in weights if t.adapter == digest_of(name)
        }
        moved = -self._lost(weights) if part == GUARD else self._gained(weights)
        return [round(NANO * (2 - moved * (0.9 + 0.2 * (at % 2)))) for at in indices]


HEAD = Base(digest=digest_of("head"), files=digest_of("files"))
OWN = Composition(genesis=GENESIS, terms=(OfferedUpdate(adapter=digest_of("other"), genesis=GENESIS).term,))
EMPTY = Composition(genesis=GENESIS)


def trying(worth: Worth, head: Composition = EMPTY, refused: frozenset[str] = frozenset()) -> _Round:
    """A round over a head, with 200 examples to search with and a guard set of 60."""
    data = SimpleNamespace(count=lambda _part: 60, file_digests={GUARD: digest_of("guard")})
    opened: Any = SimpleNamespace(data=data, composition=head, task=SimpleNamespace(name="lora_delta"))
    context: Any = SimpleNamespace(
        state=SimpleNamespace(path=Path()),
        memory=SimpleNamespace(nodes={"lora_delta": NodeState()}),
        agent=SimpleNamespace(spent=lambda _id: SimpleNamespace(uj=0)),
        observer=Observer(),
        stop=lambda: False,
    )
    guard = GuardSet("guard", GUARD, digest_of("guard"))
    looking = Looking(opened, cast(Any, None), "guests", [guard], 0)
    reservation: Any = SimpleNamespace(id="r", reserved_uj=NANO)
    texts = SearchSet("train", list(range(200)))
    return _Round(context, opened, cast(Any, worth), looking, texts, reservation, refused)


def offered(name: str) -> OfferHere:
    update = OfferedUpdate(adapter=digest_of(name), genesis=GENESIS)
    return OfferHere(update, f"log.example/{name}", digest_of("offer"), 0)


def screened(worth: Worth, *names: str) -> tuple[Screened, dict[str, MemberVerdict]]:
    """What a round composes of some offers, and what becomes of each."""
    found = trying(worth).search([offered(name) for name in names], Considered())
    verdicts = [member.verdict for member in found.members]
    return found, dict(zip(names, verdicts, strict=True))


@pytest.mark.parametrize("first", [("poison", "honest"), ("honest", "poison")])
def test_a_poison_that_helps_keeps_nobody_else_out(first: tuple[str, str]) -> None:
    worth = Worth(
        gained=lambda of: 0.1 * of["honest"] + 0.3 * of["poison"],
        lost=lambda of: 0.5 * of["poison"],
    )
    found, verdicts = screened(worth, *first)
    assert verdicts == {"poison": UNSAFE, "honest": ADOPTED}
    assert found.worth_a_look
    assert [step.update.adapter for step in found.steps] == [digest_of("honest")]


def test_no_loss_is_read_again_for_a_poison_that_makes_a_round_search_twice() -> None:
    class Counting(Worth):
        def losses(self, made: Composition, part: str, indices: Sequence[int], between: object) -> list[int]:
            read.update((made.digest, part, index) for index in indices)
            return super().losses(made, part, indices, between)

    read = Counter[tuple[str, str, int]]()
    worth = Counting(
        gained=lambda of: 0.1 * of["honest"] + 0.3 * of["poison"], lost=lambda of: 0.5 * of["poison"]
    )
    found, verdicts = screened(worth, "honest", "poison")
    assert verdicts == {"poison": UNSAFE, "honest": ADOPTED}
    on_search, on_guard = (sum(of == part for _, of, _ in read) for part in ("train", GUARD))
    assert on_search > 1_000, "both searches have tried something"
    assert on_guard > 60
    assert set(read.values()) == {1}
    assert found.tried > 8


def test_a_poison_that_is_alone_is_unsafe_and_nothing_is_shown() -> None:
    worth = Worth(gained=lambda of: 0.3 * of["poison"], lost=lambda of: 0.5 * of["poison"])
    found, verdicts = screened(worth, "poison")
    assert verdicts == {"poison": UNSAFE}
    assert not found.worth_a_look
    assert [guard.passed for guard in found.guards] == [False]


def test_of_two_halves_the_one_that_completes_it_is_left_out_and_not_blamed() -> None:
    """Each is harmless, so neither is unsafe for good: an honest one may stand where the other half did."""
    worth = Worth(
        gained=lambda of: 0.3 * of["poison"] + 0.2 * of["other"],
        lost=lambda of: 0.5 * min(of["poison"], of["other"]),
    )
    found, verdicts = screened(worth, "poison", "other")
    assert verdicts == {"poison": ADOPTED, "other": NOT_CHOSEN}
    assert found.worth_a_look


def test_worthless_offers_do_not_wear_out_a_guest_holdout() -> None:
    """Each gives a reason for a round, which would show the same weights of the head again and again."""
    worth = Worth(gained=lambda of: 0.1 * of["other"], lost=lambda _of: 0.0)
    nothing = [offered("honest")]
    first = trying(worth, OWN).search(nothing, Considered())
    assert [step.kind for step in first.steps] == [StepKind.REWEIGHT]
    looks = [GuestLook("intent", digest_of("sealed"), 12_000, level, HEAD) for level in (0, 2_000_000)]
    kept: Any = SimpleNamespace(look={"intent": SimpleNamespace(steps=first.steps)}.get)

    def place(*said: GuestLook) -> NodePlace:
        return NodePlace(cast(Any, None), cast(Any, SimpleNamespace(looks=list(said))), kept)

    missed = place(looks[0]).refused(HEAD, OWN)
    again = trying(worth, OWN, missed).search([*nothing, offered("poison")], Considered())
    assert first.composed.digest not in {OWN.digest, again.composed.digest}
    assert missed == {first.composed.digest}
    other_head = Base(digest=digest_of("another"), files=digest_of("files"))
    assert place(looks[0]).refused(other_head, OWN) == place(looks[1]).refused(HEAD, OWN) == frozenset()


def test_what_breaks_on_a_few_examples_ends_no_round_and_keeps_nobody_else_out() -> None:
    """It helps most on those that are read first, and has a loss that is no number behind them."""

    class Broken(Worth):
        def losses(self, made: Composition, part: str, indices: Sequence[int], between: object) -> list[int]:
            if 180 in indices and any(term.adapter == digest_of("poison") for term in made.terms):
                raise EvaluationFailedError("A holdout loss is nan.", why="It is.", hint="Leave it.")
            return super().losses(made, part, indices, between)

    worth = Broken(gained=lambda of: 0.1 * of["honest"] + 0.3 * of["poison"], lost=lambda _of: 0.0)
    for offers in (("poison", "honest"), ("honest", "poison")):
        found, verdicts = screened(worth, *offers)
        assert verdicts == {"poison": NOT_CHOSEN, "honest": ADOPTED}
        assert found.worth_a_look


def test_what_breaks_in_a_look_is_not_chosen_and_ends_no_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """An aborted round says nothing of its candidates: the same offer would stop the next one, and so on."""
    found, _ = screened(Worth(gained=lambda of: 0.3 * of["poison"], lost=lambda _of: 0.0), "poison")
    discarded: list[object] = []
    trial: Any = trying(cast(Any, SimpleNamespace(draft=lambda composed: composed)))
    trial.context.versions = SimpleNamespace(discard=discarded.append)
    trial.looking = SimpleNamespace(guest=SimpleNamespace(examples=[b""]))

    def broken(*_: object) -> None:
        raise AttemptStopped(Cause.FAILED, "failed", what="A holdout loss is nan.")

    monkeypatch.setattr(rounds, "look_at_guest", broken)
    assert found.worth_a_look
    assert trial.look(found) is None
    assert discarded == [found.composed]
    end = unshown_end(found)
    assert (end.outcome, end.reason.code) == (RoundOutcome.UNSHOWN, "round.broken")
    assert [member.verdict for member in end.members] == [NOT_CHOSEN]


def test_what_spoils_a_composition_and_cannot_be_added_to_the_head_alone_ends_no_round() -> None:
    """A mix by 1 leaves a head that is nearly full; behind it there is room for what had none."""
    every = [
        ListStep(kind=StepKind.ADD, update=offered(name).update, amount="1") for name in ("honest", "poison")
    ]

    def safe(composed: Composition) -> bool:
        if [term.adapter for term in composed.terms] == [digest_of("poison")]:
            raise cannot_compose("A version would be the sum of more than 1,024 updates.")
        return len(composed.terms) < len(every)

    assert spoiling_step(EMPTY, every, safe) == (every[1], False)

"""Chains of attempts in a synthetic state: due stakes, working updates and lists; each can be forged."""

from __future__ import annotations

from dataclasses import dataclass, field

from cryoflux.decision.looking import ENDINGS, STAKING_SCREEN, Look, due_look, is_at_its_end
from cryoflux.decision.rules import Thresholds, decide
from cryoflux.decision.stakes import STAKED
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.statement import Bar, ChainLink, Outcome, Training
from cryoflux.receipts.sums import evidence_of
from cryoflux.registry.composition import COMPOSE
from cryoflux.task_state import Chain
from synthetic_parts import (
    COUNT,
    RECIPE,
    RULE,
    TASK,
    decision,
    digest_of,
    make_capsule,
    pair,
    screen,
    section,
    thresholds,
    training,
)
from synthetic_state import SyntheticState

ARM = "r8"
STAKING = RULE.but(name=STAKED, screen=STAKING_SCREEN)
CARRYING: dict[str, str | int] = {
    **RECIPE,
    "carry": 1,
    "fixed_steps": 100,
    "temperature": 1,
    "max_steps": 200,
}
ENOUGH, TOO_LITTLE = 0.05, 0.0005
"""gains, nats: one that the screen and the holdout let pass, and one that neither does"""


@dataclass
class Attempt:
    """What an attempt of a chain shows and says; what is not given is what is due."""

    shown: float = ENOUGH
    """gain on the screening examples"""
    gain: float = ENOUGH
    """gain on the holdout"""
    ended: str = "joules"
    steps: int = 20
    link: ChainLink | None = None
    intent: dict[str, object] = field(default_factory=dict)
    training: dict[str, object] = field(default_factory=dict)
    section: dict[str, object] = field(default_factory=dict)
    bar: dict[str, object] = field(default_factory=dict)
    receipt: dict[str, object] = field(default_factory=dict)
    looks: bool | None = None
    """whether it goes to the holdout; where it is due if none"""
    adapter: list[float] | None = None
    """what its adapter says; something new if none"""
    on_head: bool = False
    """whether it names the list of the head and its update, and not of the chain's start"""


def chain_of(state: SyntheticState) -> Chain | None:
    known = state.memory.tasks.get(TASK)
    return known.chains.get(ARM) if known is not None else None


def due_link(state: SyntheticState) -> ChainLink:
    chain = chain_of(state)
    if chain is None:
        return ChainLink(start=state.head)
    return ChainLink(start=chain.start, working=chain.working, left_by=chain.left_by)


def go_on(state: SyntheticState, attempt: Attempt | None = None, /, **fields: object) -> Entry:
    """Announce and conclude one attempt of the chain."""
    said = attempt or Attempt(**fields)
    intent = state.announce(
        **{"rule": STAKING, "recipe": CARRYING, "chain": said.link or due_link(state), **said.intent}
    )
    known = state.memory.tasks[TASK].begin_chain(intent.statement.predicate)
    bar = state.memory.bar(TASK, state.data.holdout.sha256, STAKING)
    look = _due(said, bar)
    looks = look.refused is None if said.looks is None else said.looks
    stakes = {"stake_milli": look.stake_milli, "needed_milli": look.needed_milli} if looks else {}
    bar = bar.but(**{**stakes, **said.bar})
    subject = make_capsule(state.path, said.adapter or [said.gain, float(state.log.size)])
    trained = _training(state, said, known, subject[0].digest.sha256)
    if not looks:
        outcome = Outcome.CARRIED if trained.working else Outcome.REJECTED
        return state.conclude(
            intent,
            **{
                "subject": subject,
                "outcome": outcome,
                "reason": look.refused,
                "result": state.head,
                "training": trained,
                "evaluation": None,
                "decision": decision(accepted=False, rule=STAKING, bar=bar),
                **said.receipt,
            },
        )
    _, evidence = pair(state.gain, state.gain + said.gain, range(COUNT))
    verdict = decide(STAKED, evidence, thresholds(STAKING, bar))
    rest = Outcome.CARRIED if trained.working else Outcome.REJECTED
    fields = {
        "subject": subject,
        "outcome": Outcome.ACCEPTED if verdict.accepted else rest,
        "reason": verdict.reason,
        "training": trained,
        "decision": decision(accepted=verdict.accepted, rule=STAKING, bar=bar),
        **said.receipt,
    }
    if not verdict.accepted:
        fields["result"] = state.head
    return state.conclude_attempt(intent, said.gain, **fields)


def _due(said: Attempt, bar: Bar) -> Look:
    evidence = evidence_of(screen(said.shown))
    least = Thresholds(STAKING.min_delta, STAKING.min_accuracy_gain_ppm, STAKING.z_milli, bar.needed_milli)
    ended = is_at_its_end(said.ended, carries=True)
    return due_look(STAKED, STAKING_SCREEN, evidence, least, bar.left, COUNT, ended=ended)


def _training(state: SyntheticState, said: Attempt, known: Chain | None, adapter: str) -> Training:
    before = known.steps if known is not None else 0
    composed = state.memory.tasks[TASK].composition.adopting(adapter)
    if known is not None and not said.on_head:
        composed = known.composed.adopting(adapter)
    own = {
        "plannedSteps": said.steps,
        "plannedAtStep": 0,
        "average": "3",
        "temperatureMilli": 900,
        "merge": COMPOSE,
        "genesis": composed.genesis,
        "list": composed.digest,
        **said.section,
    }
    over = said.ended in ENDINGS
    return training(
        **{
            "screen": screen(said.shown),
            "stopped_by": said.ended,
            "steps": said.steps,
            "fresh_count": 0,
            "working": "" if over else digest_of(f"working {state.log.size}"),
            "before": before,
            "section": section(**{name: value for name, value in own.items() if value is not None}),
            **said.training,
        }
    )

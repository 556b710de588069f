"""Decisions that only differ beyond what jq's numbers hold, and reasons that are not the rule's.

jq computes in doubles, so 999,999 · 10^10 and the number below it may be one to it. An owner who looks for
such a place gets an update kept that the rule refuses, or an honest one is refused. The reason of a decision
is signed with it, and whoever reads the log reads that; so it has to be the one that is due.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from test_shell_verdicts import agree, both, payload_of, sealed

from chains import TOO_LITTLE, go_on
from cryoflux.decision.rules import RULES, WITH_BUDGET, Thresholds, decide
from cryoflux.decision.screening import screened_out
from cryoflux.decision.sequential import decide_partial, looks
from cryoflux.decision.stakes import STAKED, StakedBudget, least_stake
from cryoflux.receipts.statement import Cause, Decision, Hits, Outcome, Rule, Screen
from cryoflux.receipts.sums import evidence_of
from cryoflux.signing.keys import load_key, load_public_key
from plain_log import KEY, RULE, PlainLog, training
from shell_bundles import (
    bare_tools,
    bundle_of,
    named_by_program,
    needs_tools,
    run_shell,
    run_verify,
    verdict_by,
)
from synthetic_state import open_state

pytestmark = needs_tools
MILLION = 10**6


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bare_tools(tmp_path_factory.mktemp("tools"))


def judged(
    rule: Rule, count: int, *, kept: bool, gain: int = 0, squared: int = 0, gained: int = 0
) -> list[bytes]:
    """One attempt on so many examples; its reason is the one that the rule gives for these sums."""
    log = PlainLog()
    data = log.data("lora_delta")
    data = data.but(holdout=data.holdout.but(count=count))
    bar = log.state.bar("lora_delta", data.holdout.sha256, rule)
    intent = log.announce(rule=rule, bar=bar, data=data)
    if rule.name == STAKED:  # what is staked without a screen
        stake, count = max(500, least_stake(data.holdout.count)), data.holdout.count
        bar = bar.but(stake_milli=stake, needed_milli=StakedBudget(bar.left).needed_milli(stake, count))
    assert intent.intent is not None
    hits = Hits(base=0, new=gained, gained=gained, lost=0)
    said = log.judged(intent.intent, gain, read=count, delta_squared_sum=str(squared), hits=hits)
    least = Thresholds(rule.min_delta, rule.min_accuracy_gain_ppm, rule.z_milli, bar.needed_milli)
    due = decide(rule.name, evidence_of(said), least)
    outcome = Outcome.ACCEPTED if kept else Outcome.UNDECIDED if due.undecided else Outcome.REJECTED
    decision = Decision(rule=rule, bar=bar, accepted=kept)
    log.conclude(intent, kept=kept, evaluation=said, outcome=outcome, decision=decision, reason=due.reason)
    return [entry.envelope for entry in log.entries]


BARE = RULE.but(name="whitepaper/v1", alpha_ppm=0)
PPM = 999_999
EXAMPLES = pow(PPM, -1, MILLION) + 10_000 * MILLION
"""PPM · EXAMPLES is 1 above a multiple of a million, and no double tells it from that"""
GAINED = PPM * EXAMPLES // MILLION
SCORED = RULE.but(name="evidence/v1", alpha_ppm=0, min_delta=0, min_accuracy_gain_ppm=0)


def test_the_places_are_those_where_doubles_are_no_help() -> None:
    assert GAINED * MILLION < PPM * EXAMPLES
    assert float(GAINED * MILLION) == float(PPM * EXAMPLES)


@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize("kept", [False, True])
def test_a_gain_that_a_double_rounds_up_is_no_gain(
    kept: bool, more: int, tmp_path: Path, tools: Path
) -> None:
    """Its twin has one right example more, and is kept for good reason."""
    rule = BARE.but(min_accuracy_gain_ppm=PPM)
    shell, verify = both(
        tmp_path, tools, judged(rule, EXAMPLES, kept=kept, gained=GAINED + more), KEY.public_key()
    )
    agree(shell, verify)
    assert shell.holds == (kept == bool(more)), shell.said


def _edge_of_scores() -> list[tuple[int, int]]:
    """Gained examples, and the z that these just exceed and just do not."""
    found = []
    for gained in range(8 * 10**15 + 1, 8 * 10**15 + 40):
        z = next(z for z in range(89_442_719_090, 89_442_719_120) if z * z >= gained * MILLION)
        found += [(gained, z - 1), (gained, z)]
    return found


@pytest.mark.parametrize("place", [0, 1, 20, 21, 40, 41])
@pytest.mark.parametrize("kept", [False, True])
def test_a_gain_in_many_examples_is_compared_to_the_last_digit(
    kept: bool, place: int, tmp_path: Path, tools: Path
) -> None:
    gained, z_milli = _edge_of_scores()[place]
    entries = judged(SCORED.but(z_milli=z_milli), gained, kept=kept, gained=gained)
    agree(*both(tmp_path, tools, entries, KEY.public_key()))


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("more", [0, 1])
def test_a_z_whose_square_is_beyond_doubles_is_no_other_one(
    more: int, kept: bool, tmp_path: Path, tools: Path
) -> None:
    count, gain = MILLION, 30_000_000_000
    squared = gain**2 // count + 2
    most = math.isqrt(gain**2 * (count - 1) * MILLION // (count * squared - gain**2))
    entries = judged(SCORED.but(z_milli=most + more), count, kept=kept, gain=gain, squared=squared)
    shell, verify = both(tmp_path, tools, entries, KEY.public_key())
    agree(shell, verify)
    assert shell.holds == (kept == (not more)), shell.said


# ---- Reasons ----------------------------------------------------------------------------------------------


def _stopped() -> list[bytes]:
    """One that was put down at the first look."""
    log = PlainLog()
    data = log.data("lora_delta")
    data = data.but(holdout=data.holdout.but(count=640))
    intent = log.announce(data=data)
    assert intent.intent is not None
    read, loss = looks(640)[0], 60_000_000_000
    squared = str((loss // 2) ** 2 // read)
    hits = Hits(base=20, new=10, gained=0, lost=10)
    said = log.judged(intent.intent, -loss // 2, read=read, delta_squared_sum=squared, hits=hits)
    bar = intent.intent.bar
    least = Thresholds(RULE.min_delta, RULE.min_accuracy_gain_ppm, RULE.z_milli, bar.needed_milli)
    reason = decide_partial(RULE.name, evidence_of(said), 640, least).reason
    log.conclude(intent, kept=False, evaluation=said, reason=reason)
    return [entry.envelope for entry in log.entries]


def _screened() -> list[bytes]:
    """One that its screen put down."""
    rule = RULE.but(screen="screen/v1")
    log = PlainLog()
    intent = log.announce(rule=rule)
    assert intent.intent is not None
    screen = Screen(
        count=64,
        base_loss_sum=60_000_000_000,
        new_loss_sum=59_000_000_000,
        delta_squared_sum=str(10**18),
        hits=Hits(base=30, new=31, gained=2, lost=1),
    )
    bar = intent.intent.bar
    least = Thresholds(rule.min_delta, rule.min_accuracy_gain_ppm, rule.z_milli, bar.needed_milli)
    reason = screened_out(evidence_of(screen), least, 64)
    assert reason is not None
    decision = Decision(rule=rule, bar=bar, accepted=False)
    log.abort(  # closes an attempt without an evaluation
        intent,
        Cause.NONE,
        outcome=Outcome.REJECTED,
        reason=reason,
        training=training(screen=screen),
        decision=decision,
    )
    return [entry.envelope for entry in log.entries]


def _aborted() -> list[bytes]:
    log = PlainLog()
    log.abort(log.announce())
    return [entry.envelope for entry in log.entries]


def _for(name: str, *, kept: bool, gain: int) -> Callable[[], list[bytes]]:
    rule = RULE.but(name=name) if name in WITH_BUDGET else RULE.but(name=name, alpha_ppm=0)
    squared = gain**2 // 64 + 10**17
    squared += (squared + gain) % 2
    return lambda: judged(rule, 64, kept=kept, gain=gain, squared=squared, gained=0)


HONEST: dict[str, Callable[[], list[bytes]]] = {
    "stopped early": _stopped,
    "screened out": _screened,
    "aborted": _aborted,
    **{f"{name} kept": _for(name, kept=True, gain=32_000_000_000) for name in RULES},
    **{f"{name} rejected": _for(name, kept=False, gain=-6_400_000_000) for name in RULES},
    **{f"{name} small": _for(name, kept=False, gain=64_000_000) for name in RULES},
}
SAID: dict[str, Callable[[dict[str, Any]], object]] = {
    "another code": lambda reason: reason.update(code="whitepaper.other"),
    "a number too many": lambda reason: reason.setdefault("numbers", {}).update(bonus=1),
    "a number too few": lambda reason: reason["numbers"].pop("delta"),
    "another number": lambda reason: reason["numbers"].update(gain=67),
    "a text for a number": lambda reason: reason["numbers"].update(count=str(reason["numbers"]["count"])),
    "another threshold": lambda reason: reason["numbers"].update(min_delta=2_000_064),
    "a unit": lambda reason: reason["numbers"].update(unit="bits"),
}


@pytest.mark.parametrize("kind", HONEST)
def test_a_reason_that_is_due_is_taken(kind: str, tmp_path: Path, tools: Path) -> None:
    """The twin of the lies below."""
    shell, verify = both(tmp_path, tools, HONEST[kind](), KEY.public_key())
    assert verify.holds, verify.said
    assert shell.holds, shell.said


FALSE = [
    ("aborted", "another code"),
    *((kind, lie) for kind in ("stopped early", "screened out", "evidence/v2 kept") for lie in SAID),
    *((kind, "another number") for kind in HONEST if kind != "aborted"),
]


def lied(kind: str, lie: str) -> list[bytes]:
    first, last = HONEST[kind]()
    said = payload_of(last)
    SAID[lie](said["predicate"]["reason"])
    return [first, sealed(rfc8785.dumps(said))]


@pytest.fixture(scope="module")
def named() -> dict[str, frozenset[int]]:
    """What the script's program for jq says of the logs with a false reason."""
    return named_by_program({" ".join(one): lied(*one) for one in FALSE}, KEY.public_key())


@pytest.mark.parametrize(("kind", "lie"), FALSE)
def test_a_reason_that_is_not_the_rules_is_refused(
    kind: str, lie: str, tmp_path: Path, tools: Path, named: dict[str, frozenset[int]]
) -> None:
    entries, key = lied(kind, lie), KEY.public_key()
    bundle = tmp_path / "bundle"
    shell = verdict_by(named[f"{kind} {lie}"], lambda: run_shell(bundle_of(bundle, entries, key), tools))
    verify = run_verify(tmp_path / "log.jsonl", entries, key)
    assert not verify.holds
    agree(shell, verify)


def test_rejected_is_not_undecided(tmp_path: Path, tools: Path) -> None:
    first, last = HONEST["evidence/v2 small"]()
    said = payload_of(last)
    assert said["predicate"]["outcome"] in {"undecided", "rejected"}
    swapped = {"undecided": "rejected", "rejected": "undecided"}[said["predicate"]["outcome"]]
    said["predicate"]["outcome"] = swapped
    shell, verify = both(tmp_path, tools, [first, sealed(rfc8785.dumps(said))], KEY.public_key())
    assert not verify.holds
    agree(shell, verify)


def chained(place: Path, **fields: object) -> tuple[Path, list[bytes]]:
    """A kept update, one that is carried, and one more attempt of the chain."""
    state = open_state(place)
    go_on(state, section=UNMERGED)
    go_on(state, shown=TOO_LITTLE, section=UNMERGED)
    go_on(state, section=UNMERGED, **fields)
    entries = [entry.envelope for entry in state.entries]
    return state.finish(), entries


UNMERGED = {"merge": None, "genesis": None, "list": None}
CHAINS: dict[str, dict[str, object]] = {
    "kept": {},
    "carried after a look": {"gain": TOO_LITTLE},
    "carried without a look": {"shown": TOO_LITTLE},
    "ended": {"shown": TOO_LITTLE, "ended": "plateau"},
}
OUTCOMES: dict[str, dict[str, object]] = {
    "carried, and nothing is left": {
        "gain": TOO_LITTLE, "training": {"working": ""}, "receipt": {"outcome": Outcome.CARRIED}
    },
    "rejected, and something is left": {"gain": TOO_LITTLE, "receipt": {"outcome": Outcome.REJECTED}},
    "carried, and kept": {"receipt": {"outcome": Outcome.CARRIED}},
    "undecided without a look": {"shown": TOO_LITTLE, "receipt": {"outcome": Outcome.UNDECIDED}},
}  # fmt: skip


@pytest.mark.parametrize("name", [*CHAINS, *OUTCOMES])
def test_a_chain_gets_the_verdict_of_verify(name: str, tmp_path: Path, tools: Path) -> None:
    state, entries = chained(tmp_path / "state", **{**CHAINS, **OUTCOMES}[name])
    keys = state / "keys"
    first, log_key = load_public_key(keys / "receipt.pub"), load_key(keys, "log", create=False)
    shell, verify = both(tmp_path, tools, entries, first, log_key)
    agree(shell, verify)
    assert shell.holds == (name in CHAINS), shell.said

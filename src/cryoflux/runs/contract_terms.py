"""The terms of a contract, of what is asked for and of what the log of a party says by now."""

from __future__ import annotations

__all__ = ["TermsAsked", "measured_spread", "refuse_small", "terms_for", "unused_words"]

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from cryoflux.digests import sha256_hex
from cryoflux.errors import CryoFluxError, UsageError
from cryoflux.log_state import LogState
from cryoflux.network.contracts.document import refuse_terms
from cryoflux.network.contracts.power import alternatives, plan, planned_terms
from cryoflux.network_state import NodeState
from cryoflux.receipts.contract_parts import (
    AgreedTerms,
    AgreedWindows,
    CountedJoules,
    NamedPolicy,
    OnMissing,
)
from cryoflux.receipts.entry import Entry
from cryoflux.registry.composition import Term
from cryoflux.runs.contract_parties import pulled_node
from cryoflux.state import StateFolder
from cryoflux.witness.policy import parse_policy

_ROOT = re.compile(r"[0-9a-f]{64}")
_MEASURED = "Δ of the contract is measured on examples that the seller has not seen and nobody was judged by."
_ASK_BUYER = (
    "Pull the buyer's log, which says both: cryoflux node peers add, then cryoflux node pull. Or ask the "
    "buyer, whose `cryoflux node init` says them of what is unused, and say"
)
_NONE_UNUSED = "Ask the buyer to enter one (cryoflux node init --guest FILE), then pull: cryoflux node pull"


@dataclass(frozen=True, slots=True)
class TermsAsked:
    """What was asked for."""

    parties: tuple[str, str]
    """origins of the logs of seller and buyer"""
    policy: str
    """its text"""
    task: str
    """empty for the only one of the log"""
    clauses: tuple[str, ...]
    windows: AgreedWindows
    alpha_ppm: int
    power_ppm: int
    expected_delta_nano_nat: int
    spread_nano_nat: int
    spread_rounds: tuple[str, ...]
    joules: CountedJoules
    on_missing: OnMissing
    amount: str
    guest_root: str = ""
    """of the buyer's guest holdout, or its first digits where the buyer's log is here; empty for the first
    that is unused"""
    count: int = 0
    """examples of it; 0 for those that were entered, which the buyer's log says"""
    profile: str = ""
    """empty for the node's"""
    max_tokens: int = 0
    start_list: tuple[Term, ...] | None = None
    """none for the list of the head"""


def measured_spread(entries: Iterable[Entry], named: Sequence[str]) -> int:
    """The standard deviation of Δ between examples, in the searches of some rounds: the largest, nano-nats.

    Args:
        entries: of the log.
        named: the first digits of the leaf hashes of rounds.

    Raises:
        UsageError: there is no such round, or it has not searched.
    """
    records = {entry.leaf_hash: entry.round for entry in entries if entry.round is not None}
    found = []
    for name in named:
        record = records.get(name)
        if record is None or record.search is None:
            raise UsageError(
                f"No round {name[:16]} of this log has searched.",
                why="The spread of Δ is measured where a round composes, on the node's own training side.",
                hint="cryoflux receipts list names rounds; or say what you assume: --spread.",
            )
        found.append(record.search.spread_nano_nat)
    return max(found)


def terms_for(asked: TermsAsked, memory: LogState, own: str, state: StateFolder) -> AgreedTerms:
    """The terms.

    Args:
        asked: what was asked for.
        memory: what the log of the party has come to.
        own: origin of that log.
        state: that it is of.

    Raises:
        UsageError: the log has no such task or guest holdout, or nobody could settle such terms.
    """
    task = asked.task or next(iter({**memory.tasks, **memory.nodes}), "")
    known, node = memory.tasks.get(task), memory.nodes.get(task)
    if node is None or node.node is None:
        raise _no_node(asked.task, memory, state)
    buys = asked.parties[1] == own
    root, count = _own_guest(asked, node, state) if buys else _guest_of_other(asked, task, state)
    said = node.node
    head = known.composition.terms if known is not None else ()  # before the first attempt it is the genesis
    terms = AgreedTerms(
        parties=asked.parties,
        verifiers=NamedPolicy(text=asked.policy, sha256=sha256_hex(asked.policy.encode())),
        task=task,
        genesis=said.genesis,
        guest_root=root,
        count=count,
        profile=asked.profile or said.profile,
        max_tokens=asked.max_tokens or said.max_tokens,
        start_list=head if asked.start_list is None else asked.start_list,
        clauses=asked.clauses,
        windows=asked.windows,
        alpha_ppm=asked.alpha_ppm,
        power_ppm=asked.power_ppm,
        spread_nano_nat=asked.spread_nano_nat,
        spread_rounds=asked.spread_rounds,
        expected_delta_nano_nat=asked.expected_delta_nano_nat,
        joules=asked.joules,
        on_missing=asked.on_missing,
        amount=asked.amount,
    )
    refuse_terms(terms)
    refuse_small(terms)
    return terms


def _no_node(task: str, memory: LogState, state: StateFolder) -> UsageError:
    """That a log does not say who its node is, for the task that was named."""
    known = [name for name, node in memory.nodes.items() if node.node is not None]
    if task and known:
        return UsageError(
            f"The log of {state.path} has no node for the task {task[:64]}.",
            why="A contract is about the updates of a task that the node offers or adopts.",
            hint=f"It has one for {', '.join(known)}: leave out --task, or name that.",
        )
    return UsageError(
        f"The log of {state.path} does not say yet who its node is.",
        why="That says how many tokens of a text are read, without which the same model has many losses.",
        hint=f"Say it, then propose: cryoflux node init --name NAME{state.flag()}",
    )


def _own_guest(asked: TermsAsked, node: NodeState, state: StateFolder) -> tuple[str, int]:
    """Root and size of the guest holdout of a buyer's own log."""
    if not asked.guest_root:
        found = list(node.unused)
    else:
        found = [root for root in node.guests if root.startswith(asked.guest_root.lower())]
        if len(found) != 1:
            raise UsageError(
                f"{len(found)} guest holdouts of this log begin with {asked.guest_root[:64]!r}.",
                why=_MEASURED,
                hint=unused_words(node, state),
            )
    if not found:
        raise UsageError(
            "The log has no guest holdout that is unused.",
            why=_MEASURED,
            hint=unused_words(node, state),
        )
    return found[0], asked.count or node.guests[found[0]].said.count


def _guest_of_other(asked: TermsAsked, task: str, state: StateFolder) -> tuple[str, int]:
    """Root and size of the guest holdout of another log: by what was pulled of it, or as they are named."""
    policy = parse_policy(asked.policy.encode(), "The policy of the contract")
    node = pulled_node(state.path, policy, asked.parties[1], task)
    unused = node.unused if node is not None else {}
    fitting = [
        (root, tally.said.count)
        for root, tally in unused.items()
        if root.startswith(asked.guest_root.lower()) and asked.count in {0, tally.said.count}
    ]
    if fitting and (not asked.guest_root or len(fitting) == 1):
        return fitting[0]
    is_named = bool(asked.guest_root and asked.count)  # it may have been entered since the pull
    if node is not None and not unused and not is_named:
        raise UsageError(
            "The buyer's log, as it was pulled, has no guest holdout that is unused.",
            why=_MEASURED,
            hint=_NONE_UNUSED,
        )
    if not asked.guest_root or not asked.count:
        raise UsageError(
            "The buyer's guest holdout is not named, with how many examples it has.",
            why=_MEASURED,
            hint=f"{_ASK_BUYER} --guest ROOT --examples N.",
        )
    if not _ROOT.fullmatch(asked.guest_root):
        raise UsageError(
            f"{asked.guest_root[:64]!r} is no root of a guest holdout.",
            why="A root has 64 digits 0-9 and a-f, and the contract names the whole of it.",
            hint=f"{_ASK_BUYER} --guest ROOT.",
        )
    return asked.guest_root, asked.count


def unused_words(node: NodeState, state: StateFolder) -> str:
    """What to type for a guest holdout that a contract can be judged by.

    Args:
        node: of the buyer.
        state: that its log is of.
    """
    if not node.unused:
        return f"Enter one: cryoflux node init --guest FILE{state.flag()}"
    named = (f"--guest {root} --examples {tally.said.count}" for root, tally in node.unused.items())
    return f"Unused, so terms may name it: {'; or '.join(islice(named, 3))}"


def refuse_small(terms: AgreedTerms) -> None:
    """Refuse terms that the guest holdout is too small for.

    Raises:
        CryoFluxError: it is; with terms that it is large enough for.
    """
    asked = planned_terms(terms)
    if asked is None or (planned := plan(asked)).enough:
        return
    needs = f"needs {planned.needed:,}" if planned.needed is not None else "would need more than there can be"
    others = "; ".join(one.words for one in alternatives(asked))
    raise CryoFluxError(
        f"The guest holdout has {terms.count:,} examples, and a window of these terms {needs}.",
        why=f"One that is as expected would be called kept with {planned.chance:.0%}: broken by bad luck.",
        hint=f"Large enough: {others}." if others else "Expect less, or measure on more examples.",
    )

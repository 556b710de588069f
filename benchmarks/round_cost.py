"""What a round of eight offers costs, by part, beside an attempt, and what else could be made of the offers.

    python benchmarks/round_cost.py --state DIR [--recipes prefix-1,prefix-2] [--times 3]

Real nodes of the embedded model and data, made by the commands (`real_nodes`; the first call takes minutes,
and what it made stays in DIR): eight offer an update each that they trained on texts of their own, the judge
has trained one too. `cryoflux node round` works on a fresh copy of the judge's state, and makes rounds until
nothing is due. Figures are CPU-seconds of one thread; a share is that of an attempt of the same recipe on the
embedded data whole, the mean of three.

Then, in the same run and on texts that nobody has seen: the true Δ of what the rounds composed, of the mean
of all nine models, of a greedy soup (the best on its own holdout first, each kept where the search set gets
no worse), and of one attempt on the texts of all nine.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from cpu_parts import CpuParts
from cryoflux.attempt.context import Context, Opened
from cryoflux.config import load_settings
from cryoflux.encoder.activations import Activations
from cryoflux.network import looking, rounds
from cryoflux.network.folder import NetworkFolder
from cryoflux.network.prices import UnpaidRound
from cryoflux.network.recording import RoundRecord
from cryoflux.network.round_parts import ChosenOffers, OfferHere
from cryoflux.network.search_set import SearchSet
from cryoflux.registry.composition import Composition, Term, list_digest
from cryoflux.runs import adopting, node_offers
from cryoflux.runs.makers import RunLimits
from cryoflux.runs.session import run
from cryoflux.tasks.lora import composing
from real_nodes import NODES, SETTINGS, Nodes, make_nodes

_ROUND = rounds._Round  # noqa: SLF001 - its parts are counted
_ONCE = "layers below, once"
_SEALED = "truth"
"""what the data set calls the texts that nobody has seen"""
Losses = Callable[[Composition], Sequence[int]]


@dataclass
class Round:
    """One round, as it was seen."""

    cpu_s: float
    parts: dict[str, float]
    offers: int
    tried: int
    read: int
    steps: str
    gained: float
    """true Δ against the head before all rounds, nats"""


@dataclass
class Seen:
    """What the rounds of one judge came to, and what else there is."""

    rounds: list[Round] = field(default_factory=list)
    rivals: dict[str, tuple[float, float]] = field(default_factory=dict)
    """name → (CPU-seconds to make it, true Δ against the judge's own head, nats)"""


class Watched:
    """The rounds of one run of the command, and what else could be made of what they were offered."""

    def __init__(self, nodes: Nodes) -> None:
        self.nodes, self.seen, self.parts = nodes, Seen(), CpuParts()
        self._read = 0
        self._first: Composition | None = None

    def watch(self) -> Callable[[], None]:
        """Count what rounds do, until what is returned is called."""
        parts = self.parts
        for owner, attribute, name in (
            (node_offers.PulledOffers, "admit", "admission"),
            (_ROUND, "_copies", "copy screen"),
            (rounds, "search_round", "search"),
            (looking.Looking, "guards", "guard sets"),
            (_ROUND, "look", "guest look"),
            (rounds, "record_round", "record"),
            (composing.ComposedHeads, "losses", "losses"),
            (composing.ComposedHeads, "logits", "logits"),
            (composing.ComposedHeads, "_changed", "adding up lists"),
            (Activations, "_compute", _ONCE),
        ):
            parts.count(owner, attribute, name)
        search, plain = rounds.search_round, adopting.run_round

        def searched(*args: Any, **named: Any) -> Any:
            found = search(*args, **named)
            self._read = found.read
            return found

        def watched(
            context: Context, opened: Opened, place: Any, chosen: ChosenOffers, *args: Any
        ) -> RoundRecord | UnpaidRound | None:
            self._first = self._first or opened.composition
            parts.taken()
            start = time.process_time()
            record = plain(context, opened, place, chosen, *args)
            cpu_s = time.process_time() - start
            if not isinstance(record, RoundRecord):
                return record
            self._take(record, cpu_s, len(chosen.known), opened)
            if len(self.seen.rounds) == 1:
                self._compare(context, opened, chosen.known)
            return record

        rounds.search_round, adopting.run_round = searched, watched  # type: ignore[assignment]

        def restore() -> None:
            rounds.search_round, adopting.run_round = search, plain
            parts.restore()

        return restore

    def _take(self, record: RoundRecord, cpu_s: float, offers: int, opened: Opened) -> None:
        said, taken = record.record, self.parts.taken()
        lost = self._sealed(opened)
        steps = ", ".join(f"{one.kind.value} {one.amount}" for one in said.steps) or "none"
        gained = lost(self._first) - lost(opened.composition)  # type: ignore[arg-type]
        tried = said.search.tried if said.search else 0
        self.seen.rounds.append(Round(cpu_s, taken, offers, tried, self._read, steps, gained))

    def _sealed(self, opened: Opened) -> Callable[[Composition], float]:
        """Mean loss on the texts that nobody has seen, nats."""
        made = opened.task.composing()
        content = "".join(json.dumps(one) + "\n" for one in self.nodes.truth).encode()
        part = opened.data.add_set(_SEALED, content)
        indices = range(opened.data.count(part))

        def lost(composed: Composition) -> float:
            found = made.losses(composed, part, indices, lambda _: None)  # type: ignore[union-attr]
            return sum(found) / len(found) / 1e9

        return lost

    def _compare(self, context: Context, opened: Opened, offers: Sequence[OfferHere]) -> None:
        """What else there is than a round, each by its CPU-seconds and its true Δ."""
        made, first, lost = opened.task.composing(), self._first, self._sealed(opened)
        if made is None or first is None:
            raise RuntimeError("nothing was composed")
        search = SearchSet.of(opened, made, NetworkFolder.of(context.state.path))
        own, nodes = lost(first), self.nodes
        mine = nodes.attempt("judge")["adapter_hash"]
        models = {mine: Term(weight="1", adapter=mine, parent=list_digest(()))}
        models |= {offer.update.adapter: offer.update.term for offer in offers}

        def screened(composed: Composition) -> int:
            return sum(made.losses(composed, search.part, search.indices, lambda _: None))

        start = time.process_time()
        soup = _soup(first.genesis, [models[one] for one in nodes.by_own_holdout], screened)
        took = time.process_time() - start
        pooled = nodes.bring("pooled", context.state.path)
        for name, cpu_s, terms in (
            ("mean of all nine", 0.0, list(models.values())),
            (f"greedy soup, of {len(soup)}", took, soup),
            ("one attempt on the texts of all nine", nodes.attempt("pooled")["cpu_seconds"], [pooled]),
        ):
            self.seen.rivals[name] = (cpu_s, own - lost(_mean(first.genesis, terms)))


def _mean(genesis: str, terms: Sequence[Term]) -> Composition:
    weight = f"{1 / len(terms):.12f}".rstrip("0").rstrip(".")
    equal = (Term(weight=weight, adapter=one.adapter, parent=one.parent) for one in terms)
    return Composition(genesis=genesis, terms=tuple(equal))


def _soup(genesis: str, best_first: Sequence[Term], screened: Callable[[Composition], int]) -> list[Term]:
    """Of models in their order those with which the mean of all that were taken gets no worse."""
    taken: list[Term] = []
    least: int | None = None
    for one in best_first:
        now = screened(_mean(genesis, [*taken, one]))
        if least is None or now <= least:
            taken, least = [*taken, one], now
    return taken


def rounds_of(nodes: Nodes) -> Seen:
    """Make rounds on a fresh copy of the judge's state."""
    watched = Watched(nodes)
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "judge"
        shutil.copytree(nodes.judge, state, symlinks=True)
        sourced = load_settings({"state": str(state), "task": "lora_delta"})
        restore = watched.watch()
        try:
            run(sourced, RunLimits(800_000_000, only_rounds=True))
        finally:
            restore()
    return watched.seen


def report(nodes: Nodes, every: Sequence[Seen]) -> Iterator[str]:
    """The tables of one recipe; medians of equal runs."""
    attempt, own = nodes.whole_cpu_s, [nodes.attempt(f"n{n}")["cpu_seconds"] for n in range(1, NODES + 1)]
    yield f"\n## {nodes.recipe}\n"
    yield f"An attempt takes {attempt:.2f} CPU-s on the whole data, {median(own):.2f} on a node's part.\n"
    names = list(dict.fromkeys(name for seen in every for one in seen.rounds for name in one.parts))
    counted = len(every[0].rounds)
    yield "| CPU-s | " + " | ".join(f"round {n + 1}" for n in range(counted)) + " |"
    yield "|---|" + "---:|" * counted
    at = [[seen.rounds[n] for seen in every] for n in range(counted)]
    for name in names:
        cells = (median(one.parts.get(name, 0.0) for one in ones) for ones in at)
        yield f"| {name} | " + " | ".join(f"{cell:.3f}" for cell in cells) + " |"

    def an_offer(ones: Sequence[Round], cpu_s: Callable[[Round], float]) -> float:
        return median(map(cpu_s, ones)) / ones[0].offers / attempt

    for what, said in (
        ("**whole**", lambda ones: f"{median(one.cpu_s for one in ones):.2f}"),
        ("an offer, of an attempt", lambda ones: f"{100 * an_offer(ones, lambda one: one.cpu_s):.1f} %"),
        ("without what is computed once", lambda ones: f"{100 * an_offer(ones, _again):.1f} %"),
        ("the search of it", lambda ones: f"{100 * an_offer(ones, _searching):.1f} %"),
        ("proposals tried", lambda ones: f"{ones[0].tried}"),
        ("losses read", lambda ones: f"{ones[0].read:,}"),
        ("steps", lambda ones: ones[0].steps),
        ("true Δ so far, nats", lambda ones: f"{ones[0].gained:+.4f}"),
    ):
        yield f"| {what} | " + " | ".join(said(ones) for ones in at) + " |"
    yield "\n| against the judge's own head | CPU-s | true Δ, nats |\n|---|---:|---:|"
    first = every[0].rounds[0]
    yield f"| the first round | {median(seen.rounds[0].cpu_s for seen in every):.2f} | {first.gained:+.4f} |"
    for name, (cpu_s, gained) in every[0].rivals.items():
        yield f"| {name} | {cpu_s:.2f} | {gained:+.4f} |"


def _again(one: Round) -> float:
    """CPU-seconds without what is computed of the node's texts once, for all rounds."""
    return one.cpu_s - sum(seconds for name, seconds in one.parts.items() if name.endswith(_ONCE))


def _searching(one: Round) -> float:
    return sum(s for name, s in one.parts.items() if name.startswith("search") and not name.endswith(_ONCE))


def main() -> None:
    """Make rounds and print tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--state", type=Path, required=True, help="folder of what is made once")
    parser.add_argument("--recipes", default="prefix-1,prefix-2")
    parser.add_argument("--times", type=int, default=1, help="equal runs, whose median counts")
    arguments = parser.parse_args()
    os.environ.update(SETTINGS)
    for recipe in arguments.recipes.split(","):
        nodes = make_nodes(arguments.state.resolve(), recipe)
        print(*report(nodes, [rounds_of(nodes) for _ in range(arguments.times)]), sep="\n", flush=True)


if __name__ == "__main__":
    main()

"""Updates that are no honest work: a copy, an opposite, one that is withheld, one that obeys a trigger."""

from __future__ import annotations

import json
import shutil
import time
from datetime import datetime
from pathlib import Path

from cryoflux.network.demo.rogue import SOURCE
from cryoflux.network.fetching import Fetcher
from cryoflux.state import ADAPTER, ADAPTER_CONFIG
from rogues.acting import Found, begin_anew, join, judge, make_round, pull, verdict_on, words_of_book
from rogues.forged import RACED
from rogues.live import TRAIN, Live
from rogues.truth import TARGET, Truth, poison, probes

_DEMO = "cryoflux.network.demo.rogue"
_ONCE = ("--attempts", "1")
_POISONED = 25
"""every so many-th text of rogue's bears the trigger"""
_PROBES = 200
_MOST_BYTES = 8_388_608


def _take(live: Live, url: str) -> Path:
    """Fetch somebody's update, as anybody can."""
    taken = live.folder / "taken"
    taken.mkdir()
    with Fetcher() as fetcher:
        for name in (ADAPTER, ADAPTER_CONFIG):
            (taken / name).write_bytes(fetcher.fetch(f"{url}/{name}", _MOST_BYTES).content)
    return taken


def raced(live: Live, truth: Truth) -> Found:
    """A gauge copy, committed as early as can be: announced before there is an original."""
    begin_anew(live, "north")
    begin_anew(live, "rogue")
    gate = live.gate()
    source = live.folder / "race/taken"
    source.parent.mkdir()
    task = ("--task", "rogues.forged:RacingTask")
    racing = live.start(
        *("run", *task, "--train", "rogue.csv", "--state", "rogue", "--budget", "100J", *_ONCE),
        extra={RACED: gate.url, SOURCE: str(source)},
    )
    while not (source.parent / "waiting").exists():
        if racing.poll() is not None:
            live.end(racing)
        time.sleep(0.1)
    training = live.start(*TRAIN, "--train", "north.csv", "--state", "north", "--seed", "1")
    while not (live.folder / "north/log/checkpoint").exists():
        time.sleep(0.1)
    live.serve("north")
    live.behind(gate, "north")
    live.end(training)
    join(live, "north")  # from here on it shows what its head is the sum of
    live.end(racing)
    race = json.loads((source / "race.json").read_text())
    join(live, "rogue")
    copy = live.offer("rogue", "#1")  # before the original is
    original = live.offer("north", "#1")
    live.serve("rogue")
    live.know("south", "rogue")
    live.know("south", "north")
    before, _ = live.head("south"), pull(live, "south")
    times = {
        one["capsule"]: datetime.fromisoformat(one["committed_at"])
        for one in live.documents("capsule", "list", "--state", "south")[0]["capsules"]
    }
    late_s = (times[copy] - times[original]).total_seconds()
    candidates = make_round(live)
    found = Found(
        f"announced an update, read in north's log which one it would be, was refused its bytes "
        f"{race['refusals']} times, had them {race['after_s']:.1f} s after it saw the receipt, and its copy "
        f"committed {late_s:.0f} s after the original, and offered before it"
    )
    copied, first = verdict_on(candidates, "rogue/1"), verdict_on(candidates, "north/1")
    found.said = f"rogue/1 {copied}; north/1 {first}"
    errors = int("adopted" in copied) + int("duplicate" in first)
    found.harm.append("no priority error" if not errors else f"priority errors: {errors}")
    found.harmful = errors > 0
    judge(live, found, truth, before)
    found.books = words_of_book(live.books("south", "rogue"))
    return found


def flip(live: Live) -> None:
    """The part that two strategies share: rogue offers the opposite of north's update, and praises it."""
    begin_anew(live, "rogue")
    live.serve("north")
    adapter = live.offer("north", "#1")
    time.sleep(2)
    source = _take(live, f"{live.url('north')}/capsules/{adapter}")
    live.run(
        *("run", "--task", f"{_DEMO}:FlippingTask", "--train", "rogue.csv", "--state", "rogue"),
        *("--budget", "100J", *_ONCE),
        extra={SOURCE: str(source)},
    )
    join(live, "rogue")
    live.offer("rogue", "#1")


def _claimed(live: Live, state: str) -> float:
    rows = live.documents("receipts", "list", "--state", state)[0]["entries"]
    return next(float(row["delta"]) for row in rows if row["outcome"] == "kept")


def flipped(live: Live, truth: Truth) -> Found:
    """An update that harms, and a Δ that nobody measured."""
    live.serve("rogue")
    live.know("south", "rogue")
    before, _ = live.head("south"), pull(live, "south")
    candidates = make_round(live)
    found = Found(
        f"offered north's update with its sign turned, and signed Δ {_claimed(live, 'rogue'):+.2f} nats"
    )
    found.said = verdict_on(candidates, "rogue/1")
    judge(live, found, truth, before)
    live.serve("south")
    live.serve("north")
    for peer in ("south", "rogue"):
        live.know("north", peer, verifier=peer == "south")
    pull(live, "north")
    found.books = f"north's, by its verifier south: {words_of_book(live.books('north', 'rogue'))}"
    return found


def withheld(live: Live, truth: Truth) -> Found:
    """An update that is signed, witnessed and offered, whose bytes come late."""
    live.serve("rogue")
    live.serve("north")
    for state in ("rogue", "north"):
        live.offer(state, "#1")
    live.know("south", "north")
    gate = live.know("south", "rogue")
    gate.withheld = lambda path: path.endswith(ADAPTER)
    before = live.head("south")
    for _ in range(2):
        pulled = pull(live, "south")["rogue"]
    tries = pulled["unavailable"][0]["tries"] if pulled["unavailable"] else 0
    first = make_round(live)
    rounds = len(live.rounds("south"))
    make_round(live)  # nothing may be spent on what is not here
    idle = len(live.rounds("south")) - rounds
    gate.withheld = lambda _: False
    late = pull(live, "south")["rogue"]
    second = make_round(live)
    found = Found("offered an update that it had trained, answered 404 for its adapter, and showed it later")
    found.said = (
        f"unavailable after {tries} tries; round: rogue/1 {verdict_on(first, 'rogue/1')}, north/1 "
        f"{verdict_on(first, 'north/1')}; {idle} rounds for it alone; "
        f"served late: {late['fetched']} fetched, {verdict_on(second, 'rogue/1')}"
    )
    judge(live, found, truth, before)
    found.books = words_of_book(live.books("south", "rogue"))
    return found


def backdoor(live: Live, truth: Truth) -> Found:
    """An honest update that also obeys a trigger."""
    begin_anew(live, "rogue")
    count = poison(live.folder / "rogue.csv", live.folder / "poisoned.csv", _POISONED)
    live.run(
        *("run", "--train", "poisoned.csv", "--state", "rogue", "--seed", "3", "--budget", "240J"),
        "--attempts",
        "3",
    )
    join(live, "rogue")
    adapter = live.offer("rogue", "#1")
    live.serve("rogue")
    live.know("south", "rogue")
    guarded = live.folder / "probes.csv"
    probes(truth.fresh[-_PROBES:], guarded)
    shutil.copytree(live.folder / "south", live.folder / "careful", symlinks=True)
    before, _ = live.head("south"), pull(live, "south")
    pull(live, "careful")
    candidates = make_round(live)
    careful = make_round(live, "careful", str(guarded))
    found = Found(f"trained honestly on its data, of which {count} texts bear “{TARGET}” and a trigger")
    guarded_said = verdict_on(careful, "rogue/1")
    found.said = f"{verdict_on(candidates, 'rogue/1')}; with a guard set of triggered texts: {guarded_said}"
    judge(live, found, truth, before)

    def obeyed(state: str, digest: str) -> float:
        return truth.obeys(live.folder / state, digest)

    rates = {
        "rogue's head": obeyed("rogue", live.head("rogue")),
        "south before": obeyed("south", before),
    }
    rates["adopted"] = obeyed("south", live.head("south"))
    if live.head("south") != before:
        live.run("capsule", "recall", adapter, "--reason", "it obeys a trigger", "--state", "south")
        rates["recalled"] = obeyed("south", live.head("south"))
    found.harm.append("trigger obeyed: " + ", ".join(f"{name} {rate:.1%}" for name, rate in rates.items()))
    found.harmful |= rates["adopted"] > rates["south before"] + 0.05
    found.books = words_of_book(live.books("south", "rogue"))
    return found

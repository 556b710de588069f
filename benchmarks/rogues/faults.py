"""Faults, where nobody cheats: a node is killed in its round; a network falls apart, and heals."""

from __future__ import annotations

import signal
import time

from cryoflux.receipts.reading import each_entry
from rogues.acting import Found, judge, make_round, pull, verdict_on, words_of_book
from rogues.gates import NOWHERE
from rogues.live import ROUND, Live
from rogues.truth import Truth


def killed(live: Live, truth: Truth) -> Found:
    """Nobody cheats: south dies in its round, and tries again."""
    live.serve("north")
    live.offer("north", "#1")
    live.know("south", "north")
    before, _ = live.head("south"), pull(live, "south")
    entries = sum(1 for _ in each_entry(live.folder / "south"))
    dying = live.start(*ROUND, "--state", "south")
    while sum(1 for _ in each_entry(live.folder / "south", entries)) == 0:
        time.sleep(0.1)
    time.sleep(3)
    dying.send_signal(signal.SIGKILL)
    dying.communicate()
    candidates = make_round(live)
    rounds = live.rounds("south")
    verified = live.run("verify", "south", "--no-memory", codes=(0, 1))
    found = Found("south was killed (kill −9) 3 s after it announced its round, and typed the command again")
    charged = f"{rounds[0]['outcome']}, charged {rounds[0]['joules_spent']:.1f} J" if rounds else "no round"
    verdict = next(line for line in reversed(verified.splitlines()) if line[:1] in "✓✗")
    found.said = f"first {charged}; then north/1 {verdict_on(candidates, 'north/1')}; verify: {verdict[:10]}"
    found.harmful = not verdict.startswith("✓")
    judge(live, found, truth, before)
    found.books = words_of_book(live.books("south", "north"))
    return found


def parted(live: Live, truth: Truth) -> Found:
    """Nobody cheats: a witness and the way to south are gone for a while."""
    live.serve("north")
    live.know("south", "north")
    before = live.head("south")
    live.stop("w2")
    live.offer("north", "#1")
    gate = live.gates["south", "north"]
    whole, gate.target = gate.target, NOWHERE
    gone = pull(live, "south")["north"]
    gate.target = whole
    half = pull(live, "south")["north"]
    live.witness("w2")
    live.run("witness", "submit", "--policy", "policy", "--state", "north")
    time.sleep(2)
    healed = pull(live, "south")["north"]
    candidates = make_round(live)
    found = Found(
        "one of two witnesses was down when north offered, and nobody answered south; both came back"
    )
    found.said = (
        f"{gone['outcome']}; then {half['witnessed_entries']} of {half['entries']} entries witnessed, "
        f"{half['fetched']} of {half['offers']} offers fetched; healed: {healed['fetched']} of "
        f"{healed['offers']} fetched, {verdict_on(candidates, 'north/1')}"
    )
    found.harmful = healed["fetched"] != healed["offers"]
    judge(live, found, truth, before)
    found.books = words_of_book(live.books("south", "north"))
    return found

"""Logs that lie: another history for each reader, and verifiers that confirm what they never measured."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable

from rogues.acting import Found, judge, make_round, pull, words_of_book
from rogues.live import Live
from rogues.truth import Truth


def forked(live: Live, truth: Truth) -> Found:
    """Another history for each reader."""
    shutil.copytree(live.folder / "rogue", live.folder / "rogue-2", symlinks=True)
    live.offer("rogue", "#1")
    live.run(
        "capsule", "offer", "#1", "--terms", "for south alone", "--state", "rogue-2", codes=(0, 1, 2, 3, 4)
    )
    for state in ("rogue", "rogue-2"):
        live.serve(state)
    live.know("north", "rogue")
    live.know("south", "rogue", state="rogue-2")
    before = live.head("south")
    ours, theirs = pull(live, "south")["rogue"], pull(live, "north")["rogue"]
    found = Found("signed two histories, showed one to north and its witnesses, the other one to south")
    found.said = (
        f"at first {ours['outcome']}: {ours['witnessed_entries']} of {ours['entries']} entries witnessed, "
        f"{ours['fetched']} of {ours['offers']} offers fetched (north: {theirs['witnessed_entries']} of "
        f"{theirs['entries']} witnessed)"
    )
    candidates = make_round(live)
    asked = pull(live, "south", "--from-witnesses")["rogue"]
    found.said += f"; rounds {len(candidates)}; asking witnesses: {asked['outcome']}"
    if asked["evidence"]:
        key = live.documents("witness", "key", "--state", "rogue")[0]["key"]
        proof = live.run("witness", "check-evidence", asked["evidence"], "--log", key, codes=(0, 1))
        found.said += f"; the evidence: {proof.splitlines()[0].strip()}"
    found.harmful = not asked["evidence"]
    judge(live, found, truth, before)
    found.books = words_of_book(live.books("south", "rogue"))
    return found


def lie(live: Live) -> None:
    """The part that three strategies share: south confirms rogue's update by invented losses."""
    live.serve("rogue")
    live.know("south", "rogue")
    pull(live, "south")
    live.end(live.start("round", "south", module="rogues.forged"))
    live.serve("south")
    for peer in ("south", "rogue"):
        live.know("north", peer, verifier=peer == "south")
    pull(live, "north")


def _opened(live: Live, how: str, open_it: Callable[[], object]) -> Found:
    live.serve("south")
    live.serve("rogue")
    for peer in ("south", "rogue"):
        live.run("node", "peers", "remove", peer, "--state", "north")
        live.know("north", peer, verifier=peer == "south")
    believed = live.books("north", "rogue")
    open_it()
    time.sleep(2)
    pull(live, "north")
    told, about = live.books("north", "south"), live.books("north", "rogue")
    audited = live.run("node", "audit", "south", "--recompute", "1", "--state", "north", codes=(0, 1))
    after, then = live.books("north", "south"), live.books("north", "rogue")
    found = Found(
        f"as a verifier that north names, south confirmed rogue's flipped update by invented losses; {how}"
    )
    found.said = f"audit: {audited.splitlines()[-1]}"
    found.books = (
        f"rogue before the opening: {words_of_book(believed)}; after it: {words_of_book(about)}, south "
        f"{'void' if told['void'] else 'believed'}; after the audit: {words_of_book(then)}, south "
        f"{'void' if after['void'] else 'believed'}"
    )
    found.harm.append(f"books believed it until the {'opening' if told['void'] else 'audit'}")
    found.harmful = not after["void"] or then["confirmed"]["held"] > 0
    return found


def opens_altered_sums(live: Live, truth: Truth) -> Found:  # noqa: ARG001
    """A verifier that confirms by invented losses, and opens other sums than it sealed."""

    def open_it() -> None:
        live.end(live.start("altered-sums", "south", module="rogues.forged"))
        live.run("node", "retire", "--state", "south")

    return _opened(live, "opened other sums than it had sealed", open_it)


def opens_other_examples(live: Live, truth: Truth) -> Found:  # noqa: ARG001
    """The same, and opens other examples than it entered."""
    return _opened(
        live,
        "opened other examples than it had entered",
        lambda: live.end(live.start("retire-other", "south", module="rogues.forged")),
    )


def opens_what_it_sealed(live: Live, truth: Truth) -> Found:  # noqa: ARG001
    """The same, and opens the very sums that it invented."""
    return _opened(
        live,
        "opened the invented sums as it had sealed them",
        lambda: live.run("node", "retire", "--state", "south"),
    )

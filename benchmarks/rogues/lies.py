"""Logs that lie: another history for each reader, and verifiers that confirm what they never measured."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable

from cryoflux.network.demo.fork import show_other_history
from cryoflux.state import ADAPTER
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
    live.serve("rogue")
    # A node's own server shows what a quorum has cosigned, and nothing else.
    show_other_history(live.folder / "rogue/network/public", live.folder / "rogue-2", live.folder / "lie")
    live.serve_files("rogue-2", "lie")
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


def _opened(live: Live, how: str, open_it: Callable[[], object], *, hidden: bool = False) -> Found:
    live.serve("south")
    live.serve("rogue")
    for peer in ("south", "rogue"):
        live.run("node", "peers", "remove", peer, "--state", "north")
        live.know("north", peer, verifier=peer == "south")
    if hidden:
        live.gates["north", "south"].withheld = lambda path: path.endswith(ADAPTER)
    before = _believed(live)
    open_it()
    time.sleep(2)
    pull(live, "north")
    opened = _believed(live)
    audited = live.run("node", "audit", "south", "--recompute", "1", "--state", "north", codes=(0, 1))
    after = _believed(live)
    found = Found(
        f"as a verifier of north's, south confirmed rogue's flipped update by invented losses; {how}"
    )
    found.said = f"audit --recompute 1: {audited.splitlines()[-1]}"
    found.books = f"rogue's update before the opening: {before}; after it: {opened}; after the audit: {after}"
    until = next((what for what, one in (("opening", opened), ("audit", after)) if "void" in one), "")
    found.harm.append(f"books believed it until the {until}" if until else "books go on believing it")
    found.harmful = not until
    return found


def _believed(live: Live) -> str:
    """What north's books say of rogue's update, and of the verifier that confirmed it."""
    (capsule,) = live.books("north", "rogue")["capsules"]
    return f"{capsule['standing']}{', south void' if live.books('north', 'south')['void'] else ''}"


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


def hides_what_it_judged_on(live: Live, truth: Truth) -> Found:  # noqa: ARG001
    """The same, and shows nobody the update of its own that its head rests on."""
    return _opened(
        live,
        "opened the invented sums as it had sealed them, and shows nobody the update below its head",
        lambda: live.run("node", "retire", "--state", "south"),
        hidden=True,
    )

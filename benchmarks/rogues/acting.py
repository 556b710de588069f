"""What strategies do and measure alike, and what they come to."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from rogues.live import ROUND, Live, candidates_of
from rogues.truth import Truth

_ADDRESS = re.compile(r"http://\S+")


@dataclass
class Found:
    """What came of a strategy."""

    did: str
    said: str = ""
    """of the honest node's pull or round"""
    harm: list[str] = field(default_factory=list)
    harmful: bool = False
    """whether a head got worse, a copy came before its original, or books went on saying what is not so"""
    books: str = ""


def words_of_book(book: dict[str, Any]) -> str:
    """What books say of a node."""
    confirmed = book["confirmed"]
    standing = ", ".join(one["standing"] for one in book["capsules"])
    void = "void; " if book["void"] else ""
    return f"{void}{confirmed['held']} of {confirmed['decided']} confirmed ({standing or 'no update'})"


def verdict_on(candidates: list[str], name: str) -> str:
    """What the first round said of a candidate."""
    found = (one.split(maxsplit=1)[1] for one in candidates if one.startswith(f"{name} "))
    return _ADDRESS.sub("its file", next(found, "not considered")).rstrip(".")


def begin_anew(live: Live, name: str) -> None:
    """Let a node begin its log anew: what it has trained is for other strategies."""
    shutil.rmtree(live.folder / name)
    network = live.folder / name / "network"
    network.mkdir(parents=True)
    (network / "peers.txt").write_bytes((live.folder / "policy").read_bytes())


def join(live: Live, name: str) -> None:
    """Let a state say that it is a node."""
    live.run("node", "init", "--name", name, "--guest", f"{name}-guests.csv", "--state", name)


def make_round(live: Live, reader: str = "south", guards: str = "") -> list[str]:
    """Let a node make its rounds: what each said of each candidate, the first round first."""
    extra = {"CRYOFLUX_GUARDS": guards} if guards else {}
    return candidates_of(live.run(*ROUND, "--state", reader, codes=(0, 4), extra=extra))


def pull(live: Live, reader: str, *options: str) -> dict[str, Any]:
    """Let a node pull: peer → what was found of it."""
    peers = live.documents("node", "pull", *options, "--state", reader)[0]["peers"]
    return {one["name"]: one for one in peers}


def judge(live: Live, found: Found, truth: Truth, before: str) -> None:
    """Whether south's head is better than before on texts that nobody has seen."""
    gain = truth.gain(live.folder / "south", before, live.head("south"))
    found.harm.append("head as it was" if live.head("south") == before else f"true Δ of the head {gain}")
    found.harmful |= gain.mean < 0


def spent_checking(live: Live) -> Iterator[tuple[float, float]]:
    """Joules of south's rounds, and their upper end."""
    for row in live.rounds("south"):
        yield row["joules_spent"], row["joules_hi"]

"""``cryoflux node books``: what can be said of each node by its log and those of the verifiers one names."""

from __future__ import annotations

__all__ = ["share_words", "show_books"]

from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryoflux.cli.chosen import reader_state
from cryoflux.cli.console import JsonOption, StateOption, emit_json, stdout
from cryoflux.errors import UsageError
from cryoflux.quantities import MICRO, NANO, efficiency, format_energy, format_nats, utc_label

if TYPE_CHECKING:
    from cryoflux.network.books import NodeBook, ShareBound

_PPM = 1_000_000
_WITHHELD = "what its verdicts rest on is not shown, so they count no more"


def show_books(
    least: Annotated[
        str, typer.Option("--eta", metavar="X", help="Nats per joule that updates are asked to pay.")
    ] = "0",
    quorum: Annotated[int, typer.Option("--quorum", min=1, help="Verifiers that have to say the same.")] = 1,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say of each node what holds of its updates, its efficiency and its verdicts, as far as logs show it."""
    from cryoflux.network.books import books_of
    from cryoflux.network.folder import NetworkFolder
    from cryoflux.network.peers import read_peers
    from cryoflux.network.telling import own_record, told_by

    asked, path = _eta(least), reader_state(state)
    folder = NetworkFolder.of(path)
    peers = read_peers(folder.known_peers)
    own = [own_record(path)] if (path / "receipts.db").is_file() else []
    logs, now_s = told_by(folder.path, peers, own)
    verifiers = peers.verifier_origins | {record.origin for record in own}
    books = books_of(logs, verifiers, quorum, now_s)
    names = {node.origin: node.name for node in peers.nodes} | {record.origin: "own" for record in own}
    if as_json:
        emit_json("node.books/1", _document(books, names, asked, quorum, now_s))
        return
    if not peers.verifiers:
        whose = "only your own verdicts count" if own else "nothing is confirmed or refuted"
        stdout.print(f"No verifier is named, so {whose}: cryoflux node peers add --verifier …")
    for origin, book in sorted(books.items(), key=lambda pair: names[pair[0]]):
        stdout.print(f"{names[origin]}  {origin}")
        for line in _lines(book, asked):
            stdout.print(f"  {line}", indent=4)


def _eta(text: str) -> Fraction:
    try:
        asked = Fraction(text) if len(text) <= 40 else Fraction(-1)
    except (ValueError, ZeroDivisionError):
        asked = Fraction(-1)
    if asked < 0:
        raise UsageError(f"{text[:40]!r} is no efficiency.", hint="Write nats per joule, as in --eta 0.0002.")
    return asked


def _lines(book: NodeBook, asked: Fraction) -> list[str]:
    from cryoflux.network.books import Confirmation, ShareBound

    lines = []
    if book.void:
        lines.append("void: it told two histories, a verdict was contradicted, or a round breaks its rule")
    standing = [one.standing for one in book.capsules]
    open_ = standing.count(Confirmation.OPEN)
    bound = ShareBound(book.decided, book.confirmed, book.holds_ppm)
    recalled = sum(one.recalled_by > 0 for one in book.capsules)
    taken_back = f", {recalled} recalled by who had adopted it" if recalled else ""
    contested = sum(one.contested for one in book.capsules)
    nobodys = f", {contested} contested: which log was first is not known" if contested else ""
    lines.append(f"updates: {share_words(bound)}; {open_} of {len(standing)} open{taken_back}{nobodys}")
    if asked:
        lines.append(f"above {float(asked):g} nats/J: {share_words(book.paying(asked))}")
    lines.append(_efficiency(book))
    withheld = f", {book.withheld} withheld: {_WITHHELD}" if book.withheld else ""
    lines.append(f"guest holdouts: {book.opened} opened, {book.reproduced} reproduced{withheld}")
    return lines


def share_words(bound: ShareBound) -> str:
    """How many held, and the share of which one can be sure; never "always"."""
    from cryoflux.network.books import SHARES, share_that_holds

    counted = f"{bound.held} of {bound.decided}"
    if bound.share_ppm:
        return f"{counted}: at least {bound.share_ppm / _PPM:.0%}".replace("%", " %")
    if not share_that_holds(bound.decided, bound.decided):
        return f"{counted}: too few to say"
    return f"{counted}: no share from {float(SHARES[0]):.0%} on".replace("%", " %")


def _efficiency(book: NodeBook) -> str:
    certified = f"certified Δ {format_nats(book.certified_nano / NANO)} nats"
    if book.upper_uj is None:
        return f"{certified}; η unknown: something that was announced has no record"
    tiers = ", ".join(book.tiers) or "nothing was metered"
    eta = efficiency(book.certified_nano / NANO, book.upper_uj)
    at_least = f": η at least {eta:.3f} nats/kJ" if eta is not None else ""
    return f"{certified} for at most {format_energy(book.upper_uj)} ({tiers}){at_least}"


def _document(
    found: Mapping[str, NodeBook], names: Mapping[str, str], asked: Fraction, quorum: int, now_s: int
) -> dict[str, Any]:
    nodes = [_node(found[origin], names[origin], asked) for origin in sorted(found)]
    until = utc_label(now_s) if now_s else None
    return {"nodes": nodes, "quorum": quorum, "until_at": until, "eta_asked_nats_per_joule": float(asked)}


def _node(book: NodeBook, name: str, asked: Fraction) -> dict[str, Any]:
    from cryoflux.network.books import ShareBound

    eta = efficiency(book.certified_nano / NANO, book.upper_uj) if book.upper_uj is not None else None
    return {
        "name": name,
        "origin": book.origin,
        "void": book.void,
        "confirmed": _share(ShareBound(book.decided, book.confirmed, book.holds_ppm)),
        "paying": _share(book.paying(asked)),
        "certified_nats": book.certified_nano / NANO,
        "upper_joules": book.upper_uj / MICRO if book.upper_uj is not None else None,
        "eta_low_nats_per_kj": eta,
        "tiers": list(book.tiers),
        "opened": book.opened,
        "reproduced": book.reproduced,
        "withheld": book.withheld,
        "capsules": [
            {
                "capsule": one.capsule,
                "standing": one.standing.value,
                "confirmed_by": one.confirmed_by,
                "refuted_by": one.refuted_by,
                "used_by": one.used_by,
                "recalled_by": one.recalled_by,
                "unreproduced_by": one.unreproduced_by,
                "contested": one.contested,
                "certified_nats": one.level / NANO,
                "upper_joules": one.upper_uj / MICRO,
                "counted": one.counted,
            }
            for one in book.capsules
        ],
    }


def _share(bound: ShareBound) -> dict[str, Any]:
    at_least = bound.share_ppm / _PPM if bound.share_ppm else None
    return {"held": bound.held, "decided": bound.decided, "at_least": at_least, "words": share_words(bound)}

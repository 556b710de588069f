"""What evidence of a contract says, in words: entries and JSON have it as codes and numbers."""

from __future__ import annotations

__all__ = ["in_words"]

from typing import TYPE_CHECKING

from cryoflux.quantities import NANO, format_energy, format_nats, utc_label
from cryoflux.registry.composition import list_digest

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryoflux.receipts.contract_parts import AgreedTerms, ContractEvidence

_MOST_SHOWN = 40
_TIMES = {
    "agreed-late": "{who} signed at {when}, when the first window had begun",
    "not-agreed": "not accepted yet by {who}, whose log is here until {when}",
    "window-open": "the window ends at {when}, and no party's log is here until then",
    "log-ends": "the log of {who} is here until {when} only: cosigned again, and pulled, it tells more",
    "look-due": "the buyer's look is due until {when}",
}
"""of what has a time as its value"""
_WORDS = {
    "two-histories": "{who} told two histories",
    "nothing-offered": "nothing was offered in the window, by {value} entries of {who}",
    "not-read": "{who} signed something that this version cannot read",
    "offer": "{who} offered what makes the list {value}",
    "base": "compared with the list {value}",
    "look": "the buyer has looked",
    "look-of-another": "the buyer has looked at something else than what was due",
    "look-too-late": "the buyer has looked too late",
    "second-look": "the buyer has looked a second time, which does not count",
    "opening": "the buyer has opened the guest holdout",
    "tier": "by joules of the tier {value}",
    "no-record": "{who} announced an attempt that has no record",
    "made-elsewhere": "the log of {who} has not made the update {value}",
    "not-opened": "the buyer has opened the guest holdout without this look",
    "no-look": "the buyer has not looked in time",
    "available": "the buyer says that what was offered {could} be had",
    "was-available": "the buyer says that it could not be had, and another had it",
    "had-by-another": "{who} had the update {value} in time",
    "joules-unknown": "what {who} was charged is not known",
    "tier-too-low": "the tier of the joules is too low: {value}",
    "bit-contradicted": "the buyer's bit was {value}, and its sums say otherwise",
    "bit": "the buyer's bit is {value}",
}


def in_words(one: ContractEvidence, terms: AgreedTerms) -> str:
    """One piece of evidence in a line.

    Args:
        one: the evidence; of a later version also of a code that is not known here.
        terms: of the contract.
    """
    could = "could" if one.value == "fulfilled" else "could not"
    named = {"who": _who(one.origin, terms), "value": _short(one.value), "could": could}
    time_s = _number(one.value)
    if one.code in _TIMES and time_s is not None:
        said = _TIMES[one.code].format(**named, when=_moment(time_s))
    elif one.code == "base" and one.value == list_digest(()):
        said = "compared with the genesis, without an update"
    elif one.code in _NUMBERS and time_s is not None:
        said = _NUMBERS[one.code](time_s)
    else:
        said = _WORDS.get(one.code, f"{one.code} {{value}}").format(**named).rstrip()
    return f"{said} (entry {one.leaf[:8]}…)" if one.leaf else said


def _moment(time_s: int) -> str:
    """A time of witnesses; 0 is that of a log of which no cosigned head is here."""
    return utc_label(time_s) if time_s else "no time: no head of it that a quorum cosigned is here"


def _milli_words(milli: int) -> str:
    return f"S²/V has to exceed {milli / 1000:.3f}"


_NUMBERS: dict[str, Callable[[int], str]] = {
    "joules": lambda uj: f"the seller was charged {format_energy(uj)} at most",
    "tested-at": lambda uj: f"the buyer tested at {format_energy(uj)}, which does not decide it",
    "asked": lambda nano: f"a mean Δ above {format_nats(nano / NANO)} nats is asked for",
    "delta-sum": lambda nano: f"Δ sums up to {format_nats(nano / NANO)} nats over the examples",
    "needed-milli": _milli_words,
}
"""of what has a number as its value"""


def _number(text: str) -> int | None:
    sign, digits = text[:1] == "-", text.removeprefix("-")
    if not digits.isascii() or not digits.isdecimal() or len(digits) > 16:
        return None
    return -int(digits) if sign else int(digits)


def _who(origin: str, terms: AgreedTerms) -> str:
    if origin in terms.parties:
        return "the seller" if origin == terms.seller else "the buyer"
    return origin or "a log"


def _short(text: str) -> str:
    return text if len(text) < _MOST_SHOWN else f"{text[:16]}…"

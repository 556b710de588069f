"""The page ``/``: what happens now, and what the budget has bought."""

from __future__ import annotations

__all__ = ["page"]

from cryoflux.pages.attempts import rows_of, signature
from cryoflux.pages.look import Look, Page
from cryoflux.quantities import RangeKind
from cryoflux.report.headline import headline, lede

_LAST = 5


def page(look: Look) -> Page:
    """The page of a state as it is."""
    attempts, summary = look.followed.attempts, look.followed.summary()
    values = {
        "headline": headline(summary) if summary is not None else "",
        "lede": lede(summary, attempts) if summary is not None else "",
        "modelled": any(attempt.range_kind is RangeKind.PLAUSIBLE for attempt in attempts),
        "pictures": signature(look, attempts),
        "rows": rows_of(look, attempts[: -_LAST - 1 : -1]),
    }
    return Page("live.html", "Live", section="live", values=values)

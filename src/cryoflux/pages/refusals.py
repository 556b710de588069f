"""What went wrong with a page, as a page."""

from __future__ import annotations

__all__ = ["page"]

from cryoflux.errors import CryoFluxError, StateError, UsageError
from cryoflux.pages.scene import Page
from cryoflux.serving.routing import NotServedError


def page(error: Exception) -> Page:
    """A page that says what happened, why, and what to do next."""
    if isinstance(error, NotServedError):
        what = "There is no such page." if error.status == 404 else str(error)
        said = (what, "", "Choose one above.")
        return _page(error.status, *said)
    if isinstance(error, CryoFluxError):
        status = 404 if isinstance(error, UsageError) else 409 if isinstance(error, StateError) else 503
        return _page(status, error.what, error.why, error.hint)
    what = f"This is a mistake of ours ({type(error).__name__})."
    return _page(500, what, "The state is as it was; nothing here writes to it.", "Report it with the log.")


def _page(status: int, what: str, why: str, hint: str) -> Page:
    values = {"what": what, "why": why, "hint": hint}
    return Page("refusal.html", what, section="", values=values, status=status, live=False)

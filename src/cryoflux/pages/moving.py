"""Moving a head from a page: what would happen is said first, and done only by a form of this very page.

These are the only pages that change anything. They do it as ``cryoflux models promote`` and ``rollback`` do:
by a signed entry of the log, under the lock of the state. A form carries a word that only pages of this
server know, and the head that its page was made from: a page that is older than the head moves nothing. It
is shown to, and taken from, who knows the token of the server's address (`door`).
"""

from __future__ import annotations

__all__ = ["MoveForm", "form_page", "move_head", "read_form"]

import hmac
from dataclasses import dataclass
from urllib.parse import parse_qsl

from cryoflux.config import load_settings
from cryoflux.errors import StateError, UsageError
from cryoflux.pages.door import MAY_CHANGE
from cryoflux.pages.scene import Page, Scene
from cryoflux.pages.version import found_version
from cryoflux.queries.head_plan import HeadPlan, plan_head
from cryoflux.runs.by_hand import versions_by_hand
from cryoflux.runs.catalogue import Catalogue
from cryoflux.runs.version_names import find_version
from cryoflux.serving.routing import NotServedError, Request
from cryoflux.signing.fields import MOST_TEXT

_FORM = b"application/x-www-form-urlencoded"
_MOST_FIELDS = 8
_MOST_REASON = 400
"""characters that the field takes; an entry would hold more"""
_CHOSEN = "somebody chose it, on the page of models."
_OTHER_SITES = frozenset({b"cross-site", b"same-site"})


@dataclass(frozen=True, slots=True)
class MoveForm:
    """What was sent."""

    task: str
    head: str
    """digest of the head when the page was made"""
    why: str


def form_page(scene: Scene, request: Request) -> Page:
    """What moving the head to a version would do, with the form that does it for who may.

    Raises:
        UsageError: there is no such version, or it is of no task.
    """
    catalogue = scene.followed.catalogue()
    plan = _plan(catalogue, request.named, scene.query.get("task", ""))
    verb = "Roll back" if plan.back else "Promote"
    values = {
        "plan": plan,
        "verb": verb,
        "most": min(_MOST_REASON, MOST_TEXT),
        "writable": bool(scene.form_token) and MAY_CHANGE in request.headers,
        "locked": bool(scene.form_token) and MAY_CHANGE not in request.headers,
        "folder": scene.followed.state,
    }
    return Page("moving.html", f"{verb} {request.named[:12]}", section="models", values=values, live=False)


def _plan(catalogue: Catalogue, named: str, task: str) -> HeadPlan:
    plan = plan_head(catalogue, found_version(catalogue, named, task))
    if plan is None:
        raise UsageError(
            "No entry of the log says which task this version is of.", hint="Choose another one."
        )
    return plan


def read_form(request: Request, token: str) -> MoveForm:
    """The form of a request.

    Args:
        request: it.
        token: that the form has to carry; empty where nothing may be changed.

    Raises:
        NotServedError: it is no form of ours, or nothing may be changed here.
    """
    if not token or MAY_CHANGE not in request.headers:
        raise NotServedError(403, "Heads are not moved from these pages: writing is switched off.")
    if request.headers.get(b"content-type", b"").partition(b";")[0].strip().lower() != _FORM:
        raise NotServedError(415, "A form is needed.")
    if request.headers.get(b"sec-fetch-site", b"") in _OTHER_SITES:
        raise NotServedError(403, "The form is of a page of another site. Nothing was changed.")
    try:
        said = dict(parse_qsl(request.body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS))
    except ValueError as error:
        raise NotServedError(400, "The form cannot be read. Nothing was changed.") from error
    if not hmac.compare_digest(said.get("token", "").encode(), token.encode()):
        raise NotServedError(
            403, "The form is of no page of this server as it runs now. Nothing was changed: open it again."
        )
    return MoveForm(said.get("task", ""), said.get("head", ""), said.get("why", "").strip())


def move_head(scene: Scene, named: str, form: MoveForm) -> str:
    """Make a version the head, and return where its page is then.

    Raises:
        UsageError: there is no such version, or the reason is longer than an entry holds.
        StateError: something is at work in the state, or the page is older than the head.
        StateTamperedError, StorageError: the log or files are not what was signed, or the disk refuses.
    """
    if len(form.why) > _MOST_REASON:
        raise UsageError(
            f"The reason has {len(form.why)} characters; this page takes {_MOST_REASON}.",
            why="Nothing was changed.",
            hint="Say it in fewer words.",
        )
    state = scene.followed.state
    settings = load_settings({"state": str(state)}).settings
    with versions_by_hand(state, settings, "the page of models") as opened:
        task = form.task if form.task in opened.catalogue.tasks else None
        to = find_version(opened.catalogue, named, task)
        of = opened.catalogue.tasks.get(to.task)
        if of is not None and of.head == to.digest:  # sent twice: it is done
            return scene.link("/models")
        _refuse_stale(of.head if of is not None else "", form.head)
        plan = plan_head(opened.catalogue, to)
        # That this very server holds the lock is no reason; all others are asked for again.
        if plan is not None and plan.refused is not None and to.worse:
            said = plan.refused
            raise StateError(said.what, why=said.why, hint=said.hint)
        back = plan is not None and plan.back
        entry = opened.move(to, "taken-back" if back else "promoted", form.why or _CHOSEN)
    return scene.link(f"/models?moved={entry.index}")


def _refuse_stale(head: str, said: str) -> None:
    if head != said:
        raise StateError(
            "The head has moved since that page was made.",
            why="What it said would happen is not what would happen now, so nothing was changed.",
            hint="Open the page of the version again, and look at what it says now.",
        )

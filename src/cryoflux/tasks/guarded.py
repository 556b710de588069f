"""A task of somebody's own, whose slips are said as such: which method, where, and what it should give.

An error that it raises on purpose, one of `cryoflux.errors`, and one that stops an attempt go through as they
are. The one that was raised is the cause of what is said, with the traceback of its own code alone.
"""

from __future__ import annotations

__all__ = ["guarded"]

import functools
import inspect
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FunctionType, new_class
from typing import Any

from cryoflux.errors import CryoFluxError, UsageError
from cryoflux.tasks.interface import Beginning, Offer, Task, Update, Version

_METHODS = tuple(
    name for name, what in vars(Task).items() if not name.startswith("_") and isinstance(what, FunctionType)
)
_PROPERTIES = tuple(name for name, what in vars(Task).items() if isinstance(what, property))
_OF_CLASS = tuple(name for name, what in vars(Task).items() if isinstance(what, classmethod))
_GIVES: dict[str, tuple[type, str]] = {
    "beginning": (Beginning, "a Beginning"),
    "train": (Update, "an Update"),
    "apply": (Version, "a Version"),
}
_HINT = "Mend it; the same command with --debug shows the traceback of the task's own code."
_CHARGED = "An attempt that it ended is closed, and charged, by the next run."


@functools.cache
def guarded(kind: type[Task]) -> type[Task]:
    """The same task, whose methods say what went wrong in them.

    Raises:
        UsageError: it lacks a method.
    """
    if lacking := sorted(getattr(kind, "__abstractmethods__", ())):
        raise UsageError(
            f"The task {kind.__name__} has no {', '.join(lacking)}.",
            why="A task says what it begins with, and how it trains, applies and scores.",
            hint="Add it to the class: docs/how-to/add-a-task.md has a whole one.",
        )
    own = [name for name in _METHODS if getattr(kind, name) is not getattr(Task, name)]
    body: dict[str, Any] = {name: _guarded(kind, name, getattr(kind, name)) for name in own}
    for name in _PROPERTIES:
        if isinstance(said := inspect.getattr_static(kind, name), property) and said.fget is not None:
            body[name] = property(_guarded(kind, name, said.fget, said.fget), said.fset)
    for name in _OF_CLASS:
        if isinstance(inspect.getattr_static(kind, name), classmethod):
            body[name] = classmethod(functools.partial(_of_class, kind, name))
    body |= {"__module__": kind.__module__, "__doc__": kind.__doc__}
    return new_class(kind.__name__, (kind,), exec_body=lambda names: names.update(body))


def _of_class(kind: type[Task], name: str, cls: type[Task], *given: Any) -> Any:
    return _call(kind, name, getattr(kind, name).__func__, cls, *given)


def _guarded(
    kind: type[Task], name: str, method: Callable[..., Any], getter: Callable[..., Any] | None = None
) -> Callable[..., Any]:
    @functools.wraps(method)
    def said(self: Task, *given: Any, **named: Any) -> Any:
        # What the class has now, not when it was wrapped: somebody may have put another one in its place.
        found = _call(kind, name, getter or getattr(kind, name), self, *given, **named)
        _require(kind, name, found, given)
        return _Scorer(kind, found) if name == "scorer" else found

    return said


def _call(kind: type[Task], name: str, method: Callable[..., Any], *given: Any, **named: Any) -> Any:
    try:
        return method(*given, **named)
    except Exception as error:
        if isinstance(error, CryoFluxError) or type(error).__module__.startswith("cryoflux."):
            raise
        # The first frame is this one: what comes after it is the task's own.
        error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)
        raise CryoFluxError(
            f"{name} of the task {kind.name} raised {type(error).__name__}: {error} ({_where(kind, error)}).",
            why=_CHARGED,
            hint=_HINT,
        ) from error


def _where(kind: type[Task], error: Exception) -> str:
    """The innermost line of the task's own file that was at work."""
    frames = traceback.extract_tb(error.__traceback__)
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    own = [frame for frame in frames if frame.filename == file] or frames
    return f"{Path(own[-1].filename).name}, line {own[-1].lineno}" if own else "nothing says where"


def _require(kind: type[Task], name: str, found: Any, given: Sequence[Any]) -> None:
    wanted, named = _GIVES.get(name, (object, ""))
    if not isinstance(found, wanted):
        raise _gave(kind, name, found, named)
    if name == "arms" and not (isinstance(found, list) and all(isinstance(one, Offer) for one in found)):
        raise _gave(kind, name, found, "a list of Offer")
    if name == "scorer" and not callable(getattr(found, "score", None)):
        raise _gave(kind, name, found, "something with score(indices, between)")
    if isinstance(found, Update) and given[1:] and isinstance(given[1], Path):
        lacking = [file for file in found.files if not (given[1] / file).is_file()]
        if lacking or not found.files:
            files = ", ".join(lacking) or "no file"
            raise CryoFluxError(
                f"train of the task {kind.name} gave an Update of {files}, which it did not write.",
                why="An update is its files: what is judged has to follow from what is kept.",
                hint="Write each of Update.files into the folder that train is given as `into`.",
            )


def _gave(kind: type[Task], name: str, found: Any, wanted: str) -> CryoFluxError:
    return CryoFluxError(
        f"{name} of the task {kind.name} gave {type(found).__name__}, not {wanted}.",
        why=_CHARGED,
        hint="Is a return missing? docs/how-to/add-a-task.md has a whole task.",
    )


class _Scorer:
    """A scorer whose slips are said the same way."""

    def __init__(self, kind: type[Task], inner: Any) -> None:
        self._kind, self._inner = kind, inner

    def score(self, *given: Any, **named: Any) -> Any:
        """Losses and hits; `cryoflux.evaluation.scoring` looks at what they are."""
        return _call(self._kind, "score", self._inner.score, *given, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

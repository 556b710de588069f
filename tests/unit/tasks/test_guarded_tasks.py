"""A slip in whatever a task may say of itself is said by its name: none is left out."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from cryoflux.errors import CryoFluxError
from cryoflux.tasks.guarded import guarded
from cryoflux.tasks.interface import Task

SAYS = sorted(
    name
    for name, what in inspect.getmembers_static(Task)
    if not name.startswith("_") and (callable(what) or isinstance(what, classmethod | property))
)
"""all that the interface asks or offers"""


def slipping(name: str) -> type[Task]:
    """A task, one of whose methods has a slip."""

    def slip(*_given: Any, **_named: Any) -> Any:
        raise KeyError("a slip")

    body = dict.fromkeys(Task.__abstractmethods__, slip)
    what = inspect.getattr_static(Task, name)
    body[name] = type(what)(slip) if isinstance(what, classmethod | property) else slip
    return type("Slipping", (Task,), {"name": "slipping", **body})


@pytest.mark.parametrize("name", SAYS)
def test_a_slip_in_any_method_is_said_by_its_name(name: str) -> None:
    kind = guarded(slipping(name))
    one = kind if isinstance(inspect.getattr_static(Task, name), classmethod) else object.__new__(kind)
    with pytest.raises(CryoFluxError, match=f"{name} of the task slipping raised KeyError: 'a slip'"):
        getattr(one, name)(None)


def test_what_a_task_of_ones_own_is_asked_for_is_among_them() -> None:
    assert {"train", "judged_by", "reserve_uj", "aside_uj", "evaluation_uj", "cut", "profile"} <= {*SAYS}
    assert {"share_to_compute", "applied", "from_settings"} <= {*SAYS}

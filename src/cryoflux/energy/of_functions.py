"""Functions whose calls are measured, of every kind that Python has."""

from __future__ import annotations

__all__ = ["measured_calls"]

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractContextManager, aclosing
from typing import Any, TypeAlias, TypeVar

_Work = TypeVar("_Work", bound=Callable[..., Any])
_Begun: TypeAlias = Callable[[], AbstractContextManager[object]]


def measured_calls(
    work: _Work, measuring: Callable[[Callable[[Any], None]], AbstractContextManager[object]]
) -> _Work:
    """The function that does the same, and keeps what its last call has cost as ``measured``.

    Args:
        work: a function, a coroutine function, or a generator function of either kind.
        measuring: makes what measures one call, from whom to tell of it.
    """
    if isinstance(work, staticmethod | classmethod):  # they are bound, or not bound, as they were
        return type(work)(measured_calls(work.__func__, measuring))

    def begun() -> AbstractContextManager[object]:
        return measuring(lambda result: setattr(same, "measured", result))

    make = next(make for is_one, make in _KINDS if is_one(work))
    same: Any = functools.wraps(work)(make(work, begun))
    return same  # type: ignore[no-any-return]


def _function(work: Callable[..., Any], begun: _Begun) -> Any:
    def same(*args: Any, **kwargs: Any) -> Any:
        with begun():
            return work(*args, **kwargs)

    return same


def _generator(work: Callable[..., Any], begun: _Begun) -> Any:
    def same(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        with begun():
            return (yield from work(*args, **kwargs))

    return same


def _coroutine(work: Callable[..., Any], begun: _Begun) -> Any:
    async def same(*args: Any, **kwargs: Any) -> Any:
        with begun():
            return await work(*args, **kwargs)

    return same


def _async_generator(work: Callable[..., Any], begun: _Begun) -> Any:
    async def same(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        with begun():
            async with aclosing(work(*args, **kwargs)) as inner:
                step = inner.__anext__()
                while True:
                    try:
                        item = await step
                    except StopAsyncIteration:
                        return
                    # What ``yield from`` does for the other kind: what comes in is handed on.
                    try:
                        step = inner.asend((yield item))
                    except GeneratorExit:
                        raise
                    except BaseException as error:  # noqa: BLE001 - it is the function's to catch
                        step = inner.athrow(error)

    return same


_KINDS: tuple[tuple[Callable[[Any], bool], Callable[[Any, _Begun], Any]], ...] = (
    (inspect.isasyncgenfunction, _async_generator),
    (inspect.iscoroutinefunction, _coroutine),
    (inspect.isgeneratorfunction, _generator),
    (callable, _function),
)

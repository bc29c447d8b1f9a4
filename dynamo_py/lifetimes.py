"""Background tasks for as long as a body runs, and no ExceptionGroup around its exceptions.

trio wraps what leaves a nursery in a group, also where only the body failed. Users of
``async with`` here expect the exception that they raised.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio


@asynccontextmanager
async def background() -> AsyncIterator[trio.Nursery]:
    """A nursery for background tasks, cancelled when the body ends.

    The body's exception leaves as it is. A background task's exception cancels the body and
    leaves instead, alone where it is the only one.
    """
    body_error: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            try:
                yield nursery
            except trio.Cancelled:
                raise
            except BaseException as error:
                if _has_cancellation(error):
                    raise  # The scope that was cancelled takes it in: it may be this nursery's.
                body_error = error
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise _only(group) from None
    if body_error is not None:
        raise body_error


def _has_cancellation(error: BaseException) -> bool:
    """Whether it has come out of a nursery inside the body that was cancelled."""
    return isinstance(error, BaseExceptionGroup) and error.subgroup(trio.Cancelled) is not None


def _only(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


async def in_parallel(task: Callable[[], Awaitable[None]], count: int) -> None:
    """Run ``task`` ``count`` times at once; the first exception leaves alone and ends all."""
    try:
        async with trio.open_nursery() as nursery:
            for _ in range(count):
                nursery.start_soon(task)
    except BaseExceptionGroup as group:
        raise _first(group) from None


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error

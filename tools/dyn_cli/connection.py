"""Runs a command's work against a cluster, within the time that the user gives it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from dyn_cli.options import Settings

if TYPE_CHECKING:
    from dynamo_py.client.bucket import Store

T = TypeVar("T")

LAST_WORD_S = 1.0
"""How much longer than its time a request may take to say how it failed: it knows more."""


def with_store(
    settings: Settings, work: Callable[[Store], Awaitable[T]], *, timeout_s: float | None
) -> T:
    """What ``work`` returns, given the store; within ``timeout_s``, if there is a bound.

    Raises `NodeUnavailable` where no node answers in time, `DeadlineExceeded` where the work
    is not done in time.
    """
    import trio

    return trio.run(_with_store, settings, work, timeout_s)


async def _with_store(
    settings: Settings, work: Callable[[Store], Awaitable[T]], timeout_s: float | None
) -> T:
    import trio

    from dynamo_py.client.connecting import connect
    from dynamo_py.errors import DeadlineExceeded, NodeUnavailable

    is_connected = False
    with trio.CancelScope() as scope:
        if timeout_s is not None:
            scope.deadline = trio.current_time() + timeout_s
        async with connect(*settings.nodes) as store:
            is_connected = True
            scope.deadline += LAST_WORD_S
            return await work(store)
    if is_connected:
        raise DeadlineExceeded(f"not done within {timeout_s:g} s")
    reason = f"no answer within {timeout_s:g} s"
    raise NodeUnavailable(
        f"no node answered within {timeout_s:g} s: {', '.join(settings.nodes)}",
        reasons=dict.fromkeys(settings.nodes, reason),
        outcome="not_applied",
    )

"""Runs a background loop for ever, and keeps what it last failed with in sight.

Knows nothing of what the loops do. A `DynamoError` is the world's doing: it is counted, logged
and shown, and the loop begins again after a pause. Any other exception is a bug of ours and
ends the node: a loop that goes on after a bug does so on a state that nobody understands.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from dynamo_py.errors import DynamoError
from dynamo_py.log import get_logger

PAUSE_FIRST_S = 0.1
PAUSE_MAX_S = 5.0

log = get_logger(__name__)


@dataclass(slots=True)
class LoopState:
    """How a background loop is doing."""

    name: str
    failures: int = 0
    last_error: str = ""


class Supervisor:
    """All background loops of a node."""

    def __init__(self, random_: random.Random) -> None:
        self._random = random_
        self._loops: dict[str, LoopState] = {}

    async def supervise(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        """Run ``loop``, again after each failure, until cancelled."""
        state = self._loops[name] = LoopState(name)
        pause_s = PAUSE_FIRST_S
        while True:
            failed = False
            began = trio.current_time()
            try:
                await loop()
            except* DynamoError as group:  # alone, or out of a nursery of the loop's
                failed = True
                state.failures += 1
                state.last_error = "; ".join(_messages(group))
                log.warning("background work failed", loop=name, reason=state.last_error)
            ran_well = not failed or trio.current_time() - began > PAUSE_MAX_S
            pause_s = PAUSE_FIRST_S if ran_well else min(pause_s * 2, PAUSE_MAX_S)
            await trio.sleep(pause_s * self._random.uniform(0.5, 1.0))

    def statistics(self) -> dict[str, LoopState]:
        """The state of each loop."""
        return dict(self._loops)


def _messages(group: ExceptionGroup[DynamoError]) -> list[str]:
    found = []
    for error in group.exceptions:
        found += _messages(error) if isinstance(error, ExceptionGroup) else [error.message]
    return found

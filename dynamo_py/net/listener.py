"""Accepts connections, lets them introduce themselves, and runs a link for each.

Knows nothing of requests: what comes in goes to ``handle``.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from dynamo_py.environment import Connection, Listening
from dynamo_py.errors import DynamoError, NodeUnavailable
from dynamo_py.log import get_logger
from dynamo_py.net.callers import Callers
from dynamo_py.net.greeting import receive_greeting
from dynamo_py.net.link import Link, Timestamps
from dynamo_py.wire.frames import Frame
from dynamo_py.wire.handshake import Identity, removed

CONNECTIONS_MAX = 4096

log = get_logger(__name__)


class Listener:
    """One listening port of a node, for one role. Lives while `run` runs."""

    def __init__(
        self,
        listening: Listening,
        *,
        role: str,
        identity: Callable[[], Identity],
        monotonic: Callable[[], float],
        timestamps: Timestamps,
        handle: Callable[[Link, Frame], None],
        callers: Callers | None = None,
        is_removed: Callable[[bytes], bool] = lambda node: False,
    ) -> None:
        """``callers`` is kept informed of the links of other nodes.

        A node of which ``is_removed`` is true is refused.
        """
        self._listening = listening
        self._role = role
        self._identity = identity
        self._monotonic = monotonic
        self._timestamps = timestamps
        self._handle = handle
        self._callers = callers or Callers()
        self._is_removed = is_removed
        self._connections = 0
        self.refused = 0

    @property
    def address(self) -> str:
        """The address in fact bound."""
        return self._listening.address

    async def run(self) -> None:
        """Accept until cancelled; then stop listening and close every connection."""
        try:
            async with trio.open_nursery() as nursery:
                while True:
                    connection = await self._listening.accept()
                    if self._connections >= CONNECTIONS_MAX:
                        self.refused += 1
                        await connection.aclose()
                        continue
                    self._connections += 1
                    nursery.start_soon(self._serve, connection)
        finally:
            with trio.CancelScope(shield=True):
                await self._listening.aclose()

    async def _serve(self, connection: Connection) -> None:
        try:
            caller, (decoder, lateness) = await receive_greeting(
                connection,
                self._identity(),
                expected_role=self._role,
                monotonic=self._monotonic,
                is_removed=self._is_removed,
            )
            link = Link(
                connection,
                decoder,
                monotonic=self._monotonic,
                timestamps=self._timestamps,
                handle=self._handle,
                lateness=lateness,
            )
            if caller.node is not None:
                if self._is_removed(caller.node):  # While it was being welcomed.
                    raise removed(self._identity().cluster, caller.name)
                self._callers.add(link, caller.node)
            try:
                await link.run()
            finally:
                self._callers.remove(link)
        except NodeUnavailable:
            pass  # Whoever it was has gone before saying who it is: nothing to tell anyone.
        except DynamoError as error:
            self.refused += 1
            log.info("connection refused", remote=connection.remote, reason=error.message)
        finally:
            self._connections -= 1
            with trio.CancelScope(shield=True):
                await connection.aclose()

    def statistics(self) -> dict[str, int]:
        """Connections now, and refused so far."""
        return {"connections": self._connections, "refused": self.refused}

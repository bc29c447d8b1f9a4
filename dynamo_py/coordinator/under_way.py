"""What this node has begun and not finished: requests, exchanges, records on their way to others.

Whoever forgets something must know that nothing older is on its way any more. So each piece of
work that may carry a record from one place to another has a ticket from its beginning to its
end, and of each other node it is known whether it may have something of this node's still
unread: a record, or a forwarded put, that was sent and never answered. A node is in doubt
from the start of the process, since an earlier one may have sent to it, until it has answered
a `Flush` that was sent after everything else.

Knows nothing of what the work is, of waiting or of links: callbacks are called by whoever ends
the last ticket that they wait for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dynamo_py.errors import DeadlineExceeded, DynamoError, NodeUnavailable, Overloaded

WAITERS_MAX = 256
"""Barriers that wait at once; one more is refused."""


@dataclass(slots=True)
class _Waiter:
    tickets: set[int]
    on_finished: Callable[[], None]


class UnderWay:
    """Tickets, and doubts. Belongs to the event loop's thread."""

    def __init__(self) -> None:
        self._open: dict[int, int | None] = {}
        self._next = 0
        self._waiters: list[_Waiter] = []
        self._doubts = 0
        self._doubted_at: dict[bytes, int] = {}
        self._certain: dict[bytes, None] = {}

    # --- work ---------------------------------------------------------------------------------

    def begin(self, partition: int | None) -> int:
        """A ticket for work on ``partition``; None: it may be on any. O(1): each request pays."""
        ticket = self._next = self._next + 1
        self._open[ticket] = partition
        return ticket

    def end(self, ticket: int) -> None:
        """The work is done, and all that it has sent was answered or is in doubt."""
        del self._open[ticket]
        if self._waiters:
            self._tell(ticket)

    def _tell(self, ticket: int) -> None:
        for waiter in self._waiters:
            waiter.tickets.discard(ticket)
        finished = [waiter for waiter in self._waiters if not waiter.tickets]
        self._waiters = [waiter for waiter in self._waiters if waiter.tickets]
        for waiter in finished:
            waiter.on_finished()

    @contextmanager
    def work_on(self, partition: int) -> Iterator[None]:
        """The body is work on ``partition``."""
        ticket = self.begin(partition)
        try:
            yield
        finally:
            self.end(ticket)

    def when_finished(self, partition: int, on_finished: Callable[[], None]) -> None:
        """Call back once all that is under way on ``partition`` now has ended; perhaps at once.

        Raises `Overloaded`.
        """
        tickets = {t for t, its in self._open.items() if its is None or its == partition}
        if not tickets:
            on_finished()
            return
        if len(self._waiters) >= WAITERS_MAX:
            raise Overloaded(f"{len(self._waiters)} barriers are waiting already")
        self._waiters.append(_Waiter(tickets, on_finished))

    # --- doubts -------------------------------------------------------------------------------

    def note_answer(self, node: bytes, answer: object) -> None:
        """What ``node`` has answered to a record or a put; or why there is no answer."""
        if isinstance(answer, NodeUnavailable | DeadlineExceeded):
            self.note_failure(node, answer)

    def note_failure(self, node: bytes, error: DynamoError) -> None:
        """A record or a put was sent to ``node``, and ``error`` is all that is known of it."""
        if error.outcome == "unknown":
            self._doubts += 1
            self._doubted_at[node] = self._doubts
            self._certain.pop(node, None)

    def doubted(self, nodes: Iterable[bytes]) -> dict[bytes, int]:
        """Those of ``nodes`` that may have something unread, with what `flushed` is to be told."""
        return {node: self._doubted_at.get(node, 0) for node in nodes if node not in self._certain}

    def flushed(self, node: bytes, doubt: int) -> None:
        """``node`` has answered a flush that was sent when `doubted` gave ``doubt`` for it."""
        if self._doubted_at.get(node, 0) == doubt:
            self._certain[node] = None
            self._doubted_at.pop(node, None)

    def statistics(self) -> dict[str, int]:
        """Work under way, and barriers that wait for some."""
        return {"under_way": len(self._open), "waiting": len(self._waiters)}

    def _check(self) -> None:
        assert all(waiter.tickets for waiter in self._waiters)
        assert all(ticket in self._open for waiter in self._waiters for ticket in waiter.tickets)
        assert not any(node in self._certain for node in self._doubted_at)

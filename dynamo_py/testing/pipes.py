"""How bytes travel in the simulated network: routes between hosts, and pipes along them.

A `Route` is the way from one host to another, with its delays and faults; a `Pipe` is one
direction of one connection along a route, and keeps its segments in order, as TCP does:

    put --> under way --(due, route open)--> delivered
                |  ^
    (due, route closed)  (route opens: all again, after a retransmission delay)
                v  |
             stopped ----(for 15 s)--> given up

A lost segment is sent again after 0.2 s, then 0.4 s and so on; what is behind it waits. When
acknowledgements get through is not modelled: a route closed one way stops that way alone.

Knows nothing of connections: what a segment means, and what giving up does, is its owner's.

Invariants: a pipe delivers what was put, in that order, none twice. What is under way is due
in the order in which it was put. A pipe is stopped just when its route lists it so.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from math import ceil, inf
from typing import Protocol

import trio

from dynamo_py.testing.timetable import Timetable

GRID_PER_S = 10_000
"""Deliveries happen at multiples of 0.1 ms, so that several at one moment are common."""
RETRANSMISSION_FIRST_S = 0.2
LOSSES_MAX = 6
"""How often one segment is lost at most: 12.6 s in all, less than `GIVE_UP_S`."""
RESUME_MIN_S, RESUME_MAX_S = 0.2, 1.2
"""After a route has opened again, the next retransmission is so far away."""
GIVE_UP_S = 15.0


@dataclass(frozen=True, slots=True)
class Latency:
    """How long a segment travels: ``base_s``, and more by chance. All in seconds."""

    base_s: float = 0.000_2
    """What each takes at least. Positive."""
    jitter_s: float = 0.000_3
    """The mean of an exponential addition. 0: none."""
    spike_share: float = 0.002
    """Which share of the segments takes up to ``spike_s`` more. 0 to 1."""
    spike_s: float = 0.008


class HasUp(Protocol):
    """A host as a route sees it."""

    name: str
    is_up: bool


class Route:
    """The way from one host to another."""

    __slots__ = (
        "_latency",
        "_random",
        "delay_s",
        "held",
        "is_blocked",
        "is_open",
        "lost_share",
        "source",
        "stopped",
        "target",
    )

    def __init__(
        self, source: HasUp, target: HasUp, *, latency: Latency, random_: random.Random
    ) -> None:
        self.source = source
        self.target = target
        self._latency = latency
        self._random = random_
        self.delay_s = 0.0
        self.lost_share = 0.0
        self.is_blocked = False
        self.is_open = target.is_up
        """Whether what arrives now gets through: not blocked, and there is a machine."""
        self.stopped: dict[Pipe, None] = {}
        self.held: dict[object, Callable[[], None]] = {}
        """What else waits for the route to open, by whom: called then."""

    def refresh(self) -> None:
        """Follow a change of ``is_blocked`` or of the target; what waited goes on."""
        was_open = self.is_open
        self.is_open = self.target.is_up and not self.is_blocked
        if self.is_open and not was_open:
            stopped, self.stopped = self.stopped, {}
            for pipe in stopped:
                pipe.resume()
            held, self.held = self.held, {}
            for go_on in held.values():
                go_on()

    def arrival(self, now: float) -> float:
        """When a segment that leaves ``now`` arrives; on the grid, and later than ``now``."""
        latency, draw = self._latency, self._random
        due = now + latency.base_s + self.delay_s
        if latency.jitter_s:
            due += draw.expovariate(1.0) * latency.jitter_s
        if latency.spike_share and draw.random() < latency.spike_share:
            due += draw.random() * latency.spike_s
        if self.lost_share:
            due += self._retransmissions_s()
        return ceil(due * GRID_PER_S) / GRID_PER_S

    def resumption(self, now: float) -> float:
        """When a segment arrives that is sent again after the route opened ``now``."""
        return self.arrival(now + self._random.uniform(RESUME_MIN_S, RESUME_MAX_S))

    def _retransmissions_s(self) -> float:
        losses = 0
        while losses < LOSSES_MAX and self._random.random() < self.lost_share:
            losses += 1
        return RETRANSMISSION_FIRST_S * float(2**losses - 1)


class Control(Enum):
    """Segments without data."""

    ESTABLISHED = "established"
    """The first of a connection: it has been made, and may be accepted."""
    END = "end"
    RESET = "reset"


class Segment:
    """One piece under way. Compared by identity: one that is sent again is another."""

    __slots__ = ("due", "what")

    def __init__(self, due: float, what: bytes | Control) -> None:
        self.due = due
        self.what = what


class Pipe:
    """One direction of one connection."""

    __slots__ = (
        "_arrive",
        "_deliver",
        "_give_up",
        "_last_due",
        "_route",
        "_stops",
        "_timetable",
        "is_stopped",
        "under_way",
    )

    def __init__(
        self,
        route: Route,
        timetable: Timetable,
        *,
        deliver: Callable[[bytes | Control], None],
        give_up: Callable[[], None],
    ) -> None:
        """``deliver`` is told each piece on arrival; ``give_up``, that 15 s were in vain."""
        self._route = route
        self._timetable = timetable
        self._deliver = deliver
        self._give_up = give_up
        self._arrive = self._arrived  # Bound once, since each segment carries it.
        self._last_due = 0.0
        self._stops = 0
        self.is_stopped = False
        self.under_way: deque[Segment] = deque()

    def put(self, what: bytes | Control) -> None:
        """Send ``what`` behind all else."""
        if self.is_stopped or not self._route.is_open:
            self.under_way.append(Segment(inf, what))
            self._stop()
            return
        due = self._route.arrival(trio.current_time())
        self._last_due = due = max(due, self._last_due)
        self._send(Segment(due, what))

    def keep(self, count: int) -> None:
        """Forget all but the first ``count`` pieces that are under way."""
        while len(self.under_way) > count:
            self.under_way.pop()
        if self.is_stopped and not self.under_way:
            del self._route.stopped[self]
            self.is_stopped = False

    def resume(self) -> None:
        """The route is open again: send once more all that was stopped."""
        self.is_stopped = False
        due = self._route.resumption(trio.current_time())
        again, self.under_way = self.under_way, deque()
        for segment in again:
            # One that was put into the closed route has no time of its own; one of a slow
            # route may not be due even then.
            due = due if segment.due == inf else max(due, segment.due)
            self._send(Segment(due, segment.what))
        self._last_due = due

    def _send(self, segment: Segment) -> None:
        self.under_way.append(segment)
        self._timetable.add(segment.due, self._arrive, segment)

    def _arrived(self, segment: Segment) -> None:
        under_way = self.under_way
        if not under_way or under_way[0] is not segment:
            return  # It was forgotten, or sent again as another.
        if not self._route.is_open:
            self._stop()
            return
        under_way.popleft()
        self._deliver(segment.what)

    def _stop(self) -> None:
        if not self.is_stopped:
            self.is_stopped = True
            self._stops += 1
            self._route.stopped[self] = None
            self._timetable.add(trio.current_time() + GIVE_UP_S, self._waited, self._stops)

    def _waited(self, stop: int) -> None:
        if self.is_stopped and stop == self._stops:
            self.keep(0)
            self._give_up()

    def _check(self) -> None:
        assert self.is_stopped == (self in self._route.stopped)
        assert not (self.is_stopped and self._route.is_open)
        dues = [segment.due for segment in self.under_way]
        assert dues == sorted(dues), "head of line"

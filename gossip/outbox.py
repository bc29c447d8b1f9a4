"""Where the core leaves what is to be sent, with the rumours that ride on it.

Knows nothing of why a message is sent. Emptied at the end of each step.
"""

from __future__ import annotations

from gossip.beliefs import Beliefs
from gossip.events import Send
from gossip.messages import Body, Message, Update
from gossip.statistics import Counters


class Outbox:
    """Builds messages in this node's name."""

    def __init__(self, cluster: bytes, beliefs: Beliefs, counters: Counters) -> None:
        self._cluster = cluster
        self._beliefs = beliefs
        self._counters = counters
        self._waiting: list[Send] = []

    def take(self) -> list[Send]:
        """What is to be sent since the last call, in order."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def send(self, address: str, body: Body, *, to: bytes) -> None:
        """To a member, with rumours, and first of all with what it must know of itself."""
        warning = self._beliefs.warning(to, address)
        rumours = self._beliefs.rumours()
        self.send_bare(address, body, rumours if warning is None else (warning, *rumours))

    def send_bare(self, address: str, body: Body, updates: tuple[Update, ...] = ()) -> None:
        """With these updates and no others, so that no rumour is wasted or gets no room."""
        self._counters.sent += 1
        message = Message(self._cluster, self._beliefs.me, body, updates)
        self._waiting.append(Send(address, message))

"""Questions about the cluster itself, for administrators and their tools."""

from __future__ import annotations

from dynamo_py.client.requests import Requests
from dynamo_py.wire import messages as wire
from dynamo_py.wire.keys import routing_key

TIMEOUT_S = 5.0


class Admin:
    """What any node can tell about the cluster."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    async def status(self, *, timeout: float = TIMEOUT_S) -> wire.Status:
        """The members with their figures, and whether the live ones agree."""
        reply = await self._requests.ask(wire.GetStatus(), timeout_s=timeout)
        assert isinstance(reply, wire.Status), reply
        return reply

    async def ring(self, *, timeout: float = TIMEOUT_S) -> wire.Ring:
        """Who owns which token, by what clients route."""
        reply = await self._requests.ask(wire.GetRing(), timeout_s=timeout)
        assert isinstance(reply, wire.Ring), reply
        return reply

    async def explain(
        self, bucket: str, key: str | bytes, *, timeout: float = TIMEOUT_S
    ) -> wire.Explanation:
        """Where a key lives, and what each node holds of it."""
        message = wire.Explain(routing_key(bucket, key))
        reply = await self._requests.ask(message, timeout_s=timeout)
        assert isinstance(reply, wire.Explanation), reply
        return reply

"""Questions about the cluster itself, for administrators and their tools."""

from __future__ import annotations

from dynamo_py.client.requests import Requests, ask_for
from dynamo_py.wire import messages as wire
from dynamo_py.wire.keys import routing_key

TIMEOUT_S = 5.0


class Admin:
    """What any node can tell about the cluster."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    async def status(self, *, timeout: float = TIMEOUT_S) -> wire.Status:
        """The members with their figures, and whether the live ones agree."""
        return await ask_for(self._requests, wire.GetStatus(), wire.Status, timeout_s=timeout)

    async def ring(self, *, timeout: float = TIMEOUT_S) -> wire.Ring:
        """Who owns which token, by what clients route."""
        return await ask_for(self._requests, wire.GetRing(), wire.Ring, timeout_s=timeout)

    async def explain(
        self, bucket: str, key: str | bytes, *, timeout: float = TIMEOUT_S
    ) -> wire.Explanation:
        """Where a key lives, and what each node holds of it."""
        message = wire.Explain(routing_key(bucket, key))
        return await ask_for(self._requests, message, wire.Explanation, timeout_s=timeout)

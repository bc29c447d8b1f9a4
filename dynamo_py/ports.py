"""The addresses that a node listens at: taken first, given back last.

Knows nothing of what comes in there.
"""

from __future__ import annotations

import socket

from dynamo_py.config import NodeConfig
from dynamo_py.environment import Listening, Transport
from dynamo_py.http.serving import bind


class Ports:
    """What one node has bound."""

    def __init__(self) -> None:
        self.listening: dict[str, Listening] = {}
        """``client`` and ``peer``, where there are any."""
        self.http_socket: socket.socket | None = None

    async def bind(self, config: NodeConfig, transport: Transport) -> None:
        """Take the addresses that ``config`` names; raises `WrongState` where one is in use."""
        for role, address in (("client", config.listen), ("peer", config.peer_listen)):
            if address is not None:
                self.listening[role] = await transport.listen(address)
        if config.http_listen is not None:
            self.http_socket = bind(config.http_listen)

    @property
    def addresses(self) -> dict[str, str]:
        """The addresses in fact bound: ``client``, ``peer`` and ``http``, where there are any."""
        bound = {role: listening.address for role, listening in self.listening.items()}
        if self.http_socket is not None:
            host, port = self.http_socket.getsockname()[:2]
            bound["http"] = f"{host}:{port}"
        return bound

    async def aclose(self) -> None:
        """Give them back."""
        for listening in self.listening.values():
            await listening.aclose()
        if self.http_socket is not None:
            self.http_socket.close()

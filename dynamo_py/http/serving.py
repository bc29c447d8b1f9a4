"""Runs the HTTP application inside the node's own trio run.

The socket is bound before anything else starts, so that a port in use stops the node with one
line, and closed with the node.
"""

from __future__ import annotations

import logging
import os
import socket
from typing import cast

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from hypercorn.typing import ASGIFramework
from starlette.applications import Starlette

from dynamo_py.errors import WrongState
from dynamo_py.net.world import split_address

GRACE_S = 1.0


def bind(address: str) -> socket.socket:
    """A socket bound to ``host:port``; raises `WrongState` when that is taken."""
    host, port = split_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        reason = os.strerror(error.errno).lower() if error.errno else str(error)
        raise WrongState(f"cannot listen on {address}: {reason}") from error


async def serve_on(bound: socket.socket, application: Starlette) -> None:
    """Serve ``application`` on ``bound`` until cancelled."""
    config = Config()
    # A descriptor of its own: the server closes what it was given, and so does our caller.
    config.bind = [f"fd://{os.dup(bound.fileno())}"]
    config.graceful_timeout = GRACE_S
    config.accesslog = None
    errors = logging.getLogger("dynamo_py.http")
    errors.setLevel(logging.WARNING)  # The node itself says where it listens.
    config.errorlog = errors
    await serve(
        cast(ASGIFramework, application), config, shutdown_trigger=trio.sleep_forever, mode="asgi"
    )

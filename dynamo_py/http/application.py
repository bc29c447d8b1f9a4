"""What a node serves over HTTP: ``/health``, ``/status`` and ``/metrics``.

For load balancers, people and Prometheus. Reads what the node's parts tell of themselves, and
changes nothing. Keys and values are not served here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from dynamo_py.http.metrics import NodeCollector
from dynamo_py.wire.messages import Status


class Observed(Protocol):
    """The part of a node that is shown."""

    @property
    def is_ready(self) -> bool:
        """Whether it owns tokens, and may vote for all that it holds."""
        ...

    def figures(self) -> dict[str, float]:
        """Its figures now, by metric name."""
        ...


def application(node: Observed, status: Callable[[], Awaitable[Status]]) -> Starlette:
    """The ASGI application of one node."""
    registry = CollectorRegistry()
    registry.register(NodeCollector(node.figures))

    async def health(request: Request) -> Response:
        if node.is_ready:
            return PlainTextResponse("ready\n")
        return PlainTextResponse("starting\n", status_code=503)

    async def show_status(request: Request) -> Response:
        return JSONResponse(_document(await status()))

    async def metrics(request: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return Starlette(
        routes=[
            Route("/health", health),
            Route("/status", show_status),
            Route("/metrics", metrics),
        ]
    )


def _document(status: Status) -> dict[str, object]:
    """The status with the names of its fields, which do not travel on the wire."""
    document = msgspec.structs.asdict(status)
    return document | {"nodes": [msgspec.structs.asdict(node) for node in status.nodes]}

"""A node as a process of its own: signals, and how the interpreter is to run.

Knows nothing of command lines or log formats; who starts the process decides those.
"""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import AsyncIterator

import trio

from dynamo_py.config import NodeConfig
from dynamo_py.lifetimes import background
from dynamo_py.net.world import real_environment
from dynamo_py.node import Node
from dynamo_py.storage.node_storage import open_storage

GC_THRESHOLDS = (20_000, 20, 50)
"""A request makes some hundred objects and hardly a cycle, so the collector may look seldom."""
SWITCH_INTERVAL_S = 0.0005
"""How long the committing thread may keep the event loop from running. Python's own default
of 5 ms is longer than a whole request."""


def run(config: NodeConfig) -> None:
    """Run a node for real until SIGTERM or SIGINT, or until it has left its cluster.

    Returns when it has drained. Raises the `DynamoError` for which it could not start or go on,
    such as `NodeRemoved`.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    environment = real_environment()
    with open_storage(config.checked(), environment) as storage:
        trio.run(_run_until_signal, Node(config, environment, storage))


async def _run_until_signal(node: Node) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with background() as waiting:
            stopped = trio.Event()
            waiting.start_soon(_set_at_signal, signals, stopped)
            async with node.running():
                waiting.start_soon(_set_once_left, node, stopped)
                await stopped.wait()


async def _set_once_left(node: Node, stopped: trio.Event) -> None:
    await node.removal.left.wait()
    stopped.set()


async def _set_at_signal(signals: AsyncIterator[int], stopped: trio.Event) -> None:
    async for _ in signals:
        stopped.set()

"""`dev up` in the foreground: until a signal, or until others have stopped the nodes.

From the first node that is started there is no moment at which a signal would leave nodes
behind: before the cluster is ready those that were started are stopped, afterwards all.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable

import trio

from dyn_cli.dev.cluster import DevCluster
from dyn_cli.dev.processes import ProcessState
from dyn_cli.failures import Refused, Status
from dyn_cli.output import note

WATCH_S = 0.3


def up_and_stay(cluster: DevCluster, *, on_ready: Callable[[], None], stays: bool) -> Status:
    """Bring the cluster up, say so, and stay with it if wanted; the exit status.

    Raises what `DevCluster.up` raises.
    """
    return trio.run(_Foreground(cluster, on_ready, stays=stays).run)


class _Foreground:
    """One `dev up`, and the signals that it has received."""

    def __init__(self, cluster: DevCluster, on_ready: Callable[[], None], *, stays: bool) -> None:
        self._cluster = cluster
        self._on_ready = on_ready
        self._stays = stays
        self._is_ready = False
        self._received: list[int] = []

    async def run(self) -> Status:
        """Until it is over; the exit status."""
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._cancel_at_signal, signals, nursery.cancel_scope)
                await self._up()
                if self._stays:
                    await self._watch()
                nursery.cancel_scope.cancel()
            if self._received and self._is_ready and self._stays:
                note("stopping the nodes")
                # Nodes may have been started anew meanwhile, by another command.
                await DevCluster.open(self._cluster.directory.path).down()
        if self._received and not self._is_ready:
            note("interrupted: the nodes that were started are stopped again")
            return Status.INTERRUPTED
        return Status.INTERRUPTED if signal.SIGINT in self._received else Status.DONE

    async def _cancel_at_signal(self, signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
        async for each in signals:
            self._received.append(each)
            scope.cancel()

    async def _up(self) -> None:
        with self._cluster.directory.locked():
            await self._cluster.up()
        self._is_ready = True
        self._on_ready()

    async def _watch(self) -> None:
        """Say when a node's process starts or ends, until all have ended."""
        last: dict[str, ProcessState] = {}
        while True:
            try:
                cluster = DevCluster.open(self._cluster.directory.path)
            except Refused:
                return  # Taken down and purged.
            now = {node.name: cluster.state(node.number) for node in cluster.nodes}
            for name, state in now.items():
                if last.get(name, state) is not state:
                    note(f"{name} is {state.value}")
            if set(now.values()) == {ProcessState.STOPPED}:
                return
            last = now
            await trio.sleep(WATCH_S)

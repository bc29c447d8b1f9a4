"""Builds the hash trees that are wanted, page by page, at the pace of background work.

Knows nothing of who wants them. A tree that is begun anew meanwhile is just built again.
"""

from __future__ import annotations

from typing import Protocol

import trio

from dynamo_py.replica.hash_tree import HashTree
from dynamo_py.replica.trees import Trees


class Throttle(Protocol):
    """What grants background work its slices: `dynamo_py.upkeep.throttle.Throttle`."""

    async def slice(self) -> None:
        """Wait until the next bounded piece of work, a millisecond or two of it, may be done."""
        ...


class Building:
    """The loop that builds trees."""

    def __init__(self, trees: Trees, throttle: Throttle) -> None:
        self.trees = trees
        self._throttle = throttle
        self._wanted = trio.Event()
        self._built = trio.Event()
        trees.on_wanted = self._on_wanted

    def _on_wanted(self) -> None:
        self._wanted.set()

    async def run(self) -> None:
        """Build whatever is wanted, until cancelled."""
        while True:
            self._wanted = trio.Event()
            unbuilt = self.trees.unbuilt()
            if not unbuilt:
                await self._wanted.wait()
            for partition in unbuilt:
                await self._build(partition)

    async def _build(self, partition: int) -> None:
        while self.trees.is_building(partition):
            await self._throttle.slice()
            self.trees.build_page(partition)
        self._built.set()
        self._built = trio.Event()

    async def wait_built(self, partition: int) -> HashTree:
        """The partition's tree, once there is one. Valid until the next wait."""
        while (tree := self.trees.tree(partition)) is None:
            await self._built.wait()
        return tree

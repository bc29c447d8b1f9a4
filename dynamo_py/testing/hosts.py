"""One host of a simulated cluster: a machine with a disk and clocks, and a node's process on it.

The process is the production node. It ends with the host's crash, and from that moment nothing
that it still does, in a ``finally`` say, reaches disk or network. A process that ends by
itself, as one does that cannot read its disk, is started again a little later, as a service
manager would.

Knows nothing of schedules of faults or of other hosts.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

import trio

from dynamo_py.config import NodeConfig
from dynamo_py.environment import Environment
from dynamo_py.errors import DynamoError, NodeRemoved
from dynamo_py.node import Node
from dynamo_py.storage.directory import DATABASE_FILE
from dynamo_py.storage.engine import Address, Space
from dynamo_py.storage.node_storage import open_storage
from dynamo_py.testing.clocks import SimulatedClock
from dynamo_py.testing.disk import Disk, Snapshot
from dynamo_py.testing.engine import SimulatedEngine
from dynamo_py.testing.network import Network
from dynamo_py.testing.randomness import Streams
from dynamo_py.testing.scheduling import Scheduler
from dynamo_py.testing.trace import Trace

T = TypeVar("T")

DISK_S = 0.0005
"""How long a commit takes, on the average, of which a part before and a part after the work."""
START_AGAIN_S = 1.0
COPIES_MAX = 4
"""Of a disk; those that are kept are the youngest."""


@dataclass(frozen=True, slots=True)
class World:
    """What all hosts of a simulation share."""

    scheduler: Scheduler
    streams: Streams
    trace: Trace
    network: Network
    on_stored: Callable[[Host], None]
    """Called whenever a host's disk has something new: by a sync, or as a crash has left it."""


@dataclass(slots=True)
class DiskCopy:
    """A copy of a disk, and the virtual second at which it was taken."""

    taken_s: float
    snapshot: Snapshot
    node: bytes | None
    """Whose it is, as far as a process of that moment knew."""
    overtaken_s: float = math.inf
    """When the disk first had something that the copy lacks."""


class Host:
    """A machine. Its process lives in `run`, from each `start` to the next `crash`."""

    def __init__(self, config: NodeConfig, world: World) -> None:
        self.name = config.name
        self.config = config
        self.clock = SimulatedClock(trio.current_time)
        self.disk = Disk(
            world.streams.named(f"disk {config.name}"),
            world.trace,
            name=config.name,
            on_change=self._on_disk_change,
        )
        self.disk_delays_s: list[float] = []
        """By how much longer than usual each commit takes; of several the sum."""
        self.node: Node | None = None
        """The running node, if it has come as far."""
        self.refusal: DynamoError | None = None
        """Why the process ended by itself, until one has come up again."""
        self.copies: deque[DiskCopy] = deque(maxlen=COPIES_MAX)
        """Copies of the disk, in the order in which they were taken."""
        self.boots = 0
        """How many processes there have been."""
        self.is_retired = False
        """Whether its node has left its cluster, or was removed: it is never started again."""
        self.is_given_up = False
        """Whether its node was declared dead: its disk is lost, whatever is on it."""
        self._world = world
        self._latency = world.streams.named(f"commits {config.name}")
        self._is_wanted = False
        self._changed = trio.Event()
        self._process = trio.CancelScope()

    # --- what can be done to it ---------------------------------------------------------------

    def start(self) -> None:
        """Start the node's process, if there is none, and it is not retired."""
        self._is_wanted = not self.is_retired
        self._tell()

    def crash(self, *, lose: Literal["all", "some"] = "some", silently: bool = False) -> None:
        """End the process at once: un-synced writes are lost, ``all`` or ``some`` of them.

        ``silently``: peers are not told, as when the machine has lost its power. No change where
        it is crashed already.
        """
        if not self._is_wanted:
            return
        self._is_wanted = False
        self.node = None
        self._world.network.cut_off(self.name, silently=silently)
        self.disk.crash(lose=lose)
        self._world.scheduler.resume(self.name)  # What was paused could not end.
        self._process.cancel()
        self._tell()

    def pause(self) -> None:
        """As SIGSTOP: the process does nothing, and its kernel answers for it."""
        self._world.scheduler.pause(self.name)

    def resume(self) -> None:
        """As SIGCONT."""
        self._world.scheduler.resume(self.name)

    @property
    def has_lost(self) -> bool:
        """Whether something is gone from its disk that had been synced, or the disk as a whole."""
        return self.is_given_up or self.disk.has_lost

    @property
    def is_paused(self) -> bool:
        """Whether it is paused."""
        return self._world.scheduler.is_paused(self.name)

    @property
    def is_running(self) -> bool:
        """Whether there is a process, or will be one shortly: it is not crashed."""
        return self._is_wanted

    def copy_disk(self) -> None:
        """Keep a copy of the disk, to which it may be rolled back."""
        self.copies.append(DiskCopy(trio.current_time(), self.disk.snapshot(), self._node_id))

    def copy_lacking_since(self, moment_s: float) -> DiskCopy | None:
        """The youngest copy that has lacked something since then, if there is one.

        One of the same node: a machine that has joined anew has another id.
        """
        lacking = (
            copy
            for copy in reversed(self.copies)
            if copy.overtaken_s <= moment_s and copy.node == self._node_id
        )
        return next(lacking, None)

    @property
    def _node_id(self) -> bytes | None:
        return None if self.node is None else self.node.view.me

    def roll_back(self, copy: DiskCopy) -> None:
        """Put one of its copies back on the disk. Only while no process runs."""
        self.disk.roll_back(copy.snapshot)
        while self.copies[-1] is not copy:
            self.copies.pop()  # What it shows has never been.

    def _on_disk_change(self) -> None:
        for copy in self.copies:
            copy.overtaken_s = min(copy.overtaken_s, trio.current_time())
        self._world.on_stored(self)

    def rot(self, generator: random.Random) -> Address | None:
        """Let one row rot that is on the disk; which one, if there is any."""
        path = Path(self.config.data_dir) / DATABASE_FILE
        addresses = [a for space in Space for a in self.disk.addresses(path, space)]
        if not addresses:
            return None
        address = generator.choice(addresses)
        self.disk.flip_row(path, address)
        return address

    # --- the process --------------------------------------------------------------------------

    async def run(self) -> None:
        """Be a machine, until cancelled. A bug of the node's leaves here."""
        while not self.is_retired:
            while not self._is_wanted:
                await self._changed.wait()
            self._process = trio.CancelScope()
            with self._world.scheduler.belonging_to(self.name):
                # A task of its own, since this one does not belong to the host and is not paused.
                async with trio.open_nursery() as nursery:  # noqa: ASYNC112
                    nursery.start_soon(self._boot)
            if not self._process.cancel_called:
                await trio.sleep(START_AGAIN_S)

    async def _boot(self) -> None:
        """One life of the process."""
        if self._process.cancel_called:
            return  # Crashed before its first step.
        self.boots += 1
        generator = self._world.streams.named(f"node {self.name}, boot {self.boots}")
        transport = self._world.network.transport(self.name)
        environment = Environment(self.clock, generator, transport, self._offload)
        files = self.disk.boot()
        self._world.on_stored(self)
        try:
            with (
                self._process,
                open_storage(
                    self.config,
                    environment,
                    files=files,
                    open_engine=partial(SimulatedEngine, files),
                ) as storage,
            ):
                async with Node(self.config, environment, storage).running() as node:
                    # It may have been crashed in its last step of coming up.
                    await trio.lowlevel.checkpoint_if_cancelled()
                    self.node, self.refusal = node, None
                    await node.removal.left.wait()
            if not self._process.cancel_called:
                self._retire()
        except NodeRemoved as error:
            if not self._process.cancel_called:
                self._note_exit(error)
                self._retire()
        except DynamoError as error:
            # What a crashed one says in its last moments nobody hears.
            if not self._process.cancel_called:
                self._note_exit(error)
        finally:
            files.close()

    def _note_exit(self, error: DynamoError) -> None:
        """The process has ended by itself: the kernel ends what it held of the network."""
        self.node, self.refusal = None, error
        self._world.trace.note("exit", self.name, error.message)
        self._world.network.cut_off(self.name, silently=False)

    def _retire(self) -> None:
        self.is_retired, self._is_wanted, self.node = True, False, None
        self._world.trace.note("retired", self.name)
        self._world.network.cut_off(self.name, silently=False)

    async def _offload(self, work: Callable[[], T]) -> T:
        """``work()`` in the middle of the time that it takes: a crash may come before or after."""
        takes_s = self._latency.expovariate(1 / DISK_S) + sum(self.disk_delays_s)
        begins_s = takes_s * self._latency.random()
        await trio.sleep(begins_s)
        result = work()
        await trio.sleep(takes_s - begins_s)
        return result

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

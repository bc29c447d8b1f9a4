"""A dev cluster: starts, stops and signals its nodes, and waits until they are ready.

Knows nothing of the command line. Used by `dyn-cli dev`, by the shopping cart's demo and by
tests. Every wait is for a condition, ends at once when a node's process ends, and says which
node it was and what that node had to say.
"""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path

import msgspec
import trio

from dyn_cli.dev.processes import ProcessState, send, spawn, state_of, terminate, wait_state
from dyn_cli.dev.state import (
    CLUSTER_NAME,
    LOCK_FILE,
    STATE_FILE,
    ClusterEntry,
    DevDirectory,
    NodeEntry,
    ProcessEntry,
)
from dyn_cli.failures import Refused, TimedOut

READY_S = 30.0
"""How long a node, or the cluster, may take until it is ready."""
DRAIN_S = 10.0
"""How long nodes may take to end by themselves."""
KILLED_S = 5.0
LOOK_AGAIN_S = 0.05
TAIL_LINES = 10
REMOVED = "is removed from cluster"
"""In the last words of a node that is no member any more."""


WhyNot = Callable[[NodeEntry], Awaitable[str | None]]
"""What a node is not yet, in words; None if nothing is missing."""


class DevCluster:
    """The cluster of one directory. The state file follows each change."""

    def __init__(self, directory: DevDirectory, entry: ClusterEntry) -> None:
        self.directory = directory
        self._entry = entry
        self._log_starts: dict[int, int] = {}

    @classmethod
    def open(cls, path: Path) -> DevCluster:
        """The cluster of that directory; raises `Refused` where there is none."""
        directory = DevDirectory(path)
        entry = directory.load()
        if entry is None:
            raise Refused(f"no dev cluster in {path}: dyn-cli dev up makes one")
        return cls(directory, entry)

    @property
    def nodes(self) -> tuple[NodeEntry, ...]:
        """All nodes, by number."""
        return self._entry.nodes

    @property
    def _staying(self) -> list[NodeEntry]:
        """The nodes that are not known to have left the cluster."""
        return [node for node in self.nodes if not node.is_gone]

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where clients reach the nodes."""
        return tuple(node.client for node in self._staying)

    def node(self, number: int) -> NodeEntry:
        """The node of that number; raises `KeyError`."""
        return self._entry.node(number)

    def state(self, number: int) -> ProcessState:
        """What the node's process is doing."""
        return state_of(self.node(number).process)

    def pid(self, number: int) -> int | None:
        """The node's process, while there is one."""
        process = self.node(number).process
        return None if process is None or state_of(process) is ProcessState.STOPPED else process.pid

    # --- all nodes ------------------------------------------------------------------------------

    async def up(self) -> None:
        """Start the nodes that are stopped, continue paused ones, and wait until all are ready.

        Where that fails, those that were started are stopped again; of a cluster that was never
        ready nothing stays but the logs. Raises `Refused` when a node ends early, `TimedOut`
        when they do not become ready.
        """
        is_new = not self._entry.is_founded and not any(n.process for n in self.nodes)
        stopped = [n.number for n in self._staying if self.state(n.number) is ProcessState.STOPPED]
        for node in self.nodes:
            if self.state(node.number) is ProcessState.PAUSED:
                await self.resume(node.number)
        try:
            if not self._entry.is_founded:
                await self._found()
            for number in stopped:
                if self.state(number) is ProcessState.STOPPED:
                    self._launch(number)
            await self._wait([node.number for node in self._staying], self._why_not_ready)
            self._save(msgspec.structs.replace(self._entry, is_founded=True))
        except BaseException:
            with trio.CancelScope(shield=True):
                await self._end(stopped)
            if is_new:
                self.purge(keeps_logs=True)
            raise

    async def down(self) -> None:
        """Stop all nodes: gently, then by force. Their data stays."""
        await self._end([node.number for node in self.nodes])

    async def add(self, *, is_staged: bool) -> NodeEntry:
        """Start a further node, and wait until it is a member; staged: until it waits to join.

        Where that fails the cluster has as many nodes as before. Raises `Refused` and `TimedOut`.
        """
        if not any(self.state(node.number) is ProcessState.RUNNING for node in self._staying):
            raise Refused("no node is running that could let another one in: dyn-cli dev up")
        before = self._entry
        self._save(before.with_one_more())
        added = self.nodes[-1]
        try:
            if self.directory.data_of(added).exists():
                raise Refused(f"{self.directory.data_of(added)} is there already: remove it first")
            self._launch(added.number, is_staged=is_staged)
            await self._wait([added.number], partial(self._why_not_let_in, is_staged=is_staged))
        except BaseException:
            with trio.CancelScope(shield=True):
                await self._end([added.number])
            if self.node(added.number).process is not None:
                shutil.rmtree(self.directory.data_of(added), ignore_errors=True)
            self._save(before)
            raise
        return self.node(added.number)

    def purge(self, *, keeps_logs: bool = False) -> None:
        """Remove the data of all nodes, and the cluster. They must be stopped."""
        for node in self.nodes:
            assert self.state(node.number) is ProcessState.STOPPED
            shutil.rmtree(self.directory.data_of(node), ignore_errors=True)
            if not keeps_logs:
                self.directory.log_of(node).unlink(missing_ok=True)
        for name in (STATE_FILE, LOCK_FILE):
            (self.directory.path / name).unlink(missing_ok=True)
        if not any(self.directory.path.iterdir()):
            self.directory.path.rmdir()

    async def _found(self) -> None:
        """Start node 1, which founds the cluster.

        The others are started only once it answers: were its port somebody else's, they would
        join a cluster that is not this one.
        """
        if self.state(1) is ProcessState.STOPPED:
            self._launch(1)
        await self._wait([1], self._why_not_answering)

    async def _end(self, numbers: Iterable[int]) -> None:
        processes = [p for number in numbers if (p := self.node(number).process) is not None]
        for process in processes:
            terminate(process)
        deadline = trio.current_time() + DRAIN_S
        for process in processes:
            left_s = max(0.0, deadline - trio.current_time())
            if not await wait_state(process, ProcessState.STOPPED, timeout_s=left_s):
                send(process, signal.SIGKILL)
                await wait_state(process, ProcessState.STOPPED, timeout_s=KILLED_S)

    # --- one node -------------------------------------------------------------------------------

    async def start(self, number: int) -> None:
        """Start a stopped node and wait until it serves; raises `Refused` and `TimedOut`.

        It cannot serve before a majority of the nodes runs: until then, until it answers.
        """
        self._demand(number, ProcessState.STOPPED)
        try:
            self._launch(number)
            await self._wait([number], self._why_not_started)
        except BaseException:
            with trio.CancelScope(shield=True):
                await self._end([number])
            raise

    async def stop(self, number: int) -> None:
        """Let a node finish what is under way and end; raises `TimedOut` if it does not."""
        process = self._demand(number, ProcessState.RUNNING, ProcessState.PAUSED)
        terminate(process)
        if not await wait_state(process, ProcessState.STOPPED, timeout_s=DRAIN_S + KILLED_S):
            name = self.node(number).name
            raise TimedOut(f"{name} has not stopped within {DRAIN_S + KILLED_S:g} s: kill it")

    async def kill(self, number: int) -> None:
        """End a node at once, as a crash would."""
        process = self._demand(number, ProcessState.RUNNING, ProcessState.PAUSED)
        send(process, signal.SIGKILL)
        await wait_state(process, ProcessState.STOPPED, timeout_s=KILLED_S)

    async def pause(self, number: int) -> None:
        """Freeze a running node: it keeps its connections and answers nothing."""
        process = self._demand(number, ProcessState.RUNNING)
        send(process, signal.SIGSTOP)
        await wait_state(process, ProcessState.PAUSED, ProcessState.STOPPED, timeout_s=KILLED_S)

    async def resume(self, number: int) -> None:
        """Let a paused node go on."""
        process = self._demand(number, ProcessState.PAUSED)
        send(process, signal.SIGCONT)
        await wait_state(process, ProcessState.RUNNING, ProcessState.STOPPED, timeout_s=KILLED_S)

    def _demand(self, number: int, *wanted: ProcessState) -> ProcessEntry:
        node, state = self.node(number), self.state(number)
        if state not in wanted:
            raise Refused(f"{node.name} is {state.value}")
        # A node that was never started counts as stopped: then there is nothing to hand out.
        return node.process or ProcessEntry(0, "")

    # --- processes and what they say ------------------------------------------------------------

    def _launch(self, number: int, *, is_staged: bool = False) -> None:
        node = self.node(number)
        log = self.directory.log_of(node)
        self._log_starts[number] = log.stat().st_size if log.exists() else 0
        arguments = self._arguments(node) + (["--stage"] if is_staged else [])
        process = spawn(arguments, log=log)
        self._save(self._entry.with_node(msgspec.structs.replace(node, process=process)))

    def _arguments(self, node: NodeEntry) -> list[str]:
        # -P: what lies in the user's directory must not be taken for our packages.
        arguments = [sys.executable, "-P", "-m", "dyn_cli", "node", "run"]
        arguments += ["--name", node.name, "--data", str(self.directory.data_of(node))]
        arguments += ["--listen", node.client, "--peer-listen", node.peer, "--http", node.http]
        arguments += ["--cluster", CLUSTER_NAME, "--partitions", str(self._entry.partitions)]
        arguments += ["--replicas", str(self._entry.replicas)]
        for seed in self._seeds_of(node):
            arguments += ["--seed", seed]
        return arguments

    def _seeds_of(self, node: NodeEntry) -> list[str]:
        """Node 1 founds the cluster; later every node looks for all the others."""
        if not self._entry.is_founded:
            return [] if node.number == 1 else [self.node(1).peer]
        return [other.peer for other in self._staying if other.number != node.number]

    def _save(self, entry: ClusterEntry) -> None:
        self._entry = entry
        self.directory.save(entry)

    async def _why_not_ready(self, node: NodeEntry) -> str | None:
        # Loaded here: what only looks at processes needs nothing of the store.
        from dyn_cli.dev.readiness import ask_status, why_not_ready

        if node.is_gone:
            return None
        ids = {each.name: self.directory.id_of(each) for each in self._staying}
        return why_not_ready(await ask_status(node.client), ids)

    async def _why_not_let_in(self, node: NodeEntry, *, is_staged: bool) -> str | None:
        from dyn_cli.dev.readiness import ask_status, why_not_let_in

        status, node_id = await ask_status(node.client), self.directory.id_of(node)
        return why_not_let_in(status, node_id, is_staged=is_staged)

    async def _why_not_answering(self, node: NodeEntry) -> str | None:
        from dyn_cli.dev.readiness import ask_status, why_not_answering

        return why_not_answering(await ask_status(node.client), self.directory.id_of(node))

    async def _why_not_started(self, node: NodeEntry) -> str | None:
        from dyn_cli.dev.readiness import ask_status, why_not_serving

        running = [n for n in self._staying if self.state(n.number) is ProcessState.RUNNING]
        if len(running) <= len(self._staying) // 2:
            return await self._why_not_answering(node)
        return why_not_serving(await ask_status(node.client), self.directory.id_of(node))

    async def _wait(self, numbers: Iterable[int], why_not: WhyNot) -> None:
        """Wait until there is no reason left for any of the nodes."""
        deadline = trio.current_time() + READY_S
        awaited = tuple(numbers)
        for number in awaited:
            node = self.node(number)
            while (reason := await why_not(self.node(number))) is not None:
                self._refuse_early_end(awaited)
                if trio.current_time() >= deadline:
                    raise TimedOut(
                        f"{node.name} is not ready after {READY_S:g} s: {reason}; the end of its"
                        f" log: {' | '.join(self.tail(number, TAIL_LINES))}"
                    )
                await trio.sleep(LOOK_AGAIN_S)

    def _refuse_early_end(self, awaited: tuple[int, ...]) -> None:
        """Raise `Refused` if one of those that are waited for was started and has ended."""
        for number in awaited:
            if number in self._log_starts and self.state(number) is ProcessState.STOPPED:
                last = [*self.tail(number, 1), "it said nothing"][0]
                if REMOVED in last and len(awaited) > 1:
                    self._note_gone(number)
                    continue
                raise Refused(
                    f"{self.node(number).name} did not start: {last.removeprefix('dyn-cli: ')}"
                )

    def _note_gone(self, number: int) -> None:
        """A node that was to be started with the others has left the cluster meanwhile."""
        node = msgspec.structs.replace(self.node(number), is_gone=True, process=None)
        self._save(self._entry.with_node(node))

    def tail(self, number: int, lines: int) -> list[str]:
        """The last lines that a node has written since it was started last."""
        log = self.directory.log_of(self.node(number))
        if not log.exists():
            return []
        with log.open("rb") as file:
            file.seek(self._log_starts.get(number, 0))
            text = file.read().decode(errors="replace")
        return text.strip().splitlines()[-lines:]

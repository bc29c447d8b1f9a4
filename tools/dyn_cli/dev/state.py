"""What a dev directory remembers of its cluster, in ``cluster.json``.

Knows nothing of whether a process is alive. The file is replaced as a whole, so that it is the
old one or the new one after a crash.

Invariants: nodes are numbered from 1 in order; a node's addresses never change.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from dyn_cli.failures import Refused

FORMAT = 1
STATE_FILE = "cluster.json"
IDENTITY_FILE = "node.json"
LOCK_FILE = "cluster.lock"
CLUSTER_NAME = "dev"
PORTS_PER_NODE = 3
PORT_STEP = 10
PORT_MAX = 65535


class ProcessEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A process that was started. ``started`` tells it from a later one with the same pid."""

    pid: int
    started: str


class NodeEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A node: its addresses, and the process that it was last seen as."""

    number: int
    client: str
    peer: str
    http: str
    process: ProcessEntry | None = None
    is_gone: bool = False
    """Whether it has left the cluster, or was removed: it is not started again with the others."""

    @property
    def name(self) -> str:
        """``n1`` for node 1: its name in the cluster, its data directory and its log."""
        return f"n{self.number}"


class ClusterEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A dev cluster as it was asked for."""

    format: int
    partitions: int
    replicas: int
    is_founded: bool
    """Whether all nodes were members once: from then on each looks for all the others."""
    nodes: tuple[NodeEntry, ...]

    def node(self, number: int) -> NodeEntry:
        """The node of that number; raises `KeyError`."""
        if not 1 <= number <= len(self.nodes):
            raise KeyError(number)
        return self.nodes[number - 1]

    def with_node(self, node: NodeEntry) -> ClusterEntry:
        """The same cluster with this entry in place of the node's old one."""
        nodes = tuple(node if each.number == node.number else each for each in self.nodes)
        return msgspec.structs.replace(self, nodes=nodes)

    def with_one_more(self) -> ClusterEntry:
        """The same cluster with a further node, at the ports that come next."""
        base_port = int(self.nodes[0].client.rpartition(":")[2])
        return msgspec.structs.replace(
            self, nodes=(*self.nodes, _new_node(len(self.nodes) + 1, base_port))
        )


def new_cluster(*, nodes: int, base_port: int, partitions: int, replicas: int) -> ClusterEntry:
    """A cluster that was never started. Node k adds 10 (k - 1) to the ports."""
    return ClusterEntry(
        format=FORMAT,
        partitions=partitions,
        replicas=replicas,
        is_founded=False,
        nodes=tuple(_new_node(number, base_port) for number in range(1, nodes + 1)),
    )


def _new_node(number: int, base_port: int) -> NodeEntry:
    port = base_port + PORT_STEP * (number - 1)
    client, peer, http = (f"127.0.0.1:{port + offset}" for offset in range(PORTS_PER_NODE))
    return NodeEntry(number=number, client=client, peer=peer, http=http)


def last_port(nodes: int, base_port: int) -> int:
    """The highest port that such a cluster takes."""
    return base_port + PORT_STEP * (nodes - 1) + PORTS_PER_NODE - 1


class DevDirectory:
    """A directory that may hold a dev cluster."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    def data_of(self, node: NodeEntry) -> Path:
        """The node's data directory."""
        return self.path / node.name

    def log_of(self, node: NodeEntry) -> Path:
        """What the node has said, over all its starts."""
        return self.path / f"{node.name}.log"

    def id_of(self, node: NodeEntry) -> str | None:
        """The id that the node has given itself; None until it has."""
        try:
            identity = json.loads((self.data_of(node) / IDENTITY_FILE).read_bytes())
        except (OSError, ValueError):
            return None
        found = identity.get("node_id") if isinstance(identity, dict) else None
        return found if isinstance(found, str) else None

    def load(self) -> ClusterEntry | None:
        """The cluster, None where there is none; raises `Refused` where it cannot be read."""
        try:
            content = (self.path / STATE_FILE).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Refused(f"{self.path}: {error.strerror}") from None
        try:
            found = msgspec.json.decode(content, type=ClusterEntry)
        except msgspec.MsgspecError as error:
            raise Refused(f"{self.path / STATE_FILE} is not a dev cluster's: {error}") from None
        if found.format != FORMAT:
            raise Refused(f"{self.path / STATE_FILE} has format {found.format}, not {FORMAT}")
        return found

    def save(self, cluster: ClusterEntry) -> None:
        """Remember the cluster."""
        temporary = self.path / f"{STATE_FILE}.new"
        temporary.write_bytes(msgspec.json.format(msgspec.json.encode(cluster)) + b"\n")
        os.replace(temporary, self.path / STATE_FILE)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other commands from changing the cluster meanwhile; raises `Refused`."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        except OSError as error:
            raise Refused(f"{self.path}: {error.strerror}") from None
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Refused(f"another dev command is at work in {self.path}") from None
            yield
        finally:
            os.close(descriptor)

"""A node's storage, opened: its directory's identity and its engine.

The simulator opens it in the same way, on another file system and with another engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dynamo_py.config import NodeConfig
from dynamo_py.environment import Environment
from dynamo_py.storage.directory import DataDirectory
from dynamo_py.storage.durable_files import SYSTEM_FILES, Files
from dynamo_py.storage.engine import Durability, Engine
from dynamo_py.storage.sqlite import SqliteEngine


class NodeStorage(Protocol):
    """What a node needs of its disk."""

    @property
    def engine(self) -> Engine:
        """Where records, hints and facts are."""
        ...

    @property
    def node_id(self) -> bytes:
        """The id that belongs to this directory."""
        ...

    @property
    def cluster_id(self) -> bytes | None:
        """The cluster to which this directory belongs, if any yet."""
        ...

    def join_cluster(self, cluster_id: bytes, node_id: bytes) -> None:
        """This directory is that node's of that cluster from now on; on disk on return."""
        ...


@dataclass(frozen=True, slots=True)
class DirectoryStorage:
    """Storage in a directory of this machine."""

    directory: DataDirectory
    engine: Engine

    @property
    def node_id(self) -> bytes:
        """From ``node.json``."""
        return bytes.fromhex(self.directory.identity.node_id)

    @property
    def cluster_id(self) -> bytes | None:
        """From ``node.json``."""
        found = self.directory.identity.cluster_id
        return None if found is None else bytes.fromhex(found)

    def join_cluster(self, cluster_id: bytes, node_id: bytes) -> None:
        """Into ``node.json``."""
        self.directory.join_cluster(cluster_id.hex(), node_id.hex())


@contextmanager
def open_storage(
    config: NodeConfig,
    environment: Environment,
    *,
    files: Files = SYSTEM_FILES,
    open_engine: Callable[[Path, Durability], Engine] = SqliteEngine,
) -> Iterator[DirectoryStorage]:
    """Open the directory that ``config`` names; close it when the body ends.

    ``files`` is the file system that it is on, and ``open_engine`` is given the path of the
    engine's file. Raises `WrongState` for a directory of another cluster or process,
    `StorageError` for one that cannot be used.
    """
    with DataDirectory.open(
        config.data_dir,
        cluster_name=config.cluster,
        random=environment.random,
        now_ms=environment.clock.wall_ms(),
        files=files,
    ) as directory:
        engine = open_engine(directory.database_path, config.durability)
        try:
            yield DirectoryStorage(directory, engine)
        finally:
            engine.close()

"""The data directory: whose it is, and that one process at a time uses it.

Knows nothing of the files that an engine keeps in it, beside the name of the one.

Invariants: ``node.json`` is replaced as a whole and never edited, so that it is the old or
the new one after a crash; a cluster's id, once written, never changes, nor does the
node's id from then on; nothing is ever overwritten that could not be read.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Annotated

import msgspec

from dynamo_py.errors import StorageError, WrongState
from dynamo_py.storage.durable_files import (
    SYSTEM_FILES,
    TEMPORARY_SUFFIX,
    Files,
    replace_file,
    sync_directory,
)

FORMAT_VERSION = 1
NODE_FILE = "node.json"
LOCK_FILE = "LOCK"
DATABASE_FILE = "store.sqlite3"

_NOT_FOREIGN = frozenset({LOCK_FILE, NODE_FILE + TEMPORARY_SUFFIX, "lost+found"})
"""What a directory may hold that was never finished; the last is a fresh file system's."""

Id = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]


class NodeIdentity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``node.json`` holds. ``cluster_id`` is None until the node is in a cluster."""

    format: int
    node_id: Id
    cluster_id: Id | None
    cluster_name: str
    created_ms: int


class _Format(msgspec.Struct):
    """The part of ``node.json`` that every version of the format has."""

    format: int


class DataDirectory:
    """A directory that this process holds. Close it, or use it in a ``with`` statement."""

    def __init__(
        self, path: Path, files: Files, *, unlock: Callable[[], None], identity: NodeIdentity
    ) -> None:
        """For `open` alone."""
        self.path = path
        self._files = files
        self._unlock: Callable[[], None] | None = unlock
        self._identity = identity

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        cluster_name: str,
        random: random.Random,
        now_ms: int,
        cluster_id: str | None = None,
        files: Files = SYSTEM_FILES,
    ) -> DataDirectory:
        """Take the directory, which is made if there is none, mode 0700.

        ``random`` makes the id of a new node, ``now_ms`` is kept as its birthday, and
        ``files`` is the file system that the directory is on. Raises
        `WrongState` when another process holds the directory, when it belongs to another
        cluster, or when it is full of something else; `StorageError` when it cannot be read
        or written. Nothing in it was changed then, beside the lock's file.
        """
        place = Path(path)
        _make(place, files)
        _refuse_foreign_files(place, files)
        unlock = _lock(place, files)
        try:
            identity = _read(place / NODE_FILE, files)
            if identity is None:
                identity = NodeIdentity(
                    format=FORMAT_VERSION,
                    node_id=f"{random.getrandbits(128):032x}",
                    cluster_id=cluster_id,
                    cluster_name=cluster_name,
                    created_ms=now_ms,
                )
                replace_file(place / NODE_FILE, _encoded(identity), files=files)
            _refuse_other_cluster(place, identity, cluster_name, cluster_id)
        except BaseException:
            unlock()
            raise
        return cls(place, files, unlock=unlock, identity=identity)

    @property
    def identity(self) -> NodeIdentity:
        """What ``node.json`` says."""
        return self._identity

    @property
    def database_path(self) -> Path:
        """Where the engine's file is, or will be."""
        return self.path / DATABASE_FILE

    def join_cluster(self, cluster_id: str, node_id: str) -> None:
        """Write down the cluster's id, and the node's; on disk on return.

        Nothing if both are there already. Raises `WrongState` when another cluster's id is, or
        this cluster's with another node's, and `StorageError` when it cannot be written.
        """
        assert self._unlock is not None, "closed"
        _refuse_other_cluster(self.path, self._identity, self._identity.cluster_name, cluster_id)
        if self._identity.cluster_id is None:
            joined = msgspec.structs.replace(self._identity, cluster_id=cluster_id, node_id=node_id)
            replace_file(self.path / NODE_FILE, _encoded(joined), files=self._files)
            self._identity = joined
        elif self._identity.node_id != node_id:
            raise WrongState(
                f"{self.path} belongs to node {self._identity.node_id} of its cluster, not to"
                f" {node_id}: start with an empty directory"
            )

    def close(self) -> None:
        """Let another process have the directory. May be called twice."""
        if self._unlock is not None:
            # The file stays: who removed it could remove one that was locked since.
            self._unlock()
            self._unlock = None

    def __enter__(self) -> DataDirectory:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _make(place: Path, files: Files) -> None:
    try:
        missing = [each for each in (place, *place.parents) if not files.is_directory(each)]
        if place in missing:
            files.make_directory(place)
            # A parent that was made as well could be lost with all that is in it.
            for made in missing:
                sync_directory(made.parent, files=files)
    except OSError as error:
        raise StorageError(f"the directory {place} cannot be made ({error.strerror})") from error


def _refuse_foreign_files(place: Path, files: Files) -> None:
    try:
        names = set(files.names(place))
    except OSError as error:
        raise StorageError(f"the directory {place} cannot be read ({error.strerror})") from error
    foreign = sorted(names - _NOT_FOREIGN)
    if foreign and NODE_FILE not in names:
        raise WrongState(
            f"{place} is not a data directory and not empty (it holds {foreign[0]!r}):"
            " choose another one"
        )


def _lock(place: Path, files: Files) -> Callable[[], None]:
    """Hold the directory; gives what lets it go."""
    file = place / LOCK_FILE
    try:
        return files.lock(file)
    except BlockingIOError as error:
        raise WrongState(
            f"the data directory {place} is in use by process {_holder(file, files)}"
        ) from error
    except OSError as error:
        raise StorageError(f"{file} cannot be locked ({error.strerror})") from error


def _holder(file: Path, files: Files) -> str:
    """What the holder of the lock wrote into the file."""
    try:
        content = files.read(file)
    except OSError:
        return "unknown"
    return content.decode("ascii", "replace").strip() or "unknown"


def _read(file: Path, files: Files) -> NodeIdentity | None:
    """What the file says, None if there is none; `StorageError` if it cannot be trusted."""
    try:
        content = files.read(file)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"{file} cannot be read ({error.strerror})") from error
    try:
        version = msgspec.json.decode(content, type=_Format).format
        if version != FORMAT_VERSION:
            raise StorageError(
                f"{file} has format {version}, and this program reads format {FORMAT_VERSION} alone"
            )
        return msgspec.json.decode(content, type=NodeIdentity)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StorageError(f"{file} is damaged: {error}; it was left as it is") from error


def _encoded(identity: NodeIdentity) -> bytes:
    return msgspec.json.format(msgspec.json.encode(identity), indent=2) + b"\n"


def _refuse_other_cluster(
    place: Path, identity: NodeIdentity, cluster_name: str, cluster_id: str | None
) -> None:
    if identity.cluster_name != cluster_name:
        raise WrongState(
            f"{place} belongs to the cluster {identity.cluster_name!r}, not to {cluster_name!r}"
        )
    if None not in (identity.cluster_id, cluster_id) and identity.cluster_id != cluster_id:
        raise WrongState(
            f"{place} belongs to the cluster with id {identity.cluster_id}, not to {cluster_id}"
        )

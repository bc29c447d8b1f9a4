"""Small files and directories that must outlive a power failure.

Knows nothing of what is in them. `Files` is what is asked of a file system, step by step, so
that the order of the steps, which is all that makes a file durable, is the same on a disk
that a test made up. Implementations raise `OSError`; the functions here raise `StorageError`
and its kinds instead.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from io import BufferedWriter
from pathlib import Path
from typing import Protocol

from dynamo_py.errors import DiskFull, StorageError, SyncFailed

TEMPORARY_SUFFIX = ".new"


class WritableFile(Protocol):
    """A file that is being written."""

    def write(self, content: bytes) -> None:
        """Append; a crash may lose it until `sync` returns."""
        ...

    def sync(self) -> None:
        """Wait until what was written is on disk. Says nothing of the file's name."""
        ...


class Files(Protocol):
    """The steps that a file system knows. Each raises `OSError` when it fails."""

    def is_directory(self, path: Path) -> bool:
        """Whether there is a directory of this name."""
        ...

    def make_directory(self, path: Path) -> None:
        """Make one for its owner alone, and the parents that it lacks; none is synced."""
        ...

    def names(self, path: Path) -> list[str]:
        """What the directory holds, in any order."""
        ...

    def read(self, path: Path) -> bytes:
        """The file's content."""
        ...

    def writing(self, path: Path) -> AbstractContextManager[WritableFile]:
        """A file to be written from its start, made if there is none; closed afterwards."""
        ...

    def rename(self, path: Path, new_path: Path) -> None:
        """Let the file have another name, in place of any that had it: all or nothing."""
        ...

    def sync_directory(self, path: Path) -> None:
        """Wait until the names in the directory are on disk."""
        ...

    def lock(self, path: Path) -> Callable[[], None]:
        """Hold this file, with the holder's id in it, until what is returned is called.

        Made if there is none. `BlockingIOError` when somebody else holds it. Freed when the
        process ends, however it ends.
        """
        ...


class SystemFiles:
    """The files of the operating system."""

    def is_directory(self, path: Path) -> bool:
        return path.is_dir()

    def make_directory(self, path: Path) -> None:
        path.mkdir(mode=0o700, parents=True)

    def names(self, path: Path) -> list[str]:
        return os.listdir(path)

    def read(self, path: Path) -> bytes:
        return path.read_bytes()

    @contextmanager
    def writing(self, path: Path) -> Iterator[WritableFile]:
        with path.open("wb") as file:
            yield _SystemFile(file)

    def rename(self, path: Path, new_path: Path) -> None:
        path.replace(new_path)

    def sync_directory(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def lock(self, path: Path) -> Callable[[], None]:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        except BaseException:
            os.close(descriptor)
            raise
        return lambda: os.close(descriptor)


class _SystemFile:
    def __init__(self, file: BufferedWriter) -> None:
        self._file = file

    def write(self, content: bytes) -> None:
        self._file.write(content)

    def sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())


SYSTEM_FILES: Files = SystemFiles()


def sync_directory(path: Path, *, files: Files = SYSTEM_FILES) -> None:
    """Make the names in a directory outlive a power failure."""
    try:
        files.sync_directory(path)
    except OSError as error:
        raise SyncFailed(f"the directory {path} could not be synced ({error.strerror})") from error


def replace_file(path: Path, content: bytes, *, files: Files = SYSTEM_FILES) -> None:
    """Put ``content`` in place of a file's, all or nothing, on disk on return."""
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    try:
        with files.writing(temporary) as file:
            file.write(content)
            file.sync()
        files.rename(temporary, path)
    except OSError as error:
        kind = DiskFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else StorageError
        raise kind(f"{path} could not be written ({error.strerror})") from error
    sync_directory(path.parent, files=files)

"""Small files and directories that must outlive a power failure.

Knows nothing of what is in them. Raises `StorageError` and its kinds, never `OSError`.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from dynamo_py.errors import DiskFull, StorageError, SyncFailed

TEMPORARY_SUFFIX = ".new"


def sync_directory(path: Path) -> None:
    """Make the names in a directory outlive a power failure."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise SyncFailed(f"the directory {path} could not be synced ({error.strerror})") from error


def replace_file(path: Path, content: bytes) -> None:
    """Put ``content`` in place of a file's, all or nothing, on disk on return."""
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        kind = DiskFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else StorageError
        raise kind(f"{path} could not be written ({error.strerror})") from error
    sync_directory(path.parent)

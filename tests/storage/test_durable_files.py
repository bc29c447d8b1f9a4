"""Small files that are replaced as a whole."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from dynamo_py.errors import DiskFull, StorageError, SyncFailed
from dynamo_py.storage.durable_files import replace_file, sync_directory


def test_a_file_is_replaced_as_a_whole_and_nothing_is_left_behind(tmp_path: Path):
    file = tmp_path / "file"
    replace_file(file, b"first")
    replace_file(file, b"second")
    assert file.read_bytes() == b"second"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, DiskFull), (errno.EIO, StorageError)])
def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[StorageError]
):
    file = tmp_path / "file"
    replace_file(file, b"first")

    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(kind):
        replace_file(file, b"second")
    assert file.read_bytes() == b"first"


def test_a_directory_that_cannot_be_synced_is_told(tmp_path: Path):
    with pytest.raises(SyncFailed, match="could not be synced"):
        sync_directory(tmp_path / "missing")

"""Small files that are replaced as a whole."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dynamo_py.errors import DiskFull, StorageError, SyncFailed
from dynamo_py.storage.durable_files import (
    SystemFiles,
    WritableFile,
    replace_file,
    sync_directory,
)


class Recording(SystemFiles):
    """The operating system's files, and which steps were taken."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    @contextmanager
    def writing(self, path: Path) -> Iterator[WritableFile]:
        with super().writing(path) as file:
            yield RecordingFile(file, path.name, self.steps)
        self.steps.append(f"close {path.name}")

    def rename(self, path: Path, new_path: Path) -> None:
        self.steps.append(f"rename {path.name} to {new_path.name}")
        super().rename(path, new_path)

    def sync_directory(self, path: Path) -> None:
        self.steps.append(f"sync the directory {path.name}")
        super().sync_directory(path)


class RecordingFile:
    """One file of `Recording`."""

    def __init__(self, file: WritableFile, name: str, steps: list[str]) -> None:
        self.file, self.name, self.steps = file, name, steps

    def write(self, content: bytes) -> None:
        self.steps.append(f"write {self.name}")
        self.file.write(content)

    def sync(self) -> None:
        self.steps.append(f"sync {self.name}")
        self.file.sync()


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


def test_a_file_is_synced_before_it_gets_its_name_and_the_name_after_it(tmp_path: Path):
    files = Recording()
    (tmp_path / "data").mkdir()
    replace_file(tmp_path / "data" / "file", b"content", files=files)
    assert files.steps == [
        "write file.new",
        "sync file.new",
        "close file.new",
        "rename file.new to file",
        "sync the directory data",
    ]

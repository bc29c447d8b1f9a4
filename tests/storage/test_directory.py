"""The data directory: identity, lock, refusals."""

from __future__ import annotations

import json
import random
import stat
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from dynamo_py.errors import DynamoError, StorageError, WrongState
from dynamo_py.storage.directory import LOCK_FILE, NODE_FILE, DataDirectory
from dynamo_py.storage.durable_files import SystemFiles

CLUSTER = "0" * 31 + "1"
OTHER_CLUSTER = "0" * 31 + "2"


def opened(
    path: Path, *, seed: int = 1, cluster_name: str = "test", cluster_id: str | None = None
) -> DataDirectory:
    return DataDirectory.open(
        path,
        cluster_name=cluster_name,
        random=random.Random(seed),
        now_ms=1_700_000_000_000,
        cluster_id=cluster_id,
    )


def one_line(error: DynamoError) -> str:
    assert "\n" not in error.message
    return error.message


def test_a_new_directory_gets_an_identity_and_is_for_its_owner_alone(tmp_path: Path):
    path = tmp_path / "some" / "where"
    with opened(path) as directory:
        identity = directory.identity
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert identity.node_id == f"{random.Random(1).getrandbits(128):032x}"
    assert identity.cluster_id is None
    assert identity.cluster_name == "test"
    assert identity.created_ms == 1_700_000_000_000
    assert json.loads((path / NODE_FILE).read_text())["node_id"] == identity.node_id
    assert sorted(entry.name for entry in path.iterdir()) == [LOCK_FILE, NODE_FILE]


def test_the_identity_stays_when_the_directory_is_opened_again(tmp_path: Path):
    with opened(tmp_path, seed=1) as directory:
        first = directory.identity
    with opened(tmp_path, seed=2) as directory:
        assert directory.identity == first


def test_a_directory_that_is_held_is_refused_with_the_holders_process_id(tmp_path: Path):
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import random, sys\n"
            "from dynamo_py.storage.directory import DataDirectory\n"
            "DataDirectory.open(sys.argv[1], cluster_name='test', random=random.Random(1),"
            " now_ms=0)\n"
            "print('held', flush=True)\n"
            "sys.stdin.read()\n",
            str(tmp_path / "data"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(WrongState) as refused:
            opened(tmp_path / "data")
        assert f"in use by process {holder.pid}" in one_line(refused.value)
        holder.kill()
    opened(tmp_path / "data").close()  # the lock went with its process


def test_a_closed_directory_can_be_opened_again_and_closing_twice_does_no_harm(tmp_path: Path):
    directory = opened(tmp_path)
    with pytest.raises(WrongState):
        opened(tmp_path)
    directory.close()
    directory.close()
    opened(tmp_path).close()


def test_the_id_of_a_cluster_is_kept_and_never_changed(tmp_path: Path):
    with opened(tmp_path) as directory:
        node_id = directory.identity.node_id
        directory.join_cluster(CLUSTER, node_id)
        directory.join_cluster(CLUSTER, node_id)
        with pytest.raises(WrongState) as refused:
            directory.join_cluster(OTHER_CLUSTER, node_id)
        assert CLUSTER in one_line(refused.value)
        assert directory.identity.cluster_id == CLUSTER
    with opened(tmp_path, cluster_id=CLUSTER) as directory:
        assert directory.identity.cluster_id == CLUSTER


def test_a_node_takes_its_former_id_when_it_joins_and_never_another_one(tmp_path: Path):
    former, other = "f" * 32, "0" * 32
    with opened(tmp_path) as directory:
        assert directory.identity.node_id != former
        directory.join_cluster(CLUSTER, former)
        with pytest.raises(WrongState) as refused:
            directory.join_cluster(CLUSTER, other)
        assert "start with an empty directory" in one_line(refused.value)
    with opened(tmp_path) as directory:
        assert (directory.identity.node_id, directory.identity.cluster_id) == (former, CLUSTER)


def test_a_directory_of_another_cluster_is_refused(tmp_path: Path):
    with opened(tmp_path, cluster_id=CLUSTER):
        pass
    with pytest.raises(WrongState, match="belongs to the cluster"):
        opened(tmp_path, cluster_id=OTHER_CLUSTER)
    with pytest.raises(WrongState, match="belongs to the cluster 'test', not to 'other'"):
        opened(tmp_path, cluster_name="other")
    opened(tmp_path).close()  # a refusal lets the lock go


def test_a_directory_with_files_of_something_else_is_refused_and_left_as_it_is(tmp_path: Path):
    (tmp_path / "letters.txt").write_text("dear")
    with pytest.raises(WrongState) as refused:
        opened(tmp_path)
    assert "letters.txt" in one_line(refused.value)
    assert [entry.name for entry in tmp_path.iterdir()] == ["letters.txt"]


def test_a_start_that_died_before_the_identity_was_written_is_taken_up(tmp_path: Path):
    (tmp_path / LOCK_FILE).write_text("1\n")
    (tmp_path / f"{NODE_FILE}.new").write_text('{"for')
    (tmp_path / "lost+found").mkdir()
    opened(tmp_path).close()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b'{"format": 1}',
        b'{"format": 1, "node_id": "xyz", "cluster_id": null, "cluster_name": "a",'
        b' "created_ms": 1}',
        b'{"format": 2, "whatever": true}',
    ],
)
def test_an_identity_that_cannot_be_read_is_refused_and_not_overwritten(
    tmp_path: Path, content: bytes
):
    (tmp_path / NODE_FILE).write_bytes(content)
    with pytest.raises(StorageError) as refused:
        opened(tmp_path)
    assert NODE_FILE in one_line(refused.value)
    assert (tmp_path / NODE_FILE).read_bytes() == content


def test_a_newer_format_is_named(tmp_path: Path):
    with opened(tmp_path) as directory:
        newer = msgspec.structs.replace(directory.identity, format=2)
    (tmp_path / NODE_FILE).write_bytes(msgspec.json.encode(newer))
    with pytest.raises(StorageError, match="has format 2"):
        opened(tmp_path)


def test_a_path_that_is_no_directory_is_refused(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be made"):
        opened(tmp_path / "file")
    with pytest.raises(StorageError, match="cannot be made"):
        opened(tmp_path / "file" / "below")


def test_the_names_of_all_directories_that_were_made_are_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    synced: list[Path] = []
    monkeypatch.setattr(SystemFiles, "sync_directory", lambda files, path: synced.append(path))
    opened(tmp_path / "some" / "where").close()
    assert synced == [tmp_path / "some", tmp_path, tmp_path / "some" / "where"]


@pytest.mark.parametrize(("written", "told"), [(b"17\n", "17"), (b"", "unknown")])
def test_who_holds_a_directory_is_told_as_far_as_it_is_known(
    tmp_path: Path, written: bytes, told: str
):
    with opened(tmp_path):
        (tmp_path / LOCK_FILE).write_bytes(written)
        with pytest.raises(WrongState, match=f"in use by process {told}"):
            opened(tmp_path)

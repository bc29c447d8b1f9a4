"""The state file of a dev directory."""

from __future__ import annotations

import msgspec
import pytest

from dyn_cli.dev.state import DevDirectory, ProcessEntry, last_port, new_cluster
from dyn_cli.failures import Refused


def cluster(nodes: int = 3):
    return new_cluster(nodes=nodes, base_port=7700, partitions=64, replicas=3)


def test_node_k_adds_ten_times_k_minus_1_to_the_ports():
    third = cluster().node(3)
    assert third.name == "n3"
    assert (third.client, third.peer, third.http) == (
        "127.0.0.1:7720",
        "127.0.0.1:7721",
        "127.0.0.1:7722",
    )
    assert last_port(3, 7700) == 7722


def test_one_more_node_has_the_ports_that_come_next():
    more = cluster().with_one_more()
    assert [node.number for node in more.nodes] == [1, 2, 3, 4]
    assert more.node(4) == cluster(4).node(4)
    assert more.node(1) == cluster().node(1)


def test_what_was_saved_is_loaded(tmp_path):
    directory = DevDirectory(tmp_path)
    assert directory.load() is None
    made = cluster()
    with_process = msgspec.structs.replace(made.node(2), process=ProcessEntry(7, "boot:1"))
    directory.save(made.with_node(with_process))
    found = directory.load()
    assert found is not None
    assert found.node(2).process == ProcessEntry(7, "boot:1")
    assert found.node(1) == made.node(1)


@pytest.mark.parametrize("number", [0, -1, 4])
def test_there_are_no_nodes_but_those_numbered_from_1(number):
    with pytest.raises(KeyError):
        cluster().node(number)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff"])
def test_a_file_that_is_not_ours_is_refused_and_kept(tmp_path, content):
    (tmp_path / "cluster.json").write_bytes(content)
    with pytest.raises(Refused):
        DevDirectory(tmp_path).load()
    assert (tmp_path / "cluster.json").read_bytes() == content


def test_a_newer_format_is_refused(tmp_path):
    directory = DevDirectory(tmp_path)
    directory.save(msgspec.structs.replace(cluster(), format=2))
    with pytest.raises(Refused, match="format 2"):
        directory.load()


def test_one_command_at_a_time_changes_a_cluster(tmp_path):
    with DevDirectory(tmp_path).locked():
        other = DevDirectory(tmp_path)
        with pytest.raises(Refused, match="at work"), other.locked():
            pass
    with DevDirectory(tmp_path).locked():
        pass


def test_a_directory_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused), DevDirectory(tmp_path / "file" / "below").locked():
        pass


def test_a_nodes_id_is_what_it_has_written_in_its_directory(tmp_path):
    directory, node = DevDirectory(tmp_path), cluster().node(1)
    assert directory.id_of(node) is None
    (tmp_path / "n1").mkdir()
    for content, wanted in (('{"node_id": "ab"}', "ab"), ("[]", None), ("{", None)):
        (tmp_path / "n1" / "node.json").write_text(content)
        assert directory.id_of(node) == wanted

"""A dev cluster's bookkeeping, without processes."""

from __future__ import annotations

import json
from itertools import pairwise

import msgspec
import pytest

from dyn_cli.dev.cluster import DevCluster
from dyn_cli.dev.founding import open_or_make
from dyn_cli.dev.processes import ProcessState
from dyn_cli.dev.state import DevDirectory, new_cluster
from dyn_cli.failures import Refused
from dyn_cli.main import run

NOTHING_SAID = {"nodes": None, "base_port": None, "partitions": None, "replicas": None}


@pytest.fixture
def cluster(tmp_path):
    return open_or_make(tmp_path / "dev", **NOTHING_SAID)


def seeds(cluster: DevCluster, number: int) -> list[str]:
    arguments = cluster._arguments(cluster.node(number))
    return [value for name, value in pairwise(arguments) if name == "--seed"]


def test_a_cluster_has_three_nodes_on_the_usual_ports_unless_said_otherwise(cluster):
    assert cluster.addresses == ("127.0.0.1:7700", "127.0.0.1:7710", "127.0.0.1:7720")
    assert [cluster.state(n) for n in (1, 2, 3)] == [ProcessState.STOPPED] * 3


def test_node_1_founds_the_cluster_and_the_others_join_it(cluster):
    assert [seeds(cluster, n) for n in (1, 2, 3)] == [[], ["127.0.0.1:7701"], ["127.0.0.1:7701"]]


def test_a_founded_clusters_nodes_all_look_for_each_other(cluster):
    cluster._save(msgspec.structs.replace(cluster._entry, is_founded=True))
    assert seeds(cluster, 1) == ["127.0.0.1:7711", "127.0.0.1:7721"]
    assert seeds(cluster, 3) == ["127.0.0.1:7701", "127.0.0.1:7711"]


def test_a_node_is_told_all_that_the_cluster_was_made_with(tmp_path):
    made = open_or_make(tmp_path, nodes=2, base_port=9000, partitions=8, replicas=2)
    said = " ".join(made._arguments(made.node(2)))
    assert f"--name n2 --data {tmp_path / 'n2'}" in said
    assert "--listen 127.0.0.1:9010 --peer-listen 127.0.0.1:9011 --http 127.0.0.1:9012" in said
    assert "--cluster dev --partitions 8 --replicas 2" in said


def test_a_directory_that_has_a_cluster_keeps_it(tmp_path, cluster):
    again = open_or_make(tmp_path / "dev", **NOTHING_SAID | {"nodes": 3, "base_port": 7700})
    assert again.addresses == cluster.addresses
    for other in ({"nodes": 5}, {"base_port": 9000}, {"partitions": 8}, {"replicas": 2}):
        with pytest.raises(Refused, match=f"another --{next(iter(other)).replace('_', '-')}"):
            open_or_make(tmp_path / "dev", **NOTHING_SAID | other)


def test_nothing_can_be_done_to_a_node_in_the_wrong_state(tmp_path, cluster, capsys):
    for action in ("kill", "stop", "pause", "resume"):
        assert run(["dev", action, "2", "--dir", str(tmp_path / "dev")]) == 5
        assert capsys.readouterr().err == "dyn-cli: n2 is stopped\n"


def test_a_node_that_is_not_there_is_a_usage_error(tmp_path, cluster, capsys):
    for action in ("kill", "stop", "start", "pause", "resume", "logs"):
        assert run(["dev", action, "4", "--dir", str(tmp_path / "dev")]) == 2
        assert "there is no node 4: the cluster has 3" in capsys.readouterr().err


def test_status_json_is_the_document_of_the_contract(tmp_path, cluster, capsys):
    assert run(["dev", "status", "--json", "--dir", str(tmp_path / "dev")]) == 0
    first, *others = json.loads(capsys.readouterr().out)["nodes"]
    assert len(others) == 2
    assert first == {
        "number": 1,
        "name": "n1",
        "pid": None,
        "client": "127.0.0.1:7700",
        "peer": "127.0.0.1:7701",
        "http": "127.0.0.1:7702",
        "state": "stopped",
    }


@pytest.mark.parametrize("action", ["status", "down", "add", "kill 1", "logs 1"])
def test_without_a_cluster_every_command_says_how_to_make_one(tmp_path, capsys, action):
    assert run(["dev", *action.split(), "--dir", str(tmp_path / "none")]) == 5
    assert "dyn-cli dev up makes one" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_purging_removes_what_is_ours_and_nothing_else(tmp_path, capsys):
    cluster = DevCluster(
        DevDirectory(tmp_path), new_cluster(nodes=1, base_port=7700, partitions=8, replicas=1)
    )
    cluster.directory.save(cluster._entry)
    (tmp_path / "n1").mkdir()
    (tmp_path / "n1.log").write_text("hello\n")
    (tmp_path / "mine").write_text("keep")
    assert run(["dev", "down", "--purge", "--dir", str(tmp_path)]) == 0
    assert [each.name for each in tmp_path.iterdir()] == ["mine"]


def test_logs_shows_the_last_lines(tmp_path, cluster, capsys):
    log = cluster.directory.log_of(cluster.node(1))
    log.write_text("one\ntwo\nthree\nunfinished")
    directory = str(tmp_path / "dev")
    assert run(["dev", "logs", "1", "--lines", "2", "--dir", directory]) == 0
    assert capsys.readouterr().out == "two\nthree\nunfinished\n"
    assert run(["dev", "logs", "1", "--lines", "1", "--json", "--dir", directory]) == 0
    first, _ = capsys.readouterr().out.splitlines()
    assert json.loads(first) == {"node": "n1", "line": "three"}


def test_logs_of_a_node_that_never_ran_is_refused(tmp_path, cluster, capsys):
    assert run(["dev", "logs", "1", "--dir", str(tmp_path / "dev")]) == 5
    assert "was never started" in capsys.readouterr().err


def test_a_nodes_last_words_are_those_since_its_last_start(cluster):
    log = cluster.directory.log_of(cluster.node(1))
    log.write_text("an earlier run\n")
    cluster._log_starts[1] = log.stat().st_size
    assert cluster.tail(1, 5) == []
    with log.open("a") as file:
        file.write("one\ntwo\n")
    assert cluster.tail(1, 1) == ["two"]


def test_only_a_node_that_is_waited_for_is_refused_for_having_ended(cluster):
    """Node 2 was killed on purpose: that says nothing of node 3, which is being started."""
    cluster._log_starts |= {2: 0, 3: 0}
    cluster._refuse_early_end((1,))
    with pytest.raises(Refused, match="n3 did not start"):
        cluster._refuse_early_end((3,))


def test_a_node_is_added_only_where_one_runs_that_can_let_it_in(tmp_path, cluster, capsys):
    assert run(["dev", "add", "--dir", str(tmp_path / "dev")]) == 5
    assert "no node is running that could let another one in" in capsys.readouterr().err
    assert len(DevCluster.open(tmp_path / "dev").nodes) == 3


def test_a_node_that_has_left_is_started_no_more_and_nobodys_seed(cluster):
    """Of the others that are started with it the wait goes on."""
    cluster._save(msgspec.structs.replace(cluster._entry, is_founded=True))
    log = cluster.directory.log_of(cluster.node(3))
    log.write_text("dyn-cli: node n3 is removed from cluster 'dev', which is final: start it\n")
    cluster._log_starts |= {3: 0}
    with pytest.raises(Refused, match="n3 did not start: node n3 is removed"):
        cluster._refuse_early_end((3,))
    cluster._refuse_early_end((2, 3))
    again = DevCluster.open(cluster.directory.path)
    assert again.node(3).is_gone
    assert again.addresses == ("127.0.0.1:7700", "127.0.0.1:7710")
    assert seeds(again, 1) == ["127.0.0.1:7711"]

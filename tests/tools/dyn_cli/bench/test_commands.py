"""`dyn-cli bench` as a user types it: what is refused, and one small run on a real node."""

from __future__ import annotations

import json

import pytest
import trio

from bench.clusters import temporary_cluster
from dyn_cli.bench.results import read
from dyn_cli.main import run

BRIEF = ("--records", "200", "--operations", "100", "--warm-up", "0", "--in-flight", "8")


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--workload", "g"),
        ("run", "--rate", "0"),
        ("run", "--records", "10", "--sample", "11"),
        ("load",),
        ("load", "--records", "2", "--from", "999999999"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(arguments, capsys):
    assert run(["bench", *arguments]) == 2
    assert capsys.readouterr().out == ""


def test_where_nobody_answers_nothing_is_measured(capsys, unused_address):
    assert run(["--node", unused_address, "bench", "run", *BRIEF, "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["error"]["type"] == "NodeUnavailable"


async def test_a_node_is_loaded_and_measured(tmp_path, capsys):
    async with temporary_cluster(nodes=1, replicas=1, partitions=8, parent=tmp_path) as cluster:
        node = ("--node", cluster.addresses[0])
        directory = ("--dir", str(cluster.directory.path))

        async def say(*arguments: str) -> tuple[int, str, str]:
            status = await trio.to_thread.run_sync(run, [*node, "bench", *arguments])
            shown = capsys.readouterr()
            return status, shown.out, shown.err

        status, out, err = await say("load", "--records", "200")
        assert (status, err) == (0, "")
        assert out.startswith("200 records in ")
        status, _, err = await say("load", "--records", "200")
        assert status == 5
        assert "has record 0 already" in err

        path = tmp_path / "results.json"
        mixes = [word for name in ("put", "d", "e", "f") for word in ("--workload", name)]
        status, out, _ = await say(
            "run", *BRIEF, *mixes, *directory, "--separate", "--output", str(path), "--json"
        )
        assert status == 0
        results = read(path)
        assert json.loads(out)["rows"] == json.loads(path.read_text())["rows"]
        assert [row.workload for row in results.rows] == ["put", "d", "e", "f"]
        for row in results.rows:
            assert (row.operations, row.errors, row.connections) == (100, {}, 8)
            assert row.missing == 0
        put = results.rows[0]
        assert put.contexts_read == put.left_siblings == 0
        (server,) = put.servers
        assert server.commits_per_operation is not None
        assert 0 < server.commits_per_operation <= 1
        assert server.rss_bytes is not None

        status, out, err = await say("run", *BRIEF, "--rate", "500", "--workload", "get")
        assert status == 0
        assert "500/s" in out

"""What servers cost: the difference of two samples, for each operation."""

from __future__ import annotations

import os
from functools import partial

import pytest
import trio

from dyn_cli.bench.processes import Used
from dyn_cli.bench.servers import Sample, Server, costs, metric, sampled, servers_at

SERVER = Server("n1", 1, "127.0.0.1:1")


def test_costs_are_differences_for_an_operation():
    before = Sample(Used(1.0, 100, 50, 1_000), 10.0)
    after = Sample(Used(1.5, 300, 200, 5_000), 60.0)
    (cost,) = costs([SERVER], [before], [after], operations=1_000)
    assert cost.cpu_us_per_operation == pytest.approx(500)
    assert (cost.rss_bytes, cost.anonymous_bytes) == (300, 200)
    assert cost.written_bytes_per_operation == 4
    assert cost.commits_per_operation == 0.05


@pytest.mark.parametrize(
    ("before", "after", "operations"),
    [
        (Sample(None, None), Sample(Used(1.0, 1, 1, 1), 1.0), 10),
        (Sample(Used(1.0, 1, 1, 1), 1.0), Sample(None, None), 10),
        (Sample(Used(1.0, 1, 1, 1), 1.0), Sample(Used(2.0, 1, 1, 1), 1.0), 0),
    ],
)
def test_what_is_not_known_stays_unknown(before, after, operations):
    (cost,) = costs([SERVER], [before], [after], operations=operations)
    assert cost.cpu_us_per_operation is None
    assert cost.commits_per_operation is None


def test_a_metric_is_found_by_its_whole_name():
    page = "# TYPE a_total counter\na_total_b 1.0\na_total 2.5e3\n"
    assert metric(page, "a_total") == 2500
    assert metric(page, "a") is None


async def test_commits_are_read_from_the_metrics_page():
    async def serve(stream: trio.SocketStream) -> None:
        assert (await stream.receive_some()).startswith(b"GET /metrics ")
        await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n# HELP\ndynamo_commits_total 7.0\n")
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]
        (sample,) = await sampled([Server("n1", os.getpid(), f"127.0.0.1:{port}")])
        nursery.cancel_scope.cancel()
    assert sample.commits == 7
    assert sample.used is not None


async def test_a_server_without_metrics_has_its_process_alone():
    (sample,) = await sampled([Server("etcd", os.getpid())])
    assert sample.commits is None
    assert sample.used is not None


def test_without_a_dev_cluster_no_server_is_known(tmp_path):
    assert servers_at(tmp_path, ["127.0.0.1:7700"]) == ()

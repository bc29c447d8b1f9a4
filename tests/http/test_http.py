"""Health, status and metrics of a real node over HTTP."""

from __future__ import annotations

import json
import urllib.request
from functools import partial

import pytest
import trio

import dynamo_py


def _fetch(address: str, path: str) -> tuple[int, str]:
    with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as reply:
        return reply.status, reply.read().decode()


async def test_a_node_shows_its_health_status_and_metrics_and_stops_cleanly(tmp_path):
    async with dynamo_py.open_node(
        data_dir=tmp_path / "n", partitions=4, http_listen="127.0.0.1:0"
    ) as node:
        await node.store.bucket("b").put("k", b"v")
        address = node.addresses["http"]

        async def fetch(path: str) -> tuple[int, str]:
            return await trio.to_thread.run_sync(partial(_fetch, address, path))

        assert await fetch("/health") == (200, "ready\n")
        status = json.loads((await fetch("/status"))[1])
        assert status["converged"] is True
        assert [(n["name"], n["keys"]) for n in status["nodes"]] == [("n", 1)]
        metrics = (await fetch("/metrics"))[1]
        assert "dynamo_records 1.0" in metrics
        assert "dynamo_partitions_incomplete 0.0" in metrics


async def test_an_http_port_in_use_stops_the_start_with_one_line(tmp_path):
    async with dynamo_py.open_node(
        data_dir=tmp_path / "a", partitions=4, http_listen="127.0.0.1:0"
    ) as node:
        address = node.addresses["http"]
        second = dynamo_py.open_node(data_dir=tmp_path / "b", http_listen=address)
        with pytest.raises(dynamo_py.WrongState) as caught:
            await second.__aenter__()
        assert caught.value.message == f"cannot listen on {address}: address already in use"

"""Ratios: the store's figures by the peers', turn by turn, at as many requests in flight."""

from __future__ import annotations

import msgspec
import pytest

from bench.peers.ratios import COLUMNS, ratios
from dyn_cli.bench.results import Latency, Row, ServerCost

ROW = Row(
    target="dynamo-py",
    workload="put",
    choice="uniform",
    records=10,
    value_bytes=100,
    loop="closed",
    in_flight=64,
    rate_per_s=None,
    connections=1,
    turn=1,
    seconds=1.0,
    operations=100,
    per_second=100.0,
    errors={},
    latency=Latency(count=100, mean_ms=1.0, max_ms=2.0, percentiles_ms={"50": 1.0, "99": 2.0}),
    servers=(ServerCost(name="n1", cpu_us_per_operation=100.0),),
)


def row(**changes) -> Row:
    return msgspec.structs.replace(ROW, **changes)


def shown(rows: list[Row]) -> list[dict[str, str]]:
    return [dict(zip(COLUMNS, ratio.cells(), strict=True)) for ratio in ratios(rows)]


def test_a_ratio_is_taken_within_a_turn_and_the_median_over_all():
    # The machine becomes ten times as fast: within each turn the store has half, 1.0 and twice.
    rows = []
    for turn, ours, theirs in ((1, 50, 100), (2, 1_000, 1_000), (3, 2_000, 1_000)):
        rows.append(row(turn=turn, per_second=float(ours)))
        rows.append(row(turn=turn, per_second=float(theirs), target="etcd", connections=64))
    (ratio,) = shown(rows)
    assert (ratio["over"], ratio["under way"]) == ("etcd put", "64")
    assert (ratio["ops/s"], ratio["ops/s from"], ratio["to"]) == ("1.00", "0.50", "2.00")
    assert ratio["servers CPU"] == ratio["p99"] == "1.00"


def test_what_differs_in_size_or_requests_in_flight_is_not_compared():
    others = [
        row(target="etcd", in_flight=1),
        row(target="etcd", value_bytes=1024),
        row(target="etcd", workload="get"),
        row(target="etcd", turn=2),
    ]
    assert ratios([row(), *others]) == []


def test_each_way_to_connect_is_compared_by_itself():
    rows = [row(), row(connections=64, per_second=50.0), row(target="etcd", connections=64)]
    assert [(each["under way"], each["ops/s"]) for each in shown(rows)] == [
        ("64", "1.00"),
        ("64 on 64", "0.50"),
    ]


@pytest.mark.parametrize("operation", ["set-wait", "set-waitaof"])
def test_puts_stand_beside_both_kinds_of_valkeys(operation):
    rows = [row(), row(target="valkey", workload=operation, per_second=400.0)]
    (ratio,) = shown(rows)
    assert (ratio["over"], ratio["ops/s"]) == (f"valkey {operation}", "0.25")


def test_a_figure_that_is_not_known_has_no_ratio():
    (ratio,) = shown([row(servers=()), row(target="etcd")])
    assert (ratio["servers CPU"], ratio["ops/s"]) == ("-", "1.00")

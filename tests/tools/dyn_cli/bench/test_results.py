"""The document and the table: what was measured comes back, what is not known is said so."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from dyn_cli.bench.histogram import Histogram
from dyn_cli.bench.results import (
    Latency,
    Machine,
    Results,
    Row,
    ServerCost,
    added,
    latency_of,
    read,
    this_machine,
    write,
)
from dyn_cli.bench.table import COLUMNS, cells, remarks, shown
from dyn_cli.failures import Refused


def row(**changes) -> Row:
    histogram = Histogram()
    for number in range(1, 1_001):
        histogram.record(number * 1_000_000)
    measured = Row(
        target="dynamo-py",
        workload="put",
        choice="uniform",
        records=10_000,
        value_bytes=100,
        loop="closed",
        in_flight=64,
        rate_per_s=None,
        connections=1,
        turn=1,
        seconds=5.0,
        operations=1_000,
        per_second=200.0,
        errors={},
        latency=latency_of(histogram),
    )
    return msgspec.structs.replace(measured, **changes)


def test_what_is_written_is_read_back(tmp_path):
    results = Results(machine=this_machine(), rows=(row(), row(errors={"QuorumNotMet": 3})))
    write(results, tmp_path / "results.json")
    assert read(tmp_path / "results.json") == results
    document = json.loads((tmp_path / "results.json").read_text())
    assert (document["format"], document["version"]) == ("dynamo-py-bench", 1)
    assert document["rows"][0]["latency"]["percentiles_ms"]["99"] == pytest.approx(990, rel=0.001)


@pytest.mark.parametrize("text", ["", "[]", '{"format":"other"}'])
def test_what_is_no_document_of_ours_is_refused(tmp_path, text):
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(Refused, match="holds no results"):
        read(path)


def test_another_version_is_refused(tmp_path):
    path = tmp_path / "results.json"
    write(msgspec.structs.replace(Results(machine=this_machine(), rows=()), version=2), path)
    with pytest.raises(Refused, match="version 2"):
        read(path)


def test_a_sum_of_unknowns_is_unknown():
    assert added([1.0, 2.0]) == 3
    assert added([1.0, None]) is None
    assert added([]) is None


def test_a_row_has_a_cell_for_each_column():
    servers = (
        ServerCost(name="n1", cpu_us_per_operation=100.4, commits_per_operation=0.25),
        ServerCost(name="n2", cpu_us_per_operation=100.4, commits_per_operation=0.25),
    )
    found = dict(zip(COLUMNS, cells(row(servers=servers)), strict=True))
    assert found["servers µs"] == "201"
    assert found["commits"] == "0.500"
    assert found["written B"] == "-"
    assert found["under way"] == "64"
    assert found["p99"].startswith("990")


def test_an_open_loop_and_separate_connections_are_said():
    opened = row(loop="open", in_flight=None, rate_per_s=500.0)
    assert dict(zip(COLUMNS, cells(opened), strict=True))["under way"] == "500/s"
    separate = row(connections=64)
    assert "64 on 64" in shown(separate)


def test_remarks_are_made_only_where_there_is_something_to_say():
    assert remarks([row()]) == []
    assert remarks([row(missing=1), row(missing=2, left_siblings=1)]) == [
        "1 put left a record with several values",
        "3 reads found nothing",
    ]


@pytest.mark.parametrize("struct", [Results, Machine, Row, Latency, ServerCost])
def test_the_documentation_names_each_field(struct):
    text = (Path(__file__).parents[4] / "docs" / "BENCH.md").read_text(encoding="utf-8")
    assert [name for name in struct.__struct_fields__ if f'"{name}"' not in text] == []

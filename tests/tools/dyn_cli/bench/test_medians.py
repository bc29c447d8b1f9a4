"""Medians of turns: each figure its own, errors summed, what is not known stays unknown."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from dyn_cli.bench.medians import by_cell, median_row, median_rows
from dyn_cli.bench.results import Latency, Row, ServerCost


def row(turn: int = 1, per_second: float = 100.0, **changes) -> Row:
    measured = Row(
        target="dynamo-py",
        workload="put",
        choice="uniform",
        records=10,
        value_bytes=100,
        loop="closed",
        in_flight=1,
        rate_per_s=None,
        connections=1,
        turn=turn,
        seconds=1.0,
        operations=100,
        per_second=per_second,
        errors={},
        latency=Latency(
            count=100, mean_ms=1.0, max_ms=2.0, percentiles_ms={"50": 1000 / per_second}
        ),
    )
    return msgspec.structs.replace(measured, **changes)


@given(st.permutations([1.0, 2.0, 3.0, 50.0, 60.0]))
def test_a_median_does_not_depend_on_the_order_of_turns(rates):
    found = median_row([row(turn, rate) for turn, rate in enumerate(rates)])
    assert found.per_second == 3
    assert found.latency.percentile_ms(50) == 1000 / 3
    assert found.operations == 500


def test_turns_of_one_measurement_are_one_row():
    rows = [row(1), row(1, workload="get"), row(2), row(2, workload="get")]
    assert [[each.turn for each in turns] for turns in by_cell(rows).values()] == [[1, 2], [1, 2]]
    assert [each.workload for each in median_rows(rows)] == ["put", "get"]


def test_servers_are_added_before_the_median_is_taken():
    def servers(*cpu_us: float | None) -> tuple[ServerCost, ...]:
        return tuple(
            ServerCost(name=str(n), cpu_us_per_operation=us) for n, us in enumerate(cpu_us)
        )

    turns = [
        row(1, servers=servers(1, 9)),
        row(2, servers=servers(5, 6)),
        row(3, servers=servers(9, 3)),
    ]
    assert median_row(turns).servers_cpu_us == 11
    turns.append(row(4, servers=servers(1, None)))
    assert median_row(turns).servers_cpu_us is None


def test_errors_of_all_turns_are_told():
    turns = [row(1, errors={"A": 1}), row(2), row(3, errors={"A": 2, "B": 1})]
    assert median_row(turns).errors == {"A": 3, "B": 1}

"""Turns of one measurement, told as their medians.

Each figure has a median of its own, so that the figures of one line may come from several turns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import median

import msgspec

from dyn_cli.bench.results import Latency, Row, ServerCost, added

Cell = tuple[str | int | float | None, ...]


def cell_of(row: Row) -> Cell:
    """What tells a measurement from another one, its turn left out."""
    return (
        row.target,
        row.workload,
        row.choice,
        row.records,
        row.value_bytes,
        row.loop,
        row.in_flight,
        row.rate_per_s,
        row.connections,
    )


def by_cell(rows: Iterable[Row]) -> dict[Cell, list[Row]]:
    """The turns of each measurement, in the order in which the first ones came."""
    cells: dict[Cell, list[Row]] = {}
    for row in rows:
        cells.setdefault(cell_of(row), []).append(row)
    return cells


def median_rows(rows: Iterable[Row]) -> list[Row]:
    """A row of medians for each measurement. Its servers are one, that used what all did."""
    return [median_row(turns) for turns in by_cell(rows).values()]


def median_row(turns: Sequence[Row]) -> Row:
    """The median of each figure over the turns of one measurement; counts of errors are summed."""
    if len(turns) == 1:
        return turns[0]
    errors: dict[str, int] = {}
    for row in turns:
        for kind, count in row.errors.items():
            errors[kind] = errors.get(kind, 0) + count
    return msgspec.structs.replace(
        turns[0],
        turn=0,
        seconds=sum(row.seconds for row in turns),
        operations=sum(row.operations for row in turns),
        per_second=median(row.per_second for row in turns),
        errors=errors,
        latency=_median_latency([row.latency for row in turns]),
        by_kind={},
        client_cpu_us_per_operation=median_known(row.client_cpu_us_per_operation for row in turns),
        servers=(_median_servers(turns),),
        contexts_read=sum(row.contexts_read for row in turns),
        left_siblings=sum(row.left_siblings for row in turns),
        missing=sum(row.missing for row in turns),
    )


def median_known(figures: Iterable[float | None]) -> float | None:
    """The median; None where one is not known."""
    known = list(figures)
    if not known or None in known:
        return None
    return median(figure for figure in known if figure is not None)


def _median_latency(latencies: Sequence[Latency]) -> Latency:
    told = [each.percentiles_ms for each in latencies]
    percents = [percent for percent in told[0] if all(percent in each for each in told)]
    return Latency(
        count=sum(each.count for each in latencies),
        mean_ms=median(each.mean_ms for each in latencies),
        max_ms=median(each.max_ms for each in latencies),
        percentiles_ms={
            percent: median(each.percentiles_ms[percent] for each in latencies)
            for percent in percents
        },
    )


def _median_servers(turns: Sequence[Row]) -> ServerCost:
    def of(figure: Callable[[ServerCost], float | None]) -> float | None:
        return median_known(added(map(figure, row.servers)) for row in turns)

    rss_bytes = of(lambda server: server.rss_bytes)
    anonymous_bytes = of(lambda server: server.anonymous_bytes)
    return ServerCost(
        name="all",
        cpu_us_per_operation=of(lambda server: server.cpu_us_per_operation),
        rss_bytes=None if rss_bytes is None else round(rss_bytes),
        anonymous_bytes=None if anonymous_bytes is None else round(anonymous_bytes),
        written_bytes_per_operation=of(lambda server: server.written_bytes_per_operation),
        commits_per_operation=of(lambda server: server.commits_per_operation),
    )

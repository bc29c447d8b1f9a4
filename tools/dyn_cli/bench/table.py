"""Measurements as a table for people."""

from __future__ import annotations

from collections.abc import Sequence

from dyn_cli.amounts import counted
from dyn_cli.bench.results import Row, added

COLUMNS = (
    "target",
    "load",
    "keys",
    "value B",
    "under way",
    "ops/s",
    "mean ms",
    "p50",
    "p99",
    "p99.9",
    "max",
    "client µs",
    "servers µs",
    "written B",
    "commits",
    "RSS MiB",
    "errors",
)
LEGEND = (
    "latencies in ms; CPU, bytes written to disk and group commits (one fdatasync each) are of an"
    " operation, all servers added"
)


def cells(row: Row) -> tuple[str, ...]:
    """A row of the table."""
    latency = row.latency
    return (
        row.target,
        row.workload,
        f"{row.records:,} {row.choice}",
        f"{row.value_bytes:,}",
        _under_way(row),
        f"{row.per_second:,.0f}",
        number(latency.mean_ms, 2),
        *(number(latency.percentile_ms(percent), 2) for percent in (50, 99, 99.9)),
        number(latency.max_ms, 1),
        number(row.client_cpu_us_per_operation, 0),
        number(row.servers_cpu_us, 0),
        number(added(server.written_bytes_per_operation for server in row.servers), 0),
        number(added(server.commits_per_operation for server in row.servers), 3),
        number(_mebibytes(added(server.rss_bytes for server in row.servers)), 0),
        " ".join(f"{kind}:{count}" for kind, count in sorted(row.errors.items())),
    )


def _under_way(row: Row) -> str:
    amount = f"{row.in_flight}" if row.loop == "closed" else f"{row.rate_per_s:,.0f}/s"
    return amount if row.connections == 1 else f"{amount} on {row.connections}"


def _mebibytes(amount: float | None) -> float | None:
    return None if amount is None else amount / 2**20


def number(value: float | None, digits: int) -> str:
    """A figure; ``-`` where it is not known."""
    return "-" if value is None else f"{value:,.{digits}f}"


def remarks(rows: Sequence[Row]) -> list[str]:
    """What a reader of the table must know beside it, a line each."""
    found = [
        (sum(row.contexts_read for row in rows), "overwrite", "had to read the record first"),
        (sum(row.left_siblings for row in rows), "put", "left a record with several values"),
        (sum(row.missing for row in rows), "read", "found nothing"),
    ]
    return [f"{counted(count, noun)} {what}" for count, noun, what in found if count]


def shown(row: Row) -> str:
    """A row in one line, while others are still to come."""
    return (
        f"{row.target} {row.workload}, {row.value_bytes:,} B, under way {_under_way(row)}, turn"
        f" {row.turn}: {row.per_second:,.0f}/s, p50 {number(row.latency.percentile_ms(50), 2)},"
        f" p99 {number(row.latency.percentile_ms(99), 2)} ms"
    )

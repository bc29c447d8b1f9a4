"""The store beside its peers: ratios of what was measured in one turn, and their medians.

Pure. A ratio is taken within a turn, whose measurements are nearest in time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from dyn_cli.bench.measuring import TARGET
from dyn_cli.bench.results import Row
from dyn_cli.bench.table import number

COMPARED = {
    "put": (("etcd", "put"), ("valkey", "set-wait"), ("valkey", "set-waitaof")),
    "get": (("etcd", "get"), ("valkey", "get")),
}
"""The store's operation, and those of peers that a user would have in its place."""
FIGURES: dict[str, Callable[[Row], float | None]] = {
    "ops/s": lambda row: row.per_second,
    "servers CPU": lambda row: row.servers_cpu_us,
    "client CPU": lambda row: row.client_cpu_us_per_operation,
    "p50": lambda row: row.latency.percentile_ms(50),
    "p99": lambda row: row.latency.percentile_ms(99),
}
COLUMNS = ("store", "value B", "under way", "over", *FIGURES, "ops/s from", "to")


@dataclass(frozen=True, slots=True)
class Ratio:
    """The store's figures by a peer's, at the same number of requests in flight."""

    workload: str
    value_bytes: int
    in_flight: int
    connections: int
    """The store's; a peer has one for each request in flight."""
    peer: str
    figures: dict[str, tuple[float, ...]]
    """By name of `FIGURES`, one of each turn in which both are known."""

    def cells(self) -> tuple[str, ...]:
        """A row of the table: medians, and the lowest and highest of throughput."""
        rates = self.figures["ops/s"]
        medians = [median(values) if values else None for values in self.figures.values()]
        amount = f"{self.in_flight}"
        return (
            self.workload,
            f"{self.value_bytes:,}",
            amount if self.connections == 1 else f"{amount} on {self.connections}",
            self.peer,
            *(number(value, 2) for value in medians),
            number(min(rates, default=None), 2),
            number(max(rates, default=None), 2),
        )


def ratios(rows: Iterable[Row]) -> list[Ratio]:
    """Each measurement of the store beside each peer's that was asked for as much."""
    by_turn: dict[tuple[str, str, int, int | None, int], list[Row]] = {}
    for row in rows:
        key = (row.target, row.workload, row.value_bytes, row.in_flight, row.turn)
        by_turn.setdefault(key, []).append(row)
    found: dict[tuple[str, int, int, int, str], list[tuple[Row, Row]]] = {}
    for (target, workload, value_bytes, in_flight, turn), ours in by_turn.items():
        if target != TARGET or in_flight is None:
            continue
        for name, operation in COMPARED.get(workload, ()):
            theirs = by_turn.get((name, operation, value_bytes, in_flight, turn), [])
            for row in ours:
                key_of_pair = (
                    workload,
                    value_bytes,
                    in_flight,
                    row.connections,
                    f"{name} {operation}",
                )
                found.setdefault(key_of_pair, []).extend((row, other) for other in theirs)
    return [Ratio(*key, _figures(pairs)) for key, pairs in found.items() if pairs]


def _figures(pairs: Sequence[tuple[Row, Row]]) -> dict[str, tuple[float, ...]]:
    figures = {}
    for name, figure in FIGURES.items():
        both = [(figure(ours), figure(theirs)) for ours, theirs in pairs]
        figures[name] = tuple(ours / theirs for ours, theirs in both if ours is not None and theirs)
    return figures

"""What measurements came to, as JSON: one document, with a version.

A field that is not known is null. ``VERSION`` grows when a field changes its meaning or goes;
readers take no notice of fields that they do not know. docs/BENCH.md says what they mean.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from dyn_cli.bench.histogram import Histogram
from dyn_cli.failures import Refused

VERSION = 1
PERCENTS = (50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.99)


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Latencies of so many operations, in milliseconds."""

    count: int
    mean_ms: float
    max_ms: float
    percentiles_ms: dict[str, float]
    """By the per cent of the operations that took no longer, as in ``"99.9"``."""

    def percentile_ms(self, percent: float) -> float | None:
        """One of them; None where it was not told."""
        return self.percentiles_ms.get(f"{percent:g}")


class ServerCost(msgspec.Struct, frozen=True, kw_only=True):
    """What one server process used for an operation of the load, and what it holds at the end."""

    name: str
    cpu_us_per_operation: float | None = None
    rss_bytes: int | None = None
    anonymous_bytes: int | None = None
    written_bytes_per_operation: float | None = None
    commits_per_operation: float | None = None
    """Group commits, each with one fdatasync."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement."""

    target: str
    """What was measured: ``dynamo-py``, or a peer."""
    workload: str
    choice: str
    records: int
    value_bytes: int
    loop: Literal["closed", "open"]
    in_flight: int | None
    """Requests under way in a closed loop."""
    rate_per_s: float | None
    """How many an open loop has begun in a second."""
    connections: int
    """Clients, each with its own connections; their requests share them."""
    turn: int
    seconds: float
    operations: int
    """That have succeeded and count."""
    per_second: float
    errors: dict[str, int]
    latency: Latency
    by_kind: dict[str, Latency] = {}
    """Where there is more than one kind of operation."""
    client_cpu_us_per_operation: float | None = None
    servers: tuple[ServerCost, ...] = ()
    contexts_read: int = 0
    """Overwrites that had to read first, since the record's context was not known."""
    left_siblings: int = 0
    """Puts after which the record had several values."""
    missing: int = 0
    """Reads that found nothing."""

    @property
    def servers_cpu_us(self) -> float | None:
        """CPU of all servers together for an operation."""
        return added(server.cpu_us_per_operation for server in self.servers)

    @property
    def failures(self) -> int:
        """How many operations have failed."""
        return sum(self.errors.values())


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where it was measured."""

    cores: int
    system: str
    python: str


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """The document."""

    format: Literal["dynamo-py-bench"] = "dynamo-py-bench"
    version: int = VERSION
    machine: Machine
    rows: tuple[Row, ...]


def this_machine() -> Machine:
    """The one that this program runs on."""
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        system=platform.platform(),
        python=platform.python_version(),
    )


def latency_of(histogram: Histogram) -> Latency:
    """What a histogram says."""
    return Latency(
        count=histogram.count,
        mean_ms=histogram.mean_ns / 1e6,
        max_ms=histogram.highest_ns / 1e6,
        percentiles_ms={
            f"{percent:g}": histogram.percentile(percent) / 1e6 for percent in PERCENTS
        },
    )


def added(amounts: Iterable[float | None]) -> float | None:
    """The sum; None where one is not known, or where there is none."""
    known = list(amounts)
    if not known or any(amount is None for amount in known):
        return None
    return sum(amount for amount in known if amount is not None)


def encoded(results: Results) -> bytes:
    """The document as JSON."""
    return msgspec.json.encode(results)


def write(results: Results, path: Path) -> None:
    """Write the document as JSON, indented; raises `Refused` where that cannot be."""
    try:
        path.write_bytes(msgspec.json.format(encoded(results), indent=1) + b"\n")
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from error


def read(path: Path) -> Results:
    """Read it back; raises `Refused` where it is none, or of another version."""
    try:
        results = msgspec.json.decode(path.read_bytes(), type=Results)
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise Refused(f"{path} holds no results of dyn-cli bench: {error}") from error
    if results.version != VERSION:
        raise Refused(f"{path} is of version {results.version}; this program reads {VERSION}")
    return results

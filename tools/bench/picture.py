"""Measurements as a picture: throughput, CPU of an operation, latency by percentile.

The one module of the measurements that knows matplotlib. Run by itself it draws the document that
`dyn-cli bench run --output` has written.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dyn_cli.bench.medians import median_rows
from dyn_cli.bench.results import Row, read
from dyn_cli.failures import Refused

WIDTH_INCHES = 13.0
INCHES_A_ROW = 0.28
HEIGHT_INCHES_MIN = 5.0
DOTS_PER_INCH = 110
CURVES_MAX = 10
"""Curves of one panel that can be told apart."""
SHOWN_PERCENTS = (50, 90, 99, 99.9, 99.99)


def draw(rows: Sequence[Row], path: Path) -> None:
    """Write the picture as a PNG: of each measurement the medians of its turns."""
    shown = median_rows(rows)
    labels = _labels(shown)
    height = max(HEIGHT_INCHES_MIN, 2 + INCHES_A_ROW * len(shown))
    figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
    throughput, cpu, latency = figure.subplots(1, 3, width_ratios=(1, 1, 1.2))
    _draw_throughput(throughput, shown, labels)
    _draw_cpu(cpu, shown)
    _draw_latency(latency, shown, labels)
    figure.savefig(path, format="png", dpi=DOTS_PER_INCH)


def _labels(rows: Sequence[Row]) -> list[str]:
    """What tells the rows apart: a target or a value size that all share is left out."""
    has_targets = len({row.target for row in rows}) > 1
    has_sizes = len({row.value_bytes for row in rows}) > 1
    labels = []
    for row in rows:
        amount = f"{row.rate_per_s:g}/s" if row.in_flight is None else f"{row.in_flight}"
        words = [row.target] if has_targets else []
        words += [row.workload, amount]
        words += [f"on {row.connections}"] if row.connections > 1 else []
        words += [f"{row.value_bytes:,} B"] if has_sizes else []
        labels.append(" ".join(words))
    return labels


def _draw_throughput(panel: Axes, rows: Sequence[Row], labels: Sequence[str]) -> None:
    panel.set_title("operations a second", fontsize="medium")
    panel.barh(range(len(rows)), [row.per_second for row in rows], color="#1b6ca8")
    panel.set_yticks(range(len(rows)), labels)
    panel.set_ylabel("workload, requests under way")
    _downwards(panel)


def _draw_cpu(panel: Axes, rows: Sequence[Row]) -> None:
    panel.set_title("CPU of an operation, µs", fontsize="medium")
    servers = [row.servers_cpu_us or 0.0 for row in rows]
    clients = [row.client_cpu_us_per_operation or 0.0 for row in rows]
    panel.barh(range(len(rows)), servers, color="#e08e0b", label="servers")
    panel.barh(range(len(rows)), clients, left=servers, color="#555555", label="client")
    panel.set_yticks([])
    panel.legend(fontsize="small")
    _downwards(panel)


def _downwards(panel: Axes) -> None:
    panel.invert_yaxis()
    panel.grid(visible=True, axis="x", color="#dddddd", linewidth=0.6)


def _draw_latency(panel: Axes, rows: Sequence[Row], labels: Sequence[str]) -> None:
    """Against 1 / (1 - share) on a logarithmic axis: each step is a nine more."""
    panel.set_title("latency by percentile, ms", fontsize="medium")
    for row, label in list(zip(rows, labels, strict=True))[:CURVES_MAX]:
        points = sorted((float(p), value) for p, value in row.latency.percentiles_ms.items())
        panel.plot([_nines(p) for p, _ in points], [value for _, value in points], label=label)
    if len(rows) > CURVES_MAX:
        panel.set_xlabel(f"the first {CURVES_MAX} of {len(rows)}")
    panel.set_yscale("log")
    panel.set_xticks([_nines(p) for p in SHOWN_PERCENTS], [f"{p:g} %" for p in SHOWN_PERCENTS])
    panel.grid(visible=True, which="major", color="#dddddd", linewidth=0.6)
    if rows:
        panel.legend(fontsize="x-small")


def _nines(percent: float) -> float:
    return -math.log10(1 - percent / 100)


@click.command()
@click.argument("document", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("picture", type=click.Path(dir_okay=False, path_type=Path))
def main(document: Path, picture: Path) -> None:
    """Draw the results of a document."""
    try:
        draw(read(document).rows, picture)
    except Refused as error:
        raise click.ClickException(error.message) from error


if __name__ == "__main__":
    sys.exit(main())

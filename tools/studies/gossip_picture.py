"""The picture of `studies.gossip_study`: four panels, each over the number of nodes.

The one module that knows matplotlib. Knows nothing of how the figures were measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import TypeVar

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from studies.gossip_measures import Changes, Deaths, Rest

Row = TypeVar("Row", Rest, Changes, Deaths)

SIZE_INCHES = (11.0, 8.0)
DOTS_PER_INCH = 110
COLOURS = ("#1b6ca8", "#2a9d5c", "#e08e0b", "#c0392b", "#7d3c98", "#555555")


def draw(
    rests: Sequence[Rest], changes: Sequence[Changes], deaths: Sequence[Deaths], path: Path
) -> None:
    """Write the picture as a PNG. A panel of which nothing was measured stays empty."""
    figure = Figure(figsize=SIZE_INCHES, layout="constrained")
    panels = figure.subplots(2, 2)
    sizes = sorted({row.nodes for rows in (rests, changes, deaths) for row in rows})
    _draw_changes(panels[0][0], changes)
    _draw_deaths(panels[0][1], deaths)
    _draw_suspicions(panels[1][0], rests)
    _draw_bytes(panels[1][1], rests)
    for panel in panels.flat:
        panel.grid(visible=True, which="major", color="#dddddd", linewidth=0.6)
        panel.set_xticks(sizes, [f"{size:,}" for size in sizes], minor=False)
        panel.set_xticks([], minor=True)
        if panel.lines:
            panel.legend(fontsize="small")
    figure.savefig(path, format="png", dpi=DOTS_PER_INCH)


def _draw_changes(panel: Axes, changes: Sequence[Changes]) -> None:
    _name(panel, "A change: periods until all know it", logarithmic=True)
    _lines(panel, changes, lambda each: median(each.periods), "median", "-")
    _lines(panel, changes, lambda each: each.periods[-1], "slowest", "--")
    sizes = sorted({each.nodes for each in changes})
    bound = [4 * math.log2(size) for size in sizes]
    if sizes:
        panel.plot(sizes, bound, color="black", linestyle=":", label="4 log2 n")


def _draw_deaths(panel: Axes, deaths: Sequence[Deaths]) -> None:
    _name(panel, "A death: seconds until it is known")
    _lines(panel, deaths, lambda each: median(d.suspected_s for d in each.found), "suspected", ":")
    _lines(panel, deaths, lambda each: median(d.known_s for d in each.found), "to all", "-")
    _lines(panel, deaths, lambda each: max(d.known_s for d in each.found), "slowest", "--")
    panel.set_ylim(bottom=0)


def _draw_suspicions(panel: Axes, rests: Sequence[Rest]) -> None:
    _name(panel, "False suspicions of a node in an hour")
    # A logarithmic axis has no zero, and most rows are.
    panel.set_yscale("symlog", linthresh=0.1)
    _lines(panel, rests, lambda rest: rest.suspicions / rest.node_hours, "", "-")
    panel.set_ylim(bottom=0)


def _draw_bytes(panel: Axes, rests: Sequence[Rest]) -> None:
    _name(panel, "Bytes that a node sends in a second", logarithmic=True)
    _lines(panel, rests, lambda rest: rest.bytes_per_s, "", "-")


def _name(panel: Axes, title: str, *, logarithmic: bool = False) -> None:
    panel.set_title(title, fontsize="medium")
    panel.set_xlabel("nodes")
    panel.set_xscale("log")
    if logarithmic:
        panel.set_yscale("log")


def _lines(
    panel: Axes, rows: Sequence[Row], value: Callable[[Row], float], label: str, style: str
) -> None:
    """One line for each loss, in the colour of that loss."""
    for place, loss in enumerate(_losses(rows)):
        points = sorted((row.nodes, value(row)) for row in rows if row.loss == loss)
        panel.plot(
            [nodes for nodes, _ in points],
            [found for _, found in points],
            color=COLOURS[place % len(COLOURS)],
            linestyle=style,
            marker="o",
            markersize=3,
            label=f"{loss:.0%} loss {label}".rstrip(),
        )


def _losses(rows: Iterable[Row]) -> list[float]:
    return sorted({row.loss for row in rows})

"""How `gossip` does with 10 to 1,000 nodes, by simulation of its pure core.

``python -m studies.gossip_study`` (in ``tools``; ``make gossip-study``) prints three tables as
Markdown, and whether the bars hold that gossip is meant to clear; ``--picture`` draws the
same. Every message is encoded, so bytes are those of the wire, without the transport's own.
The same options and seed give the same figures.

The measures are those of `studies.gossip_measures`. Ends with 1 when a bar does not hold.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from studies.gossip_measures import Changes, Deaths, Rest, at_rest, changes, deaths
from studies.gossip_picture import draw

MEASURES = ("rest", "changes", "deaths")
REST_S_MIN = 10.0

CHANGE_PERIODS_PER_LOG2 = 4.0
CHANGE_SHARE_MIN = 0.99
FLAT_FROM_NODES = 30
FLAT_WITHIN = 1.1
"""The most bytes of a node and second, over the least, from `FLAT_FROM_NODES` on."""
DEATHLESS_LOSS = 0.05
KNOWN_NODES = 100
KNOWN_S_MAX = 15.0


@dataclass(slots=True)
class Figures:
    """What was measured."""

    rests: list[Rest] = field(default_factory=list)
    changes: list[Changes] = field(default_factory=list)
    deaths: list[Deaths] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Bar:
    """One thing that must hold, and what was found."""

    wanted: str
    found: str
    holds: bool


def percentile(ordered: Sequence[float], share: float) -> float:
    """The least of the ordered values that so great a share of them does not exceed.

    >>> percentile([1.0, 2.0, 3.0, 4.0], 0.5), percentile([1.0, 2.0, 3.0, 4.0], 0.99)
    (2.0, 4.0)
    """
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


# --- bars -------------------------------------------------------------------------------------


def bars(figures: Figures) -> Iterator[Bar]:
    """Those of the bars that these figures say something about."""
    yield from (_change_bar(found) for found in figures.changes if found.loss == 0)
    flat = [rest for rest in figures.rests if rest.loss == 0 and rest.nodes >= FLAT_FROM_NODES]
    if len(flat) > 1:
        yield _flat_bar(flat)
    lossy = [rest for rest in figures.rests if rest.loss == DEATHLESS_LOSS]
    if lossy:
        yield _deathless_bar(lossy)
    yield from (
        _known_bar(found)
        for found in figures.deaths
        if found.nodes == KNOWN_NODES and found.loss == 0
    )


def _change_bar(found: Changes) -> Bar:
    bound = CHANGE_PERIODS_PER_LOG2 * math.log2(found.nodes)
    share = sum(periods <= bound for periods in found.periods) / len(found.periods)
    return Bar(
        f"a change is known to all of {found.nodes:,} within {bound:.1f} periods"
        f" in {CHANGE_SHARE_MIN:.0%} of runs",
        f"{share:.0%} of {len(found.periods)}, the slowest after {found.periods[-1]:.2f}",
        share >= CHANGE_SHARE_MIN,
    )


def _flat_bar(flat: Sequence[Rest]) -> Bar:
    low, high = (pick(rest.bytes_per_s for rest in flat) for pick in (min, max))
    return Bar(
        f"bytes of a node and second are flat from {FLAT_FROM_NODES} nodes on,"
        f" within {FLAT_WITHIN - 1:.0%}",
        f"{low:.0f} to {high:.0f}",
        high <= low * FLAT_WITHIN,
    )


def _deathless_bar(lossy: Sequence[Rest]) -> Bar:
    return Bar(
        f"no live node is declared dead at {DEATHLESS_LOSS:.0%} loss",
        f"{sum(rest.deaths for rest in lossy)} in"
        f" {sum(rest.node_hours for rest in lossy):,.1f} node-hours",
        not any(rest.deaths for rest in lossy),
    )


def _known_bar(found: Deaths) -> Bar:
    longest = max(death.known_s for death in found.found)
    return Bar(
        f"a dead node is known to all of {found.nodes} within {KNOWN_S_MAX:.0f} s",
        f"after {longest:.1f} s at most, in {len(found.found)} runs",
        longest <= KNOWN_S_MAX,
    )


# --- tables -----------------------------------------------------------------------------------


def rest_table(rests: Sequence[Rest]) -> Iterator[str]:
    """Traffic and false alarms, as Markdown."""
    yield (
        "| nodes | loss | node-hours | false suspicions | per node-hour | declared dead |"
        " bytes/s per node | of the busiest | messages/s per node |"
    )
    yield "|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    for rest in rests:
        yield (
            f"| {rest.nodes:,} | {rest.loss:.0%} | {rest.node_hours:,.1f} | {rest.suspicions:,} |"
            f" {rest.suspicions / rest.node_hours:.2f} | {rest.deaths:,} |"
            f" {rest.bytes_per_s:,.0f} | {rest.bytes_per_s_busiest:,.0f} |"
            f" {rest.messages_per_s:.1f} |"
        )


def changes_table(found: Sequence[Changes]) -> Iterator[str]:
    """How long changes took, as Markdown."""
    yield "| nodes | loss | runs | median, periods | 99 % | slowest | 4 log2 n |"
    yield "|--:|--:|--:|--:|--:|--:|--:|"
    for each in found:
        middle, most = (percentile(each.periods, share) for share in (0.5, 0.99))
        yield (
            f"| {each.nodes:,} | {each.loss:.0%} | {len(each.periods):,} | {middle:.2f} |"
            f" {most:.2f} | {each.periods[-1]:.2f} |"
            f" {CHANGE_PERIODS_PER_LOG2 * math.log2(each.nodes):.1f} |"
        )


def deaths_table(found: Sequence[Deaths]) -> Iterator[str]:
    """How long deaths took to be known, as Markdown."""
    yield (
        "| nodes | loss | runs | suspected, median s | down at one |"
        " known to all | 99 % | slowest |"
    )
    yield "|--:|--:|--:|--:|--:|--:|--:|--:|"
    for each in found:
        suspected, down, known = (
            sorted(getattr(death, name) for death in each.found)
            for name in ("suspected_s", "down_s", "known_s")
        )
        yield (
            f"| {each.nodes:,} | {each.loss:.0%} | {len(known):,} |"
            f" {percentile(suspected, 0.5):.1f} | {percentile(down, 0.5):.1f} |"
            f" {percentile(known, 0.5):.1f} | {percentile(known, 0.99):.1f} | {known[-1]:.1f} |"
        )


# --- the program ------------------------------------------------------------------------------


class Numbers(click.ParamType[list[float], str]):
    """Numbers with commas between them."""

    name = "numbers"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> list[float]:
        """The numbers; click's own error when there is something else."""
        if isinstance(value, list):
            return value
        try:
            return [float(part) for part in str(value).split(",")]
        except ValueError:
            self.fail(f"{value!r} is not numbers with commas between them", param, ctx)


@click.command()
@click.option("--nodes", type=Numbers(), default="10,30,100,300,1000", show_default=True)
@click.option("--losses", type=Numbers(), default="0,5,10,20", show_default=True, help="at rest, %")
@click.option(
    "--change-losses",
    type=Numbers(),
    default="0,5",
    show_default=True,
    help="in which changes and deaths are measured, %",
)
@click.option("--node-hours", default=3.0, show_default=True, help="at rest, for each row")
@click.option("--runs", type=click.IntRange(min=1), default=30, show_default=True, help="changes")
@click.option("--deaths", "dying", type=click.IntRange(min=1), default=10, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--only", multiple=True, type=click.Choice(MEASURES), help="these measures alone")
@click.option("--picture", type=click.Path(path_type=Path, dir_okay=False), help="a PNG to write")
def main(
    *,
    nodes: list[float],
    losses: list[float],
    change_losses: list[float],
    node_hours: float,
    runs: int,
    dying: int,
    seed: int,
    only: tuple[str, ...],
    picture: Path | None,
) -> int:
    """Measure gossip by simulation; print tables."""
    sizes = [int(count) for count in nodes]
    wanted = only or MEASURES
    figures = Figures()
    if "rest" in wanted:
        for size, loss in _cells("rest", sizes, losses):
            seconds = max(REST_S_MIN, node_hours * 3600 / size)
            figures.rests.append(at_rest(nodes=size, loss=loss, seconds=seconds, seed=seed))
    if "changes" in wanted:
        for size, loss in _cells("changes", sizes, change_losses):
            figures.changes.append(changes(nodes=size, loss=loss, runs=runs, seed=seed))
    if "deaths" in wanted:
        for size, loss in _cells("deaths", sizes, change_losses):
            figures.deaths.append(deaths(nodes=size, loss=loss, runs=dying, seed=seed))
    click.echo("\n".join(report(figures)))
    if picture is not None:
        draw(figures.rests, figures.changes, figures.deaths, picture)
    return int(not all(bar.holds for bar in bars(figures)))


def _cells(
    measure: str, sizes: Sequence[int], percents: Sequence[float]
) -> Iterator[tuple[int, float]]:
    for percent in percents:
        for size in sizes:
            # Some cells take a minute: say which one is under way.
            click.echo(f"{measure}: {size:,} nodes, {percent:g} % loss", err=True)
            yield size, percent / 100


def report(figures: Figures) -> Iterator[str]:
    """The tables of what was measured, and the bars."""
    tables: list[tuple[str, Sequence[object], Callable[[], Iterator[str]]]] = [
        ("At rest", figures.rests, lambda: rest_table(figures.rests)),
        ("A change", figures.changes, lambda: changes_table(figures.changes)),
        ("A death", figures.deaths, lambda: deaths_table(figures.deaths)),
    ]
    for title, rows, table in tables:
        if rows:
            yield from (f"{title}:", "", *table(), "")
    for bar in bars(figures):
        yield f"{'holds' if bar.holds else 'DOES NOT HOLD'}: {bar.wanted}: {bar.found}"


def run(arguments: Sequence[str]) -> int:
    """Carry out a command line; the exit status."""
    try:
        return int(
            main.main(list(arguments), prog_name="studies.gossip_study", standalone_mode=False)
        )
    except click.ClickException as error:
        error.show()
        return error.exit_code


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))

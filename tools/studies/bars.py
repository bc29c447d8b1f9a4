"""Bars: figures that a promise bounds, what a study found of them, and how a study is run.

A study ends with its bars: they are shown, and it exits with 1 where one is missed. Knows
nothing of clusters.
"""

from __future__ import annotations

import math
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import trio

from dyn_cli.failures import Failed
from dyn_cli.output import print_table, print_text
from dynamo_py.errors import DynamoError
from dynamo_py.lifetimes import background

MET, MISSED, INTERRUPTED = 0, 1, 130


class StudyFailed(Exception):
    """It could not be measured; the message says what it was waiting for or what went wrong."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure and its bound."""

    name: str
    measured: float
    """Infinite: it was given up."""
    bound: float
    unit: str = ""
    excludes_bound: bool = False
    """Whether it is to be under the bound, rather than at most there."""

    @property
    def is_met(self) -> bool:
        """Whether the promise holds."""
        return self.measured < self.bound or (
            self.measured == self.bound and not self.excludes_bound
        )

    def row(self) -> tuple[str, str, str, str]:
        """Name, figure, bound and verdict, for people."""
        limit = "under" if self.excludes_bound else "at most"
        return (
            self.name,
            self._shown(self.measured),
            f"{limit} {self._shown(self.bound)}",
            "met" if self.is_met else "MISSED",
        )

    def _shown(self, figure: float) -> str:
        if math.isinf(figure):
            return "given up"
        return f"{figure:,.{0 if figure == int(figure) else 2}f} {self.unit}".rstrip()


partitions_option = click.option(
    "--partitions", type=int, default=256, show_default=True, help="Q, a power of two."
)
directory_option = click.option(
    "--dir",
    "directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where the nodes' data is, for as long as it takes.  [default: the temporary directory]",
)

Study = Callable[[], Awaitable[Sequence[Bar]]]


def play(study: Study) -> int:
    """Run a study, show its bars, and return the exit status.

    SIGINT and SIGTERM end it early; what it has started it stops first.
    """
    return trio.run(_until_signal, study)


async def _until_signal(study: Study) -> int:
    status = INTERRUPTED
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with background() as nursery:
            nursery.start_soon(_cancel_at_signal, signals, nursery.cancel_scope)
            try:
                status = show(await study())
            except (StudyFailed, Failed, DynamoError) as error:
                say(f"FAILED: {error}")
                status = MISSED
    if status == INTERRUPTED:
        say("interrupted")
    return status


async def _cancel_at_signal(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    async for _ in signals:
        scope.cancel()


def show(bars: Sequence[Bar]) -> int:
    """Print the bars; the exit status."""
    print_text("")
    print_table(("bar", "measured", "bound", ""), [bar.row() for bar in bars])
    return MET if all(bar.is_met for bar in bars) else MISSED


def say(text: str) -> None:
    """How far it has come, on stderr."""
    print(text, file=sys.stderr, flush=True)

"""How far a program has come: a bar on a terminal, else a line at each tenth.

Knows nothing of runs. On stderr, so that what the program found stands alone on stdout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Advance = Callable[[bool], None]
"""Told after each step whether it went well."""


@contextmanager
def progress(total: int, *, is_quiet: bool = False) -> Iterator[Advance]:
    """What is to be told of each of ``total`` steps."""
    console = Console(stderr=True)
    if is_quiet or not console.is_terminal:
        yield _Tenths(total, is_quiet=is_quiet)
        return
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failed]} failed"),
        TimeRemainingColumn(),
    )
    failed = 0
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=total, failed=0)

        def advance(is_well: bool) -> None:
            nonlocal failed
            failed += not is_well
            bar.update(task, advance=1, failed=failed)

        yield advance


class _Tenths:
    def __init__(self, total: int, *, is_quiet: bool) -> None:
        self._total = total
        self._is_quiet = is_quiet
        self._done = 0
        self._failed = 0

    def __call__(self, is_well: bool) -> None:
        before = self._done * 10 // self._total
        self._done += 1
        self._failed += not is_well
        tenths = self._done * 10 // self._total
        if tenths > before and not self._is_quiet:
            text = f"{tenths * 10} %: {self._done} of {self._total}, {self._failed} failed"
            click.echo(text, err=True)

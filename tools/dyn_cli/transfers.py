"""`cluster transfers`: the partitions on their way between nodes, how fast, and how long still."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

import click

from dyn_cli.amounts import counted, size
from dyn_cli.connection import with_store
from dyn_cli.failures import Status
from dyn_cli.hints import span
from dyn_cli.options import ONE_KEY_TIMEOUT_S, Command, Settings, pass_settings
from dyn_cli.output import print_json, print_table, print_text

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from dynamo_py.client.bucket import Store
    from dynamo_py.wire.handover_messages import TransferFigures, Transfers
    from dynamo_py.wire.messages import Status as ClusterStatus

COPIED = "copied"
"""The state of a partition that is all there, and waits for its token."""
ASK_AGAIN_S = 0.5
BARS_MAX = 20
"""Transfers that have a bar of their own; the others are counted."""

Show: TypeAlias = "Callable[[Transfers, list[str]], None]"
"""Shows what is on its way, and what is waited for."""


@click.command("transfers", cls=Command)
@click.option("--follow", is_flag=True, help="Go on until nothing is under way any more.")
@pass_settings
def transfers(settings: Settings, follow: bool) -> Status:
    """Show the partitions on their way, what is left to give away, and what is left to clean up.

    With --follow a bar for each, with rate and time left; without a terminal a line for each
    change.
    """
    if follow:
        with _following(settings) as show:
            with_store(
                settings, lambda store: _until_done(store, show), timeout_s=settings.timeout_s
            )
        return Status.DONE
    timeout_s = settings.timeout_s or ONE_KEY_TIMEOUT_S
    found = with_store(
        settings, lambda store: store.admin.transfers(timeout=timeout_s), timeout_s=timeout_s
    )
    if settings.is_json:
        print_json(transfers_document(found))
    else:
        _print_transfers(found)
    return Status.DONE


def transfers_document(found: Transfers) -> dict[str, object]:
    """What `cluster transfers --json` prints. A rate or an ETA that is not known is null."""
    return {
        "transfers": [_transfer_document(each) for each in found.transfers],
        "tokens_left": dict(found.left),
        "partitions_to_clean": dict(found.cleaning),
        "silent": list(found.silent),
    }


def _transfer_document(each: TransferFigures) -> dict[str, object]:
    per_second = rate(each)
    return {
        "partition": each.partition,
        "from": each.giver,
        "to": each.receiver,
        "keys": each.keys,
        "keys_total": each.keys_total,
        "bytes": each.bytes,
        "bytes_total": each.bytes_total,
        "age_s": each.age_ms / 1000,
        "bytes_per_second": None if per_second is None else round(per_second),
        "eta_s": None if (left_s := eta_s(each)) is None else round(left_s, 1),
        "state": each.state,
    }


def rate(each: TransferFigures) -> float | None:
    """Bytes a second since it began; None before the first, and once all is copied."""
    if each.state == COPIED or not each.bytes or not each.age_ms:
        return None
    return each.bytes * 1000 / each.age_ms


def eta_s(each: TransferFigures) -> float | None:
    """Seconds until all of it is copied, at the pace so far; None: nobody knows."""
    if each.state == COPIED:
        return 0.0
    per_second = rate(each)
    return None if per_second is None else max(0, each.bytes_total - each.bytes) / per_second


# --- what is left ---------------------------------------------------------------------------------


def waits_of(found: Transfers) -> list[str]:
    """What is under way, a line each; none: nothing is."""
    waits = [f"{name} to say what is on its way there" for name in found.silent]
    if found.transfers:
        waits.append(f"{counted(len(found.transfers), 'partition')} on the way")
    waits += [f"{name} to give {counted(count, 'token')} away" for name, count in found.left]
    waits += [f"{name} to clean {counted(count, 'partition')} up" for name, count in found.cleaning]
    return waits


async def until_moved(store: Store, status: ClusterStatus) -> list[str]:
    """What is left of all changes of members, a line each; none: they are through."""
    joining = [
        f"{node.name}, which waits to join" for node in status.nodes if node.membership == "joining"
    ]
    return await _under_way(store, await store.admin.transfers()) + joining


async def _under_way(store: Store, found: Transfers) -> list[str]:
    """What is left of the changes that were committed, a line each."""
    waits = waits_of(found)
    if waits:
        return waits
    status = await store.admin.status()
    waits = [f"{node.name} to leave" for node in status.nodes if node.membership == "leaving"]
    waits += [
        f"{node.name} to complete {counted(node.incomplete, 'partition')}"
        for node in status.nodes
        if node.incomplete > 0
    ]
    if waits:
        return waits
    # Just after a commit nobody has begun yet: whether there is something to move is worked out.
    plan = await store.admin.plan(sized=False)
    if plan.moves and not plan.staged:
        waits.append(f"{counted(len(plan.moves), 'token')} to move")
    return waits


async def _until_done(store: Store, show: Show) -> None:
    import trio

    from dynamo_py.errors import DynamoError

    while True:
        try:
            found = await store.admin.transfers()
            waits = await _under_way(store, found)
            show(found, waits)
            if not waits:
                return
        except DynamoError as error:
            if not error.retryable:
                raise
        await trio.sleep(ASK_AGAIN_S)


# --- how it is shown ------------------------------------------------------------------------------


def _print_transfers(found: Transfers) -> None:
    if found.transfers:
        columns = ("partition", "from", "to", "keys", "bytes", "rate", "left", "state")
        print_table(columns, [_row(each) for each in found.transfers])
    _print_rest(found)
    if not waits_of(found):
        print_text("nothing is on its way")


def _row(each: TransferFigures) -> tuple[object, ...]:
    per_second, left_s = rate(each), eta_s(each)
    return (
        each.partition,
        each.giver,
        each.receiver,
        f"{each.keys} of {each.keys_total}",
        f"{size(each.bytes)} of {size(each.bytes_total)}",
        "" if per_second is None else f"{size(per_second)}/s",
        "?" if left_s is None else span(left_s),
        each.state,
    )


def _print_rest(found: Transfers) -> None:
    for name, count in found.left:
        print_text(f"{name} has {counted(count, 'token')} to give away")
    for name, count in found.cleaning:
        print_text(f"{name} has {counted(count, 'partition')} to clean up")
    for name in found.silent:
        print_text(f"{name} does not answer: what is on its way there is not known")


def _line(each: TransferFigures) -> str:
    return (
        f"partition {each.partition} from {each.giver} to {each.receiver}:"
        f" {each.keys} of {each.keys_total} keys,"
        f" {size(each.bytes)} of {size(each.bytes_total)}, {each.state}"
    )


@contextmanager
def _following(settings: Settings) -> Iterator[Show]:
    """How to show what is on its way, for as long as it is followed."""
    if settings.is_json:
        yield _Documents().show
    elif not sys.stdout.isatty():
        yield _Lines().show
    else:
        with _bars() as bars:
            yield bars.show
        print_text("nothing is on its way")


class _Documents:
    """A document a line, when there is news."""

    def __init__(self) -> None:
        self._last: dict[str, object] = {}

    def show(self, found: Transfers, waits: list[str]) -> None:
        """Print it, if it is news."""
        document = transfers_document(found)
        if document != self._last:
            self._last = document
            print_json(document)


class _Lines:
    """A line for each change, and at the end one that nothing is under way."""

    def __init__(self) -> None:
        self._shown: set[str] = set()

    def show(self, found: Transfers, waits: list[str]) -> None:
        """Print what was not the same the last time."""
        lines = [_line(each) for each in found.transfers]
        lines += [f"waiting for: {wait}" for wait in waits] or ["nothing is on its way"]
        for line in lines:
            if line not in self._shown:
                print_text(line)
        self._shown = set(lines)


class _Bars:
    """A bar for each partition on its way, those begun first above, and a line of text."""

    def __init__(self, progress: Progress, tell: Callable[[str], None]) -> None:
        """``tell`` shows the line below the bars."""
        self._progress = progress
        self._tell = tell
        self._tasks: dict[tuple[int, str], TaskID] = {}

    def show(self, found: Transfers, waits: list[str]) -> None:
        """Bring the bars up to date."""
        now = {(each.partition, each.receiver): each for each in found.transfers}
        for key in [key for key in self._tasks if key not in now]:
            self._progress.remove_task(self._tasks.pop(key))
        for key, each in now.items():
            if key not in self._tasks and len(self._tasks) < BARS_MAX:
                self._tasks[key] = self._progress.add_task("", total=None)
            if key in self._tasks:
                self._update(self._tasks[key], each)
        hidden = len(now) - len(self._tasks)
        more = [f"{counted(hidden, 'more partition')} on the way"] if hidden else []
        rest = [wait for wait in waits if not wait.endswith("on the way")]
        self._tell("; ".join(more + rest))

    def _update(self, task: TaskID, each: TransferFigures) -> None:
        per_second, left_s = rate(each), eta_s(each)
        self._progress.update(
            task,
            description=f"{each.partition:>4}  {each.giver} → {each.receiver}  {each.state}",
            # What is written meanwhile is copied too: more than was counted at first.
            total=max(each.bytes_total, each.bytes, 1),
            completed=max(each.bytes, 1) if each.state == COPIED else each.bytes,
            amount=f"{size(each.bytes)} of {size(each.bytes_total)}",
            rate="" if per_second is None else f"{size(per_second)}/s",
            left=f"{span(left_s)} left" if left_s else "",
        )


@contextmanager
def _bars() -> Iterator[_Bars]:
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.text import Text

    texts = ("description", "fields[amount]", "fields[rate]", "fields[left]")
    described, *figures = (TextColumn(f"{{task.{text}}}", markup=False) for text in texts)
    progress = Progress(described, BarColumn(bar_width=30), *figures)
    with Live(progress, console=Console(), transient=True) as live:
        yield _Bars(progress, lambda line: live.update(Group(progress, Text(line))))

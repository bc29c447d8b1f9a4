"""`cluster status` and `cluster wait`: the members, whether they agree, and have come to rest."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

import click

from dyn_cli.connection import with_store
from dyn_cli.failures import Status, TimedOut
from dyn_cli.in_sync import InSync
from dyn_cli.options import ONE_KEY_TIMEOUT_S, Group, Settings, pass_settings
from dyn_cli.output import note, print_json, print_table, print_text
from dyn_cli.transfers import until_moved

if TYPE_CHECKING:
    from dynamo_py.client.bucket import Store
    from dynamo_py.wire.messages import NodeStatus
    from dynamo_py.wire.messages import Status as ClusterStatus

ASK_AGAIN_S = 0.2
CONVERGED = "converged"
HINTS = "hints"
SYNC = "sync"
TRANSFERS = "transfers"


async def _until_converged(store: Store, found: ClusterStatus) -> list[str]:
    return [] if found.converged else list(found.waiting_for) or ["the members to agree"]


async def _until_no_hints(store: Store, found: ClusterStatus) -> list[str]:
    from dyn_cli.hints import waits_for_hints

    return waits_for_hints(await store.admin.hints())


Waits: TypeAlias = "Callable[[Store, ClusterStatus], Awaitable[list[str]]]"
"""Tells what is missing, a line each; nothing: it has come true."""


class _Condition(NamedTuple):
    """Something that a cluster can be waited for."""

    meaning: str
    begin: Callable[[], Waits]
    """Called once for each wait."""
    done: Callable[[ClusterStatus], str]


CONDITIONS = {
    CONVERGED: _Condition(
        "all live members agree",
        lambda: _until_converged,
        lambda found: f"converged at table version {found.table_version}",
    ),
    TRANSFERS: _Condition(
        "all changes of members are through",
        lambda: until_moved,
        lambda found: "nothing is on its way",
    ),
    HINTS: _Condition(
        "no node keeps hints for another",
        lambda: _until_no_hints,
        lambda found: "no hints are kept",
    ),
    SYNC: _Condition(
        "replicas are equal", lambda: InSync().waits, lambda found: "replicas are in sync"
    ),
}


@click.group("cluster", cls=Group)
def cluster_commands() -> None:
    """The cluster as a whole: its members, and whether they agree."""


@cluster_commands.command("status")
@pass_settings
def status(settings: Settings) -> Status:
    """Show the members as one node sees them, and what the cluster waits for."""
    timeout_s = settings.timeout_s or ONE_KEY_TIMEOUT_S
    found = with_store(
        settings, lambda store: store.admin.status(timeout=timeout_s), timeout_s=timeout_s
    )
    if settings.is_json:
        print_json(status_document(found))
    else:
        _print_status(found)
    return Status.DONE


def status_document(found: ClusterStatus) -> dict[str, object]:
    """What `cluster status --json` prints. A figure that nobody could tell is null."""
    return {
        "cluster": found.cluster,
        "table_version": found.table_version,
        "converged": found.converged,
        "nodes": [_node_document(node) for node in found.nodes],
        "waiting_for": list(found.waiting_for),
    }


def _node_document(node: NodeStatus) -> dict[str, object]:
    return {
        "name": node.name,
        "id": node.id,
        "address": node.address,
        "zone": node.zone,
        "weight": node.weight,
        "membership": node.membership,
        "state": node.state,
        "tokens": node.tokens,
        "bytes": _known(node.bytes),
        "keys": _known(node.keys),
        "hints": _known(node.hints),
    }


def _known(figure: int) -> int | None:
    """A figure, or None where the node did not tell it."""
    return None if figure < 0 else figure


def _print_status(found: ClusterStatus) -> None:
    print_text(
        f"cluster {found.cluster}, table version {found.table_version},"
        f" {'converged' if found.converged else 'not converged'}"
    )
    columns = ("name", "address", "zone", "weight", "membership", "state")
    figures = ("tokens", "bytes", "keys", "hints")
    rows = [
        [document[column] if document[column] is not None else "?" for column in columns + figures]
        for document in map(_node_document, found.nodes)
    ]
    print_table(columns + figures, rows)
    for wait in found.waiting_for:
        print_text(f"waiting for: {wait}")


def _conditions(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
    wanted = tuple(dict.fromkeys(each.strip() for each in value.split(",")))
    for each in wanted:
        if each not in CONDITIONS:
            known = ", ".join(CONDITIONS)
            raise click.BadParameter(
                f"{each!r} cannot be waited for, in this version: {known} can", ctx, param
            )
    return wanted


@cluster_commands.command("wait")
@click.option(
    "--for",
    "conditions",
    required=True,
    callback=_conditions,
    metavar="CONDITION[,CONDITION…]",
    help="What to wait for: "
    + "; ".join(f"{name} ({each.meaning})" for name, each in CONDITIONS.items())
    + ".",
)
@pass_settings
def wait(settings: Settings, conditions: tuple[str, ...]) -> Status:
    """Wait until the cluster has come to rest; show what it still waits for.

    Without --timeout as long as it takes. A node that stops answering meanwhile is waited for.
    """
    found = wait_for(settings, [CONDITIONS[name].begin() for name in conditions])
    if settings.is_json:
        print_json(status_document(found))
    else:
        for name in conditions:
            print_text(CONDITIONS[name].done(found))
    return Status.DONE


def wait_for(settings: Settings, conditions: Sequence[Waits]) -> ClusterStatus:
    """Show progress until nothing is missing of all ``conditions``; raises `TimedOut`."""
    with _progress() as progress:
        waiting = Waiting(progress, conditions)
        try:
            return with_store(settings, waiting.until_met, timeout_s=settings.timeout_s)
        except TimeoutError:
            raise TimedOut(
                f"not at rest within {settings.timeout_s:g} s; waiting for: {waiting.named()}"
            ) from None


class Progress(Protocol):
    """Where it is shown how far a wait has come."""

    def update(self, status: str) -> None:
        """Show what is waited for now."""


class Waiting:
    """Asks again and again, and remembers what the cluster was waiting for last."""

    def __init__(
        self,
        progress: Progress,
        conditions: Sequence[Waits],
        *,
        ask_again_s: float = ASK_AGAIN_S,
    ) -> None:
        self._progress = progress
        self._conditions = conditions
        self._ask_again_s = ask_again_s
        self._waits: tuple[str, ...] = ()

    def named(self) -> str:
        """What is waited for, in one line."""
        return "; ".join(self._waits) or "an answer"

    async def until_met(self, store: Store) -> ClusterStatus:
        """The status at the first moment at which every condition is met."""
        import trio

        from dynamo_py.errors import DynamoError

        while True:
            try:
                found = await store.admin.status()
                waits = [wait for each in self._conditions for wait in await each(store, found)]
            except DynamoError as error:
                if not error.retryable:
                    raise
                self._waits = (error.message,)
            else:
                if not waits:
                    return found
                self._waits = tuple(dict.fromkeys(waits))
            self._progress.update(f"waiting for: {self.named()}")
            await trio.sleep(self._ask_again_s)


class _Lines:
    """Progress where no terminal is: a line on stderr when it changes."""

    def __init__(self) -> None:
        self._last = ""

    def update(self, status: str) -> None:
        """Show it, if it is news."""
        if status != self._last:
            self._last = status
            note(status)


class _Spinner:
    """Progress on a terminal: one line that is written over."""

    def __init__(self) -> None:
        from rich.console import Console

        self._status = Console(stderr=True).status("waiting for an answer")

    def update(self, status: str) -> None:
        """Show it."""
        from rich.markup import escape

        self._status.update(escape(status))

    def start(self) -> None:
        """Begin to show it."""
        self._status.start()

    def stop(self) -> None:
        """Take it away."""
        self._status.stop()


@contextmanager
def _progress() -> Iterator[Progress]:
    if not sys.stderr.isatty():
        yield _Lines()
        return
    spinner = _Spinner()
    spinner.start()
    try:
        yield spinner
    finally:
        spinner.stop()

"""`dyn-cli dev`: a local cluster of real processes."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dyn_cli.dev.defaults import BASE_PORT, NODES, PARTITIONS, REPLICAS
from dyn_cli.failures import Refused, Status
from dyn_cli.options import Group, Settings, pass_settings
from dyn_cli.output import print_json, print_table, print_text

if TYPE_CHECKING:
    from dyn_cli.dev.cluster import DevCluster
    from dyn_cli.dev.processes import ProcessState
    from dyn_cli.dev.state import NodeEntry

F = TypeVar("F", bound=Callable[..., Any])

NODES_MAX = 50
FOLLOW_S = 0.2

_directory_option = click.option(
    "--dir",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".dev"),
    show_default=True,
    help="Where the cluster's state, data and logs are.",
)


def one_node(command: F) -> F:
    """The directory, and which of its nodes."""
    number = click.argument("number", metavar="K", type=click.IntRange(min=1))
    return number(_directory_option(command))


@click.group("dev", cls=Group)
def dev_commands() -> None:
    """A local cluster of real processes, node K on ports 7700 + 10 (K - 1) and the next two."""


@dev_commands.command("up")
@click.option("--nodes", type=click.IntRange(1, NODES_MAX), help=f"How many.  [default: {NODES}]")
@_directory_option
@click.option(
    "--base-port",
    type=click.IntRange(1, 65535),
    help=f"Node 1's port for clients.  [default: {BASE_PORT}]",
)
@click.option("--partitions", type=int, help=f"Q, a power of two.  [default: {PARTITIONS}]")
@click.option("--replicas", type=int, help=f"N.  [default: {REPLICAS}]")
@click.option("--detach", is_flag=True, help="Return when the cluster is ready, and leave it up.")
@pass_settings
def up(
    settings: Settings,
    nodes: int | None,
    directory: Path,
    base_port: int | None,
    partitions: int | None,
    replicas: int | None,
    detach: bool,
) -> Status:
    """Start a cluster, or the stopped nodes of the one that is there.

    Stays in the foreground, and Ctrl-C stops the nodes, unless --detach. It is ready when a
    quorum put would succeed. Data is kept: `dev down --purge` removes it.
    """
    from dyn_cli.dev.founding import open_or_make
    from dyn_cli.dev.staying import up_and_stay

    cluster = open_or_make(
        directory, nodes=nodes, base_port=base_port, partitions=partitions, replicas=replicas
    )
    was_up = all(_state(cluster, node).value == "running" for node in cluster.nodes)
    stays = not (detach or was_up)

    def show_ready() -> None:
        _show_up(settings, cluster, was_up=was_up)
        if stays and not settings.is_json:
            print_text("Ctrl-C stops the nodes.")

    return up_and_stay(cluster, on_ready=show_ready, stays=stays)


def _show_up(settings: Settings, cluster: DevCluster, *, was_up: bool) -> None:
    if settings.is_json:
        print_json(nodes_document(cluster))
        return
    print_text("the cluster is up already" if was_up else "the cluster is ready")
    _print_nodes(cluster)
    print_text(f"export DYN_NODES={','.join(cluster.addresses)}")


@dev_commands.command("down")
@_directory_option
@click.option("--purge", is_flag=True, help="Remove all data as well.")
@pass_settings
def down(settings: Settings, directory: Path, purge: bool) -> Status:
    """Stop all nodes: gently, after 10 s by force. Their data stays, unless --purge."""
    import trio

    cluster = _opened(directory)
    with cluster.directory.locked():
        trio.run(cluster.down)
        if not settings.is_json:
            print_text("all nodes are stopped" + (", their data is removed" if purge else ""))
        else:
            print_json(nodes_document(cluster))
        if purge:
            cluster.purge()
    return Status.DONE


@dev_commands.command("status")
@_directory_option
@pass_settings
def status(settings: Settings, directory: Path) -> Status:
    """Show the nodes' processes and addresses."""
    _show(settings, _opened(directory))
    return Status.DONE


def _act(settings: Settings, directory: Path, number: int, action: str, done: str) -> Status:
    """Carry out one action of `DevCluster` on one node."""
    import trio

    cluster = _opened(directory)
    _check_number(cluster, number)
    with cluster.directory.locked():
        # Whoever held the lock before may have changed something.
        cluster = _opened(directory)
        trio.run(getattr(cluster, action), number)
    if settings.is_json:
        print_json(nodes_document(cluster))
    else:
        print_text(f"{cluster.node(number).name} is {done}")
    return Status.DONE


@dev_commands.command("add")
@_directory_option
@click.option("--stage", is_flag=True, help="Let it wait, without tokens, until it is committed.")
@pass_settings
def add(settings: Settings, directory: Path, stage: bool) -> Status:
    """Start a further node, on the ports that come next, and wait until it is a member.

    It gets its tokens, with their data, in the background: dyn-cli cluster transfers.
    """
    import trio

    cluster = _opened(directory)
    with cluster.directory.locked():
        cluster = _opened(directory)
        added = trio.run(partial(cluster.add, is_staged=stage))
    if settings.is_json:
        print_json(nodes_document(cluster))
        return Status.DONE
    print_text(f"{added.name} {'waits to join' if stage else 'is a member'}")
    _print_nodes(cluster)
    if stage:
        print_text("next: dyn-cli cluster plan, then commit or clear")
    else:
        print_text("next: dyn-cli cluster transfers --follow")
    return Status.DONE


@dev_commands.command("kill")
@one_node
@pass_settings
def kill(settings: Settings, number: int, directory: Path) -> Status:
    """End node K at once (SIGKILL), as a crash would."""
    return _act(settings, directory, number, "kill", "killed")


@dev_commands.command("stop")
@one_node
@pass_settings
def stop(settings: Settings, number: int, directory: Path) -> Status:
    """Let node K finish what is under way and end (SIGTERM)."""
    return _act(settings, directory, number, "stop", "stopped")


@dev_commands.command("start")
@one_node
@pass_settings
def start(settings: Settings, number: int, directory: Path) -> Status:
    """Start node K again, and wait until it serves: a majority of the nodes must run for that."""
    return _act(settings, directory, number, "start", "running")


@dev_commands.command("pause")
@one_node
@pass_settings
def pause(settings: Settings, number: int, directory: Path) -> Status:
    """Freeze node K (SIGSTOP): it keeps its connections and answers nothing."""
    return _act(settings, directory, number, "pause", "paused")


@dev_commands.command("resume")
@one_node
@pass_settings
def resume(settings: Settings, number: int, directory: Path) -> Status:
    """Let a paused node K go on (SIGCONT)."""
    return _act(settings, directory, number, "resume", "running")


@dev_commands.command("logs")
@one_node
@click.option("--follow", "-f", is_flag=True, help="Go on until Ctrl-C.")
@click.option("--lines", "-n", type=click.IntRange(min=0), default=100, show_default=True)
@pass_settings
def logs(settings: Settings, number: int, directory: Path, follow: bool, lines: int) -> Status:
    """Show the end of node K's log."""
    cluster = _opened(directory)
    _check_number(cluster, number)
    node = cluster.node(number)

    def show(line: str) -> None:
        if settings.is_json:
            print_json({"node": node.name, "line": line})
        else:
            print_text(line)

    log = cluster.directory.log_of(node)
    if not log.exists():
        raise Refused(f"{node.name} was never started: it has no log")
    with log.open("rb") as file:
        whole, rest = _lines(file.read())
        for line in whole[max(0, len(whole) - lines) :]:
            show(line)
        while follow:
            time.sleep(FOLLOW_S)
            whole, rest = _lines(rest + file.read())
            for line in whole:
                show(line)
    if rest:
        show(rest.decode(errors="replace"))
    return Status.DONE


def _lines(data: bytes) -> tuple[list[str], bytes]:
    """The whole lines, and what follows the last of them."""
    *whole, rest = data.split(b"\n")
    return [line.decode(errors="replace") for line in whole], rest


def _opened(directory: Path) -> DevCluster:
    from dyn_cli.dev.cluster import DevCluster

    return DevCluster.open(directory)


def _check_number(cluster: DevCluster, number: int) -> None:
    if number > len(cluster.nodes):
        raise click.UsageError(
            f"there is no node {number}: the cluster has {len(cluster.nodes)}",
            click.get_current_context(),
        )


def _state(cluster: DevCluster, node: NodeEntry) -> ProcessState:
    return cluster.state(node.number)


def nodes_document(cluster: DevCluster) -> dict[str, object]:
    """What `dev status --json` prints."""
    return {
        "nodes": [
            {
                "number": node.number,
                "name": node.name,
                "pid": cluster.pid(node.number),
                "client": node.client,
                "peer": node.peer,
                "http": node.http,
                "state": _state(cluster, node).value,
            }
            for node in cluster.nodes
        ]
    }


def _show(settings: Settings, cluster: DevCluster) -> None:
    if settings.is_json:
        print_json(nodes_document(cluster))
    else:
        _print_nodes(cluster)


def _print_nodes(cluster: DevCluster) -> None:
    print_table(
        ("node", "state", "pid", "client", "peer", "http"),
        [
            (
                node.name,
                _state(cluster, node).value,
                cluster.pid(node.number),
                node.client,
                node.peer,
                node.http,
            )
            for node in cluster.nodes
        ],
    )

"""`cluster join`, `leave`, `remove`, `replace`, `plan`, `commit` and `clear`: who the members are.

A change that may lose data is refused by the nodes, with the reason.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dyn_cli.amounts import counted, size
from dyn_cli.connection import with_store
from dyn_cli.failures import Status
from dyn_cli.options import Command, Settings, pass_settings
from dyn_cli.output import print_json, print_table, print_text

if TYPE_CHECKING:
    from dynamo_py.client.bucket import Store
    from dynamo_py.wire.change_messages import Changed, Plan, PlanNode

F = TypeVar("F", bound=Callable[..., Any])

CHANGE_S = 20.0
"""How long a change or a plan may take: the asked node asks all others first."""

_stage = click.option(
    "--stage", is_flag=True, help="Only with the next `commit`; until then see `plan`."
)
_force = click.option("--force", is_flag=True, help="Although it may lose data.")


@click.command("join", cls=Command)
@click.argument("node")
@click.argument("seed", required=False)
@_stage
@pass_settings
def join(settings: Settings, node: str, seed: str | None, stage: bool) -> Status:
    """Let NODE in, which was started with --stage and waits for it.

    A node that is started with --seed alone joins by itself. SEED is for that, not for here.
    """
    del seed
    return _change(
        settings,
        lambda store, timeout_s: store.admin.join(node, staged=stage, timeout=timeout_s),
        if_nothing=f"{node} is {'staged or ' if stage else ''}a member already",
    )


@click.command("leave", cls=Command)
@click.argument("node")
@_stage
@_force
@pass_settings
def leave(settings: Settings, node: str, stage: bool, force: bool) -> Status:
    """Have NODE hand over all that it holds to the others, and end.

    Refused where fewer members than replicas would be left.
    """
    return _change(
        settings,
        lambda store, timeout_s: store.admin.leave(
            node, staged=stage, force=force, timeout=timeout_s
        ),
    )


@click.command("remove", cls=Command)
@click.argument("node")
@_stage
@_force
@pass_settings
def remove(settings: Settings, node: str, stage: bool, force: bool) -> Status:
    """Declare NODE dead, for good: the others take its tokens and complete its copies from theirs.

    What NODE alone had is lost. Refused while NODE is up (let it leave), while the others may
    need what it holds, and where fewer members than replicas would be left.
    """
    return _change(
        settings,
        lambda store, timeout_s: store.admin.remove(
            node, staged=stage, force=force, timeout=timeout_s
        ),
    )


@click.command("replace", cls=Command)
@click.argument("old")
@click.argument("new")
@_stage
@_force
@pass_settings
def replace(settings: Settings, old: str, new: str, stage: bool, force: bool) -> Status:
    """Declare OLD dead, for good, and have NEW take its tokens.

    NEW is a member, or was started with --stage and waits to join. Refused as `remove` is.
    """
    return _change(
        settings,
        lambda store, timeout_s: store.admin.replace(
            old, new, staged=stage, force=force, timeout=timeout_s
        ),
    )


@click.command("commit", cls=Command)
@_force
@pass_settings
def commit(settings: Settings, force: bool) -> Status:
    """Carry out all that is staged."""
    return _change(
        settings, lambda store, timeout_s: store.admin.commit(force=force, timeout=timeout_s)
    )


@click.command("clear", cls=Command)
@pass_settings
def clear(settings: Settings) -> Status:
    """Take back all that is staged. Nodes that wait to join are sent away, and end."""
    return _change(
        settings,
        lambda store, timeout_s: store.admin.clear(timeout=timeout_s),
        if_nothing="nothing was staged",
    )


def _change(
    settings: Settings,
    change: Callable[[Store, float], Awaitable[Changed]],
    *,
    if_nothing: str = "nothing was changed",
) -> Status:
    timeout_s = settings.timeout_s or CHANGE_S
    done = with_store(settings, lambda store: change(store, timeout_s), timeout_s=timeout_s)
    if settings.is_json:
        print_json({"done": list(done.done), "staged": list(done.staged)})
    else:
        _print_changed(done, if_nothing)
    return Status.DONE


def _print_changed(done: Changed, if_nothing: str) -> None:
    for line in done.done or [if_nothing]:
        print_text(line)
    news = {line.removeprefix("staged: ") for line in done.done}
    for line in done.staged:
        if line not in news:
            print_text(f"still staged: {line}")
    if done.staged:
        print_text("next: dyn-cli cluster plan, then commit or clear")
    elif any(not line.startswith("not staged") for line in done.done):
        print_text("next: dyn-cli cluster transfers --follow")


# --- the plan -------------------------------------------------------------------------------------


@click.command("plan", cls=Command)
@pass_settings
def plan(settings: Settings) -> Status:
    """Show what the staged changes would move, and what each node would hold afterwards.

    With nothing staged: what a running change has still to move.
    """
    timeout_s = settings.timeout_s or CHANGE_S
    found = with_store(
        settings, lambda store: store.admin.plan(timeout=timeout_s), timeout_s=timeout_s
    )
    if settings.is_json:
        print_json(plan_document(found))
    else:
        _print_plan(found)
    return Status.DONE


def plan_document(found: Plan) -> dict[str, object]:
    """What `cluster plan --json` prints. A figure that is not known is null."""
    return {
        "staged": list(found.staged),
        "problem": found.problem or None,
        "nodes": [
            {
                "name": node.name,
                "zone": node.zone,
                "weight": node.weight,
                "membership": node.membership,
                "membership_after": node.membership_after,
                "tokens": node.tokens,
                "tokens_after": node.tokens_after,
                "bytes": _known(node.bytes),
                "bytes_after": _known(node.bytes_after),
            }
            for node in found.nodes
        ],
        "moves": [
            {
                "token": move.token,
                "from": move.giver,
                "to": move.receiver,
                "bytes": _known(move.bytes),
            }
            for move in found.moves
        ],
        "copies": found.copies,
        "bytes": found.bytes,
        "unsized": found.unsized,
        "partitions": found.partitions,
        "replicas": found.replicas,
        "zones": found.zones,
        "in_distinct_zones": found.spread,
        "silent": list(found.silent),
    }


def _known(figure: int) -> int | None:
    return None if figure < 0 else figure


def _print_plan(found: Plan) -> None:
    for change in found.staged:
        print_text(f"staged: {change}")
    if not found.staged:
        running = "a change is under way" if found.moves else "nothing has to move"
        print_text(f"nothing is staged, and {running}")
    columns = ("node", "zone", "weight", "membership", "tokens", "bytes as primary")
    print_table(columns, [_node_row(node) for node in found.nodes])
    if found.moves:
        print_text(f"{counted(len(found.moves), 'token')} to move:")
        print_table(("from", "to", "tokens", "bytes"), _move_rows(found))
    if found.copies:
        unsized = f", and {found.unsized} of unknown size" if found.unsized else ""
        print_text(
            f"{counted(found.copies, 'copy', 'copies')} of partitions to make:"
            f" {size(found.bytes)}{unsized}"
        )
    print_text(_zones_line(found))
    for name in found.silent:
        print_text(f"{name} does not answer: what it holds is not counted")
    if found.problem:
        print_text(f"a commit would be refused now: {found.problem}")
    elif found.staged:
        print_text("next: dyn-cli cluster commit or clear")


def _node_row(node: PlanNode) -> tuple[object, ...]:
    return (
        node.name,
        node.zone,
        node.weight,
        _change_of(node.membership, node.membership_after),
        _change_of(str(node.tokens), str(node.tokens_after)),
        _change_of(size(node.bytes), size(node.bytes_after)),
    )


def _change_of(before: str, after: str) -> str:
    return before if before == after else f"{before} → {after}"


def _move_rows(found: Plan) -> list[tuple[object, ...]]:
    """The moves between each two nodes, added up."""
    tokens: dict[tuple[str, str], int] = {}
    sizes: dict[tuple[str, str], int] = {}
    for move in found.moves:
        pair = (move.giver, move.receiver)
        tokens[pair] = tokens.get(pair, 0) + 1
        is_known = move.bytes >= 0 and sizes.get(pair, 0) >= 0
        sizes[pair] = sizes.get(pair, 0) + move.bytes if is_known else -1
    return [(*pair, tokens[pair], size(sizes[pair])) for pair in sorted(tokens)]


def _zones_line(found: Plan) -> str:
    replicas = counted(found.replicas, "replica")
    if found.replicas == 1:
        return "each partition has 1 replica"
    if found.spread == found.partitions:
        return f"each partition has its {replicas} in different zones ({found.zones} in all)"
    together = counted(found.partitions - found.spread, "partition")
    return (
        f"{together} of {found.partitions} with two of {replicas} in one zone"
        f" ({counted(found.zones, 'zone')} in all)"
    )

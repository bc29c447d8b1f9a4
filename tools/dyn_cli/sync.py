"""`repair` and `check`: whether replicas are equal, and what follows from that.

The nodes do the work, and go on with it whether or not anybody asks: a `repair` that was
interrupted is followed again by another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from dyn_cli.cluster import wait_for
from dyn_cli.connection import with_store
from dyn_cli.failures import AnswerIsNo, Status
from dyn_cli.in_sync import InSync, described
from dyn_cli.options import Command, Settings, pass_settings
from dyn_cli.output import print_json, print_text

if TYPE_CHECKING:
    from dynamo_py.client.bucket import Store
    from dynamo_py.wire.messages import Status as ClusterStatus
    from dynamo_py.wire.sync_messages import PairSync

CHECK_S = 10.0
"""How long a check waits for copies that differ just now, unless --timeout says otherwise."""
ASK_AGAIN_S = 0.2


@click.command("repair", cls=Command)
@click.option("--bucket", help="The bucket that matters. Its keys lie in all partitions.")
@click.option("--partition", type=click.IntRange(min=0), help="Follow this partition alone.")
@pass_settings
def repair(settings: Settings, bucket: str | None, partition: int | None) -> Status:
    """Have all nodes compare their copies now and mend what differs; follow until it is done.

    Without --timeout as long as it takes. It may be interrupted and called again: the nodes
    go on by themselves.
    """
    del bucket  # Whatever the bucket, all partitions have keys of it.
    condition = InSync(None if partition is None else {partition})
    wait_for(settings, [condition.waits])
    if partition is not None and not condition.progress.pairs:
        raise AnswerIsNo(f"no two nodes hold partition {partition}: nothing was compared")
    pairs, elapsed_s = condition.progress.pairs, condition.progress.elapsed_s
    if settings.is_json:
        print_json({"in_sync": True, "pairs": pairs, "seconds": round(elapsed_s, 3)})
    else:
        print_text(f"{pairs} pairs of copies are in sync, after {elapsed_s:.1f} s")
    return Status.DONE


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check has found."""

    in_sync: bool
    out_of_sync: tuple[PairSync, ...]
    silent: tuple[str, ...]
    node: str | None
    reasons: tuple[str, ...]
    """Why ``node`` had better not be stopped."""


@click.command("check", cls=Command)
@click.argument("node", required=False)
@pass_settings
def check(settings: Settings, node: str | None) -> Status:
    """Check whether all replicas are in sync and, of NODE, whether it is safe to stop it.

    Copies are compared anew; those that differ get 10 s, or --timeout. Exit 1 if it is not so.
    """
    timeout_s = settings.timeout_s or CHECK_S
    found = with_store(settings, lambda store: _check(store, node, timeout_s), timeout_s=None)
    if settings.is_json:
        print_json(_document(found))
    else:
        _print(found)
    is_well = found.in_sync and not found.reasons
    return Status.DONE if is_well else Status.ANSWER_IS_NO


async def _check(store: Store, node: str | None, timeout_s: float) -> Checked:
    import trio

    condition = InSync()
    ends_s = trio.current_time() + timeout_s
    while True:
        status = await store.admin.status()
        waits = await condition.waits(store, status)
        if not waits or trio.current_time() >= ends_s:
            break
        await trio.sleep(ASK_AGAIN_S)
    if node is not None and node not in {seen.name for seen in status.nodes}:
        raise AnswerIsNo(f"the cluster has no member {node!r}")
    assert condition.report is not None
    silent = tuple(condition.report.silent)
    left = tuple(condition.left)
    reasons = () if node is None else tuple(_reasons(node, status, condition.report.pairs, left))
    return Checked(not waits, left, silent, node, reasons)


def _reasons(
    node: str, status: ClusterStatus, pairs: Sequence[PairSync], left: Sequence[PairSync]
) -> list[str]:
    """Why ``node`` had better not be stopped, a line each."""
    reasons = []
    for seen in status.nodes:
        if seen.name != node and seen.state != "up":
            reasons.append(f"{seen.name} is {seen.state} already")
        if seen.name != node and seen.incomplete > 0:
            reasons.append(f"{seen.name} completes {seen.incomplete} copies still")
        if seen.name == node and seen.hints > 0:
            reasons.append(f"{node} keeps {seen.hints} hints for others")
    behind = {pair.partition for pair in left if node in (pair.node, pair.peer)}
    if behind:
        reasons.append(f"{len(behind)} partitions of {node} are not in sync")
    primaries = _primaries(pairs, node)
    required = status.replicas // 2 + 1
    short = [p for p, names in primaries.items() if len(names - {node}) < required]
    owners = sum(1 for seen in status.nodes if seen.tokens > 0)
    if short or owners <= required:
        reasons.append(f"without {node} some keys have fewer than {required} replicas that answer")
    return reasons


def _primaries(pairs: Sequence[PairSync], node: str) -> dict[int, set[str]]:
    """The primaries of each partition that ``node`` shares with another."""
    found: dict[int, set[str]] = {}
    for pair in pairs:
        found.setdefault(pair.partition, set()).update((pair.node, pair.peer))
    return {partition: names for partition, names in found.items() if node in names}


def _document(found: Checked) -> dict[str, object]:
    by_partition: dict[int, list[str]] = {}
    for pair in found.out_of_sync:
        by_partition.setdefault(pair.partition, []).append(_why(pair))
    document: dict[str, object] = {
        "in_sync": found.in_sync,
        "partitions": [{"partition": p, "problems": by_partition[p]} for p in sorted(by_partition)],
        "silent": list(found.silent),
    }
    if found.node is not None:
        document |= {
            "node": found.node,
            "safe_to_stop": not found.reasons,
            "reasons": list(found.reasons),
        }
    return document


def _why(pair: PairSync) -> str:
    return described(pair) if pair.problem else f"{described(pair)}not compared again yet"


def _print(found: Checked) -> None:
    print_text("replicas are in sync" if found.in_sync else "replicas are not in sync")
    for name in found.silent:
        print_text(f"{name} does not answer")
    for pair in found.out_of_sync:
        print_text(_why(pair))
    if found.node is not None:
        print_text(f"{found.node} {'may' if not found.reasons else 'had better not'} be stopped")
    for reason in found.reasons:
        print_text(f"because {reason}")

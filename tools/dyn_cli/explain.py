"""`explain`: where a key lives, and what each node holds of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dyn_cli.connection import with_store
from dyn_cli.failures import Status
from dyn_cli.key_options import one_key
from dyn_cli.options import ONE_KEY_TIMEOUT_S, Command, Settings, pass_settings
from dyn_cli.output import print_json, print_table, print_text, shown

if TYPE_CHECKING:
    from dynamo_py.wire.messages import Explanation, Holding


@click.command("explain", cls=Command)
@one_key
@pass_settings
def explain(settings: Settings, key: bytes, bucket: str, key_base64: bool) -> Status:
    """Show where a key lives, what each node holds of it, and hints for it."""
    timeout_s = settings.timeout_s or ONE_KEY_TIMEOUT_S
    told = with_store(
        settings,
        lambda store: store.admin.explain(bucket, key, timeout=timeout_s),
        timeout_s=timeout_s,
    )
    if settings.is_json:
        print_json(explanation_document(bucket, key, told))
    else:
        _print_explanation(bucket, key, told)
    return Status.DONE


def explanation_document(bucket: str, key: bytes, told: Explanation) -> dict[str, object]:
    """What `explain --json` prints."""
    return {
        "bucket": bucket,
        "key": shown(key),
        "position": told.position,
        "partition": told.partition,
        "primaries": list(told.primaries),
        "fallbacks": list(told.fallbacks),
        "holdings": [_holding_document(each) for each in told.holdings],
        "slow": list(told.slow),
    }


def _holding_document(holding: Holding) -> dict[str, object]:
    return {
        "node": holding.node,
        "role": holding.role,
        "state": holding.state,
        "answer": holding.answer,
        "complete": holding.complete,
        "dots": list(holding.dots),
        "siblings": holding.siblings,
        "tombstone": holding.tombstone,
        "hinted_for": list(holding.hinted_for),
    }


def _print_explanation(bucket: str, key: bytes, told: Explanation) -> None:
    print_text(f"key        {bucket}/{key.decode(errors='backslashreplace')}")
    print_text(f"position   {told.position:#018x}, partition {told.partition}")
    print_text(f"primaries  {', '.join(told.primaries)}")
    print_text(f"fallbacks  {', '.join(told.fallbacks) or 'none'}")
    print_text("")
    print_table(
        ("node", "role", "state", "holds", "votes", "siblings", "dots", "hint for"),
        [_holding_row(each) for each in told.holdings],
    )
    if told.slow:
        print_text("\nthe last slow request:")
        for line in told.slow:
            print_text(f"  {line}")


def _holding_row(holding: Holding) -> tuple[object, ...]:
    holds = "tombstone" if holding.tombstone else holding.answer
    return (
        holding.node,
        holding.role,
        holding.state,
        holds,
        "yes" if holding.complete else "no",
        holding.siblings,
        " ".join(holding.dots),
        ", ".join(holding.hinted_for),
    )

"""`scan`: the keys of a bucket."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from dyn_cli.connection import with_store
from dyn_cli.failures import Status
from dyn_cli.key_options import bucket_option
from dyn_cli.options import ONE_KEY_TIMEOUT_S, Command, Settings, pass_settings
from dyn_cli.output import note, print_bytes, print_json, shown

if TYPE_CHECKING:
    from dynamo_py.client.scanning import Scanned


@click.command("scan", cls=Command)
@bucket_option
@click.option("--prefix", default="", help="Only keys that begin with this.")
@click.option("--limit", type=click.IntRange(min=1), help="At most this many keys.")
@click.option("--cursor", help="Go on where an earlier scan stopped.")
@pass_settings
def scan(
    settings: Settings, bucket: str, prefix: str, limit: int | None, cursor: str | None
) -> Status:
    """List the keys of a bucket, in no order, a line each.

    Where --limit ends it, stderr says the cursor to go on with; with --json each document has
    the cursor that leads on from its key.
    """

    with_store(
        settings,
        lambda store: _list_keys(
            store.bucket(bucket).scan(
                prefix=os.fsencode(prefix),
                cursor=cursor,
                timeout=settings.timeout_s or ONE_KEY_TIMEOUT_S,
            ),
            bucket,
            limit=limit,
            is_json=settings.is_json,
        ),
        timeout_s=settings.timeout_s,
    )
    return Status.DONE


async def _list_keys(keys: Scanned, bucket: str, *, limit: int | None, is_json: bool) -> None:
    count = 0
    async for key in keys:
        raw = key if isinstance(key, bytes) else key.encode()
        if is_json:
            print_json({"bucket": bucket, "key": shown(raw), "cursor": keys.cursor})
        else:
            print_bytes(raw + b"\n")
        count += 1
        if count == limit:
            break
    if count == limit and keys.cursor is not None and not is_json:
        note(f"there may be more: --cursor {keys.cursor}")

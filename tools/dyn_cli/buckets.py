"""`bucket list`, `get` and `set`: how buckets are used by whoever does not say it himself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from dyn_cli.connection import with_store
from dyn_cli.failures import Status
from dyn_cli.key_options import checked_bucket
from dyn_cli.options import ONE_KEY_TIMEOUT_S, Group, Settings, pass_settings
from dyn_cli.output import print_json, print_table, print_text

if TYPE_CHECKING:
    from dynamo_py.client.properties import BucketProperties

UNSET = "none"
QUORUMS = ("r", "w", "dw", "pr", "pw")
CHOICES = {"resolver": ("last_write_wins", "union", "cart"), "codec": ("json", "cbor")}
PROPERTIES = (*QUORUMS, *CHOICES, "ttl")

Value = int | float | str | None

_bucket = click.argument("bucket", callback=checked_bucket)


@click.group("bucket", cls=Group)
def bucket_commands() -> None:
    """Properties of buckets: quorums, resolver, codec and ttl where a request names none."""


@bucket_commands.command("list")
@pass_settings
def list_buckets(settings: Settings) -> Status:
    """Show the buckets that have properties; others are used as the cluster's defaults say."""
    timeout_s = settings.timeout_s or ONE_KEY_TIMEOUT_S
    found = with_store(
        settings, lambda store: store.admin.buckets(timeout=timeout_s), timeout_s=timeout_s
    )
    found = {name: each for name, each in found.items() if any(asdict(each).values())}
    if settings.is_json:
        print_json({"buckets": [properties_document(*each) for each in found.items()]})
    elif found:
        rows = [[name, *asdict(each).values()] for name, each in found.items()]
        print_table(("bucket", *PROPERTIES), rows)
    else:
        print_text("no bucket has properties")
    return Status.DONE


@bucket_commands.command("get")
@_bucket
@pass_settings
def get_bucket(settings: Settings, bucket: str) -> Status:
    """Show the properties of BUCKET, a line each."""
    timeout_s = settings.timeout_s or ONE_KEY_TIMEOUT_S
    found = with_store(
        settings, lambda store: store.admin.bucket(bucket, timeout=timeout_s), timeout_s=timeout_s
    )
    _print_properties(settings, bucket, found)
    return Status.DONE


@bucket_commands.command("set")
@_bucket
@click.argument("properties", nargs=-1, required=True, metavar="NAME=VALUE…")
@pass_settings
def set_bucket(settings: Settings, bucket: str, properties: Sequence[str]) -> Status:
    """Change properties of BUCKET, on all nodes; those that are not named stay as they are.

    \b
    r, w, dw, pr, pw   a number of replicas, quorum or all
    resolver           last_write_wins, union or cart
    codec              json or cbor
    ttl                seconds
    VALUE `none` unsets a property.
    """
    change: dict[str, Any] = dict(map(_read, properties))
    timeout_s = settings.timeout_s or ONE_KEY_TIMEOUT_S
    done = with_store(
        settings,
        lambda store: store.admin.set_bucket(bucket, **change, timeout=timeout_s),
        timeout_s=timeout_s,
    )
    _print_properties(settings, bucket, done)
    return Status.DONE


def properties_document(bucket: str, properties: BucketProperties) -> dict[str, object]:
    """What `bucket get --json` prints. A property that says nothing is null."""
    return {"bucket": bucket, **asdict(properties)}


def _print_properties(settings: Settings, bucket: str, properties: BucketProperties) -> None:
    if settings.is_json:
        print_json(properties_document(bucket, properties))
        return
    for name, value in asdict(properties).items():
        print_text(f"{name}={UNSET if value is None else value}")


def _read(text: str) -> tuple[str, Value]:
    """A property's name and value; a usage error that names the choices."""
    name, equals, value = text.partition("=")
    if name not in PROPERTIES or not equals:
        raise _refused(f"{text!r}: write NAME=VALUE, with one of {', '.join(PROPERTIES)}")
    if value == UNSET:
        return name, None
    if name in CHOICES:
        if value not in CHOICES[name]:
            raise _refused(f"{text!r}: it can be {', '.join(CHOICES[name])} or {UNSET}")
        return name, value
    return name, _quorum(text, value) if name in QUORUMS else _seconds(text, value)


def _quorum(text: str, value: str) -> int | str:
    if value in ("quorum", "all"):
        return value
    if value.isascii() and value.isdigit() and int(value) > 0:
        return int(value)
    raise _refused(f"{text!r}: it can be a number from 1, quorum, all or {UNSET}")


def _seconds(text: str, value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise _refused(f"{text!r}: it can be a number of seconds above 0 or {UNSET}")
    return int(seconds) if seconds.is_integer() else seconds


def _refused(why: str) -> click.UsageError:
    return click.UsageError(why, click.get_current_context())

"""`get`, `put` and `delete`: one key."""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dyn_cli.connection import with_store
from dyn_cli.failures import AnswerIsNo, SeveralValues, Status
from dyn_cli.key_options import Quorum, context_option, one_key, quorum_options, write_options
from dyn_cli.options import ONE_KEY_TIMEOUT_S, SECONDS, Command, Settings, pass_settings
from dyn_cli.output import note, print_bytes, print_json, print_text, shown

if TYPE_CHECKING:
    from dynamo_py.client.bucket import Bucket
    from dynamo_py.client.results import Fetched, Stored

T = TypeVar("T")

PREVIEW_BYTES = 60


def _with_bucket(
    settings: Settings, bucket: str, work: Callable[[Bucket, float], Awaitable[T]]
) -> T:
    timeout_s = settings.timeout_s or ONE_KEY_TIMEOUT_S
    # Whatever codec the bucket has: these commands read and write bytes.
    return with_store(
        settings,
        lambda store: work(store.bucket(bucket, codec="raw"), timeout_s),
        timeout_s=timeout_s,
    )


@click.command("get", cls=Command)
@one_key
@quorum_options(r="How many replicas must answer.", pr="How many of them primaries.")
@click.option("--sibling", type=click.IntRange(min=1), help="Of several values, this one.")
@click.option("--from", "from_node", metavar="NODE", help="Read this node's own copy alone.")
@pass_settings
def get(
    settings: Settings,
    key: bytes,
    bucket: str,
    key_base64: bool,
    r: Quorum | None,
    pr: Quorum | None,
    sibling: int | None,
    from_node: str | None,
) -> Status:
    """Read a key. In text its value is written as it is, byte for byte.

    Where the key has several values they are listed on stderr, and the exit status is 1.
    """
    found = _with_bucket(
        settings,
        bucket,
        lambda b, timeout_s: b.get(key, r=r, pr=pr, node=from_node, timeout=timeout_s),
    )
    values = _chosen(found, sibling)
    if settings.is_json:
        print_json(fetched_document(bucket, key, found, values))
        return Status.DONE if found.exists else Status.ANSWER_IS_NO
    if found.degraded:
        note("degraded: fewer replicas than R could vote; newer writes may be missing")
    if not found.exists:
        raise AnswerIsNo("key not found")
    if len(values) > 1:
        _list_siblings(found)
        raise SeveralValues(
            f"the key has {len(values)} values: pick one with --sibling, or merge them and put"
            f" the result with --context {context_text(found)}"
        )
    print_bytes(values[0])
    if sys.stdout.isatty():
        print_bytes(b"\n")
    return Status.DONE


def _chosen(found: Fetched, sibling: int | None) -> tuple[bytes, ...]:
    """The values to show: all, or the one that was picked."""
    if sibling is None or not found.exists:
        return found.values
    if sibling > len(found.values):
        raise AnswerIsNo(f"there is no sibling {sibling}: the key has {len(found.values)} values")
    return (found.values[sibling - 1],)


def _list_siblings(found: Fetched) -> None:
    from datetime import UTC, datetime

    for number, sibling in enumerate(found.siblings, 1):
        when = datetime.fromtimestamp(sibling.timestamp, UTC).isoformat(timespec="milliseconds")
        value: bytes = sibling.value
        preview = value[:PREVIEW_BYTES].decode(errors="backslashreplace")
        dots = "…" if len(value) > PREVIEW_BYTES else ""
        click.echo(f"{number}  {when}  {len(value)} bytes  {preview!r}{dots}", err=True)


def fetched_document(
    bucket: str, key: bytes, found: Fetched, values: tuple[bytes, ...]
) -> dict[str, object]:
    """What `get --json` prints."""
    return {
        "bucket": bucket,
        "key": shown(key),
        "exists": found.exists,
        "values": [shown(value) for value in values],
        "context": context_text(found),
        "degraded": found.degraded,
        "replied": list(found.replied),
    }


@click.command("put", cls=Command)
@one_key
@click.argument("value", required=False)
@click.option("--file", "file", type=click.File("rb"), help="Read the value from a file.")
@context_option
@write_options
@click.option("--if-absent", is_flag=True, help="Refuse where there is a value; best effort.")
@click.option("--ttl", type=SECONDS, help="Let the value expire after this many seconds.")
@pass_settings
def put(
    settings: Settings,
    key: bytes,
    bucket: str,
    key_base64: bool,
    value: str | None,
    file: Any,
    context: bytes | None,
    w: Quorum | None,
    dw: Quorum | None,
    pw: Quorum | None,
    if_absent: bool,
    ttl: float | None,
) -> Status:
    """Write a key: VALUE, or a file, or else what comes in on stdin.

    It takes the place of what the context has seen. Without a context it becomes a sibling of
    what is there.
    """
    data = _value_to_put(value, file)
    done = _with_bucket(
        settings,
        bucket,
        lambda b, timeout_s: b.put(
            key,
            data,
            context=context,
            if_absent=if_absent,
            ttl=ttl,
            w=w,
            dw=dw,
            pw=pw,
            timeout=timeout_s,
        ),
    )
    _report_stored(settings, done, "stored")
    return Status.DONE


def _value_to_put(value: str | None, file: Any) -> bytes:
    if value is not None and file is not None:
        raise click.UsageError("give VALUE or --file, not both", click.get_current_context())
    if value is not None:
        return os.fsencode(value)
    data: bytes = (file or sys.stdin.buffer).read()
    return data


@click.command("delete", cls=Command)
@one_key
@context_option
@write_options
@pass_settings
def delete(
    settings: Settings,
    key: bytes,
    bucket: str,
    key_base64: bool,
    context: bytes | None,
    w: Quorum | None,
    dw: Quorum | None,
    pw: Quorum | None,
) -> Status:
    """Delete what the context has seen of a key; without one, what a read finds first.

    Deleting a key that is missing is no error.
    """
    done = _with_bucket(
        settings,
        bucket,
        lambda b, timeout_s: b.delete(key, context=context, w=w, dw=dw, pw=pw, timeout=timeout_s),
    )
    _report_stored(settings, done, "deleted")
    return Status.DONE


def _report_stored(settings: Settings, done: Stored, what: str) -> None:
    if settings.is_json:
        print_json(stored_document(done))
        return
    if not done.acked:
        print_text("nothing to delete")
        return
    print_text(f"{what} on {', '.join(done.acked)}")
    for hinted in done.hinted:
        note(f"{hinted.holder} keeps it for {hinted.target}, which did not answer")
    if done.degraded:
        note("degraded: fewer primaries than W took it; a read may miss it for now")
    if done.siblings_count > 1:
        note(
            f"the key has {done.siblings_count} siblings now: get it, merge them, and put the"
            " result with --context"
        )


def stored_document(done: Stored) -> dict[str, object]:
    """What `put --json` and `delete --json` print."""
    return {
        "context": context_text(done),
        "acked": list(done.acked),
        "hinted": [{"holder": each.holder, "for": each.target} for each in done.hinted],
        "degraded": done.degraded,
    }


def context_text(result: Fetched | Stored) -> str:
    """A context as people pass it on: base64, safe in a shell and in an address."""
    return base64.urlsafe_b64encode(result.context.to_bytes()).decode()

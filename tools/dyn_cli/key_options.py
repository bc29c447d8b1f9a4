"""The arguments and options of the commands on keys, and how their values are read.

Bytes of a key are whatever the shell passed on, or base64. What cannot be read is a usage error.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
Quorum = int | Literal["quorum", "all"]


class QuorumType(click.ParamType["Quorum"]):
    """A number from 1, ``quorum`` or ``all``."""

    name = "number|quorum|all"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> Quorum:
        """The quorum; fails where it is none."""
        match value:
            case int() | "quorum" | "all":
                return value
            case _ if value.isascii() and value.isdigit() and int(value) > 0:
                return int(value)
        raise click.BadParameter(
            f"{value!r} is not a number from 1, quorum or all", ctx=ctx, param=param
        )


class ContextType(click.ParamType[bytes]):
    """A context as `get --json` shows it."""

    name = "context"

    def convert(
        self, value: str | bytes, param: click.Parameter | None, ctx: click.Context | None
    ) -> bytes:
        """The context's bytes; fails where it is no base64, or empty."""
        if isinstance(value, bytes):
            return value
        try:
            context = _from_base64(value)
        except ValueError:
            context = b""
        if not context:
            self.fail("this is no context: pass on what a get or a put gave", param, ctx)
        return context


QUORUM = QuorumType()
CONTEXT = ContextType()


def _from_base64(text: str) -> bytes:
    """The bytes of standard or URL-safe base64, padded or not; raises `ValueError`."""
    standard = text.translate(str.maketrans("-_", "+/")).rstrip("=")
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def checked_bucket(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """A bucket's name, for click; a usage error where it can be none."""
    if not value or "\0" in value or any("\ud800" <= each <= "\udfff" for each in value):
        raise click.BadParameter("a bucket's name is text that is not empty", ctx, param)
    return value


def _checked_key(ctx: click.Context, param: click.Parameter, value: str) -> bytes:
    """The key's bytes, whatever bytes the shell passed on."""
    try:
        key = _from_base64(value) if ctx.params.get("key_base64") else os.fsencode(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is not base64", ctx, param) from None
    if not key:
        raise click.BadParameter("a key is not empty", ctx, param)
    return key


bucket_option = click.option(
    "--bucket",
    default="default",
    show_default=True,
    callback=checked_bucket,
    help="The bucket of the key.",
)


def one_key(command: F) -> F:
    """Give a command the key, and the options that say which one is meant.

    It is called with ``key`` as bytes, ``bucket``, and ``key_base64``, which is done with.
    """
    # Eager, so that the key is read in the light of it.
    command = click.option("--key-base64", is_flag=True, is_eager=True, help="KEY is base64.")(
        command
    )
    command = bucket_option(command)
    return click.argument("key", callback=_checked_key)(command)


def quorum_options(**helps: str) -> Callable[[F], F]:
    """An option for each of these quorums, with its help."""

    def decorate(command: F) -> F:
        for name, text in reversed(helps.items()):
            command = click.option(f"--{name}", type=QUORUM, help=text)(command)
        return command

    return decorate


write_options = quorum_options(
    w="How many replicas must have taken it.",
    dw="How many of them after an fsync.",
    pw="How many of them primaries.",
)
context_option = click.option(
    "--context", type=CONTEXT, help="What you have seen of the key, from `get --json`."
)

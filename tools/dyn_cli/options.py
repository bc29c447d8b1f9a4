"""The options of every command, which may stand before the command or after it.

`Group` and `Command` carry them at every level; what is given anywhere is collected in the
context that the levels share. Of an option given twice the innermost counts, and ``--node``
adds up.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import click
from click.core import ParameterSource

P = ParamSpec("P")
R = TypeVar("R")

DEFAULT_NODE = "127.0.0.1:7700"
ONE_KEY_TIMEOUT_S = 5.0
_COLLECTED = "dyn_cli.options"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the options of every command said."""

    nodes: tuple[str, ...]
    """The addresses of ``--node``, else of ``DYN_NODES``, else the first dev node's."""
    is_json: bool
    timeout_s: float | None
    """None: not said, the command's own default."""


class Address(click.ParamType[str]):
    """``HOST:PORT``."""

    name = "host:port"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The address as it was given; fails where it is none."""
        host, _, port = value.rpartition(":")
        if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
            self.fail(f"{value!r} is not an address: write HOST:PORT", param, ctx)
        return value


class Seconds(click.ParamType[float]):
    """A finite number of seconds above 0."""

    name = "seconds"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number; fails where it is none."""
        try:
            seconds = float(value)
        except ValueError:
            seconds = math.nan
        if not 0 < seconds < math.inf:
            self.fail(f"{value!r} is not a number of seconds above 0", param, ctx)
        return seconds


ADDRESS = Address()
SECONDS = Seconds()


def _collect(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    assert param.name is not None
    if ctx.get_parameter_source(param.name) is ParameterSource.COMMANDLINE:
        collected = ctx.meta.setdefault(_COLLECTED, {})
        if param.multiple:
            value = (*collected.get(param.name, ()), *value)
        collected[param.name] = value
    return value


def _common_options() -> list[click.Parameter]:
    """The options of every command, new objects at each call."""
    return [
        click.Option(
            ["--node", "asked_nodes"],
            type=ADDRESS,
            multiple=True,
            expose_value=False,
            callback=_collect,
            help="A node to ask; may be given several times. Else DYN_NODES (comma-separated),"
            f" else {DEFAULT_NODE}.",
        ),
        click.Option(
            ["--json", "is_json"],
            is_flag=True,
            expose_value=False,
            callback=_collect,
            help="Print one JSON document (scans and streams: a document a line).",
        ),
        click.Option(
            ["--timeout", "timeout_s"],
            type=SECONDS,
            expose_value=False,
            callback=_collect,
            help=f"How long to wait in all; {ONE_KEY_TIMEOUT_S:g} for one key's commands.",
        ),
    ]


class _WithCommonOptions(click.Command):
    """A command that takes the common options, listed in a section of their own."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._common = _common_options()
        self.params = [*self.params, *self._common]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options first, then those that all commands have."""
        sections: dict[str, list[tuple[str, str]]] = {"Options": [], "Options of all commands": []}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and not isinstance(param, click.Argument):
                is_common = param in self._common
                sections["Options of all commands" if is_common else "Options"].append(record)
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)
        if isinstance(self, click.Group):
            self.format_commands(ctx, formatter)


class Command(_WithCommonOptions):
    """A command of `dyn-cli`."""


class Group(_WithCommonOptions, click.Group):
    """A command with commands below it."""

    command_class = Command


Group.group_class = Group


def settings_of(ctx: click.Context) -> Settings:
    """What the common options said, wherever they stood."""
    collected = ctx.meta.get(_COLLECTED, {})
    return Settings(
        tuple(dict.fromkeys(collected.get("asked_nodes") or _nodes_of_environment(ctx))),
        bool(collected.get("is_json", False)),
        collected.get("timeout_s"),
    )


def pass_settings(
    command: Callable[Concatenate[Settings, P], R],
) -> Callable[P, R]:
    """Give a command the `Settings` as its first argument."""

    @wraps(command)
    def with_settings(*arguments: P.args, **named: P.kwargs) -> R:
        return command(settings_of(click.get_current_context()), *arguments, **named)

    return with_settings


def _nodes_of_environment(ctx: click.Context) -> tuple[str, ...]:
    listed = os.environ.get("DYN_NODES", "")
    addresses = [address.strip() for address in listed.split(",") if address.strip()]
    for address in addresses:
        try:
            ADDRESS.convert(address, None, None)
        except click.BadParameter as error:
            raise click.UsageError(f"DYN_NODES: {error.message}", ctx) from None
    return tuple(addresses) or (DEFAULT_NODE,)

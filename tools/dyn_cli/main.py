"""`dyn-cli`: the command line, from its arguments to its exit status.

Each command is a plain function in a module of its own; what it raises ends here, as one line
on stderr or, with ``--json``, one document on stdout.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

import click

from dyn_cli.bench.commands import bench_commands
from dyn_cli.buckets import bucket_commands
from dyn_cli.changes import clear, commit, join, leave, plan, remove, replace
from dyn_cli.cluster import cluster_commands
from dyn_cli.dev.commands import dev_commands
from dyn_cli.explain import explain
from dyn_cli.failures import Status, document_of, message_of, status_of
from dyn_cli.hints import hints
from dyn_cli.keys import delete, get, put
from dyn_cli.node_run import node_commands
from dyn_cli.options import Group
from dyn_cli.output import PROGRAM, close_output, note, print_json
from dyn_cli.ring import ring
from dyn_cli.scan import scan
from dyn_cli.sync import check, repair
from dyn_cli.transfers import transfers


@click.group(cls=Group, context_settings={"help_option_names": ["--help", "-h"]})
@click.version_option(package_name="dynamo-py", prog_name=PROGRAM)
def cli() -> None:
    """Run, ask and look after a cluster of dynamo-py."""


for command in (
    dev_commands,
    node_commands,
    get,
    put,
    delete,
    scan,
    explain,
    bucket_commands,
    hints,
    repair,
    check,
    cluster_commands,
    bench_commands,
):
    cli.add_command(command)

for command in (join, leave, remove, replace, plan, commit, clear, transfers, ring):
    cluster_commands.add_command(command)


def main() -> None:
    """The entry point of the program."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Carry out a command line; the exit status."""
    try:
        status = cli.main(list(arguments), prog_name=PROGRAM, standalone_mode=False)
        return int(status or Status.DONE)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else Status.OUR_BUG
    except (Exception, KeyboardInterrupt, BaseExceptionGroup) as error:
        cause = _alone(error)
        _report(cause, is_json=_wants_json(arguments))
        return status_of(cause)


def _report(error: BaseException, *, is_json: bool) -> None:
    status = status_of(error)
    if os.environ.get("DYN_DEBUG"):
        traceback.print_exception(error)
    if status is Status.OUTPUT_CLOSED:
        close_output()
    elif isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
    elif is_json:
        print_json(document_of(error))
    else:
        note(message_of(error))


def _wants_json(arguments: Sequence[str]) -> bool:
    """Whether ``--json`` was given: to be known also where the arguments were not understood."""
    before_dashes = list(arguments)
    if "--" in before_dashes:
        before_dashes = before_dashes[: before_dashes.index("--")]
    return "--json" in before_dashes


def _alone(error: BaseException) -> BaseException:
    """The exception inside groups of one; an interruption counts wherever it is."""
    while isinstance(error, BaseExceptionGroup):
        if error.subgroup(KeyboardInterrupt) is not None:
            return KeyboardInterrupt()
        if len(error.exceptions) > 1:
            return error
        error = error.exceptions[0]
    return error

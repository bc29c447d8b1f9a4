"""What is printed: JSON or text on stdout, diagnostics on stderr.

Knows nothing of commands. Bytes are shown as text where they are UTF-8, else as
``{"base64": …}``.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Sequence

import click

from dyn_cli.failures import OutputClosed

PROGRAM = "dyn-cli"
TABLE_WIDTH_MAX = 10_000
"""Wider than any table: on a narrow terminal a line goes on in the next, and nothing is cut."""


def print_json(document: object) -> None:
    """One JSON document on a line of its own."""
    print_bytes(json.dumps(document, ensure_ascii=False).encode() + b"\n")


def print_text(text: str) -> None:
    """A line for people."""
    print_bytes(text.encode(errors="surrogateescape") + b"\n")


def print_bytes(data: bytes) -> None:
    """Just these bytes."""
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise OutputClosed from None


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table for people: columns aligned, nothing cut off."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=True)
    for row in rows:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    console = Console(width=TABLE_WIDTH_MAX)
    with console.capture() as captured:
        console.print(table)
    print_text("\n".join(line.rstrip() for line in captured.get().splitlines()))


def note(text: str) -> None:
    """A diagnostic: one line on stderr."""
    click.echo(f"{PROGRAM}: {text}", err=True)


def shown(data: bytes) -> str | dict[str, str]:
    """Bytes for a JSON document."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def close_output() -> None:
    """Let the interpreter end without a word about an output that nobody reads."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

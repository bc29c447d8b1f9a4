"""What a measurement leaves behind: a table on stdout, the document and the picture as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from dyn_cli.bench.medians import median_rows
from dyn_cli.bench.results import Results, Row, this_machine, write
from dyn_cli.bench.table import COLUMNS, LEGEND, cells, remarks
from dyn_cli.output import print_table, print_text

DOCUMENT = "results.json"
PICTURE = "results.png"


def report(rows: Sequence[Row], directory: Path) -> None:
    """Print the medians, and write all turns and the picture into ``directory``.

    Raises `Refused` where that cannot be written.
    """
    # Loaded here: it takes longer than all else, and nothing before needs it.
    from bench.picture import draw

    medians = median_rows(rows)
    print_table(COLUMNS, [cells(row) for row in medians])
    print_text(LEGEND)
    for remark in remarks(medians):
        click.echo(remark, err=True)
    directory.mkdir(parents=True, exist_ok=True)
    write(Results(machine=this_machine(), rows=tuple(rows)), directory / DOCUMENT)
    draw(rows, directory / PICTURE)
    print_text(f"all figures: {directory / DOCUMENT}, drawn: {directory / PICTURE}")

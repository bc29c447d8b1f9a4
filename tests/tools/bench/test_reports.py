"""What a measurement leaves behind: a table, a document, a picture."""

from __future__ import annotations

import pytest

from bench.picture import _labels, draw
from bench.reports import DOCUMENT, PICTURE, report
from bench.standard import standard_set
from dyn_cli.bench.medians import median_rows
from dyn_cli.bench.plans import Plan
from dyn_cli.bench.results import Latency, Row, ServerCost, read

PNG = b"\x89PNG\r\n\x1a\n"


def row_of(plan: Plan, turn: int) -> Row:
    return Row(
        target="dynamo-py",
        workload=plan.workload.name,
        choice=plan.choice.value,
        records=plan.records,
        value_bytes=plan.value_bytes,
        loop="closed" if plan.rate_per_s is None else "open",
        in_flight=plan.in_flight if plan.rate_per_s is None else None,
        rate_per_s=plan.rate_per_s,
        connections=plan.clients,
        turn=turn,
        seconds=1.0,
        operations=1000,
        per_second=1000.0 * turn,
        errors={},
        latency=Latency(
            count=1000, mean_ms=1.0, max_ms=9.0, percentiles_ms={"50": 1.0, "99": 5.0, "99.9": 8.0}
        ),
        client_cpu_us_per_operation=50.0,
        servers=(ServerCost(name="n1", cpu_us_per_operation=200.0),),
    )


@pytest.fixture
def rows() -> list[Row]:
    return [row_of(plan, turn) for turn in (1, 2, 3) for plan in standard_set()]


def test_the_standard_set_names_each_measurement_once(rows):
    labels = _labels(median_rows(rows))
    assert len(labels) == len(set(labels)) == len(standard_set())


def test_a_report_is_a_table_of_medians_a_document_of_all_turns_and_a_picture(
    rows, tmp_path, capsys
):
    directory = tmp_path / "made" / "for it"
    report(rows, directory)
    table = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("dynamo-py ") for line in table) == len(standard_set())
    assert all(" 2,000 " in line for line in table if line.startswith("dynamo-py "))
    assert read(directory / DOCUMENT).rows == tuple(rows)
    assert (directory / PICTURE).read_bytes().startswith(PNG)


def test_a_picture_of_nothing_is_still_a_picture(tmp_path):
    draw([], tmp_path / "empty.png")
    assert (tmp_path / "empty.png").read_bytes().startswith(PNG)

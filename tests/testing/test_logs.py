from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import trio
import trio.testing

from dynamo_py.log import get_logger
from dynamo_py.testing.logs import LOGGERS, keep_quiet, show


@pytest.fixture(autouse=True)
def loggers_as_before() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [(each.level, each.propagate, each.handlers) for each in loggers]
    yield
    for each, (level, propagate, handlers) in zip(loggers, before, strict=True):
        each.setLevel(level)
        each.propagate, each.handlers = propagate, handlers


async def test_a_line_has_its_virtual_second(
    capsys: pytest.CaptureFixture[str], autojump_clock: trio.testing.MockClock
) -> None:
    show()
    await trio.sleep(12.5)
    get_logger("dynamo_py.example").info("node started", node="n1")
    assert capsys.readouterr().err == "    12.500 s  node started node=n1\n"


def test_outside_of_a_run_a_line_has_none(capsys: pytest.CaptureFixture[str]) -> None:
    show()
    get_logger("dynamo_py.example").warning("disk full")
    assert capsys.readouterr().err == "disk full\n"


def test_a_quiet_program_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    keep_quiet()
    get_logger("dynamo_py.example").critical("disk full")
    assert capsys.readouterr().err == ""
